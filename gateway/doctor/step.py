"""One step of a diagnosis, and the verdict over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, IntEnum

OK = "OK"
"""The finding of a step at which nothing is wrong."""
IN_MAINTENANCE = "IN_MAINTENANCE"


class State(IntEnum):
    """What came of a step, the worse the higher; numbers as in ``DiagnosisState``."""

    OK = 1
    NOTE = 2
    """Worth knowing; nothing has to be mended."""
    WARNING = 3
    """Exchanges work; this should be mended before they do not."""
    FAULT = 4
    """Exchanges do not work until this is mended."""


class Side(Enum):
    """Who has to mend something; numbers as in ``DiagnosisSide``."""

    NOBODY = 0
    OURS = 1
    THEIRS = 2
    NETWORK = 3
    EITHER = 4
    """One of the two operators; from here it cannot be told which."""


@dataclass(frozen=True, slots=True)
class Step:
    """What was tried, seen and expected."""

    name: str
    tried: str
    seen: str
    expected: str
    state: State = State.OK
    finding: str = OK
    """Stable word for what was found."""
    side: Side = Side.NOBODY
    remedy: str = ""

    def found(
        self, finding: str, side: Side, remedy: str, *, state: State = State.FAULT, seen: str | None = None
    ) -> Step:
        """Return this step with what was found at it."""
        shown = self.seen if seen is None else seen
        return replace(self, state=state, finding=finding, side=side, remedy=remedy, seen=shown)

    def eased(self) -> Step:
        """Return this step with a fault taken for a warning: another endpoint serves in its place."""
        return replace(self, state=State.WARNING) if self.state is State.FAULT else self


@dataclass(frozen=True, slots=True)
class Verdict:
    """The one thing to mend first."""

    state: State
    finding: str
    step: str
    side: Side
    remedy: str


def verdict_of(steps: Sequence[Step]) -> Verdict:
    """Return the verdict: the first step of the worst state.

    A fault while the peer is in announced maintenance is what was announced: waiting is the remedy.
    """
    worst = max((step.state for step in steps), default=State.OK)
    if worst < State.WARNING:
        return Verdict(worst, OK, "", Side.NOBODY, "")
    first = next(step for step in steps if step.state is worst)
    announced = next((step for step in steps if step.finding == IN_MAINTENANCE), None)
    if worst is State.FAULT and announced is not None and first.side in (Side.THEIRS, Side.NETWORK):
        first = announced
    return Verdict(worst, first.finding, first.name, first.side, first.remedy)
