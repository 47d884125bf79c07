"""Takes notices of a peer: openings were erased there, or records that it gave have changed there.

A notice is kept and logged; what it means here is decided here. Of an erasure: this node may have a
legal ground of its own to keep its side. Of a change: whoever used the record asks again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC
from functools import partial

from creditexchange.v1.audit_pb2 import ErasureNoticeBody
from creditexchange.v1.change_pb2 import ChangeNoticeBody, RecordChange
from creditexchange.v1.envelope_pb2 import Header
from creditexchange.v1.record_pb2 import RecordState
from gateway.audit import AuditLog, SeenMessage, management_entry
from gateway.audit.erasure import NOTICE_EXCHANGES_MAX
from gateway.clock import unix_ms
from gateway.errors import EnvelopeError, RefusedError, StorageError
from gateway.exchange.answering.admit import admit_new
from gateway.exchange.answering.answer import Answering
from gateway.exchange.answering.open import open_message
from gateway.exchange.answering.seal import answer_header
from gateway.exchange.forms import CHANGE_FORM, ERASURE_FORM, NOTICE_FORMS, NoticeForm
from gateway.exchange.messages import BULK_SUBJECTS_MAX, DIGEST_BYTES, ID_BYTES, IncomingCall, Snapshot
from gateway.signing.envelope import instant, parse, parse_strictly, seal
from gateway.storage import audit_rows, notice_rows
from gateway.storage.node_tables import Transaction
from gateway.storage.notice_rows import HeardChangeRow

_REASON = re.compile(r"[a-z0-9-]{1,64}")
_MS_MAX = 7_258_118_400_000
"""The year 2200."""
_FORMS = {form.method: form for form in NOTICE_FORMS}
_BODIES: dict[str, type[ErasureNoticeBody | ChangeNoticeBody]] = {
    ERASURE_FORM.method: ErasureNoticeBody,
    CHANGE_FORM.method: ChangeNoticeBody,
}


def answer_notice(request: bytes, call: IncomingCall, snapshot: Snapshot, node: Answering) -> bytes:
    """Keep and log one notice and confirm it; one that is told again is confirmed again and kept once.

    Raises:
        RefusedError: as open and admit do, ``MALFORMED_MESSAGE``, ``AUDIT_UNAVAILABLE``.
    """
    form, peer = _FORMS[call.method], call.peer.node_id
    try:
        message = parse(form.request, request, "request").message
        opened = open_message(call, message, form.notice, form.notice_type, snapshot.roster)
        admitted = admit_new(opened, snapshot, node.log)
        body = parse_strictly(_BODIES[call.method], opened.payload.body, "body")
        _require_form(body)
    except EnvelopeError as error:
        raise error.refusal() from error
    known, is_new = _look_up(node.log, peer, body.notice_id, _exchange_ids(body))
    if is_new:
        reason = body.reason if isinstance(body, ErasureNoticeBody) else "told-by-peer"
        entry = management_entry(
            form.action, reason=reason, count=len(known), peer=peer, exchange_id=body.notice_id
        )
        node.log.append(
            entry,
            SeenMessage(opened.header.message_id, admitted.expires_at),
            beside=partial(_keep, peer, body, known, unix_ms(call.received_at)),
        )
    header = answer_header(opened, snapshot, node.clock(), None)
    return _confirm(form, body.notice_id, len(known), header, snapshot)


def _confirm(form: NoticeForm, notice_id: bytes, known: int, header: Header, snapshot: Snapshot) -> bytes:
    confirmation = form.confirmation(header=header, notice_id=notice_id, known_count=known)
    sealed = seal(confirmation.SerializeToString(), form.confirmation_type, snapshot.message_keys)
    return form.response(message=sealed).SerializeToString()


def _require_form(body: ErasureNoticeBody | ChangeNoticeBody) -> None:
    ids = _exchange_ids(body)
    well_formed = (
        len(body.notice_id) == ID_BYTES
        and 1 <= len(ids) <= NOTICE_EXCHANGES_MAX
        and all(len(exchange_id) == ID_BYTES for exchange_id in ids)
    )
    if isinstance(body, ErasureNoticeBody):
        positions = body.subject_positions
        well_formed = (
            well_formed
            and _REASON.fullmatch(body.reason) is not None
            and len(positions) in (0, len(ids))
            and all(position < BULK_SUBJECTS_MAX for position in positions)
        )
    else:
        well_formed = well_formed and all(map(_is_well_formed, body.changes))
    if not well_formed:
        raise EnvelopeError("MALFORMED_MESSAGE", "the notice is malformed.", field="body")


def _is_well_formed(change: RecordChange) -> bool:
    return (
        len(change.commitment) == DIGEST_BYTES
        and change.state in RecordState.values()
        and 0 < unix_ms(instant(change.change_time, "body.changes.change_time")) < _MS_MAX
    )


def _exchange_ids(body: ErasureNoticeBody | ChangeNoticeBody) -> Sequence[bytes]:
    if isinstance(body, ErasureNoticeBody):
        return body.exchange_ids
    return [change.exchange_id for change in body.changes]


def _keep(
    peer: str,
    body: ErasureNoticeBody | ChangeNoticeBody,
    known: set[bytes],
    now_ms: int,
    transaction: Transaction,
) -> None:
    """Write what a new notice tells of exchanges with the peer; of an erasure the entry itself is all."""
    if isinstance(body, ErasureNoticeBody):
        return
    rows = [
        HeardChangeRow(
            peer,
            change.exchange_id,
            change.commitment,
            change.state,
            unix_ms(change.change_time.ToDatetime(UTC)),
            now_ms,
        )
        for change in body.changes
        if change.exchange_id in known
    ]
    notice_rows.insert_heard_changes(transaction, rows)


def _look_up(
    log: AuditLog, peer: str, notice_id: bytes, exchange_ids: Sequence[bytes]
) -> tuple[set[bytes], bool]:
    """Return which of the exchanges were with ``peer``, and whether the notice is new."""
    try:
        with log.reading() as connection:
            known = {
                exchange_id
                for exchange_id in set(exchange_ids)
                if any(
                    row.peer == peer for row in audit_rows.read_entries_of_exchange(connection, exchange_id)
                )
            }
            told = audit_rows.read_entries_of_exchange(connection, notice_id)
    except StorageError as error:
        raise RefusedError("AUDIT_UNAVAILABLE", "the log cannot be read.", retry_after_s=5.0) from error
    return known, not any(row.peer == peer for row in told)
