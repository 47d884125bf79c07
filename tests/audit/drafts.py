"""Entries, evidence and logs for the tests of the audit log."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from creditexchange.v1.envelope_pb2 import Opening
from gateway.audit import AuditLog, EntryDraft, Evidence, SeenMessage
from gateway.storage.engine import open_engine
from gateway.storage.node_tables import Database

ORIGIN = "audit.shanghai.example/2026"
LOG_KEY = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
EVIDENCE_KEY = bytes(range(32))
NOW = datetime(2026, 9, 1, 8, 0, tzinfo=UTC)
METHOD = "/creditexchange.v1.RecordExchangeService/QueryRecords"


def at_noon() -> datetime:
    return NOW


def answered(**changes: object) -> EntryDraft:
    """An exchange as the answerer logs it."""
    facts: dict[str, object] = {
        "kind": "exchange",
        "role": "answerer",
        "asker": "zhejiang",
        "answerer": "shanghai",
        "exchange_id": secrets.token_bytes(16),
        "peer_seq": 7,
        "method": METHOD,
        "purpose": "employment",
        "outcome": "OK",
        "count": 2,
        "request_digest": secrets.token_bytes(32),
        "answer_digest": secrets.token_bytes(32),
    }
    return EntryDraft(**(facts | changes))  # type: ignore[arg-type]


def seen(message_id: bytes | None = None, seconds: float = 90) -> SeenMessage:
    return SeenMessage(message_id or secrets.token_bytes(16), NOW + timedelta(seconds=seconds))


def opening(item: bytes, item_type: str = "record") -> Opening:
    return Opening(item_type=item_type, key=secrets.token_bytes(32), item=item)


def evidence(token: bytes = b"t" * 32, **changes: object) -> Evidence:
    facts: dict[str, object] = {
        "request_message": b"signed request",
        "request_body": b"query body",
        "answer_body": b"answer body",
        "request_openings": [opening(token, "subject-token")],
        "answer_openings": [opening(b"record one"), opening(b"record two")],
        "subject_tokens": [token],
    }
    return Evidence(**(facts | changes))  # type: ignore[arg-type]


def sqlite_at(path: Path) -> Database:
    return open_engine(f"sqlite:///{path}")


def new_log(engine: Database, clock: Callable[[], datetime] = at_noon) -> AuditLog:
    AuditLog.create(engine, ORIGIN, clock=clock, born_with_keys=True)
    return open_log(engine, clock)


def open_log(engine: Database, clock: Callable[[], datetime] = at_noon) -> AuditLog:
    return AuditLog.open(engine, ORIGIN, LOG_KEY, clock, EVIDENCE_KEY)


def as_attacker(path: Path) -> sqlite3.Connection:
    """The database opened by somebody who may do everything; the triggers are gone."""
    connection = sqlite3.connect(path)
    triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for (name,) in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    return connection
