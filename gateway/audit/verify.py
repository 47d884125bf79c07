"""Does a stored log agree with itself, byte by byte? Trusts nothing that the gateway computed before.

Every leaf is hashed anew, the whole tree is built anew from the leaves, and everything that was
stored is held against it: leaf hashes, tree nodes, every checkpoint with its signature, the tree's
head, and checkpoints that somebody outside kept. Memory is constant: entries, nodes and checkpoints
come as streams in the order in which they were appended.

The first entry that is not what it was is named as exactly as the evidence allows: the last good
and the first failing checkpoint enclose it, and stored nodes narrow that down.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Protocol

from gateway.audit.checkpoint import Checkpoint, open_checkpoint
from gateway.audit.merkle import HASH_BYTES, root_from_edge
from gateway.errors import GatewayError
from gateway.signing.signed_note import KEY_ID_BYTES, NoteError, NoteVerifier, decode_base64

FINDINGS_MAX = 20
"""How many findings are spelled out; the first is the one that matters."""
SIGNATURES_MAX = 20_000
"""How many checkpoint signatures are verified at least: all of a small log's."""
PROGRESS_EVERY = 4_096
"""Entries between two reports of progress."""
ROOT_CHARACTERS = 44
"""Length of a root in base64."""
INDEX_BOUND = 2**62
"""Larger than any index."""


@dataclass(frozen=True, slots=True)
class StoredTree:
    """The tree's head as stored."""

    size: int
    root: bytes
    edge: tuple[bytes, ...]


