"""Somebody with full access to the database file: every change is found and the entry named."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit import AuditLog, Checkpoint, VerifyReport, leaf_hash, verify, verify_log
from gateway.audit.group import PendingEntry
from gateway.audit.merkle import append, root_from_edge
from gateway.errors import AuditLogError
from gateway.signing.signed_note import NoteSigner
from gateway.storage.audit_rows import node_position
from tests.audit.drafts import LOG_KEY, ORIGIN, answered, as_attacker, evidence, new_log, open_log, sqlite_at

ENTRIES = 21
VKEY = NoteSigner(ORIGIN, LOG_KEY).verifier.vkey
Tamper = Callable[[sqlite3.Connection], None]


class Victim:
    """A log of 21 entries, each with its own checkpoint, and what others kept of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.engine = sqlite_at(path)
        log = new_log(self.engine)
        self.notes = [log.append(answered(), evidence=evidence()).receipt.checkpoint for _ in range(ENTRIES)]
        log.close()
        self.engine.dispose()

    def verified(self, tamper: Tamper | None = None, held: tuple[str, ...] = ()) -> VerifyReport:
        if tamper is not None:
            with as_attacker(self.path) as connection:
                tamper(connection)
            connection.close()
        try:
            return verify_log(self.engine, VKEY, held=held)
        finally:
            self.engine.dispose()

    def opened(self) -> AuditLog:
        return open_log(self.engine)


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    made = Victim(tmp_path / "node.db")
    yield made
    made.engine.dispose()


def test_an_intact_log(victim: Victim) -> None:
    report = victim.verified(held=tuple(victim.notes))
    assert (report.ok, report.entries, report.checkpoints, report.first_bad) == (True, ENTRIES, ENTRIES, None)


def leaf_of(connection: sqlite3.Connection, index: int) -> bytes:
    return bytes(connection.execute("SELECT leaf FROM audit_entry WHERE idx = ?", (index,)).fetchone()[0])


def put(connection: sqlite3.Connection, index: int, leaf: bytes, hashed: bytes | None = None) -> None:
    connection.execute(
        "UPDATE audit_entry SET leaf = ?, leaf_hash = coalesce(?, leaf_hash) WHERE idx = ?",
        (leaf, hashed, index),
    )


def alter(index: int) -> Tamper:
    """One byte of a leaf."""
    return lambda c: put(c, index, leaf_of(c, index).replace(b'"count":2', b'"count":3'))


def alter_with_hash(index: int) -> Tamper:
    """One byte of a leaf, and the stored leaf hash to fit."""

    def tamper(connection: sqlite3.Connection) -> None:
        leaf = leaf_of(connection, index).replace(b'"count":2', b'"count":3')
        put(connection, index, leaf, leaf_hash(leaf))

    return tamper


def alter_with_tree(index: int) -> Tamper:
    """One byte of a leaf, and every hash above it; only the signatures cannot be made to fit."""

    def tamper(connection: sqlite3.Connection) -> None:
        alter_with_hash(index)(connection)
        rebuild(connection)

    return tamper


def rebuild(connection: sqlite3.Connection) -> None:
    """Compute nodes and head anew from the leaves."""
    hashes = [row[0] for row in connection.execute("SELECT leaf_hash FROM audit_entry ORDER BY idx")]
    edge: list[bytes] = []
    connection.execute("DELETE FROM audit_node")
    for size, hashed in enumerate(hashes):
        for level, index, value in append(edge, size, hashed):
            connection.execute("INSERT INTO audit_node VALUES (?, ?)", (node_position(level, index), value))
    connection.execute(
        "UPDATE audit_tree SET size = ?, root = ?, edge = ?",
        (len(hashes), root_from_edge(edge), b"".join(edge)),
    )


def delete(index: int) -> Tamper:
    return lambda c: c.execute("DELETE FROM audit_entry WHERE idx = ?", (index,)) and None


