"""How a server can misbehave towards somebody's client, and what that client must call it.

Each lie changes an honest answer in one place. The rules are those of sections 3 to 6.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from creditexchange.v1.envelope_pb2 import Header, Receipt, RefusalBody, SignedMessage
from creditexchange.v1.exchange_pb2 import RecordAnswerBody
from creditexchange.v1.reason_pb2 import REASON_KIND_NOT_GRANTED, REASON_PURPOSE_NOT_GRANTED
from gateway.signing.suites import SigningKey

OK = "OK"
REFUSED = "PURPOSE_NOT_GRANTED"
STALE_S = 300


@dataclass
class Answer:
    """An answer or refusal before it is signed. ``body`` was logged as it is when ``receipt`` is made."""

    header: Header
    body: RecordAnswerBody | RefusalBody
    receipt: Receipt
    key: SigningKey
    further_keys: tuple[SigningKey, ...] = ()
    """Keys of the further signatures, which a refusal has no room for if they are long."""
    is_signed: bool = True
    """Refusals only: whether the signed form goes out at all."""


def _honest(_answer: Answer) -> None:
    """Change nothing."""


def _keep(_message: SignedMessage) -> None:
    """Change nothing."""


@dataclass(frozen=True, slots=True)
class Lie:
    """One way to misbehave. ``outcomes`` are what the client may call it; ``OK`` for the truth."""

    id: str
    section: str
    sends: str
    outcomes: tuple[str, ...]
    before_logging: Callable[[Answer], None] = _honest
    before_signing: Callable[[Answer], None] = _honest
    after_signing: Callable[[SignedMessage], None] = _keep
    is_refusal: bool = False


def _wrong_root(answer: Answer) -> None:
    assert isinstance(answer.body, RecordAnswerBody)
    answer.body.records_root = secrets.token_bytes(32)


def _wrong_count(answer: Answer) -> None:
    assert isinstance(answer.body, RecordAnswerBody)
    answer.body.record_counts[:] = [1]


def _other_query(answer: Answer) -> None:
    assert isinstance(answer.body, RecordAnswerBody)
    answer.body.query_body_digest = secrets.token_bytes(32)


def _other_digest(answer: Answer) -> None:
    answer.header.request_digest = secrets.token_bytes(32)


def _other_request(answer: Answer) -> None:
    answer.header.in_reply_to = secrets.token_bytes(16)


def _other_sender(answer: Answer) -> None:
    answer.header.sender = "somebody-else"


def _stale(answer: Answer) -> None:
    for stamp in (answer.header.issue_time, answer.header.expire_time):
        stamp.FromDatetime(stamp.ToDatetime() - timedelta(seconds=STALE_S))


def _other_entry(answer: Answer) -> None:
    answer.receipt.logged_at_ms += 1


def _other_log(answer: Answer) -> None:
    answer.receipt.log_origin = "no.such.example/log"


def _unsigned_checkpoint(answer: Answer) -> None:
    text, _, _ = answer.receipt.checkpoint.partition("\n\n")
    answer.receipt.checkpoint = f"{text}\n\n"


def _strange_key(answer: Answer) -> None:
    answer.key = SigningKey.generate()


def _other_reason(answer: Answer) -> None:
    assert isinstance(answer.body, RefusalBody)
    answer.body.reason = REASON_KIND_NOT_GRANTED


def _unsigned(answer: Answer) -> None:
    answer.is_signed = False


def _flipped(message: SignedMessage) -> None:
    signature = bytearray(message.signatures[0].signature)
    signature[20] ^= 1
    message.signatures[0].signature = bytes(signature)


def _no_signature(message: SignedMessage) -> None:
    del message.signatures[:]


def refusal_body() -> RefusalBody:
    """Return the body of an honest refusal."""
    return RefusalBody(reason=REASON_PURPOSE_NOT_GRANTED)


NOT_SIGNED = ("ANSWER_NOT_SIGNED",)
NOT_BOUND = ("ANSWER_NOT_BOUND",)
INVALID_RECEIPT = ("RECEIPT_INVALID",)
INCOMPLETE = ("ANSWER_INCOMPLETE",)

LIES = (
    Lie("truth-answer", "5 QueryRecords", "an honest answer", (OK,)),
    Lie(
        "lie-signature", "2 Envelope", "a signature that does not verify", NOT_SIGNED, after_signing=_flipped
    ),
    Lie(
        "lie-signature-missing",
        "2 Envelope",
        "no signature",
        (*NOT_SIGNED, "ANSWER_MALFORMED"),
        after_signing=_no_signature,
    ),
    Lie("lie-key", "2 Envelope", "a signature by a strange key", NOT_SIGNED, before_signing=_strange_key),
    Lie("lie-digest", "3 Header", "another request's digest", NOT_BOUND, before_signing=_other_digest),
    Lie("lie-reply", "3 Header", "another request's message id", NOT_BOUND, before_signing=_other_request),
    Lie("lie-sender", "3 Header", "another sender", NOT_BOUND, before_signing=_other_sender),
    Lie("lie-query", "5 QueryRecords", "another query's digest", NOT_BOUND, before_logging=_other_query),
    Lie("lie-stale", "3 Header", "times of five minutes ago", ("ANSWER_STALE",), before_signing=_stale),
    Lie("lie-root", "4 Commitments", "a root of other records", INCOMPLETE, before_logging=_wrong_root),
    Lie("lie-count", "5 QueryRecords", "a number without records", INCOMPLETE, before_logging=_wrong_count),
    Lie("lie-entry", "5 Receipt", "a receipt of another entry", INVALID_RECEIPT, before_signing=_other_entry),
    Lie("lie-log", "5 Receipt", "a receipt of another log", INVALID_RECEIPT, before_signing=_other_log),
    Lie(
        "lie-checkpoint",
        "5 Receipt",
        "a checkpoint without signature",
        INVALID_RECEIPT,
        before_signing=_unsigned_checkpoint,
    ),
    Lie("truth-refusal", "6 Refusals", "an honest refusal", (REFUSED,), is_refusal=True),
    Lie(
        "lie-refusal-unsigned",
        "6 Refusals",
        "a refusal that is not signed",
        (REFUSED, *NOT_SIGNED),
        before_signing=_unsigned,
        is_refusal=True,
    ),
    Lie(
        "lie-refusal-reason",
        "6 Refusals",
        "a signed refusal of another reason than the status",
        NOT_BOUND,
        before_logging=_other_reason,
        is_refusal=True,
    ),
    Lie(
        "lie-refusal-signature",
        "6 Refusals",
        "a refusal whose signature does not verify",
        NOT_SIGNED,
        after_signing=_flipped,
        is_refusal=True,
    ),
)
"""In the order in which they are told: one a query."""