class LogSource(Protocol):
    """A stored log. Rows are tuples, so that a million of them stay cheap."""

    @property
    def origin(self) -> str:
        """Name of the log."""

    def closed_origins(self) -> Sequence[tuple[int, str]]:
        """(size, origin) of each name under which the log was closed, the earliest first."""

    def tree(self) -> StoredTree:
        """The head as it is stored now."""

    def entries(self, start: int, end: int) -> Iterator[Sequence[Any]]:
        """(index, leaf, leaf_hash, exchange_id, peer, logged_at) in order, start <= index < end."""

    def nodes(self, start: int, end: int) -> Iterator[Sequence[Any]]:
        """(position, hash) of the complete subtrees of level 1 and above, as they came into being."""

    def edge(self, size: int) -> tuple[bytes, ...]:
        """The stored edge of the tree of the first ``size`` entries."""

    def checkpoint_count(self) -> int:
        """How many checkpoints there are."""

    def checkpoints(self, after: int) -> Iterator[tuple[int, str]]:
        """(size, note) of more than ``after`` entries, the smallest first."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification found."""

    entries: int
    """How many entries were read."""
    checkpoints: int
    """How many signed checkpoints were held against the tree."""
    signatures: int
    """How many of their signatures were verified."""
    verified_from: int
    """Entries below this index were not read: an earlier verification ended there."""
    first_bad: int | None
    """Index of the first entry that is altered, missing, inserted or out of place."""
    findings: tuple[str, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether the log is intact."""
        return not self.findings


def verify_stored_log(
    source: LogSource,
    verifier: NoteVerifier,
    *,
    held: Sequence[str] = (),
    start: int = 0,
    every_signature: bool = False,
    progress: Progress | None = None,
    other_keys: Sequence[tuple[int, NoteVerifier]] = (),
) -> VerifyReport:
    """Verify everything in ``source``; ``progress`` is told how far it is.

    ``start`` is where an earlier verification was interrupted: a size that it told ``progress`` as
    verified. ``other_keys`` are keys that the log had before, each with the largest size that it may
    have signed. The stored tree of that size must lead to the signed checkpoint of that size; else, and
    if there is none, everything is read.

    ``held`` are checkpoints of this log that others kept: without any, a log that was cut back or
    rewritten as a whole by who has the log key looks intact.

    Every checkpoint's root is held against the tree, and the signature over the last one proves them
    all. Of the other signatures, which cost more than everything else together, a random sample of
    ``SIGNATURES_MAX`` is verified, all with ``every_signature``, and all again when anything is wrong,
    so that the entry is named as exactly as possible.
    """
    told = progress or (lambda *_: None)
    count = 0 if every_signature else source.checkpoint_count()
    share = 1.0 if count <= SIGNATURES_MAX else SIGNATURES_MAX / count
    report = _Verification(source, verifier, held, told, share, other_keys).run(start)
    if not report.ok and share < 1:
        report = _Verification(source, verifier, held, told, 1.0, other_keys).run(start)
    return report


Progress = Callable[[int, int, int], None]
"""Takes entries done, entries in all, and the size up to which everything is verified."""


class _Verification:
    """One pass over a log."""

    def __init__(
        self,
        source: LogSource,
        verifier: NoteVerifier,
        held: Sequence[str],
        progress: Progress,
        share: float,
        other_keys: Sequence[tuple[int, NoteVerifier]],
    ) -> None:
        self._source = source
        self._other_keys = other_keys
        self._verifiers = [
            *((size, NoteVerifier(origin, verifier.public)) for size, origin in source.closed_origins()),
            (INDEX_BOUND, verifier),
        ]
        self._progress = progress
        self._share = share
        """Share of the checkpoints whose signatures are verified; chosen by chance, so that nobody who
        alters one can know it."""
        self._tree = source.tree()
        self._findings: list[str] = []
        self._first_bad: int | None = None
        self._read = 0
        self._compared_checkpoints = 0
        self._verified_signatures = 0
        self._logged_at = 0
        self._edge: list[bytes] = []
        self._complete = True
        """No entry was missing so far: the tree can be built."""
        self._good_size = 0
        """Largest size whose checkpoint was right."""
        self._good_held = 0
        """Largest size whose checkpoint, held by others, was right."""
        self._failed = False
        """A stored checkpoint failed: every later one will too."""
        self._held_failed = False
        self._node_text = ""
        self._suspect: tuple[int, int] | None = None
        """Leaves under the first node that was not as stored: start, end."""
        self._nodes: Iterator[Sequence[Any]] = iter(())
        self._next_node: Sequence[Any] | None = None
        self._held: dict[int, bytes] = {}
        self._beyond = 0
        """Largest size of any checkpoint, if larger than the tree."""
        for note in held:
            self._hold(note)

    def run(self, start: int) -> VerifyReport:
        """Read everything once, in order."""
        size = start = start if self._take_up(start) else 0
        end = self._tree.size - self._tree.size.bit_count()
        self._nodes = self._source.nodes(start - start.bit_count(), end)
        self._next_node = next(self._nodes, None)
        checkpoints = self._source.checkpoints(start or -1)
        due = next(checkpoints, None)
        for row in self._source.entries(start or -INDEX_BOUND, self._tree.size):
            self._read += 1
            index = row[0]
            if index < 0:
                self._report(index, f"entry {index} was inserted: a log begins at 0")
                continue
            if index != size:
                self._report(size, f"entry {size} is missing" + _until(size, index))
                self._complete = False
                size = index
            hashed = self._leaf_hash(row)
            if self._complete:
                self._append(size, hashed)
            size += 1
            while due is not None and due[0] <= size:
                self._check(due[0], due[1], size)
                due = next(checkpoints, None)
            if size in self._held and self._complete:
                self._compare(size, self._held[size], held=True)
            if not size % PROGRESS_EVERY:
                self._progress(size, self._tree.size, self._good_size)
        if due is not None:
            self._beyond = max([due[0], *(beyond for beyond, _ in checkpoints)])
        self._finish(size)
        self._progress(size, self._tree.size, 0 if self._findings else self._good_size)
        findings = tuple(self._findings[:FINDINGS_MAX])
        return VerifyReport(
            entries=self._read,
            checkpoints=self._compared_checkpoints,
            signatures=self._verified_signatures,
            verified_from=start,
            first_bad=self._first_bad,
            findings=findings,
        )

    def _take_up(self, start: int) -> bool:
        """Whether the stored tree of ``start`` entries is the signed one, so that the rest can follow."""
        if not 0 < start <= self._tree.size:
            return False
        found = next(self._source.checkpoints(start - 1), None)
        before = next(iter(self._source.entries(start - 1, start)), None)
        if found is None or found[0] != start or before is None:
            return False
        try:
            edge = self._source.edge(start)
            if root_from_edge(edge) != self._root_of(start, found[1], verify=True):
                return False
        except GatewayError:
            return False
        self._edge, self._good_size, self._logged_at = list(edge), start, before[5]
        return True

    def _leaf_hash(self, row: Sequence[Any]) -> bytes:
        """Return the hash with which the tree goes on: of the leaf, or the stored one if they differ."""
        index, leaf, stored_hash, exchange_id, peer, at = row
        try:
            hashed = sha256(b"\x00" + leaf).digest()
            if hashed != stored_hash:
                self._report(index, f"entry {index} was altered: its bytes do not have the stored hash")
                return stored_hash if isinstance(stored_hash, bytes) else hashed
            if at < self._logged_at or not _columns_agree(leaf, exchange_id, peer, at):
                self._report(index, f"entry {index} was altered: its columns are not what its leaf says")
            else:
                self._logged_at = at
        except (TypeError, AttributeError):
            self._report(index, f"entry {index} was altered: a column is not of its type")
            return bytes(32)
        return hashed

    def _append(self, index: int, hashed: bytes) -> None:
        """Grow the tree by one leaf and hold each subtree that it completes against the stored one."""
        level, end = 0, index + 1
        position = index - index.bit_count()
        while index & 1:
            hashed = sha256(b"\x01" + self._edge.pop() + hashed).digest()
            index >>= 1
            level += 1
            stored = self._next_node
            if stored is not None and stored[0] == position:
                self._next_node = next(self._nodes, None)
                if stored[1] == hashed:
                    position += 1
                    continue
                what = "is not that of its entries"
            else:
                what = "is missing"
            if self._suspect is None and not self._failed:
                start = end - (1 << level)
                self._suspect = (start, end)
                self._node_text = f"the stored node over entries {start} to {end - 1} {what}"
            position += 1
        self._edge.append(hashed)

    def _check(self, size: int, note: str, have: int) -> None:
        """Verify one stored checkpoint when the tree has grown to its size."""
        try:
            is_last = size == self._tree.size
            root = self._root_of(size, note, verify=is_last or random.random() < self._share)  # noqa: S311
        except GatewayError as error:
            self._report(None, f"the checkpoint of size {size} is not acceptable: {error.message}")
            return
        self._compared_checkpoints += 1
        if self._complete and size == have:
            self._compare(size, root, held=False)

    def _root_of(self, size: int, note: str, *, verify: bool) -> bytes:
        """Return the root that a note states, after verifying its signature if ``verify`` says so.

        A note in the very form that the gateway writes is taken apart by its known lengths, which
        costs a third of parsing it; the signature is verified over the same text.
        """
        verifiers = self._verifiers_of(size)
        name = verifiers[0].name
        start = f"{name}\n{size}\n"
        middle = f"\n\n— {name} "
        at = len(start) + ROOT_CHARACTERS
        content = note[at + len(middle) : -1]
        if content.isascii() and note == start + note[len(start) : at] + middle + content + "\n":
            root, signed = decode_base64(note[len(start) : at], "root"), decode_base64(content, "signature")
            known = next((v for v in verifiers if signed[:KEY_ID_BYTES] == v.key_id), None)
            if known is not None and len(root) == HASH_BYTES:
                if verify:
                    known.verify(signed[KEY_ID_BYTES:], note[: at + 1])
                    self._verified_signatures += 1
                return root
        checkpoint = open_checkpoint(note, name, verifiers)
        if checkpoint.size != size:
            raise NoteError("it is of another size.")
        self._verified_signatures += 1
        return checkpoint.root

    def _verifiers_of(self, size: int) -> list[NoteVerifier]:
        """Return the keys that may have signed ``size`` entries, under the name that the log bore then."""
        verifier = next(verifier for since_size, verifier in self._verifiers if size <= since_size)
        return [verifier, *self._renamed(verifier.name, size)]

    def _renamed(self, name: str, size: int) -> list[NoteVerifier]:
        return [NoteVerifier(name, v.public) for size_max, v in self._other_keys if size <= size_max]

    def _compare(self, size: int, root: bytes, *, held: bool) -> None:
        """Hold the tree as it has grown against one checkpoint of its size.

        What the log's own key signed may have been signed anew by who stole it; so a checkpoint
        that others hold is enclosed by earlier ones that others hold, not by the stored ones.
        """
        if root_from_edge(self._edge) == root:
            if not self._failed:
                self._good_size = max(self._good_size, size)
                self._good_held = size if held else self._good_held
                self._clear_suspicion()
            return
        if self._failed or (held and self._held_failed):
            return
        start, end = self._good_held if held else self._good_size, size
        if self._suspect is not None and max(start, self._suspect[0]) < min(end, self._suspect[1]):
            start, end = max(start, self._suspect[0]), min(end, self._suspect[1])
        self._failed, self._held_failed = self._failed or not held, self._held_failed or held
        self._suspect = None
        first = f"entry {start} is" if end - start == 1 else f"one of the entries {start} to {end - 1} is"
        what = "a checkpoint that others hold" if held else "the signed checkpoint"
        self._report(start, f"{first} not what it was: {what} of size {size} has another root")

    def _clear_suspicion(self) -> None:
        """The entries are right, so it was the stored node that was altered."""
        if self._suspect is not None:
            self._report(None, f"{self._node_text}; the entries below it are intact")
            self._suspect = None

    def _finish(self, size: int) -> None:
        """Check what can only be known at the end."""
        if size < self._tree.size:
            self._report(size, f"entry {size} is missing" + _until(size, self._tree.size))
        elif self._complete and (root_from_edge(self._edge), tuple(self._edge)) != (
            self._tree.root,
            self._tree.edge,
        ):
            self._report(None, "the stored head of the tree is not that of its entries")
        if self._suspect is not None:
            self._report(None if self._good_size >= size else self._suspect[0], self._node_text)
        beyond = next(iter(self._source.entries(self._tree.size, INDEX_BOUND)), None)
        now = self._source.tree()
        if beyond is not None and beyond[0] >= now.size:
            self._report(beyond[0], f"entry {beyond[0]} was inserted: the tree has only {now.size} entries")
        longest = max([self._beyond, *self._held], default=0)
        if longest > now.size:
            self._report(
                now.size, f"entry {now.size} is missing: a signed checkpoint covers {longest} entries"
            )
        if self._complete and self._tree.size and not self._failed and self._good_size < self._tree.size:
            self._report(None, f"the checkpoint of size {self._tree.size} is missing or not acceptable")

    def _hold(self, note: str) -> None:
        try:
            checkpoint = self._open_held(note)
        except GatewayError as error:
            self._report(None, f"a checkpoint that others hold is not acceptable: {error.message}")
            return
        known = self._held.setdefault(checkpoint.size, checkpoint.root)
        if known != checkpoint.root:
            self._report(
                None, f"others hold two different checkpoints of size {checkpoint.size}: the log was forked"
            )

    def _open_held(self, note: str) -> Checkpoint:
        """Return the checkpoint of ``note``, signed under the name that the log bears or has borne."""
        for _, verifier in self._verifiers[:-1]:
            if note.startswith(f"{verifier.name}\n"):
                break
        else:
            verifier = self._verifiers[-1][1]
        return open_checkpoint(
            note, verifier.name, [verifier, *self._renamed(verifier.name, _stated_size(note))]
        )

    def _report(self, index: int | None, text: str) -> None:
        if index is not None and (self._first_bad is None or index < self._first_bad):
            self._first_bad = index
            self._findings.insert(0, text + ".")
        else:
            self._findings.append(text + ".")


def _until(start: int, end: int) -> str:
    """Say that more than one entry is missing."""
    return "" if end - start == 1 else f", and all up to {end - 1}"


def _columns_agree(leaf: bytes, exchange_id: bytes, peer: str, logged_at: int) -> bool:
    """Whether the columns beside a leaf repeat what stands in it."""
    if b'"logged_at":%d,' % logged_at not in leaf or not _is_with(leaf, peer.encode()):
        return False
    if exchange_id:
        return b'"exchange_id":"%b"' % exchange_id.hex().encode() in leaf
    return b'"exchange_id"' not in leaf


def _is_with(leaf: bytes, peer: bytes) -> bool:
    """Whether the leaf names ``peer`` as the other node; empty stands for none."""
    if b'"role":"asker"' in leaf:
        return b'"answerer":"%b"' % peer in leaf
    if b'"role":"answerer"' in leaf:
        return b'"asker":"%b"' % peer in leaf
    return b'"peer":"%b"' % peer in leaf if peer else b'"peer":"' not in leaf


def _stated_size(note: str) -> int:
    """Return the size that a note claims, verified or not; 0 when it claims none."""
    lines = note.split("\n", 2)
    return int(lines[1]) if len(lines) == 3 and lines[1].isdecimal() and len(lines[1]) < 20 else 0
