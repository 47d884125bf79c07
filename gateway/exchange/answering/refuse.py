"""A refusal is evidence like an answer: logged, signed, bound to the request.

Only a peer that TLS, signature and header agree on gets one. Refusals that come before the
signature is checked (rate, overload, deadline) are counted and not logged: otherwise a flood
would fill the log.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256

from creditexchange.v1.envelope_pb2 import Refusal, RefusalBody, RefusalDetail, SignedMessage
from creditexchange.v1.exchange_pb2 import RecordQuery, RecordQueryBody
from creditexchange.v1.reason_pb2 import Reason
from gateway.audit import AuditLog, Evidence
from gateway.errors import EnvelopeError, RefusedError
from gateway.exchange.answering.seal import answer_header
from gateway.exchange.messages import REFUSAL_TYPE, Opened, Snapshot
from gateway.policy.purposes import UNKNOWN, purpose_word
from gateway.signing.envelope import parse
from gateway.signing.envelope import seal as seal_envelope

NOT_LOGGED = frozenset({"AUDIT_UNAVAILABLE", "DEADLINE_TOO_SHORT", "SHUTTING_DOWN"})
"""Reasons that would need the very thing that is missing: the log, time, a running node."""


def sign_refusal(
    opened: Opened[RecordQuery],
    refused: RefusedError,
    snapshot: Snapshot,
    log: AuditLog,
    now: datetime,
    chunk: int = 0,
) -> SignedMessage | None:
    """Log and sign a refusal to an authenticated peer; ``None`` when none is owed or possible.

    In bulk it stands in the place of one ``chunk`` of the answer.

    Raises:
        RefusedError: ``AUDIT_UNAVAILABLE`` when it cannot be logged.
    """
    if not opened.authenticated or refused.reason in NOT_LOGGED:
        return None
    body = RefusalBody(
        reason=Reason.Value(f"REASON_{refused.reason}"),
        details=[RefusalDetail(key=key, value=value) for key, value in sorted(refused.details.items())],
    ).SerializeToString()
    appended = log.append(
        opened.entry(
            snapshot.node_id, _stated_purpose(opened.payload), refused.reason, 0, sha256(body).digest(), chunk
        ),
        evidence=Evidence(
            request_message=opened.message.SerializeToString(),
            request_body=opened.payload.body,
            answer_body=body,
        ),
    )
    refusal = Refusal(
        header=answer_header(opened, snapshot, now, appended.receipt), body=body, receipt=appended.receipt
    )
    return seal_envelope(refusal.SerializeToString(), REFUSAL_TYPE, snapshot.message_keys)


def _stated_purpose(query: RecordQuery) -> str:
    try:
        return purpose_word(parse(RecordQueryBody, query.body, "body").purpose)
    except EnvelopeError:
        return UNKNOWN
