"""Calls per second of one process, and of several that share them."""

from __future__ import annotations

import pytest

from gateway.errors import RefusedError, StorageError
from gateway.policy.rates import CallRates


def refused(rates: CallRates, peer: str, limit: int) -> RefusedError | None:
    try:
        rates.admit_call(peer, limit)
    except RefusedError as error:
        return error
    return None


def test_a_peer_that_calls_too_often_is_told_when_the_next_slot_is_free() -> None:
    rates = CallRates()
    assert [refused(rates, "shanghai", 3) for _ in range(3)] == [None] * 3
    error = refused(rates, "shanghai", 3)
    assert error is not None
    assert error.reason == "RATE_EXCEEDED"
    assert 0 < (error.retry_after_s or 0) <= 1
    assert refused(rates, "jiangsu", 3) is None


class Window:
    """A shared rate with room for a number of calls."""

    def __init__(self, room: int) -> None:
        self.room, self.asked = room, 0

    def take(self, _name: str, _limit: int, amount: int) -> float:
        self.asked += 1
        if self.room < 0:
            raise StorageError("gone")
        if amount > self.room:
            return 0.7
        self.room -= amount
        return 0.0


def test_calls_are_taken_in_blocks_and_none_is_given_away() -> None:
    window = Window(160)
    two = [CallRates(window), CallRates(window)]
    admitted = sum(refused(two[i % 2], "shanghai", 160) is None for i in range(200))
    assert admitted == 160
    assert window.asked < 16 + 2 * 40 + 4  # a block each sixteenth, then one look for each refusal
    error = refused(two[0], "shanghai", 160)
    assert error is not None
    assert error.retry_after_s == 0.7


def test_what_is_left_is_given_out_one_by_one() -> None:
    rates = CallRates(Window(5))
    assert sum(refused(rates, "shanghai", 160) is None for _ in range(20)) == 5


def test_without_its_database_a_process_counts_for_itself() -> None:
    rates = CallRates(Window(-1))
    assert sum(refused(rates, "shanghai", 4) is None for _ in range(9)) == 4


@pytest.mark.parametrize("limit", [1, 2])
def test_small_rates_need_no_block(limit: int) -> None:
    window = Window(limit)
    rates = CallRates(window)
    assert sum(refused(rates, "shanghai", limit) is None for _ in range(5)) == limit
