"""Whether this host's clock can be trusted with forgetting.

What the replay guard remembers may be forgotten when time alone refuses it. A clock that was set wrongly and
is set right again makes that a lie: what was forgotten at the wrong time would be accepted once more at
the right one. So nothing is forgotten before the clock has run as evenly as the steady one for as long as a
message can be acceptable at all: then it has ended by either clock.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.clock import Clock, monotonic_s
from gateway.exchange.messages import WINDOW_S_MAX

SKEW_S_MAX = 60
"""Largest skew that node.toml may tolerate, seconds."""
EVEN_S_MIN = WINDOW_S_MAX + 2 * SKEW_S_MAX
"""A message that was accepted just now is refused by time alone after so many seconds."""
JUMP_S_MIN = 1.0
"""By how much the clock must leave the steady one between two looks to have been set, seconds."""


class Steadiness:
    """Compares the clock with the steady one, from when it is made; look at it regularly."""

    def __init__(self, clock: Clock, steady_s: Callable[[], float] = monotonic_s) -> None:
        self._clock = clock
        self._steady_s = steady_s
        self._even_since_s = steady_s()
        self._ahead_s = self._ahead()

    def is_proved(self) -> bool:
        """Whether the clock has run evenly for :data:`EVEN_S_MIN`; a jump begins that anew."""
        ahead_s, now_s = self._ahead(), self._steady_s()
        if abs(ahead_s - self._ahead_s) > JUMP_S_MIN:
            self._even_since_s = now_s
        self._ahead_s = ahead_s
        return now_s - self._even_since_s >= EVEN_S_MIN

    def _ahead(self) -> float:
        return self._clock().timestamp() - self._steady_s()
