"""What is kept about consents, on every engine."""

import pytest

from gateway.storage import consent_rows
from gateway.storage.consent_rows import EVERY_NODE, IssuedRow, RevokedRow
from gateway.storage.engine import reading, writing
from gateway.storage.migrate import upgrade
from gateway.storage.node_tables import Database

A, B, C = (bytes([n]) * 16 for n in (1, 2, 3))


@pytest.fixture
def store(engine: Database) -> Database:
    upgrade(engine, "node")
    with writing(engine) as connection:
        for consent_id, revoked_at in ((B, 10), (A, 10), (C, 20)):
            assert consent_rows.insert_revoked(connection, RevokedRow("me", consent_id, revoked_at, 100))
        consent_rows.queue_revocation(connection, A, ["x", "y"], "")
        consent_rows.queue_revocation(connection, B, ["x"], "")
        consent_rows.queue_revocation(connection, C, ["x"], EVERY_NODE)
    return engine


def page(store: Database, peer: str, after: tuple[int, bytes] = (0, b""), now_ms: int = 50) -> list[bytes]:
    with reading(store) as connection:
        rows = consent_rows.read_revocations_for(connection, "me", peer, after, now_ms, 10)
    return [row.consent_id for row in rows]


def test_pages_follow_time_and_id_and_hold_what_concerns_the_peer(store: Database) -> None:
    assert page(store, "x") == [A, B, C]
    assert page(store, "x", (10, b"")) == [A, B, C]
    assert page(store, "x", (10, A)) == [B, C]
    assert page(store, "x", (11, b"")) == [C]
    assert page(store, "y") == [A, C]
    assert page(store, "z") == [C]  # every node may answer, also one that came later
    assert page(store, "x", now_ms=100) == []


def test_what_a_peer_has_confirmed_is_not_told_again(store: Database) -> None:
    with writing(store) as connection:
        consent_rows.mark_revocation_delivered(connection, A, "x", 30)
    with reading(store) as connection:
        pending = {
            peer: [r.consent_id for r in consent_rows.read_pending_revocations(connection, "me", peer, 50, 9)]
            for peer in ("x", "y", EVERY_NODE[:0])
        }
        assert pending == {"x": [B, C], "y": [A], "": []}
        assert consent_rows.count_pending_revocations(connection, "me", 50) == 3
        assert consent_rows.count_pending_revocations(connection, "me", 100) == 0


def test_one_issuers_revocation_is_not_anothers(store: Database) -> None:
    with writing(store) as connection:
        assert not consent_rows.insert_revoked(connection, RevokedRow("me", A, 99, 999))
        assert consent_rows.insert_revoked(connection, RevokedRow("you", A, 10, 1000))
    with reading(store) as connection:
        assert consent_rows.is_revoked(connection, "you", A)
        assert not consent_rows.is_revoked(connection, "you", B)
        assert consent_rows.count_revoked_by(connection, "you") == 1


def test_what_has_ended_is_forgotten(store: Database) -> None:
    with writing(store) as connection:
        consent_rows.insert_revoked(connection, RevokedRow("you", A, 10, 1000))
        consent_rows.delete_expired_revocations(connection, 500)
    with reading(store) as connection:
        assert not consent_rows.is_revoked(connection, "me", A)
        assert consent_rows.is_revoked(connection, "you", A)
        assert consent_rows.count_pending_revocations(connection, "me", 0) == 0


def test_issued_consents_are_listed_by_time(store: Database) -> None:
    rows = [IssuedRow(B, 5, 100), IssuedRow(A, 7, 100)]
    with writing(store) as connection:
        for row in reversed(rows):
            consent_rows.insert_issued(connection, row)
    with reading(store) as connection:
        assert consent_rows.list_issued(connection) == rows
