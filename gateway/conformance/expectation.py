"""What must happen, and the pure judgement of whether it did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.conformance.draft import Sent
from gateway.peers.card import Card
from gateway.rpc.raw_peer import RawReply

DOMAIN = "creditexchange.v1"
STATUSES = {
    "MALFORMED_MESSAGE": "INVALID_ARGUMENT",
    "WRONG_PAYLOAD_TYPE": "INVALID_ARGUMENT",
    "UNSUPPORTED_VERSION": "FAILED_PRECONDITION",
    "UNKNOWN_KEY": "UNAUTHENTICATED",
    "INVALID_SIGNATURE": "UNAUTHENTICATED",
    "UNKNOWN_PEER": "UNAUTHENTICATED",
    "PEER_IDENTITY_MISMATCH": "PERMISSION_DENIED",
    "WRONG_AUDIENCE": "INVALID_ARGUMENT",
    "WRONG_METHOD": "INVALID_ARGUMENT",
    "CLOCK_SKEW": "FAILED_PRECONDITION",
    "MESSAGE_EXPIRED": "FAILED_PRECONDITION",
    "WINDOW_TOO_LONG": "INVALID_ARGUMENT",
    "REPLAYED_MESSAGE": "PERMISSION_DENIED",
    "EXCHANGE_CONFLICT": "ALREADY_EXISTS",
    "DEADLINE_MISSING": "INVALID_ARGUMENT",
    "DEADLINE_TOO_LONG": "INVALID_ARGUMENT",
    "UNKNOWN_PURPOSE": "INVALID_ARGUMENT",
    "UNKNOWN_KIND": "INVALID_ARGUMENT",
    "PURPOSE_NOT_GRANTED": "PERMISSION_DENIED",
    "KIND_NOT_GRANTED": "PERMISSION_DENIED",
    "CONSENT_REQUIRED": "PERMISSION_DENIED",
    "CONSENT_INVALID": "PERMISSION_DENIED",
    "UNKNOWN_EPOCH": "FAILED_PRECONDITION",
    "TOO_MANY_SUBJECTS": "INVALID_ARGUMENT",
    "COMMITMENT_MISMATCH": "INVALID_ARGUMENT",
    "TLS_TOO_OLD": "UNAUTHENTICATED",
    "UNKNOWN_LOG": "NOT_FOUND",
    "CHECKPOINT_UNSIGNED": "PERMISSION_DENIED",
    "CHECKPOINT_OUTDATED": "ABORTED",
    "CHECKPOINT_INCONSISTENT": "FAILED_PRECONDITION",
    "SIZE_OUT_OF_RANGE": "OUT_OF_RANGE",
    "QUOTA_EXCEEDED": "RESOURCE_EXHAUSTED",
    "CODE_INVALID": "PERMISSION_DENIED",
}
"""Section 6: the status of every reason that a case can provoke."""


class DepartureError(Exception):
    """The node departed from a rule; the text says how. Never leaves the kit."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back to one message, with all that it is judged by."""

    raw: RawReply
    method: str
    sent: Sent | None
    """``None`` for calls that carry no signed message."""
    card: Card
    """Of the node under test."""
    at: datetime

    def __str__(self) -> str:
        """Return status and reason."""
        return " ".join(filter(None, (self.raw.code, self.raw.reason))) or "nothing"


Check = Callable[[Reply], None]
"""Raises :class:`DepartureError`."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must happen, in words and as a pure check of all replies of one case."""

    text: str
    check: Callable[[Sequence[Reply]], None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether what happened is what must happen."""

    passed: bool
    happened: str


def judge(expectation: Expectation, replies: Sequence[Reply]) -> Verdict:
    """Hold ``replies`` against ``expectation``."""
    happened = ", ".join(map(str, replies))
    try:
        expectation.check(replies)
    except DepartureError as departure:
        return Verdict(passed=False, happened=f"{happened}: {departure}")
    return Verdict(passed=True, happened=happened)


def answered(*checks: Check, text: str = "an answer") -> Expectation:
    """Every message is answered, and ``checks`` hold of the last answer."""

    def check(replies: Sequence[Reply]) -> None:
        for reply in replies:
            require_answer(reply)
        for one in checks:
            one(replies[-1])

    return Expectation(text, check)


def refused(*reasons: str, metadata: Sequence[str] = (), checks: Sequence[Check] = ()) -> Expectation:
    """The last message is refused for one of ``reasons`` as section 6 says; those before are answered."""

    def check(replies: Sequence[Reply]) -> None:
        for reply in replies[:-1]:
            require_answer(reply)
        require_refusal(replies[-1], *reasons, metadata=metadata)
        for one in checks:
            one(replies[-1])

    return Expectation(" or ".join(reasons), check)


def status(*codes: str) -> Expectation:
    """GRPC itself answers with one of ``codes``."""

    def check(replies: Sequence[Reply]) -> None:
        if replies[-1].raw.code not in codes:
            raise DepartureError(f"the status is not {' or '.join(codes)}")

    return Expectation(f"status {' or '.join(codes)}", check)


def no_entry(*reasons: str) -> Expectation:
    """The handshake fails, or the last call is refused for one of ``reasons``; those before are answered."""

    def check(replies: Sequence[Reply]) -> None:
        for known in replies[:-1]:
            require_answer(known)
        reply = replies[-1]
        if reply.raw.reason:
            require_refusal(reply, *reasons)
        elif reply.raw.code != "UNAVAILABLE":
            raise DepartureError("neither was the handshake refused nor the call")

    return Expectation(f"no connection, or {' or '.join(reasons)}", check)


def require_answer(reply: Reply) -> None:
    """Return if ``reply`` is an answer."""
    if reply.raw.code != "OK":
        raise DepartureError(f"refused ({reply.raw.text or reply})")


def require_refusal(reply: Reply, *reasons: str, metadata: Sequence[str] = ()) -> None:
    """Return if ``reply`` refuses for one of ``reasons``, in the form of section 6."""
    raw = reply.raw
    if raw.code == "OK":
        raise DepartureError("it was answered")
    if raw.reason not in reasons:
        raise DepartureError(f"the reason is {raw.reason or 'missing'}")
    if raw.code != STATUSES[raw.reason]:
        raise DepartureError(f"the status of {raw.reason} is {STATUSES[raw.reason]}")
    if raw.domain != DOMAIN:
        raise DepartureError(f"the domain of ErrorInfo is {raw.domain[:40]!r}")
    missing = [key for key in metadata if key not in raw.metadata]
    if missing:
        raise DepartureError(f"the metadata lacks {', '.join(missing)}")
