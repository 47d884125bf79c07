"""Step 6, log: the exchange stands durably in the audit log before anything leaves."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from creditexchange.v1.envelope_pb2 import Opening
from creditexchange.v1.exchange_pb2 import RecordAnswerBody
from gateway.audit import Appended, AuditLog, Evidence, NewEntry, SeenMessage, serialised_openings
from gateway.audit.commitment import RECORD, commitments_root, open_items
from gateway.errors import RefusedError
from gateway.exchange.answering.certificate import certificate_answer
from gateway.exchange.answering.location import location_answer
from gateway.exchange.messages import (
    LOCATE_RECORDS,
    VERIFY_CERTIFICATE,
    Logged,
    Snapshot,
    Translated,
)
from gateway.policy.purposes import purpose_word
from gateway.storage.quota_rows import Charge

ENVELOPE_BYTES = 8 * 1024
"""What header, receipt, checkpoint and signatures may take beside the openings."""


class Answerable(NamedTuple):
    """A query whose records are found and translated."""

    translated: Translated
    request_openings: Sequence[Opening]
    snapshot: Snapshot
    charge: Charge | None = None
    """What the answer takes off the peer's quota."""


class _Draft(NamedTuple):
    body: bytes
    openings: bytes
    record_count: int
    entry: NewEntry


def log_exchanges(answerable: Sequence[Answerable], log: AuditLog) -> list[Logged | Exception]:
    """Commit to the records and append the exchanges in one transaction; returns once they are durable.

    In the place of one that was not logged stands the ``RefusedError``: ``ANSWER_TOO_LARGE``;
    ``REPLAYED_MESSAGE`` when the message id was seen before; ``AUDIT_UNAVAILABLE`` when nothing can be
    made durable; ``QUOTA_EXCEEDED`` when the charge goes beyond the peer's quota.
    """
    outcomes: dict[int, Logged | Exception] = {}
    drafts: dict[int, _Draft] = {}
    for at, each in enumerate(answerable):
        try:
            drafts[at] = _draft(each)
        except Exception as error:  # noqa: BLE001 - a defect, too, is only this query's
            outcomes[at] = error
    appended = log.append_all([draft.entry for draft in drafts.values()])
    for (at, draft), result in zip(drafts.items(), appended, strict=True):
        outcomes[at] = result if isinstance(result, Exception) else _logged(answerable[at], draft, result)
    return [outcomes[at] for at in range(len(answerable))]


def _logged(answerable: Answerable, draft: _Draft, appended: Appended) -> Logged:
    return Logged(answerable.translated, draft.body, draft.openings, draft.record_count, appended.receipt)


def _draft(answerable: Answerable) -> _Draft:
    """Commit to the records, and state what the audit log is to keep. Raises ``ANSWER_TOO_LARGE``."""
    translated, snapshot = answerable.translated, answerable.snapshot
    authorised, earlier = translated.found.authorised, translated.found.earlier
    opened = authorised.admitted.opened
    body, openings, count = _answer(translated, snapshot)
    openings_bytes = serialised_openings(openings)
    if earlier is None:
        _require_size(openings_bytes, snapshot.settings.message_bytes_max)
    purpose, digest = purpose_word(authorised.body.purpose), sha256(body).digest()
    entry = NewEntry(
        opened.entry(snapshot.node_id, purpose, "OK", count, digest),
        seen=SeenMessage(opened.header.message_id, authorised.admitted.expires_at),
        evidence=Evidence(
            request_message=opened.message.SerializeToString(),
            request_body=opened.payload.body,
            answer_body=body,
            request_openings=answerable.request_openings,
            answer_openings=openings,
            answer_openings_bytes=openings_bytes,
            subject_tokens=authorised.subject_tokens,
        ),
        charge=answerable.charge if earlier is None else None,
    )
    return _Draft(body, openings_bytes, count, entry)


def _answer(translated: Translated, snapshot: Snapshot) -> tuple[bytes, list[Opening], int]:
    """Return body, openings and record count: those of an earlier answer of this exchange, or new ones."""
    earlier = translated.found.earlier
    if earlier is not None:
        return earlier.body, list(earlier.openings), earlier.record_count
    method = translated.found.authorised.admitted.opened.call.method
    if method == VERIFY_CERTIFICATE:
        status = certificate_answer(translated)
        return status.SerializeToString(), [], int(status.is_known)
    if method == LOCATE_RECORDS:
        location = location_answer(translated)
        return location.SerializeToString(), [], len(location.held_kinds)
    openings = open_items(RECORD, (record for records in translated.records for record in records))
    query_body = translated.found.authorised.admitted.opened.payload.body
    answer = RecordAnswerBody(
        records_root=commitments_root(openings),
        record_counts=[len(records) for records in translated.records],
        scheme=snapshot.scheme.reference,
        query_body_digest=sha256(query_body).digest(),
    )
    return answer.SerializeToString(), openings, len(openings)


def _require_size(openings: bytes, message_bytes_max: int) -> None:
    if len(openings) > message_bytes_max - ENVELOPE_BYTES:
        raise RefusedError(
            "ANSWER_TOO_LARGE",
            "the answer would not fit a message.",
            details={"answerBytesMax": str(message_bytes_max - ENVELOPE_BYTES)},
        )
