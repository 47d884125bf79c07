"""No message that was signed under a key in use is refused by a peer that keeps to the protocol – if, and only if.

Bounds are found by trying one less. In ticks: a fetch at least every 2, its way 1, a message lives 3, clocks differ by 1.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.models.rotation import Plan, violations

SOUND = Plan(overlap_ticks=0, retire_ticks=4)
"""The switch waits for the peer's word, and needs no overlap in time."""


@pytest.mark.parametrize(
    ("retire", "clock_off", "is_sound"),
    [(4, 0, True), (3, 0, False), (5, 1, True), (4, 1, False), (4, -1, True)],
)
def test_the_old_key_must_outlive_every_message_that_it_signed(
    retire: int, clock_off: int, is_sound: bool
) -> None:
    """Longer than a message's life, and by the skew of a clock that is ahead."""
    plan = replace(SOUND, retire_ticks=retire, clock_off=clock_off)
    assert (violations(plan) == []) is is_sound


@pytest.mark.parametrize(("overlap", "is_sound"), [(5, True), (4, False)])
def test_a_switch_by_the_clock_alone_needs_an_overlap_of_a_fetch_and_two_ways(
    overlap: int, is_sound: bool
) -> None:
    """A fetch may have begun just before the announcement: its way, the pause, and the way of the next."""
    plan = replace(SOUND, waits_for_peer=False, overlap_ticks=overlap)
    assert (violations(plan) == []) is is_sound


@pytest.mark.parametrize(("lead", "is_sound"), [(0, False), (1, True)])
def test_a_beginning_that_is_stated_must_lie_the_skew_before_the_switch(lead: int, is_sound: bool) -> None:
    plan = replace(SOUND, overlap_ticks=3, start_lead_ticks=lead, clock_off=-1)
    assert (violations(plan) == []) is is_sound


@pytest.mark.parametrize("signs_with_both", [False, True])
def test_a_key_of_another_suite_that_is_live_at_once_breaks_what_is_on_its_way(signs_with_both: bool) -> None:
    """A peer demands a signature of each suite that is live, also of what was signed before the announcement."""
    plan = replace(SOUND, overlap_ticks=3, retire_ticks=5, other_suite=True, signs_with_both=signs_with_both)
    assert violations(plan)
