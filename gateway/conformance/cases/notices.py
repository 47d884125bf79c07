"""Sections 9 and 10, notices of erasure and of changed records."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from creditexchange.v1.audit_pb2 import ErasureConfirmation, ErasureNoticeBody
from creditexchange.v1.change_pb2 import ChangeConfirmation, ChangeNoticeBody, RecordChange
from creditexchange.v1.record_pb2 import RECORD_STATE_REVOKED
from gateway.conformance import answer_checks as checks
from gateway.conformance.answer_checks import payload_of
from gateway.conformance.case import Case
from gateway.conformance.draft import NOTIFY_CHANGE, NOTIFY_ERASURE, UNKNOWN_FIELD
from gateway.conformance.expectation import DepartureError, Expectation, Reply, answered, refused
from gateway.conformance.session import Session

SECTIONS = {NOTIFY_ERASURE: "9 AuditLogService", NOTIFY_CHANGE: "9 ChangeNoticeService"}
MALFORMED = refused("MALFORMED_MESSAGE")


def _erasure(exchanges: int) -> ErasureNoticeBody:
    ids = [secrets.token_bytes(16) for _ in range(exchanges)]
    return ErasureNoticeBody(notice_id=secrets.token_bytes(16), exchange_ids=ids, reason="retention")


def _change(exchanges: int, commitment_bytes: int = 32) -> ChangeNoticeBody:
    body = ChangeNoticeBody(notice_id=secrets.token_bytes(16))
    for _ in range(exchanges):
        change = RecordChange(
            exchange_id=secrets.token_bytes(16),
            commitment=secrets.token_bytes(commitment_bytes),
            state=RECORD_STATE_REVOKED,
        )
        change.change_time.FromSeconds(1_790_000_000)
        body.changes.append(change)
    return body


def _case(
    id_: str,
    method: str,
    sent: str,
    must: Expectation,
    body: Callable[[], ErasureNoticeBody | ChangeNoticeBody],
    *,
    times: int = 1,
    after_body: bytes = b"",
) -> Case:
    def run(session: Session) -> Sequence[Reply]:
        draft = session.draft(method)
        draft.body, draft.after_body = body(), after_body
        replies = [session.send(draft)]
        for _ in range(times - 1):
            draft = draft.retry(1)
            replies.append(session.send(draft))
        return replies

    return Case(id_, SECTIONS[method], sent, must, run)


def _confirmed(reply: Reply) -> None:
    kind: type[ErasureConfirmation | ChangeConfirmation]
    kind = ErasureConfirmation if reply.method == NOTIFY_ERASURE else ChangeConfirmation
    if payload_of(reply, kind).known_count:
        raise DepartureError("invented exchanges are known")
    checks.is_signed(reply)
    checks.is_bound(reply)


CONFIRMED = answered(_confirmed, text="a signed, bound confirmation")
CONFIRMED_TWICE = answered(_confirmed, text="two confirmations")

CASES = (
    _case(
        "erasure-confirmed",
        NOTIFY_ERASURE,
        "NotifyErasure of an invented exchange",
        CONFIRMED,
        lambda: _erasure(1),
    ),
    _case(
        "erasure-told-twice",
        NOTIFY_ERASURE,
        "NotifyErasure twice, the second as a retry",
        CONFIRMED_TWICE,
        lambda: _erasure(1),
        times=2,
    ),
    _case(
        "erasure-field-in-body",
        NOTIFY_ERASURE,
        "NotifyErasure with an unknown field in its body",
        MALFORMED,
        lambda: _erasure(1),
        after_body=UNKNOWN_FIELD,
    ),
    _case(
        "erasure-of-nothing",
        NOTIFY_ERASURE,
        "NotifyErasure without exchanges",
        MALFORMED,
        lambda: _erasure(0),
    ),
    _case(
        "change-confirmed",
        NOTIFY_CHANGE,
        "NotifyChange about an invented exchange",
        CONFIRMED,
        lambda: _change(1),
    ),
    _case(
        "change-told-twice",
        NOTIFY_CHANGE,
        "NotifyChange twice, the second as a retry",
        CONFIRMED_TWICE,
        lambda: _change(1),
        times=2,
    ),
    _case(
        "change-field-in-body",
        NOTIFY_CHANGE,
        "NotifyChange with an unknown field in its body",
        MALFORMED,
        lambda: _change(1),
        after_body=UNKNOWN_FIELD,
    ),
    _case("change-of-nothing", NOTIFY_CHANGE, "NotifyChange without changes", MALFORMED, lambda: _change(0)),
    _case(
        "change-commitment-short",
        NOTIFY_CHANGE,
        "NotifyChange with a commitment of 31 bytes",
        MALFORMED,
        lambda: _change(1, commitment_bytes=31),
    ),
)
