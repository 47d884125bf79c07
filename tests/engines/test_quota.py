"""Quotas and rates that several processes of one node count together, on every engine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.audit import AuditLog
from gateway.errors import RefusedError
from gateway.signing.suites import SigningKey
from gateway.storage import quota_rows
from gateway.storage.engine import open_engine, reading, writing
from gateway.storage.migrate import upgrade
from gateway.storage.node_tables import Database
from gateway.storage.quota_rows import Allowance, Charge
from gateway.storage.shared_rates import SharedRates, shared_rates_of
from tests.audit.drafts import answered
from tests.federation.provinces import NOW
from tests.postgres import fresh_database

ORIGIN = "audit.zhejiang.example/2026"
RESETS = datetime(2026, 11, 24, tzinfo=ZoneInfo("Asia/Shanghai"))


def charge(learners: int = 1, most: int = 30, purpose: str = "employment", *purposes: str) -> Charge:
    allowances = (Allowance(frozenset(purposes), most),)
    return Charge("2026-11-23", "shanghai", purpose, learners, allowances, RESETS)


def take(log: AuditLog, one: Charge) -> str:
    try:
        log.append(answered(), charge=one)
    except RefusedError as error:
        refused = error
    else:
        return "OK"
    assert refused.reason == "QUOTA_EXCEEDED"
    assert refused.retry_after_s == (RESETS - NOW).total_seconds()
    assert refused.details["resetTime"] == "2026-11-24T00:00:00+08:00"
    return refused.details["learnersLeft"]


@pytest.fixture
def opening_log(opening_engine: Callable[[], Database]) -> Callable[[], AuditLog]:
    key = SigningKey.generate()
    AuditLog.create(opening_engine(), ORIGIN, clock=lambda: NOW, born_with_keys=True)
    return lambda: AuditLog.open(opening_engine(), ORIGIN, key.private, lambda: NOW, bytes(32))


def test_of_many_answers_at_once_exactly_the_quota_is_given(opening_log: Callable[[], AuditLog]) -> None:
    first = opening_log()
    is_shared = first._database.url.get_backend_name() == "postgresql"
    logs = [first, opening_log()] if is_shared else [first]
    start = threading.Barrier(8)

    def ask(at: int) -> list[str]:
        start.wait()
        return [take(logs[at % len(logs)], charge()) for _ in range(6)]

    with ThreadPoolExecutor(8) as pool:
        outcomes = [outcome for each in pool.map(ask, range(8)) for outcome in each]
    assert outcomes.count("OK") == 30
    assert set(outcomes) == {"OK", "0"}
    assert max(log.size for log in logs) == 30  # nothing was logged that was not given
    for log in logs:
        log.close()


def test_a_restart_resets_nothing(opening_log: Callable[[], AuditLog]) -> None:
    log = opening_log()
    assert take(log, charge(28)) == "OK"
    log.close()
    log = opening_log()
    log.quota_use.require_left(charge(30), NOW)  # this process knows nothing yet: the transaction does
    assert take(log, charge(3)) == "2"
    assert take(log, charge(2)) == "OK"
    with pytest.raises(RefusedError):
        log.quota_use.require_left(charge(3), NOW)
    assert take(log, charge(1)) == "0"
    log.close()


def test_purposes_are_counted_apart_or_together(opening_log: Callable[[], AuditLog]) -> None:
    log = opening_log()
    assert take(log, charge(20, 30, "employment", "employment", "admission")) == "OK"
    assert take(log, charge(20, 30, "admission", "employment", "admission")) == "10"
    assert take(log, charge(20, 30, "admission", "admission")) == "OK"
    assert take(log, charge(1, 40, "credit-transfer")) == "0"  # all purposes together
    log.close()


def test_counts_of_days_long_past_are_forgotten(engine: Database) -> None:
    upgrade(engine, "node")
    with writing(engine) as transaction:
        quota_rows.add_use(transaction, {("2026-01-01", "a", "x"): 1, ("2026-02-01", "a", "x"): 2})
        quota_rows.add_use(transaction, {("2026-02-01", "a", "x"): 3})
        quota_rows.delete_use(transaction, "2026-02-01")
        assert quota_rows.read_use(transaction, "2026-01-01", "a") == {}
        assert quota_rows.read_use(transaction, "2026-02-01", "a") == {"x": 5}


def test_processes_take_from_one_rate() -> None:
    """However many take at once: never more than the rate within one sliding second."""
    with fresh_database() as url, ExitStack() as stack:
        engines = [open_engine(url) for _ in range(4)]
        for engine in engines:
            stack.callback(engine.dispose)
        upgrade(engines[0], "node")
        _take_at_once(engines)


def _take_at_once(engines: list[Database]) -> None:
    engine, *others = engines
    rates = [SharedRates(each) for each in others]

    def run(at: int) -> int:
        return sum(rates[at % 3].take("calls/shanghai", 60, 5) == 0 for _ in range(10))

    with ThreadPoolExecutor(6) as pool:
        before = _windows(engine)
        taken = sum(pool.map(run, range(6))) * 5
        windows = len(_windows(engine) | before)
    assert 60 <= taken <= 60 * (windows + 1)
    wait_s = next(wait for _ in range(100) if (wait := rates[0].take("calls/shanghai", 60, 5)))
    assert 0 < wait_s <= 1.1
    assert rates[1].take("calls/jiangsu", 60, 60) == 0
    assert rates[2].take("calls/jiangsu", 60, 1) > 0
    for one in rates:
        one.close()


def _windows(engine: Database) -> set[int]:
    with reading(engine) as connection:
        rows = connection.exec_driver_sql("SELECT start FROM rate_window").fetchall()
    return {row[0] for row in rows}


def test_only_a_database_for_several_processes_counts_rates(fresh_url: str) -> None:
    engine = open_engine(fresh_url)
    upgrade(engine, "node")
    engine.dispose()
    with shared_rates_of(fresh_url) as rates:
        assert (rates is None) is fresh_url.startswith("sqlite")


def test_the_next_day_begins_at_the_zones_midnight() -> None:
    from gateway.policy.quotas import day_at

    evening = datetime(2026, 11, 23, 23, 59, 59, tzinfo=ZoneInfo("Asia/Shanghai"))
    today, tomorrow = (
        day_at(evening, "Asia/Shanghai"),
        day_at(evening + timedelta(seconds=1), "Asia/Shanghai"),
    )
    assert (today.name, tomorrow.name) == ("2026-11-23", "2026-11-24")
    assert (today.ends - evening).total_seconds() == 1
    assert day_at(evening, "UTC").name == "2026-11-23"
    assert day_at(evening, "Pacific/Kiritimati").name == "2026-11-24"