def delete_and_close_up(index: int) -> Tamper:
    """An entry is gone and the later ones move down."""

    def tamper(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM audit_entry WHERE idx = ?", (index,))
        for later in range(index + 1, ENTRIES):
            connection.execute("UPDATE audit_entry SET idx = ? WHERE idx = ?", (later - 1, later))
        rebuild(connection)

    return tamper


def insert(index: int) -> Tamper:
    """A new entry stands at ``index`` and the later ones move up."""

    def tamper(connection: sqlite3.Connection) -> None:
        leaf = leaf_of(connection, 0).replace(b'"count":2', b'"count":9')
        for later in range(ENTRIES - 1, index - 1, -1):
            connection.execute("UPDATE audit_entry SET idx = ? WHERE idx = ?", (later + 1, later))
        connection.execute(
            "INSERT INTO audit_entry SELECT ?, ?, ?, exchange_id, peer, logged_at FROM audit_entry WHERE idx = 1",
            (index, leaf, leaf_hash(leaf)),
        )
        rebuild(connection)

    return tamper


def swap(index: int, other: int) -> Tamper:
    def tamper(connection: sqlite3.Connection) -> None:
        for source, target in ((index, -100), (other, index), (-100, other)):
            connection.execute("UPDATE audit_entry SET idx = ? WHERE idx = ?", (target, source))

    return tamper


def truncate(size: int, *, nodes: bool = False) -> Tamper:
    """The newest entries are gone; with ``nodes`` the tree is made to fit."""

    def tamper(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM audit_entry WHERE idx >= ?", (size,))
        if nodes:
            rebuild(connection)

    return tamper


def sql(statement: str) -> Tamper:
    return lambda c: c.execute(statement) and None


@pytest.mark.parametrize("index", [0, 1, 2, 7, 8, 15, 19, 20])
@pytest.mark.parametrize("act", [alter, alter_with_hash, alter_with_tree, delete, delete_and_close_up])
def test_one_entry_is_named(victim: Victim, act: Callable[[int], Tamper], index: int) -> None:
    report = victim.verified(act(index))
    assert not report.ok
    assert report.first_bad == index
    assert str(index) in report.findings[0]


@pytest.mark.parametrize("index", [0, 3, 20])
def test_an_inserted_entry_is_named(victim: Victim, index: int) -> None:
    assert victim.verified(insert(index)).first_bad == index


@pytest.mark.parametrize(("index", "other"), [(0, 1), (6, 7), (7, 8), (2, 20)])
def test_entries_out_of_place_are_named(victim: Victim, index: int, other: int) -> None:
    assert victim.verified(swap(index, other)).first_bad == index


@pytest.mark.parametrize("size", [0, 1, 8, 20])
@pytest.mark.parametrize("nodes", [False, True])
def test_a_cut_tail_is_named(victim: Victim, size: int, nodes: bool) -> None:
    report = victim.verified(truncate(size, nodes=nodes))
    assert report.first_bad == size
    assert "missing" in report.findings[0]


def cut_back(size: int) -> Tamper:
    """The whole store is as it was at ``size``: an old backup."""

    def tamper(connection: sqlite3.Connection) -> None:
        truncate(size, nodes=True)(connection)
        connection.execute("DELETE FROM audit_checkpoint WHERE size > ?", (size,))

    return tamper


def test_an_old_backup_is_found_by_what_others_hold(victim: Victim) -> None:
    assert victim.verified(cut_back(12)).ok, "nothing inside can tell"
    report = victim.verified(held=(victim.notes[14],))
    assert report.first_bad == 12
    assert "covers 15 entries" in report.findings[0]


def test_history_rewritten_with_the_key_is_found_by_what_others_hold(victim: Victim) -> None:
    def rewrite(connection: sqlite3.Connection) -> None:
        alter_with_tree(5)(connection)
        edge: list[bytes] = []
        for size, (hashed,) in enumerate(
            connection.execute("SELECT leaf_hash FROM audit_entry ORDER BY idx")
        ):
            append(edge, size, hashed)
            note = Checkpoint(ORIGIN, size + 1, root_from_edge(edge)).sign([NoteSigner(ORIGIN, LOG_KEY)])
            connection.execute("UPDATE audit_checkpoint SET note = ? WHERE size = ?", (note, size + 1))

    assert victim.verified(rewrite).ok, "nothing inside can tell"
    report = victim.verified(held=(victim.notes[2], victim.notes[8]))
    assert not report.ok
    assert report.first_bad is not None
    assert report.first_bad <= 5
    report = victim.verified(held=(victim.notes[4], victim.notes[5]))
    assert report.first_bad == 5


STRANGER = NoteSigner(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"\x08" * 32))


@pytest.mark.parametrize(
    ("tamper", "text"),
    [
        (
            sql("UPDATE audit_node SET hash = zeroblob(32) WHERE position = 4"),
            "the entries below it are intact",
        ),
        (sql("DELETE FROM audit_node WHERE position = 4"), "is missing"),
        (sql("UPDATE audit_tree SET root = zeroblob(32)"), "head of the tree"),
        (sql("UPDATE audit_tree SET edge = zeroblob(96)"), "head of the tree"),
        (sql("DELETE FROM audit_checkpoint WHERE size = 21"), "checkpoint of size 21 is missing"),
        (
            sql(
                "UPDATE audit_checkpoint SET note = replace(note, char(10) || '9', char(10) || '8') WHERE size = 9"
            ),
            "size 9 is not acceptable",
        ),
        (sql("UPDATE audit_checkpoint SET note = x'00' WHERE size = 9"), "size 9 is not acceptable"),
        (
            sql("UPDATE audit_checkpoint SET note = note || char(10) WHERE size = 9"),
            "size 9 is not acceptable",
        ),
        (
            sql(
                "UPDATE audit_checkpoint SET note = (SELECT note FROM audit_checkpoint WHERE size = 3) WHERE size = 9"
            ),
            "size 9 is not acceptable: it is of another size",
        ),
    ],
)
def test_other_rows_are_held_against_the_entries(victim: Victim, tamper: Tamper, text: str) -> None:
    report = victim.verified(tamper)
    assert not report.ok
    assert report.first_bad is None
    assert text in " ".join(report.findings)


@pytest.mark.parametrize(
    "change",
    [
        "exchange_id = zeroblob(16)",
        "exchange_id = x''",
        "logged_at = logged_at + 1",
        "logged_at = 'noon'",
        "leaf = CAST(leaf AS TEXT)",
        "leaf_hash = CAST(leaf AS TEXT)",
        "exchange_id = 'x'",
        "leaf = NULL",
    ],
)
def test_columns_beside_the_leaf_count(victim: Victim, change: str) -> None:
    def tamper(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '') WHERE name = 'audit_entry'"
        )
        connection.commit()
        connection.execute("PRAGMA writable_schema = RESET")
        connection.execute(f"UPDATE audit_entry SET {change} WHERE idx = 6")

    assert victim.verified(tamper).first_bad == 6


