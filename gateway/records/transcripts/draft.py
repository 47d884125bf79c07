"""Records in the making out of a foreign document, and the account of every element of it.

An element ends in a column of the record, among its originals under its path, or, when it identifies
the person or is as large as a scan, among the originals as a digest. Nothing ends nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from creditexchange.v1 import record_pb2 as pb
from gateway.records.intake.rows import Derived, Reading, Row
from gateway.records.refusal import RefusedRow, refused
from gateway.records.transcripts.tree import DocumentError, Element, Node
from gateway.schemes import LocalRecord, Scheme
from gateway.schemes.shared_words import KINDS

INLINE_CHARACTERS_MAX = 8 * 1024
"""A longer value, such as a scan, is kept as its digest: no answer could carry it."""
RECORDS_MAX = 5_000
TRACE_CHARACTERS_MIN = 6
"""A shorter identifier may stand in another value by chance."""

# Originals that say how a foreign value is to be read; gateway.records.translating does so.
GRADE = "transcript.grade"
GRADE_STATUS = "transcript.grade_status"
TITLE_LANGUAGE = "transcript.title_language"
ISSUER_LANGUAGE = "transcript.issuer_language"
TEACHING_LANGUAGE = "transcript.teaching_language"
FORMAT = "transcript.format"
SIGNATURE = "transcript.signature"
DOCUMENT = "transcript.sha256"

UNSTATED_UNIT = "unstated"
"""Credits without unit: never counted in the province's own."""

_TYPE_NAMES = frozenset({"type", "@type", "schemeName", "prefLabel", "inScheme"})
"""Inside what identifies a person, these say only what kind of thing it is."""


class ElementPlace(NamedTuple):
    """One line of the account."""

    path: str
    places: tuple[str, ...]


@dataclass
class Draft:
    """One record in the making."""

    node: Node
    kind: int
    key: tuple[str, ...]
    members: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    """Originals of ours: how values are to be read."""
    originals: list[tuple[str, str]] = field(default_factory=list)
    keyed: list[tuple[str, str]] = field(default_factory=list)
    parent: Draft | None = None

    def put(self, column: str, element: Element | None, value: str | None = None) -> None:
        """Put an element into a column; what was rewritten is an original too."""
        if element is None or column in self.members:
            return
        if element.is_hidden:
            self.keep(element)
            return
        text = element.value.strip() if value is None else value
        self.members[column] = text
        if text == element.value:
            element.places.append(column)
        else:
            self.keep(element)
            element.places.insert(0, column)

    def note(self, name: str, element: Element | None, value: str | None = None) -> None:
        """Put an element into one of our own originals."""
        if element is not None and element.is_hidden:
            self.keep(element)
        elif element is not None and name not in self.notes:
            self.notes[name] = element.value.strip() if value is None else value
            if self.notes[name] == element.value:
                element.places.append(f"original.{name}")
            else:
                self.keep(element)

    def keep(self, element: Element) -> None:
        """Carry an element as it is, under its path; once. Of one that identifies the person, a digest."""
        name = element.path.lstrip("/")
        if any(kept == name for kept, _ in (*self.originals, *self.keyed)):
            return
        if element.is_hidden:
            self.keyed.append((name, element.value))
            element.places.append(f"keyed digest in original.{name}")
        elif len(element.value) > INLINE_CHARACTERS_MAX:
            content = element.value.encode()
            digest = f"sha256:{sha256(content).hexdigest()} of {len(content)} bytes"
            self.originals.append((name, digest))
            element.places.append(f"digest in original.{name}")
        else:
            self.originals.append((name, element.value))
            element.places.append(f"original.{name}")


@dataclass
class Transcript:
    """What a reader of one format made of a document."""

    root: Node
    format_name: str
    prefix: str
    drafts: list[Draft]


def finish(transcript: Transcript, notes: dict[str, str]) -> None:
    """Give every element that no column took its place, and every draft our own ``notes``.

    Raises:
        DocumentError: there is no record, or there are too many.
    """
    drafts = transcript.drafts
    if not drafts:
        raise DocumentError("it holds no achievement of a learner.")
    if len(drafts) > RECORDS_MAX:
        raise DocumentError(f"it holds more than {RECORDS_MAX:,} achievements.")
    for draft in drafts:
        draft.notes = notes | draft.notes  # the format first: it says how the others are read
    by_node = {id(draft.node): draft for draft in drafts}
    _place(transcript.root, by_node, drafts[0])
    unplaced = next((element for element in transcript.root.elements() if not element.places), None)
    if unplaced is not None:
        raise DocumentError(f"{unplaced.path} found no place; this is a defect of the gateway.")


