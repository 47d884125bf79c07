"""The log cannot be written: callers are refused, nothing is half-written, and it recovers."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from gateway.audit import AuditLog, verify_log, verify_receipt
from gateway.errors import GatewayError, RefusedError
from gateway.storage import driver_sql
from tests.audit.drafts import (
    EVIDENCE_KEY,
    LOG_KEY,
    ORIGIN,
    answered,
    at_noon,
    evidence,
    new_log,
    seen,
    sqlite_at,
)


class Disk:
    """A log whose every new connection first runs ``pragma``."""

    def __init__(self, path: Path) -> None:
        self.engine = sqlite_at(path)
        self.failures: list[GatewayError] = []
        new_log(self.engine).close()
        self.log = AuditLog.open(
            self.engine, ORIGIN, LOG_KEY, at_noon, EVIDENCE_KEY, failed=self.failures.append
        )
        self.pragma = ""
        event.listen(self.engine, "checkout", self._apply)

    def _apply(self, connection, _record, _proxy) -> None:
        if self.pragma:
            connection.execute(f"PRAGMA {self.pragma}")

    def turn(self, pragma: str) -> None:
        """Let ``pragma`` hold from the next transaction on."""
        self.pragma = pragma
        self.log._writes.close()

    def close(self) -> None:
        self.log.close()
        self.engine.dispose()


@pytest.fixture
def disk(tmp_path: Path):
    made = Disk(tmp_path / "node.db")
    yield made
    made.close()


@pytest.mark.parametrize(
    ("broken", "mended", "text"),
    [
        ("max_page_count = 1", "max_page_count = 1000000", "full"),
        ("query_only = 1", "query_only = 0", "read-only"),
    ],
)
def test_a_disk_that_cannot_be_written(disk: Disk, broken: str, mended: str, text: str) -> None:
    before = disk.log.append(answered()).receipt.checkpoint
    disk.turn(broken)
    guard = seen()
    for _ in range(2):
        with pytest.raises(RefusedError) as refused:
            disk.log.append(answered(), seen=guard, evidence=evidence(answer_body=bytes(200_000)))
        assert refused.value.reason == "AUDIT_UNAVAILABLE"
        assert refused.value.retry_after_s
        assert text in str(refused.value.__cause__)
        assert text not in refused.value.message, "a peer has no business in our disks"
        assert disk.log.latest_checkpoint() == before
    assert len(disk.failures) == 2
    disk.turn(mended)
    draft = answered()
    receipt = disk.log.append(draft, seen=guard, evidence=evidence()).receipt
    assert verify_receipt(draft, receipt, disk.log.verifier.vkey).size == 2
    assert disk.log.next_pair_sequence("anhui") == 1
    assert verify_log(disk.engine, disk.log.verifier.vkey, held=[before]).ok


class Committing:
    """Stands before ``driver_sql.execute``: what it is told happens in the place of a commit."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._execute = driver_sql.execute
        self._is_first_committed = False
        self._failure: str | None = None
        monkeypatch.setattr(driver_sql, "execute", self)

    def __call__(self, transaction, statement: str, values=()) -> int:
        if statement != "COMMIT" or self._failure is None:
            return self._execute(transaction, statement, values)
        if self._is_first_committed:
            self._execute(transaction, statement, values)
        raise DBAPIError(None, None, sqlite3.OperationalError(self._failure))

    def fail(self, failure: str, *, first_committed: bool) -> None:
        """Let commits fail from now on, with or without having reached the disk."""
        self._failure, self._is_first_committed = failure, first_committed

    def mend(self) -> None:
        """Let commits succeed again."""
        self._failure = None


@pytest.fixture
def committing(monkeypatch: pytest.MonkeyPatch) -> Committing:
    return Committing(monkeypatch)


def test_a_commit_whose_outcome_is_unknown(disk: Disk, committing: Committing) -> None:
    """The commit reached the disk but its success did not reach us: nothing is released or signed twice."""
    disk.log.append(answered())
    before = disk.log.latest_checkpoint()
    guard = seen()
    committing.fail("connection lost", first_committed=True)
    with pytest.raises(RefusedError) as refused:
        disk.log.append(answered(), seen=guard)
    assert refused.value.reason == "AUDIT_UNAVAILABLE"
    committing.mend()
    assert disk.log.latest_checkpoint() == before
    draft = answered()
    receipt = disk.log.append(draft).receipt
    assert receipt.leaf_index == 2, "the lost one stands at 1"
    assert verify_receipt(draft, receipt, disk.log.verifier.vkey).size == 3
    with pytest.raises(RefusedError, match="seen before"):
        disk.log.append(answered(), seen=guard)
    assert verify_log(disk.engine, disk.log.verifier.vkey, held=[before]).ok


def test_a_commit_that_did_not_happen(disk: Disk, committing: Committing) -> None:
    disk.log.append(answered())
    committing.fail("disk I/O error", first_committed=False)
    with pytest.raises(RefusedError):
        disk.log.append(answered())
    committing.mend()
    draft = answered()
    receipt = disk.log.append(draft).receipt
    assert receipt.leaf_index == 1
    verify_receipt(draft, receipt, disk.log.verifier.vkey)
    assert verify_log(disk.engine, disk.log.verifier.vkey).ok


def test_a_defect_in_a_group_is_not_hidden(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("gateway.audit.log.grow", fail)
    with pytest.raises(ZeroDivisionError):
        disk.log.append(answered())
    monkeypatch.undo()
    assert disk.log.append(answered()).index == 0


def test_the_root_is_reached_by_two_ways_before_it_is_signed(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flipped bit in a leaf hash: nothing is signed over it (Yeti 2022)."""
    from gateway.audit import growth

    good = growth.leaf_hash
    calls = [0]

    def flipped_once(entry: bytes) -> bytes:
        calls[0] += 1
        hashed = good(entry)
        return bytes([hashed[0] ^ 1]) + hashed[1:] if calls[0] == 1 else hashed

    monkeypatch.setattr(growth, "leaf_hash", flipped_once)
    with pytest.raises(RefusedError) as refused:
        disk.log.append(answered())
    assert "another root" in str(refused.value.__cause__)
    assert disk.log.append(answered()).index == 0
    assert verify_log(disk.engine, disk.log.verifier.vkey).ok


def test_what_is_only_counted_is_refused_too(disk: Disk) -> None:
    disk.pragma = "query_only = 1"
    with pytest.raises(RefusedError, match="could not be logged"):
        disk.log.next_pair_sequence("anhui")
    with pytest.raises(RefusedError):
        disk.log.purge_seen()
    disk.pragma = "query_only = 0"
    assert disk.log.next_pair_sequence("anhui") == 1
