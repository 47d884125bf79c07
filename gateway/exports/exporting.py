"""An archive in the form that was asked for: the one door of this room."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from gateway.audit import AuditLog
from gateway.clock import Clock
from gateway.errors import CallerError
from gateway.exchange.asking.question import OK, Archive, ArchiveEntry
from gateway.exchange.collect_evidence import Collector
from gateway.exports.credential import learner_record
from gateway.exports.document_signer import DocumentSigner
from gateway.exports.issuer import Issuer
from gateway.exports.issuing import Credentials
from gateway.exports.plain import archive_csv, archive_json
from gateway.exports.proof import sign
from gateway.exports.serialising import json_bytes


@dataclass(frozen=True, slots=True)
class Form:
    """One form of export."""

    media_type: str
    extension: str
    """Of a file's name, without the dot."""
    is_of_one_record: bool = False


FORMS: Mapping[str, Form] = {
    "vc": Form("application/vc", "vc.json", is_of_one_record=True),
    "clr": Form("application/vc", "clr.json"),
    "elmo": Form("application/xml", "elmo.xml"),
    "pdf": Form("application/pdf", "pdf"),
    "csv": Form("text/csv; charset=utf-8", "csv"),
    "json": Form("application/json", "json"),
}
SAVED = "archive"
"""Form of what is encrypted into the learner's own file; it never leaves unencrypted."""
"""Forms by the name that ``--format`` takes."""


@dataclass(frozen=True, slots=True)
class Exported:
    """One finished document."""

    content: bytes
    media_type: str
    extension: str
    record_count: int
    issuer: str
    """DID under whose key it is signed; empty where nothing is."""


@dataclass(frozen=True)
class Exporting:
    """What the writers need of their node."""

    log: AuditLog
    clock: Clock
    issuer: Callable[[], Issuer]
    """Raises ``KeyFileError`` when the node has no credential key yet."""
    signer: Callable[[], DocumentSigner]
    """Raises ``KeyFileError`` when the node has no key for documents yet."""
    nodes: Callable[[], Sequence[str]] = tuple
    """Ids of this node and its peers, whose cards go with evidence."""
    fonts: Path | None = None
    """Folder of the node's own fonts."""

    def credentials(self) -> Credentials:
        """Return what issues credentials, and knows what became of them. Raises ``KeyFileError``."""
        return Credentials(self.log, self.issuer(), self.clock)

    def export(self, archive: Archive, form: str, record_id: str = "") -> Exported:
        """Return ``archive``, or one record of it, as a document.

        Args:
            archive: what the federation gave, or the records of the own registry.
            form: a name of :data:`FORMS`.
            record_id: the record that is wanted alone; ``""`` for all.

        Raises:
            CallerError: no such form or record, or nothing to export.
            KeyFileError: the node has no key for it yet.
            ExportUnavailableError: a program part or a font that the form needs is not there.
        """
        if form not in (*FORMS, SAVED):
            raise CallerError(f"no format {form[:20]!r}.", remedy=f"Use one of: {', '.join(FORMS)}.")
        wanted = FORMS.get(form) or Form("application/json", "json")
        entries = chosen(archive.records, record_id, must_be_one=wanted.is_of_one_record)
        now = self.clock()
        content = self._content(form, entries, notes_of(archive), now)
        signed_by = self.issuer().did if form in ("vc", "clr", SAVED) else ""
        return Exported(content, wanted.media_type, wanted.extension, len(entries), signed_by)

    def learner_record(
        self, entries: Sequence[ArchiveEntry], notes: Sequence[str], now: datetime
    ) -> dict[str, Any]:
        """Return the signed CLR 2.0 of ``entries``; raises as :meth:`export`."""
        credentials = self.credentials()
        signed = [credentials.issue(entry.record, self._given_by(entry)) for entry in entries]
        holder = next((each.record.holder_name for each in entries if each.record.holder_name), "")
        issuer = credentials.issuer
        return sign(learner_record(signed, holder, notes, issuer, uuid4().urn, now), issuer, now)

    def _given_by(self, entry: ArchiveEntry) -> Sequence[Any]:
        """Return who gave a record; nobody when it is of the own registry."""
        return [each for each in entry.provenance if each.node_id != self.issuer().node_id]

    def _content(
        self, form: str, entries: Sequence[ArchiveEntry], notes: Sequence[str], now: datetime
    ) -> bytes:
        if form == "vc":
            (entry,) = entries
            return json_bytes(self.credentials().issue(entry.record, self._given_by(entry)))
        if form == "clr":
            return json_bytes(self.learner_record(entries, notes, now))
        if form == SAVED:
            from gateway.exports.archive_package import archive_package

            signed = self.learner_record(entries, notes, now)
            with self.log.reading() as connection:
                collector = Collector(connection, self.log.vault, tuple(self.nodes()))
                return archive_package(signed, entries, collector, now)
        if form == "elmo":
            from gateway.exports.elmo import elmo_transcript

            records = [entry.record for entry in entries]
            return elmo_transcript(records, self.issuer(), self.signer(), now)
        if form == "pdf":
            from gateway.exports.transcript_pdf import transcript_pdf

            attached = json_bytes(self.learner_record(entries, notes, now))
            return transcript_pdf(entries, notes, self.issuer(), self.signer(), attached, now, self.fonts)
        if form == "csv":
            return archive_csv(entries)
        return archive_json(entries, notes, self.issuer(), now)


def chosen(
    entries: Sequence[ArchiveEntry], record_id: str, *, must_be_one: bool = False
) -> Sequence[ArchiveEntry]:
    """Return the entries that are wanted.

    Raises:
        CallerError: there are none, no such one, or too many for the form.
    """
    if not entries:
        raise CallerError("there are no records to export.", remedy="See what each peer said: `query`.")
    found = [each for each in entries if not record_id or record_id in names_of(each)]
    if not found:
        known = ", ".join(each.record.record_id for each in entries[:10])
        raise CallerError(f"no record {record_id[:60]!r}.", remedy=f"There are: {known}.")
    if must_be_one and len(found) > 1:
        known = ", ".join(names_of(each)[1] for each in found[:10])
        raise CallerError(
            f"this format holds one record, and there are {len(found)}.",
            remedy=f"Name one with --record: {known}. Or take the format clr.",
        )
    return found


def names_of(entry: ArchiveEntry) -> tuple[str, str]:
    """Return how a record may be named: by its id, or by source and id where two sources use one id."""
    return entry.record.record_id, f"{entry.record.source_node}/{entry.record.record_id}"


def notes_of(archive: Archive) -> list[str]:
    """Return what a reader has to know of what may be missing: peers that gave nothing for a reason."""
    return [
        f"{peer.node_id} gave nothing: {peer.outcome}"
        for peer in archive.peers
        if peer.outcome not in (OK, "NOT_ASKED")
    ]