def test_entries_outside_the_tree_are_named(victim: Victim) -> None:
    copy = "INSERT INTO audit_entry SELECT {}, leaf, leaf_hash, exchange_id, peer, logged_at FROM audit_entry WHERE idx = 0"
    assert victim.verified(sql(copy.format(30))).first_bad == 30
    assert victim.verified(sql(copy.format(-7))).first_bad == -7


def test_held_checkpoints_are_checked_themselves(victim: Victim) -> None:
    forged = Checkpoint(ORIGIN, 5, bytes(32)).sign([STRANGER])
    assert "not acceptable" in victim.verified(held=(forged,)).findings[0]
    forked = Checkpoint(ORIGIN, 5, bytes(32)).sign([NoteSigner(ORIGIN, LOG_KEY)])
    assert "forked" in victim.verified(held=(victim.notes[4], forked)).findings[0]


def test_progress_is_told(victim: Victim) -> None:
    told: list[tuple[int, int]] = []
    verify_log(victim.engine, VKEY, progress=lambda done, total, _verified: told.append((done, total)))
    assert told[-1] == (ENTRIES, ENTRIES)


@pytest.mark.parametrize(
    "tamper",
    [
        alter(20),
        alter_with_hash(0),
        alter_with_tree(13),
        delete(7),
        swap(3, 4),
        truncate(20),
        truncate(20, nodes=True),
        sql("UPDATE audit_tree SET root = zeroblob(32)"),
        sql("UPDATE audit_tree SET size = 20"),
        sql("UPDATE audit_tree SET edge = 'text'"),
        sql("UPDATE audit_tree SET size = 'many'"),
        sql("DELETE FROM audit_tree"),
        sql("DELETE FROM audit_checkpoint"),
        sql("DELETE FROM audit_checkpoint WHERE size = 21"),
        sql("INSERT INTO audit_entry SELECT 21, leaf, leaf_hash, x'', '', 0 FROM audit_entry WHERE idx = 0"),
        sql("UPDATE audit_entry SET leaf = 'text' WHERE idx = 5"),
    ],
)
def test_an_altered_log_does_not_open(victim: Victim, tamper: Tamper) -> None:
    with as_attacker(victim.path) as connection:
        tamper(connection)
    connection.close()
    with pytest.raises(AuditLogError):
        victim.opened()


