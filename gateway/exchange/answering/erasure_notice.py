"""Takes note that a peer has erased the openings of exchanges with this node.

The notice is logged, and the operator decides what it means here: this node may have a legal ground
of its own to keep its side, and says so to the learner, not to the peer.
"""

from __future__ import annotations

import re

from creditexchange.v1.audit_pb2 import (
    ErasureConfirmation,
    ErasureNotice,
    ErasureNoticeBody,
    NotifyErasureRequest,
    NotifyErasureResponse,
)
from gateway.audit import AuditLog, SeenMessage, management_entry
from gateway.audit.erasure import NOTICE_EXCHANGES_MAX
from gateway.errors import EnvelopeError, RefusedError, StorageError
from gateway.exchange.answering.admit import admit
from gateway.exchange.answering.answer import Answering
from gateway.exchange.answering.open import open_message
from gateway.exchange.answering.seal import answer_header
from gateway.exchange.messages import (
    BULK_SUBJECTS_MAX,
    ERASURE_CONFIRMATION_TYPE,
    ERASURE_NOTICE_TYPE,
    ID_BYTES,
    IncomingCall,
    Snapshot,
)
from gateway.signing.envelope import parse, parse_strictly, seal
from gateway.storage import audit_rows

_REASON = re.compile(r"[a-z0-9-]{1,64}")


def answer_erasure_notice(request: bytes, call: IncomingCall, snapshot: Snapshot, node: Answering) -> bytes:
    """Log one notice and confirm it; one that is told again is confirmed again and logged once.

    Raises:
        RefusedError: as open and admit do, ``MALFORMED_MESSAGE``, ``AUDIT_UNAVAILABLE``.
    """
    try:
        message = parse(NotifyErasureRequest, request, "request").message
        opened = open_message(call, message, ErasureNotice, ERASURE_NOTICE_TYPE, snapshot.roster)
        admitted = admit(opened, snapshot, node.log)
        body = parse_strictly(ErasureNoticeBody, opened.payload.body, "body")
        _require_form(body)
    except EnvelopeError as error:
        raise RefusedError(error.reason, error.message, details=error.details) from error
    known, is_new = _look_up(node.log, call.peer.node_id, body)
    if is_new:
        entry = management_entry(
            "erasure-notice",
            reason=body.reason,
            count=known,
            peer=call.peer.node_id,
            exchange_id=body.notice_id,
        )
        node.log.append(entry, SeenMessage(opened.header.message_id, admitted.expires_at))
    confirmation = ErasureConfirmation(
        header=answer_header(opened, snapshot, node.clock(), None),
        notice_id=body.notice_id,
        known_count=known,
    )
    sealed = seal(confirmation.SerializeToString(), ERASURE_CONFIRMATION_TYPE, snapshot.message_keys)
    return NotifyErasureResponse(message=sealed).SerializeToString()


def _require_form(body: ErasureNoticeBody) -> None:
    well_formed = (
        len(body.notice_id) == ID_BYTES
        and 1 <= len(body.exchange_ids) <= NOTICE_EXCHANGES_MAX
        and all(len(exchange_id) == ID_BYTES for exchange_id in body.exchange_ids)
        and _REASON.fullmatch(body.reason)
        and len(body.subject_positions) in (0, len(body.exchange_ids))
        and all(position < BULK_SUBJECTS_MAX for position in body.subject_positions)
    )
    if not well_formed:
        raise EnvelopeError("MALFORMED_MESSAGE", "the notice is malformed.", field="body")


def _look_up(log: AuditLog, peer: str, body: ErasureNoticeBody) -> tuple[int, bool]:
    """Return how many of the exchanges were with ``peer``, and whether the notice is new."""
    try:
        with log.reading() as connection:
            known = sum(
                any(row.peer == peer for row in audit_rows.read_entries_of_exchange(connection, exchange_id))
                for exchange_id in body.exchange_ids
            )
            told = audit_rows.read_entries_of_exchange(connection, body.notice_id)
    except StorageError as error:
        raise RefusedError("AUDIT_UNAVAILABLE", "the log cannot be read.", retry_after_s=5.0) from error
    return known, not told
