"""Several processes and hosts over one PostgreSQL: one log, one leader, months of evidence that are dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from gateway.audit import AuditLog, verify_log, verify_receipt
from gateway.audit.erasure import Erased, erase_expired, erase_learner
from gateway.audit.evidence import RETENTION_MS
from gateway.audit.retention import prepare_months
from gateway.clock import unix_ms
from gateway.errors import AlreadyRunningError, AuditLogError, RefusedError, StorageError
from gateway.storage import audit_rows, evidence_rows, partitions
from gateway.storage.engine import open_engine, reading
from gateway.storage.leadership import SERVING, served_by_nobody
from gateway.storage.node_tables import Database, Transaction
from gateway.storage.partitions import Month
from tests.audit.drafts import EVIDENCE_KEY, LOG_KEY, NOW, ORIGIN, answered, evidence, new_log, open_log, seen
from tests.postgres import fresh_database


@pytest.fixture
def opening() -> Iterator[Callable[[], Database]]:
    opened: list[Database] = []
    with fresh_database() as url:

        def open_() -> Database:
            opened.append(open_engine(url))
            return opened[-1]

        yield open_
        for engine in opened:
            engine.dispose()


def test_one_message_raced_by_four_processes_is_logged_once(opening: Callable[[], Database]) -> None:
    logs = [new_log(opening()), *(open_log(opening()) for _ in range(3))]
    messages = [seen() for _ in range(25)]

    def append(at: int) -> str:
        try:
            logs[at % 4].append(answered(), seen=messages[at // 4])
            return "logged"
        except RefusedError as refused:
            return refused.reason

    with ThreadPoolExecutor(16) as pool:
        outcomes = Counter(pool.map(append, range(100)))
    assert outcomes == {"logged": 25, "REPLAYED_MESSAGE": 75}
    assert [log.refresh() for log in logs] == [25] * 4
    assert verify_log(logs[0]._database, logs[0].verifier.vkey).entries == 25
    for log in logs:
        log.close()


def test_sequences_have_no_gap_and_no_number_twice(opening: Callable[[], Database]) -> None:
    logs = [new_log(opening()), open_log(opening())]
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda at: logs[at % 2].next_pair_sequence("zhejiang"), range(60)))
    assert sorted(numbers) == list(range(1, 61))
    for log in logs:
        log.close()


def test_a_worker_starts_while_others_append(opening: Callable[[], Database]) -> None:
    log = new_log(opening())
    with ThreadPoolExecutor(4) as pool:
        appends = [pool.submit(log.append, answered()) for _ in range(300)]
        for _ in range(10):
            started = open_log(opening())
            receipt = started.append(draft := answered()).receipt
            verify_receipt(draft, receipt, log.verifier.vkey)
            started.close()
        for append in appends:
            append.result()
    assert log.refresh() == 310
    log.close()


def test_what_one_worker_halts_no_worker_continues(opening: Callable[[], Database]) -> None:
    first, second = new_log(opening()), open_log(opening())
    second.append(answered())
    first.halt(AuditLogError("a peer holds another history."))
    for log in (first, second):
        with pytest.raises(RefusedError) as refused:
            log.append(answered())
        assert "another history" in str(refused.value.__cause__)
    again = open_log(opening())
    with pytest.raises(RefusedError):
        again.append(answered())
    again.resume()
    again.append(answered())
    for log in (first, second, again):
        log.close()


def test_a_host_that_is_cut_off_in_the_middle_of_a_group_stops_nobody(
    opening: Callable[[], Database],
) -> None:
    lost, alive = new_log(opening()), open_log(opening())

    def half_a_group() -> None:
        with lost._writes.writing() as transaction:
            audit_rows.read_tree(transaction, ORIGIN, for_update=True)
            alive.append(answered())  # waits until the server has ended the idle transaction

    with pytest.raises(StorageError):
        half_a_group()
    assert alive.size == 1
    lost.append(answered())
    assert lost.size == 2
    for log in (lost, alive):
        log.close()


def test_what_is_put_off_is_written_before_anybody_looks(opening: Callable[[], Database]) -> None:
    log = new_log(opening())

    def write(transaction: Transaction) -> int:
        nodes = [bytes([at]) * 32 for at in range(40)]
        audit_rows.insert_nodes(transaction, 100, nodes)
        audit_rows.insert_checkpoint(transaction, 7, "seven")
        audit_rows.insert_checkpoint(transaction, 9, "nine \u4e5d")
        seen_now = len(list(audit_rows.stream_nodes(transaction, 100, 140)))
        audit_rows.insert_nodes(transaction, 140, nodes[:2])
        return seen_now

    assert log.transact(write) == 40
    with reading(opening()) as connection:
        assert [node[1] for node in audit_rows.stream_nodes(connection, 138, 142)] == [
            bytes([38]) * 32,
            bytes([39]) * 32,
            bytes([0]) * 32,
            bytes([1]) * 32,
        ]
        assert audit_rows.read_checkpoint(connection) == (9, "nine \u4e5d")
    log.close()


def test_a_group_that_fails_leaves_nothing(opening: Callable[[], Database]) -> None:
    log = new_log(opening())
    held = log._writes

    def twice() -> None:
        with held.writing() as transaction:
            audit_rows.insert_nodes(transaction, 1, [bytes(32)])
            audit_rows.insert_checkpoint(transaction, 5, "five")
            audit_rows.insert_nodes(transaction, 1, [bytes(32)])

    with pytest.raises(StorageError):
        twice()
    with reading(opening()) as connection:
        assert audit_rows.read_checkpoint(connection) is None
        assert list(audit_rows.stream_nodes(connection, 0, 10)) == []
    log.append(answered())
    assert log.size == 1
    log.close()


def test_one_leads_and_another_takes_over(opening: Callable[[], Database]) -> None:
    engine = opening()
    first, second = new_log(engine).leadership("upkeep"), open_log(opening()).leadership("upkeep")
    assert first.is_held()
    assert not second.is_held()
    assert first.is_held()
    with reading(opening()) as connection:  # its host dies: the server ends the session
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    assert second.is_held()
    assert not first.is_held()
    second.release()
    assert first.is_held()
    first.release()


def test_nothing_is_rotated_while_another_host_serves(opening: Callable[[], Database]) -> None:
    engine = opening()
    hosts = [
        new_log(engine).leadership(SERVING, shared=True),
        open_log(opening()).leadership(SERVING, shared=True),
    ]
    assert [host.is_held() for host in hosts] == [True, True]
    hosts[0].release()
    with pytest.raises(AlreadyRunningError, match="another host serves"), served_by_nobody(engine):
        pass
    hosts[1].release()
    with served_by_nobody(engine):
        assert not hosts[0].is_held()
    assert hosts[0].is_held()
    hosts[0].release()


def log_at(engine: Database, now: list[datetime]) -> AuditLog:
    AuditLog.create(engine, ORIGIN, clock=lambda: now[0])
    return AuditLog.open(engine, ORIGIN, LOG_KEY, lambda: now[0], EVIDENCE_KEY)


def months_of(engine: Database) -> list[Month]:
    with reading(engine) as connection:
        return partitions.list_months(connection)


def test_retention_drops_whole_months(opening: Callable[[], Database]) -> None:
    now = [NOW]
    engine = opening()
    log = log_at(engine, now)
    assert prepare_months(log, lambda: now[0]) == 4
    assert prepare_months(log, lambda: now[0]) == 0
    last = months_of(engine)[-1]
    for _ in range(3):
        log.append(answered(), evidence=evidence())
        now[0] += timedelta(days=31)
    prepare_months(log, lambda: now[0])
    assert months_of(engine)[-1] == last.plus(3)
    over_ms = unix_ms(datetime(2026, 10, 20, tzinfo=UTC)) + RETENTION_MS  # September is over, half of October
    assert erase_expired(log, lambda: now[0], over_ms) == Erased(2, 0, is_gone=True)
    assert Month.of(unix_ms(NOW) + RETENTION_MS) not in months_of(engine)
    with reading(engine) as connection:
        assert [len(evidence_rows.read_parts(connection, at)) for at in range(3)] == [0, 0, 1]
        assert all(evidence_rows.read_signed(connection, at) is not None for at in range(3))
        erasures = [row.leaf for row in audit_rows.read_entries_before(connection, log.size, 2)]
    assert all(b'"reason":"retention"' in leaf and b'"count":1,' in leaf for leaf in erasures)
    assert verify_log(engine, log.verifier.vkey).ok
    log.close()


def test_evidence_of_a_month_without_partition_is_taken_over(opening: Callable[[], Database]) -> None:
    engine = opening()
    log = log_at(engine, [NOW])
    log.append(answered(), evidence=evidence(b"a" * 32))
    log.append(answered(), evidence=evidence(b"b" * 32))
    assert prepare_months(log, lambda: NOW) == 4
    with reading(engine) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM evidence_key_default").scalar() == 0
        assert len(evidence_rows.read_parts(connection, 0)) == 1
    assert erase_learner(log, lambda: NOW, [b"a" * 32], "learner-request") == Erased(1, 1, is_gone=True)
    with reading(engine) as connection:
        assert [len(evidence_rows.read_parts(connection, at)) for at in range(2)] == [0, 1]
    log.close()
