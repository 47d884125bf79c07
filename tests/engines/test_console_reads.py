"""What the console reads, on every engine: the search of the log, and the step times that are kept."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.audit import management_entry
from gateway.audit.searching import NOT_OK, FoundPage, Wanted, search_entries
from gateway.clock import monotonic_s, unix_ms
from gateway.storage import timing_rows
from gateway.storage.engine import reading
from gateway.storage.node_tables import Database
from gateway.storage.timing_rows import TimingRow
from gateway.telemetry.timings import Timing, Timings
from gateway.upkeep.keep_timings import KEPT_DAYS, TimingKeeper, worth_keeping
from tests.audit.drafts import NOW, answered, new_log

EXCHANGE = bytes(range(16))


def filled(engine: Database) -> None:
    """Nine entries, a minute apart: indexes 0 to 8."""
    now = [NOW]
    log = new_log(engine, lambda: now[0])
    for number in range(3):
        log.append(answered())
        now[0] += timedelta(minutes=1)
        log.append(answered(asker="anhui", outcome="PURPOSE_NOT_GRANTED", purpose="admission"))
        now[0] += timedelta(minutes=1)
        log.append(management_entry("grant-change", reason="agreed", peer="anhui"))
        now[0] += timedelta(minutes=1)
        del number
    log.close()


def found(engine: Database, wanted: Wanted, **how: int) -> FoundPage:
    with reading(engine) as connection:
        return search_entries(connection, wanted, **{"count": 50} | how)


def at(minutes: int) -> int:
    return unix_ms(NOW + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("wanted", "indexes"),
    [
        (Wanted(), [8, 7, 6, 5, 4, 3, 2, 1, 0]),
        (Wanted(peer="anhui"), [8, 7, 5, 4, 2, 1]),
        (Wanted(peer="nobody"), []),
        (Wanted(side="answerer"), [7, 6, 4, 3, 1, 0]),
        (Wanted(side="management"), [8, 5, 2]),
        (Wanted(outcome="OK"), [6, 3, 0]),
        (Wanted(outcome=NOT_OK), [7, 4, 1]),
        (Wanted(purpose="admission", peer="anhui"), [7, 4, 1]),
        (Wanted(since_ms=at(3), until_ms=at(6)), [5, 4, 3]),
        (Wanted(since_ms=at(100)), []),
        (Wanted(until_ms=at(-1)), []),
    ],
)
def test_the_search_finds_what_matches_the_newest_first(
    engine: Database, wanted: Wanted, indexes: list[int]
) -> None:
    filled(engine)
    page = found(engine, wanted)
    assert ([entry.index for entry in page.entries], page.before) == (indexes, 0)


def test_pages_follow_one_another_without_gap_or_repeat(engine: Database) -> None:
    filled(engine)
    for wanted in (Wanted(), Wanted(peer="anhui"), Wanted(outcome="OK"), Wanted(since_ms=at(2))):
        whole = [entry.index for entry in found(engine, wanted).entries]
        parts: list[int] = []
        before: int | None = None
        while before != 0:
            with reading(engine) as connection:
                page = search_entries(connection, wanted, before=before, count=2)
            parts += [entry.index for entry in page.entries]
            before = page.before
        assert parts == whole


def test_an_exchange_is_found_by_the_beginning_of_its_id(engine: Database) -> None:
    log = new_log(engine)
    log.append(answered())
    log.append(answered(exchange_id=EXCHANGE))
    log.close()
    assert [e.index for e in found(engine, Wanted(exchange_id=EXCHANGE[:2])).entries] == [1]
    assert not found(engine, Wanted(exchange_id=EXCHANGE[:2], outcome=NOT_OK)).entries


def test_step_times_are_kept_for_a_while_and_in_bounds(engine: Database) -> None:
    now = [NOW]
    log = new_log(engine, lambda: now[0])
    timings = Timings()
    keeper = TimingKeeper(timings, log, lambda: now[0])
    timings.note(EXCHANGE, "answering", "shanghai", "OK", [("open", 0.0015), ("log", 0.01)])
    keeper.store()
    with reading(engine) as connection:
        (row,) = timing_rows.read_timings(connection, EXCHANGE)
    assert (row.role, row.peer, row.outcome, row.steps) == (
        "answering",
        "shanghai",
        "OK",
        "open=1500 log=10000",
    )
    now[0] += timedelta(days=KEPT_DAYS, minutes=1)
    timings.note(b"x" * 16, "asking", "anhui", "NO_ANSWER", [("ask", 5.0)])
    keeper.store()
    with reading(engine) as connection:
        assert timing_rows.read_timings(connection, EXCHANGE) == []
        assert timing_rows.read_timings(connection, b"x" * 16)
    rows = [TimingRow(bytes([n] * 16), "asking", at(n), "anhui", "OK", "ask=1") for n in range(9)]
    log.transact(lambda transaction: timing_rows.insert_timings(transaction, rows))
    log.transact(lambda transaction: timing_rows.prune_timings(transaction, count=3, ended_before=0))
    with reading(engine) as connection:
        kept = [n for n in range(9) if timing_rows.read_timings(connection, bytes([n] * 16))]
    assert kept == [7, 8]  # and the one of a week later
    log.close()


def test_of_a_flood_the_refused_and_the_slow_are_kept() -> None:
    fast = [Timing(b"f", "answering", "p", "OK", [("open", 0.001)], monotonic_s())] * 500
    slow = Timing(b"s", "answering", "p", "OK", [("open", 2.0)], monotonic_s())
    refused = Timing(b"r", "answering", "p", "RATE_LIMITED", [("open", 0.0001)], monotonic_s())
    kept = worth_keeping([*fast, slow, refused], 10)
    assert len(kept) == 10
    assert kept[:2] == [refused, slow]
