"""A wrong clock makes a node forget nothing that it needs when the clock is right again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gateway.audit import management_entry
from gateway.audit.group import SeenMessage
from gateway.clock import new_id
from gateway.node.assemble import assemble
from gateway.node.serve import keep_up
from gateway.node.steadiness import EVEN_S_MIN, Steadiness
from tests.federation.provinces import NOW
from tests.processes.provinces import make_node


@dataclass
class Clocks:
    """The clock of a host, and the steady one beside it."""

    now: datetime = NOW
    steady_s: float = 1000.0

    def __call__(self) -> datetime:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.steady_s += seconds

    def set_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def test_a_clock_is_trusted_after_it_ran_evenly_for_as_long_as_a_message_lives() -> None:
    clocks = Clocks()
    steadiness = Steadiness(clocks, lambda: clocks.steady_s)
    assert not steadiness.is_proved()
    clocks.pass_s(EVEN_S_MIN)
    assert steadiness.is_proved()


@pytest.mark.parametrize("jump_s", [-3600, -2, 2, 3600, 86_400])
def test_a_clock_that_was_set_is_not_trusted_for_a_while(jump_s: float) -> None:
    clocks = Clocks()
    steadiness = Steadiness(clocks, lambda: clocks.steady_s)
    clocks.pass_s(EVEN_S_MIN)
    clocks.set_by(jump_s)
    assert not steadiness.is_proved()
    clocks.pass_s(EVEN_S_MIN - 1)
    assert not steadiness.is_proved()
    clocks.pass_s(1)
    assert steadiness.is_proved()


def test_a_clock_that_is_corrected_a_little_at_a_time_stays_trusted() -> None:
    clocks = Clocks()
    steadiness = Steadiness(clocks, lambda: clocks.steady_s)
    for _ in range(60):
        clocks.pass_s(60)
        clocks.set_by(0.03)  # 500 parts in a million, the most that a kernel slews
        steadiness.is_proved()
    assert steadiness.is_proved()


def test_a_message_stays_seen_though_the_clock_was_ahead_for_a_while(tmp_path: Path) -> None:
    clocks, message_id = Clocks(), new_id()
    node = assemble(make_node(tmp_path, "anhui", records=False, now=NOW).folder, clocks)
    try:
        node.steadiness = Steadiness(clocks, lambda: clocks.steady_s)
        seen = SeenMessage(message_id, NOW + timedelta(seconds=90))
        node.log.append(management_entry("restore", reason="test"), seen)
        clocks.pass_s(5)
        clocks.set_by(3600)
        keep_up(node)
        clocks.set_by(-3600)
        keep_up(node)
        assert node.log.has_seen(message_id)
        clocks.pass_s(EVEN_S_MIN)
        keep_up(node)
        assert not node.log.has_seen(message_id)
    finally:
        node.close()