def test_only_the_tail_is_hashed_at_a_start(tmp_path: Path) -> None:
    """1,200 entries: a start reads the last 1,000 and the nodes before them."""
    path = tmp_path / "node.db"
    engine = sqlite_at(path)
    log = new_log(engine)
    for _ in range(30):
        log._commit([log_item() for _ in range(40)])
    assert log.size == 1200
    log.close()
    open_log(engine).close()
    engine.dispose()
    with as_attacker(path) as connection:
        connection.execute("DELETE FROM audit_node WHERE position = ?", (node_position(7, 0),))
    connection.close()
    with pytest.raises(AuditLogError, match="node 0 of level 7 is missing"):
        open_log(engine)
    engine.dispose()


def log_item():
    return PendingEntry(answered(), None, None)


def test_of_very_many_signatures_a_sample_is_verified_and_the_last_one_always(
    victim: Victim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "SIGNATURES_MAX", 5)
    report = victim.verified()
    assert (report.ok, report.checkpoints) == (True, ENTRIES)
    assert 1 <= report.signatures <= ENTRIES
    assert verify_log(victim.engine, VKEY, every_signature=True).signatures == ENTRIES
    forged = Checkpoint(ORIGIN, ENTRIES, bytes(32)).sign([NoteSigner(ORIGIN, Ed25519PrivateKey.generate())])
    last = (forged, ENTRIES)
    report = victim.verified(lambda c: c.execute("UPDATE audit_checkpoint SET note = ? WHERE size = ?", last))
    assert not report.ok


@pytest.mark.parametrize("size", [1, 5, ENTRIES - 1])
def test_a_root_is_held_against_the_tree_whether_its_signature_is_sampled_or_not(
    victim: Victim, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(verify, "SIGNATURES_MAX", 1)
    note = victim.notes[size - 1].split("\n")
    note[2] = victim.notes[size].split("\n")[2]
    altered = ("\n".join(note), size)
    report = victim.verified(
        lambda c: c.execute("UPDATE audit_checkpoint SET note = ? WHERE size = ?", altered)
    )
    assert not report.ok
    assert f"the checkpoint of size {size} is not acceptable" in report.findings[0]


def test_when_a_sample_shows_something_wrong_everything_is_verified(
    victim: Victim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "SIGNATURES_MAX", 1)
    report = victim.verified(alter(3))
    assert (report.first_bad, report.signatures) == (3, ENTRIES)
