"""The circuit breaker, against a model that only remembers what happened; the clock is the test's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.peers.reach import (
    FAILURES_TO_OPEN,
    JITTER,
    LATENCIES_NEEDED,
    REST_S_MAX,
    REST_S_MIN,
    Reaches,
)

PEER = "anhui"
CALL_S = 5.0


class BreakerMachine(RuleBasedStateMachine):
    """Calls begin, fail, succeed or are lost for ever; time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s, self.chance = 1000.0, 0.0
        self.reaches = Reaches(lambda: self.now_s, lambda: self.chance)
        self.running = 0
        self.failures = 0
        self.rests = 0
        self.is_open_until_s = 0.0

    @rule(seconds=st.floats(0, 200))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds

    @rule()
    def call_begins(self) -> None:
        was_resting = self.reaches.rest_s(PEER) > 0
        wait_s = self.reaches.begin(PEER, CALL_S)
        assert (wait_s > 0) == was_resting, "the state that is shown is the one that decides"
        if not wait_s:
            self.running += 1
            if self.rests:
                assert self.reaches.begin(PEER, CALL_S) > 0, "one call alone tries a peer that was away"

    @precondition(lambda self: self.running)
    @rule(chance=st.floats(0, 1))
    def call_fails(self, chance: float) -> None:
        self.running, self.chance = self.running - 1, chance
        before_s = self.reaches.rest_s(PEER)
        self.reaches.failed(PEER)
        if self.is_open_until_s > self.now_s:
            assert self.reaches.rest_s(PEER) == before_s, "an older call's failure says nothing new"
            return
        self.failures += 1
        if self.failures >= FAILURES_TO_OPEN:
            self.rests += 1
            self.is_open_until_s = self.now_s + self.reaches.rest_s(PEER)
            assert self.reaches.rest_s(PEER) > 0
            if not before_s:
                longest_s = min(REST_S_MIN * 2 ** (self.rests - 1), REST_S_MAX)
                assert self.reaches.rest_s(PEER) <= longest_s + 1e-6
        else:
            assert self.reaches.rest_s(PEER) == 0

    @precondition(lambda self: self.running)
    @rule()
    def call_is_answered(self) -> None:
        self.running -= 1
        self.peer_shows_life()

    @rule()
    def peer_shows_life(self) -> None:
        self.reaches.heard_from(PEER)
        self.failures = self.rests = 0
        self.is_open_until_s = 0.0
        assert self.reaches.rest_s(PEER) == 0
        assert self.reaches.begin(PEER, CALL_S) == 0

    @precondition(lambda self: self.running)
    @rule()
    def call_never_ends(self) -> None:
        self.running -= 1

    @invariant()
    def a_peer_is_never_given_up(self) -> None:
        assert self.reaches.rest_s(PEER) <= REST_S_MAX
        assert self.reaches.failures(PEER) == self.failures


TestBreaker = BreakerMachine.TestCase


def opened(chance: float = 0.0) -> tuple[Reaches, list[float]]:
    now_s = [0.0]
    reaches = Reaches(lambda: now_s[0], lambda: chance)
    for _ in range(FAILURES_TO_OPEN):
        assert reaches.begin(PEER, CALL_S) == 0
        reaches.failed(PEER)
    return reaches, now_s


def test_rests_double_from_one_second_to_two_minutes() -> None:
    reaches, now_s = opened()
    rests = []
    for _ in range(10):
        rests.append(reaches.rest_s(PEER))
        now_s[0] += rests[-1]
        assert reaches.begin(PEER, CALL_S) == 0
        reaches.failed(PEER)
    assert rests == [1, 2, 4, 8, 16, 32, 64, 120, 120, 120]


@given(st.floats(0, 1))
def test_jitter_shortens_a_rest_by_a_fifth_at_most(chance: float) -> None:
    reaches, _ = opened(chance)
    assert reaches.rest_s(PEER) == pytest.approx(REST_S_MIN * (1 - JITTER * chance))


def test_failures_of_calls_that_began_before_the_rest_do_not_lengthen_it() -> None:
    reaches, now_s = opened()
    for _ in range(20):
        reaches.failed(PEER)
    assert reaches.rest_s(PEER) == REST_S_MIN
    now_s[0] += REST_S_MIN
    assert reaches.begin(PEER, CALL_S) == 0


def test_a_probe_that_never_ends_holds_up_the_next_for_one_deadline_only() -> None:
    reaches, now_s = opened()
    now_s[0] += REST_S_MIN
    assert reaches.begin(PEER, CALL_S) == 0
    assert reaches.begin(PEER, CALL_S) == CALL_S
    now_s[0] += CALL_S
    assert reaches.begin(PEER, CALL_S) == 0


def test_one_peers_failures_are_its_own() -> None:
    reaches, _ = opened()
    assert reaches.begin("shanghai", CALL_S) == 0


def test_how_long_a_peer_takes_is_known_after_enough_answers() -> None:
    reaches = Reaches()
    for number in range(LATENCIES_NEEDED - 1):
        reaches.heard_from(PEER, number / 100)
        assert reaches.slow_s(PEER) is None
    reaches.heard_from(PEER, 9.0)
    assert reaches.slow_s(PEER) == pytest.approx(0.18)
