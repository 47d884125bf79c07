"""A refusal is evidence like an answer: logged, signed, bound to the request.

Only a peer that TLS, signature and header agree on gets one. Refusals that come before the
signature is checked (rate, overload, deadline) are counted and not logged: otherwise a flood
would fill the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from creditexchange.v1.envelope_pb2 import Refusal, RefusalBody, RefusalDetail, SignedMessage
from creditexchange.v1.exchange_pb2 import RecordQuery, RecordQueryBody
from creditexchange.v1.reason_pb2 import Reason
from gateway.audit import Appended, AuditLog, Evidence, NewEntry
from gateway.clock import Clock
from gateway.errors import EnvelopeError, RefusedError
from gateway.exchange.answering.seal import answer_header
from gateway.exchange.messages import REFUSAL_TYPE, Opened, Snapshot
from gateway.policy.purposes import UNKNOWN, purpose_word
from gateway.signing.envelope import parse
from gateway.signing.envelope import seal as seal_envelope

NOT_LOGGED = frozenset({"AUDIT_UNAVAILABLE", "DEADLINE_TOO_SHORT", "SHUTTING_DOWN"})
"""Reasons that would need the very thing that is missing: the log, time, a running node."""


class SignedRefusalError(RefusedError):
    """A refusal together with its signed form, if one is owed to the peer."""

    def __init__(self, refused: RefusedError, signed: SignedMessage | None) -> None:
        super().__init__(
            refused.reason, refused.message, details=refused.details, retry_after_s=refused.retry_after_s
        )
        self.signed = signed


class Owed(NamedTuple):
    """A query that is refused, and why."""

    opened: Opened[RecordQuery] | None
    """``None`` when its signature did not verify."""
    refused: RefusedError
    snapshot: Snapshot
    chunk: int = 0
    """In bulk: in the place of which chunk of the answer the refusal stands."""


def sign_refusals(refusals: Sequence[Owed], log: AuditLog, clock: Clock) -> list[SignedRefusalError]:
    """Log refusals in one transaction, and return each with its signed form.

    There is none for who is not authenticated, and for reasons that say that the log, or the time, is
    missing. What cannot be logged is refused with ``AUDIT_UNAVAILABLE`` instead.
    """
    drafts = {at: draft for at, owed in enumerate(refusals) if (draft := _draft(owed)) is not None}
    appended = log.append_all([draft.entry for draft in drafts.values()])
    logged = dict(zip(drafts, appended, strict=True))
    return [
        _signed(owed, drafts[at], logged[at], clock) if at in drafts else _because(owed.refused, None)
        for at, owed in enumerate(refusals)
    ]


class _Draft(NamedTuple):
    opened: Opened[RecordQuery]
    body: bytes
    entry: NewEntry


def _draft(owed: Owed) -> _Draft | None:
    """Return the body of a refusal and the entry about it; ``None`` when none is owed or possible."""
    opened, refused = owed.opened, owed.refused
    if opened is None or not opened.authenticated or refused.reason in NOT_LOGGED:
        return None
    body = RefusalBody(
        reason=Reason.Value(f"REASON_{refused.reason}"),
        details=[RefusalDetail(key=key, value=value) for key, value in sorted(refused.details.items())],
    ).SerializeToString()
    purpose, digest = _stated_purpose(opened.payload), sha256(body).digest()
    entry = opened.entry(owed.snapshot.node_id, purpose, refused.reason, 0, digest, owed.chunk)
    evidence = Evidence(
        request_message=opened.message.SerializeToString(),
        request_body=opened.payload.body,
        answer_body=body,
    )
    return _Draft(opened, body, NewEntry(entry, evidence=evidence))


def _signed(owed: Owed, draft: _Draft, logged: Appended | Exception, clock: Clock) -> SignedRefusalError:
    if isinstance(logged, RefusedError):
        return _because(logged, None)
    if isinstance(logged, Exception):
        raise logged
    header = answer_header(draft.opened, owed.snapshot, clock(), logged.receipt)
    refusal = Refusal(header=header, body=draft.body, receipt=logged.receipt)
    signed = seal_envelope(refusal.SerializeToString(), REFUSAL_TYPE, owed.snapshot.message_keys)
    return _because(owed.refused, signed)


def _because(refused: RefusedError, signed: SignedMessage | None) -> SignedRefusalError:
    error = SignedRefusalError(refused, signed)
    error.__cause__ = refused
    return error


def _stated_purpose(query: RecordQuery) -> str:
    try:
        return purpose_word(parse(RecordQueryBody, query.body, "body").purpose)
    except EnvelopeError:
        return UNKNOWN
