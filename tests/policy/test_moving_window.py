"""The window of calls: never more than its limit within any period, whatever the times between calls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy import moving_window
from gateway.policy.moving_window import MovingWindow


class SteadyClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SteadyClock:
    clock = SteadyClock()
    monkeypatch.setattr(moving_window, "monotonic_s", clock)
    return clock


@given(
    pauses_ms=st.lists(st.integers(0, 700), max_size=60),
    limit=st.integers(1, 5),
)
def test_no_period_holds_more_calls_than_the_limit(pauses_ms: list[int], limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clock = SteadyClock()
        patch.setattr(moving_window, "monotonic_s", clock)
        window, admitted = MovingWindow(1.0), []
        for pause_ms in pauses_ms:
            clock.now_s += pause_ms / 1000
            recent = [at for at in admitted if at > clock.now_s - 1.0]
            wait_s = window.take("shanghai", limit)
            assert (wait_s == 0) == (len(recent) < limit)
            if not wait_s:
                admitted.append(clock.now_s)
            else:
                assert 0 < wait_s <= 1.0


def test_the_wait_it_states_is_the_one_that_is_needed(clock: SteadyClock) -> None:
    window = MovingWindow(10.0)
    for _ in range(3):
        assert window.take("shanghai", 3) == 0
        clock.now_s += 2
    wait_s = window.free_in_s("shanghai", 3)
    assert wait_s == pytest.approx(4)
    clock.now_s += wait_s - 0.01
    assert window.take("shanghai", 3) > 0
    clock.now_s += 0.02
    assert window.take("shanghai", 3) == 0


def test_keys_do_not_count_for_one_another_and_looking_counts_nothing(clock: SteadyClock) -> None:
    window = MovingWindow(1.0)
    assert window.take("shanghai", 1) == 0
    assert all(window.free_in_s("jiangsu", 1) == 0 for _ in range(5))
    assert window.take("jiangsu", 1) == 0


def test_a_limit_that_was_lowered_holds_at_once(clock: SteadyClock) -> None:
    window = MovingWindow(1.0)
    assert all(window.take("shanghai", 10) == 0 for _ in range(10))
    clock.now_s += 0.5
    assert window.take("shanghai", 2) == pytest.approx(0.5)
