"""Step times: measured in each exchange, and the newest kept for a while so that one can be looked at."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.clock import monotonic_s
from gateway.telemetry import tracing

WAITING_MAX = 4_000
"""Exchanges whose times wait to be stored; of more the oldest are dropped."""


WAIT = "wait"
"""What is no step: the time in which others were worked for that are answered together."""
WAITED_S_MIN = 0.001
"""Less is not told: between any two steps a moment passes."""


@dataclass
class StepTimes:
    """How long each step took, in seconds, in the order they ran."""

    started_s: float = field(default_factory=monotonic_s)
    steps: list[tuple[str, float]] = field(default_factory=list)
    waited_s: float = 0.0
    _last_s: float = 0.0
    _place: tracing.Place | None = field(default_factory=tracing.present)

    def __post_init__(self) -> None:
        """Start the first step's clock."""
        self._last_s = self.started_s

    def resume(self) -> None:
        """Begin a step now, on whatever thread: since the last one ended this waited for others."""
        now_s = monotonic_s()
        self.waited_s += now_s - self._last_s
        self._last_s = now_s
        tracing.go_on_with(self._place)

    def done(self, step: str) -> None:
        """Note that ``step`` ended now."""
        now_s = monotonic_s()
        self.steps.append((step, now_s - self._last_s))
        tracing.step(step, now_s - self._last_s)
        self._last_s = now_s

    def done_together(self, step: str) -> None:
        """Note that ``step`` ended now, which one thread did for several at once."""
        tracing.go_on_with(self._place)
        self.done(step)

    def waited(self) -> None:
        """Put the time that was waited, if it is worth it, among the steps; once, after the last one."""
        if self.waited_s >= WAITED_S_MIN:
            self.steps.append((WAIT, self.waited_s))

    @property
    def total_s(self) -> float:
        """From the start to the end of the last step, seconds."""
        return self._last_s - self.started_s


@dataclass(frozen=True, slots=True)
class Timing:
    """The step times of one message of an exchange."""

    exchange_id: bytes
    direction: str
    peer: str
    outcome: str
    steps: Sequence[tuple[str, float]]
    """Step and seconds, in the order they ran."""
    ended_s: float
    """On the steady clock of this process."""

    @property
    def total_s(self) -> float:
        """All steps together, seconds."""
        return sum(seconds for _, seconds in self.steps)


class Timings:
    """Times that wait to be stored. Noting one never blocks and never fails an exchange."""

    def __init__(self) -> None:
        self._waiting: deque[Timing] = deque(maxlen=WAITING_MAX)

    def note(
        self,
        exchange_id: bytes,
        direction: str,
        peer: str,
        outcome: str,
        steps: Sequence[tuple[str, float]],
    ) -> None:
        """Remember the step times of an exchange that ended now."""
        self._waiting.append(Timing(exchange_id, direction, peer, outcome, tuple(steps), monotonic_s()))

    def take(self) -> list[Timing]:
        """Return what was noted since the last call, the oldest first."""
        taken = []
        while self._waiting:
            taken.append(self._waiting.popleft())
        return taken
