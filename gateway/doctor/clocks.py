"""The step of the clocks."""

from __future__ import annotations

from datetime import timedelta

from gateway.doctor.opinions import Opinions, stated_offset
from gateway.doctor.step import Side, State, Step
from gateway.errors import PeerFaultError
from gateway.exchange.asking.check import StaleEchoError

CLOCK = "clock"
_TRIED = "compare the two clocks by a signed echo"


def clock_offset_of(fault: PeerFaultError, window_s: int) -> timedelta | None:
    """Return what a failed echo says of the clocks; ``None`` when they are not what failed."""
    return fault.clock_offset if isinstance(fault, StaleEchoError) else stated_offset(fault, window_s)


def judge_clock(offset: timedelta, skew_s: int, opinions: Opinions, *, is_refused: bool = False) -> Step:
    """Return the step for a peer whose clock is ``offset`` ahead of ours.

    ``is_refused``: messages were refused for it already.
    """
    off_s = offset.total_seconds()
    step = Step(CLOCK, _TRIED, f"the peer's is {_words(off_s)}", f"less than {skew_s} s of difference")
    if not is_refused and abs(off_s) <= skew_s / 2:
        return step
    side = opinions.whose_clock()
    whose = {
        Side.OURS: "Set the clock of this machine",
        Side.THEIRS: "Have the peer's operator set its clock",
    }.get(side, "Compare both clocks with a time server and set the wrong one")
    why = {
        Side.OURS: "the other peers agree with this one, not with us",
        Side.THEIRS: "the other peers agree with us",
    }.get(side, "no other peer could be asked which is right")
    state = State.FAULT if is_refused or abs(off_s) > skew_s else State.WARNING
    remedy = f"{whose} (run an NTP client there): {why}."
    return step.found("CLOCKS_DIFFER", side, remedy, state=state)


def _words(off_s: float) -> str:
    if abs(off_s) < 1:
        return f"{1000 * abs(off_s):.0f} ms {'ahead' if off_s >= 0 else 'behind'}"
    return f"{abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} ours"
