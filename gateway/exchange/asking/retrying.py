"""When a query that failed is asked again, and after which pause. Pure.

A retry is always a freshly signed message of the same exchange (docs/protocol.md, section 3), so asking again
never makes a second answer. It is only worth while where the next try can end differently, and only while the
peer's deadline lasts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.errors import PeerFaultError
from gateway.peers.caller import RefusedByPeerError

PAUSE_S = 0.1
"""First pause where the peer names none, seconds; it doubles with each try."""
JITTER = 0.5
"""A pause of our own is shortened by up to this share."""
NAMED_JITTER = 0.2
"""A pause that the peer named is lengthened by up to this share."""
LEFT_S_MIN = 0.05
"""With less time left after the pause than this, no further try is begun, seconds."""

PASSING = frozenset(
    {"RATE_EXCEEDED", "OVERLOADED", "AUDIT_UNAVAILABLE", "SOURCE_UNAVAILABLE", "SHUTTING_DOWN"}
)
"""Refusals that pass by themselves; the peer says when, in RetryInfo."""


@dataclass(frozen=True, slots=True)
class AskingSettings:
    """How this node asks; ``[asking]`` of node.toml."""

    attempts_max: int = 3
    """Messages to one peer about one question."""
    is_hedging: bool = False
    """Whether a slow peer is sent a second message before its deadline is over."""
    deadlines_s: Mapping[str, float] = field(default_factory=dict)
    """Deadline by node id, seconds, instead of the default."""


def pause_before_retry(
    fault: PeerFaultError, attempt: int, left_s: float, chance: float, *, has_other_endpoint: bool
) -> float | None:
    """Return the seconds to wait before the next try, or ``None`` when there is to be none.

    Args:
        fault: why the try failed.
        attempt: how many messages were sent, this one included.
        left_s: what is left of the peer's deadline, seconds.
        chance: from 0 to 1, sets the jitter.
        has_other_endpoint: the next try goes to another of the peer's endpoints, to which a refusal for load
            or shut-down may not apply.
    """
    own_s = PAUSE_S * 2 ** (attempt - 1) * (1 - JITTER * chance)
    if fault.outcome == "UNREACHABLE":
        pause_s = own_s
    elif isinstance(fault, RefusedByPeerError) and fault.outcome in PASSING:
        named_s = fault.details.retry_after_s
        if named_s is None or (has_other_endpoint and fault.outcome in ("OVERLOADED", "SHUTTING_DOWN")):
            pause_s = own_s
        else:
            pause_s = max(named_s * (1 + NAMED_JITTER * chance), own_s)
    else:
        return None
    return pause_s if pause_s + LEFT_S_MIN <= left_s else None
