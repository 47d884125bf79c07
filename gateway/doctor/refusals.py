"""What a failed echo means: step, side and remedy for each reason and outcome. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.doctor.step import Side, Step
from gateway.errors import PeerFaultError
from gateway.peers.caller import RefusedByPeerError

ECHO = "echo"
VERSION = "version"
SUITES = "signatures"


@dataclass(frozen=True, slots=True)
class Told:
    """What the peer told beside its refusal, and what the remedies speak of."""

    peer: str
    card_serial: int
    metadata: Mapping[str, str]
    retry_after_s: float | None

    @property
    def later(self) -> str:
        """When to come back, in words."""
        return f"in {self.retry_after_s:g} s" if self.retry_after_s else "later"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one reason means."""

    side: Side
    remedy: Callable[[Told], str]
    step: str = ECHO


def _send_card(told: Told) -> str:
    return (
        f"Send the operator of {told.peer} your newest card, serial {told.card_serial} "
        "(`credit-gateway card`), and "
        "have it accepted there with `credit-gateway peers add`."
    )


def _get_card(told: Told) -> str:
    return (
        f"Ask the operator of {told.peer} for its newest card, compare its fingerprint by telephone and run "
        "`credit-gateway peers add`."
    )


def _wait(told: Told) -> str:
    return f"Ask again {told.later}; if it repeats, talk to the operator of {told.peer}."


def _rate(told: Told) -> str:
    limit = told.metadata.get("callsPerSecondMax", "")
    return (
        f"Ask again {told.later}. If it repeats, agree with the operator of {told.peer} on a "
        "higher [[rate]] in its "
        f"access.toml{f'; it is {limit} calls a second now' if limit else ''}."
    )


def _suites(told: Told) -> str:
    missing = told.metadata.get("missingSuites", "")
    if not missing:
        return (
            "Something changed the message on its way, or the two nodes understand the protocol differently."
        )
    return (
        f"Add a key of suite {missing} to [keys] message of node.toml and send the new card "
        "(docs/cryptography.md); "
        f"or have the operator of {told.peer} take it out of required_suites."
    )


def _version(told: Told) -> str:
    ours, oldest = told.metadata.get("version", "?"), told.metadata.get("oldestAccepted", "?")
    newest = told.metadata.get("newestAccepted", "?")
    accepts = oldest if oldest == newest else f"{oldest} to {newest}"
    return f"Upgrade this node: it speaks version {ours}, {told.peer} accepts {accepts}."


REFUSALS: Mapping[str, Meaning] = {
    "UNKNOWN_PEER": Meaning(Side.THEIRS, _send_card),
    "UNKNOWN_KEY": Meaning(Side.THEIRS, _send_card),
    "CARD_EXPIRED": Meaning(Side.THEIRS, _send_card, "our card"),
    "PEER_SUSPENDED": Meaning(
        Side.THEIRS,
        lambda told: f'Talk to the operator of {told.peer}: it suspended this node (state = "suspended").',
    ),
    "INVALID_SIGNATURE": Meaning(Side.OURS, _suites, SUITES),
    "PEER_IDENTITY_MISMATCH": Meaning(
        Side.OURS,
        lambda _: (
            "Look at keys/: the TLS certificate and the message key of this node belong to different nodes. "
            "`credit-gateway check` says more."
        ),
    ),
    "UNSUPPORTED_VERSION": Meaning(Side.OURS, _version, VERSION),
    "RATE_EXCEEDED": Meaning(Side.THEIRS, _rate),
    "QUOTA_EXCEEDED": Meaning(
        Side.THEIRS,
        lambda told: f"Ask again {told.later}, or agree with the operator of {told.peer} on a higher quota.",
    ),
    "OVERLOADED": Meaning(Side.THEIRS, _wait),
    "SHUTTING_DOWN": Meaning(
        Side.THEIRS, lambda told: f"Wait until the node of {told.peer} is up again: it is stopping."
    ),
    "AUDIT_UNAVAILABLE": Meaning(
        Side.THEIRS,
        lambda told: (
            f"Have the operator of {told.peer} look at its database and disk: its audit log "
            "cannot be used, so "
            "it answers nothing."
        ),
        "log",
    ),
    "SOURCE_UNAVAILABLE": Meaning(Side.THEIRS, _wait),
    "ISSUED_BEFORE_START": Meaning(Side.THEIRS, _wait),
    "INTERNAL": Meaning(
        Side.THEIRS,
        lambda told: (
            f"Tell the operator of {told.peer} the incident number "
            f"{told.metadata.get('incident', '')}: its log says where."
        ),
    ),
    "TLS_TOO_OLD": Meaning(
        Side.NETWORK, lambda _: "Have TLS 1.3 passed through untouched: something in between lowers it."
    ),
    "DEADLINE_TOO_SHORT": Meaning(Side.OURS, lambda _: "Raise exchange.deadline_s in node.toml."),
    "DEADLINE_TOO_LONG": Meaning(Side.OURS, lambda _: "Lower exchange.deadline_s in node.toml."),
}
"""By the reason that the peer stated."""

OUTCOMES: Mapping[str, Meaning] = {
    "ANSWER_NOT_SIGNED": Meaning(Side.OURS, _get_card, "their card"),
    "NO_ANSWER": Meaning(
        Side.THEIRS,
        lambda told: f"Have the operator of {told.peer} look at its node: it hangs or is too slow.",
    ),
    "UNREACHABLE": Meaning(
        Side.NETWORK,
        lambda told: f"Look at the way to {told.peer} once more: the connection breaks when a call is sent.",
    ),
    "BAD_STATUS": Meaning(
        Side.THEIRS,
        lambda told: (
            f"Have the operator of {told.peer} look at what answers there: it speaks gRPC and is no node, or "
            "a proxy answers in its place."
        ),
    ),
}
"""By the outcome of this side."""

_STRANGE = Meaning(
    Side.EITHER, lambda told: f"Compare the versions of the two programs with the operator of {told.peer}."
)


def read_fault(step: Step, fault: PeerFaultError, peer: str, card_serial: int) -> Step:
    """Return ``step`` with what ``fault`` means, under the name of the step to which that belongs."""
    metadata: dict[str, str] = {}
    retry_after_s: float | None = None
    if isinstance(fault, RefusedByPeerError):
        metadata, retry_after_s = dict(fault.details.metadata), fault.details.retry_after_s
        meaning = REFUSALS.get(fault.outcome, _STRANGE)
    else:
        meaning = OUTCOMES.get(fault.outcome, _STRANGE)
    told = Told(peer, card_serial, metadata, retry_after_s)
    named = Step(meaning.step, step.tried, _seen(fault), step.expected)
    return named.found(fault.outcome, meaning.side, meaning.remedy(told))


def _seen(fault: PeerFaultError) -> str:
    text = "".join(character for character in fault.message if character.isprintable())
    who = "the peer refuses" if isinstance(fault, RefusedByPeerError) else "no echo"
    return f"{who}: {fault.outcome}, {text}"
