"""A foreign transcript as a file of records: recognised, checked, and read as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from gateway.errors import CallerError, IntakeError
from gateway.learners.identifier import RESIDENT_ID, IdentifierError, normalise
from gateway.records.intake.rows import Reading, Row
from gateway.records.refusal import RefusedRow
from gateway.records.transcripts import json_tree, xml_tree
from gateway.records.transcripts.contexts import load_contexts
from gateway.records.transcripts.credential import is_credential, read_credential
from gateway.records.transcripts.draft import (
    DOCUMENT,
    FORMAT,
    SIGNATURE,
    ElementPlace,
    Transcript,
    account,
    finish,
    row_of,
)
from gateway.records.transcripts.elmo import NAMESPACES, read_elmo
from gateway.records.transcripts.learning_model import is_learning_model, read_learning_model
from gateway.records.transcripts.seal import check_proofs, check_xml_signature
from gateway.records.transcripts.tree import DOCUMENT_BYTES_MAX, DocumentError

FORMATS = ("elmo", "clr", "badge", "elm")
"""What ``--format`` may name; the prefix of the records' ids."""


class TranscriptFile:
    """One transcript on its way in."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises ``CallerError``: it cannot be read; ``IntakeError``: it is too large."""
        self.path = path
        try:
            with path.open("rb") as file:
                self._content = file.read(DOCUMENT_BYTES_MAX + 1)
        except OSError as error:
            raise CallerError(f"{path}: {error.strerror}.", remedy="Check the path.") from error
        if len(self._content) > DOCUMENT_BYTES_MAX:
            raise self._fail(f"it is larger than {DOCUMENT_BYTES_MAX >> 20} MiB.")
        self.digest = sha256(self._content).digest()
        self.bytes_total = len(self._content)
        self.bytes_read = 0
        self.elements: Sequence[ElementPlace] = ()
        """Where each element went, once the rows were read."""

    def rows(self, reading: Reading) -> Iterator[Row | RefusedRow]:
        """Yield the row of each achievement.

        Raises:
            IntakeError: the document is refused as a whole: no known format, broken, expired, altered.
        """
        if not reading.facts.learner:
            raise self._fail("a transcript does not name its learner as this node does.", _LEARNER_REMEDY)
        if reading.facts.records_key is None:
            raise self._fail("transcripts need the node's records key.")
        try:
            transcript, signature = self._read(reading)
            self._check_format(transcript, reading)
            notes = {
                FORMAT: transcript.format_name,
                SIGNATURE: signature,
                DOCUMENT: self.digest.hex(),
            }
            finish(transcript, notes)
        except DocumentError as error:
            raise self._fail(str(error)) from error
        self.elements = account(transcript)
        self.bytes_read = self.bytes_total
        for number, draft in enumerate(transcript.drafts, 1):
            yield row_of(number, draft, transcript, reading)

    def close(self) -> None:
        """Let go of the content."""
        self._content = b""

    def _read(self, reading: Reading) -> tuple[Transcript, str]:
        """Return the transcript, and what its signature shows."""
        learner = _forms_of(reading)
        if self._content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(_XML_STARTS):
            root = xml_tree.parse_xml(self._content)
            namespace = xml_tree.namespace_of(root)
            if namespace not in NAMESPACES or not root.tag.endswith("}elmo"):
                raise DocumentError("it is XML, but no ELMO transcript.")
            signature = check_xml_signature(root)
            return read_elmo(xml_tree.tree_of(root), namespace, learner), signature
        data = json_tree.parse_json(self._content)
        if not isinstance(data, dict):
            raise DocumentError("it is JSON, but no credential.")
        return self._read_json(data, learner, reading)

    def _read_json(
        self, data: dict[str, Any], learner: list[str], reading: Reading
    ) -> tuple[Transcript, str]:
        tree = json_tree.tree_of(data)
        if is_learning_model(tree):
            reader = read_learning_model
        elif is_credential(tree):
            reader = read_credential
        else:
            raise DocumentError(
                "it is JSON, but its type is none of ClrCredential, OpenBadgeCredential, "
                "AchievementCredential and EuropeanDigitalCredential."
            )
        transcript = reader(tree, learner, reading.now)
        return transcript, check_proofs(
            data, load_contexts(reading.facts.contexts, reading.facts.context_pins)
        )

    def _check_format(self, transcript: Transcript, reading: Reading) -> None:
        wanted = reading.facts.format_name
        if wanted and wanted != transcript.prefix:
            raise DocumentError(f"it is {transcript.format_name}, not what --format {wanted} says.")

    def _fail(self, what: str, remedy: str = "") -> IntakeError:
        return IntakeError(f"{self.path.name}: {what}", remedy=remedy)


_XML_STARTS = (b"<", b"\xff\xfe<\x00", b"\xfe\xff\x00<")
"""In UTF-8, and in UTF-16 with its byte order mark."""
_LEARNER_REMEDY = "Say who brought it: --learner -, and type the identifier."


def _forms_of(reading: Reading) -> list[str]:
    """Return the forms in which the learner's own identifier may stand in the document."""
    facts = reading.facts
    try:
        text = normalise(facts.learner_type, facts.learner)
    except IdentifierError:
        return []  # each row is refused for it
    return [text[:17], text[:6] + text[8:17]] if facts.learner_type == RESIDENT_ID else [text]