def _place(root: Node, by_node: dict[int, Draft], first: Draft) -> None:
    """Walk the tree with the draft to which elements belong: the one around them, else the first inside."""
    waiting = [(root, by_node.get(id(root), first), id(root) in by_node)]
    while waiting:
        node, owner, is_inside = waiting.pop()
        if node.element is not None and not node.element.places:
            owner.keep(node.element)
        for child in reversed(node.children):
            if id(child) in by_node:
                waiting.append((child, by_node[id(child)], True))
            elif is_inside:
                waiting.append((child, owner, True))
            else:
                waiting.append((child, _owner_below(child, by_node) or owner, False))


def _owner_below(node: Node, by_node: dict[int, Draft]) -> Draft | None:
    return next((by_node[id(inner)] for inner in node.nodes() if id(inner) in by_node), None)


def hide_person(root: Node, personal: Sequence[Node], learner: Sequence[str]) -> None:
    """Mark what identifies the person, or says more of them than their name, wherever it stands.

    Args:
        root: the document.
        personal: the nodes that say who the person is.
        learner: the identifiers under which the node knows the person.
    """
    nodes = [node for top in personal for node in _personal_nodes(top)]
    for node in nodes:
        if node.element is not None:
            node.element.is_hidden = True
    traces = {element.value.strip() for node in nodes if (element := node.element) and _is_telling(element)}
    traces.update(text for text in learner if len(text) >= TRACE_CHARACTERS_MIN)
    for element in root.elements():
        if not element.is_hidden and any(trace in element.value for trace in traces):
            element.is_hidden = True


def _personal_nodes(top: Node) -> Iterable[Node]:
    waiting = [top]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [child for child in node.children if child.name not in _TYPE_NAMES]


def _is_telling(element: Element) -> bool:
    """Whether a value names one person: long enough, with a digit, and no day, which others share."""
    text = element.value.strip()
    is_day = len(text) >= 10 and text[4] == "-" == text[7]
    is_vocabulary = text.startswith("http://publications.europa.eu/")
    return (
        len(text) >= TRACE_CHARACTERS_MIN and any(map(str.isdigit, text)) and not is_day and not is_vocabulary
    )


def account(transcript: Transcript) -> list[ElementPlace]:
    """Return where each element went, in the order of the document."""
    return [ElementPlace(element.path, tuple(element.places)) for element in transcript.root.elements()]


def row_of(number: int, draft: Draft, transcript: Transcript, reading: Reading) -> Row | RefusedRow:
    """Return the row of a draft; its line is the number of the achievement in the document, from 1."""
    scheme, facts = reading.scheme, reading.facts
    word = scheme.kind_words.get(draft.kind)
    if word is None:
        return refused(
            number, "kind", f"the node's scheme has no word for a {KINDS.word(draft.kind)}; add one"
        )
    members = dict(draft.members)
    if members.get("issuer_name") or members.get("issuer_code"):
        members.setdefault("issuer_role", _word_of_role(scheme, pb.ISSUER_ROLE_AWARDED))
    originals = (*draft.notes.items(), *draft.originals)
    return Row(
        number,
        facts.learner_type,
        facts.learner,
        LocalRecord(record_id="", kind=word, originals=originals, **_titled(members)),
        Derived(
            transcript.prefix,
            draft.key,
            part_of=draft.parent.key if draft.parent else (),
            keyed=tuple(draft.keyed),
        ),
    )


def _titled(members: dict[str, str]) -> dict[str, str]:
    return {"title": ""} | members


def _word_of_role(scheme: Scheme, role: int) -> str:
    return next((word for word, value in scheme.issuer_roles.items() if value == role), "")


def make_keys_unique(drafts: Sequence[Draft]) -> None:
    """Tell achievements with one key apart by their order: a document may name neither id nor date."""
    seen: dict[tuple[str, ...], int] = {}
    for draft in drafts:
        count = seen.get(draft.key, 0) + 1
        seen[draft.key] = count
        if count > 1:
            draft.key = (*draft.key, str(count))
