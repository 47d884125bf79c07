"""One code, several processes of the issuer, on every engine: exactly one redemption."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from gateway.audit import AuditLog
from gateway.clock import new_id, unix_ms
from gateway.storage import code_rows
from gateway.storage.code_rows import AttemptRow, Claim, CodeRow
from gateway.storage.engine import reading, writing
from gateway.storage.migrate import upgrade
from gateway.storage.node_tables import Database
from tests.attacks.learning_codes import Attempt, issue
from tests.federation.simulator import make_federation

ROUNDS = 12


def test_of_redemptions_through_two_processes_one_succeeds(
    opening_engine: Callable[[], Database], tmp_path: Path
) -> None:
    """Two logs over one database stand for two processes; on SQLite a node has one, and so has this."""
    federation = make_federation(tmp_path, "zhejiang", "shanghai", "jiangsu")
    zhejiang = federation["zhejiang"]
    zhejiang.log.close()
    province, clock = zhejiang.province, zhejiang.clock
    AuditLog.create(opening_engine(), province.log_origin, clock=clock, born_with_keys=True)
    count = 2 if opening_engine().url.get_backend_name() == "postgresql" else 1
    logs = [
        AuditLog.open(opening_engine(), province.log_origin, province.log_key.private, clock, bytes(32))
        for _ in range(count)
    ]
    workers = [replace(zhejiang, log=log) for log in logs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(ROUNDS):
            code = issue(workers[0]).code
            tries = [
                Attempt(workers[at % count], federation[name], code)
                for at, name in enumerate(("shanghai", "jiangsu", "jiangsu", "shanghai"))
            ]
            start = threading.Barrier(len(tries))

            def run(one: Attempt, start: threading.Barrier = start) -> str:
                request = one.request()
                start.wait()
                return one.outcome(request)

            outcomes = sorted(pool.map(run, tries))
            assert outcomes == ["CODE_INVALID used"] * 3 + ["OK"], outcomes
    for log in logs:
        log.close()


def test_a_code_is_claimed_once_and_only_while_it_is_good(engine: Database) -> None:
    upgrade(engine, "node")
    ids = [bytes([n]) * 5 for n in range(3)]
    claim = Claim("shanghai", bytes(32), new_id(), 50)
    with writing(engine) as transaction:
        for code_id in ids:
            assert code_rows.insert_code(transaction, CodeRow(code_id, bytes(32), new_id(), 10, 100))
        assert not code_rows.insert_code(transaction, CodeRow(ids[0], bytes(32), new_id(), 10, 100))
        assert code_rows.claim_code(transaction, ids[0], claim)
        assert not code_rows.claim_code(transaction, ids[0], claim)
        assert not code_rows.revoke_code(transaction, ids[0], 60)
        assert code_rows.revoke_code(transaction, ids[1], 60)
        assert not code_rows.claim_code(transaction, ids[1], claim)
        assert not code_rows.claim_code(transaction, ids[2], replace(claim, now_ms=100))
    with reading(engine) as connection:
        row = code_rows.find_code(connection, ids[0])
        assert row is not None
        assert (row.redeemed_by, row.redeemed_at, row.consent_id) == ("shanghai", 50, claim.consent_id)
        assert len(code_rows.list_codes(connection)) == 3


def test_an_attempt_is_the_same_until_it_ends(engine: Database) -> None:
    upgrade(engine, "node")
    first = AttemptRow(bytes(32), new_id(), bytes(32), 1)
    later = replace(first, exchange_id=new_id(), begun_at=2)
    with writing(engine) as transaction:
        assert code_rows.begin_attempt(transaction, first) == first
        assert code_rows.begin_attempt(transaction, later) == first
        code_rows.end_attempt(transaction, first.code_hash)
        assert code_rows.begin_attempt(transaction, later) == later
        code_rows.delete_codes(transaction, 3)
        assert code_rows.begin_attempt(transaction, first) == first


def test_ended_codes_are_forgotten(engine: Database) -> None:
    upgrade(engine, "node")
    with writing(engine) as transaction:
        code_rows.insert_code(transaction, CodeRow(bytes(5), bytes(32), new_id(), 10, 100))
        code_rows.delete_codes(transaction, 100)
        assert code_rows.find_code(transaction, bytes(5)) is not None
        code_rows.delete_codes(transaction, 101)
        assert code_rows.find_code(transaction, bytes(5)) is None


def test_times_are_kept_to_the_millisecond(engine: Database) -> None:
    from gateway.clock import system_clock

    upgrade(engine, "node")
    now_ms = unix_ms(system_clock())
    row = CodeRow(bytes(5), bytes(32), new_id(), now_ms, now_ms + 600_000)
    with writing(engine) as transaction:
        code_rows.insert_code(transaction, row)
        assert code_rows.find_code(transaction, row.code_id) == row
