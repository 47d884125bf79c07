"""Rows of learning codes: those that this node issued, and those of others that it began to redeem.

Nothing here is personal: what a code permits, and whose it is, is an opening of the audit entry about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.storage.driver_sql import execute, fetch_all, fetch_one
from gateway.storage.node_tables import Transaction

_COLUMNS = (
    "code_id, secret_hash, entry_id, issued_at, expires_at, revoked_at, redeemed_at, redeemed_by, "
    "redemption, consent_id"
)


@dataclass(frozen=True, slots=True)
class CodeRow:
    """One code that this node issued. Times are milliseconds since 1970, 0 while it has not happened."""

    code_id: bytes
    secret_hash: bytes
    entry_id: bytes
    """``exchange_id`` of the audit entry that keeps the terms."""
    issued_at: int
    expires_at: int
    revoked_at: int = 0
    redeemed_at: int = 0
    redeemed_by: str = ""
    """Node id of who redeemed it."""
    redemption: bytes = b""
    """Digest over the exchange and the body by which it was redeemed: a retry has the same."""
    consent_id: bytes = b""
    """The consent that it became."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who wants to redeem a code, by which exchange, into which consent, when."""

    peer: str
    redemption: bytes
    consent_id: bytes
    now_ms: int


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """A redemption that this node began; whoever retries it sends the same exchange again."""

    code_hash: bytes
    exchange_id: bytes
    opening_key: bytes
    begun_at: int


def insert_code(transaction: Transaction, row: CodeRow) -> bool:
    """Keep a new code; return whether its id was free."""
    return (
        execute(
            transaction,
            f"INSERT INTO learning_code ({_COLUMNS}) "  # noqa: S608 - fixed names only
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                row.code_id,
                row.secret_hash,
                row.entry_id,
                row.issued_at,
                row.expires_at,
                row.revoked_at,
                row.redeemed_at,
                row.redeemed_by,
                row.redemption,
                row.consent_id,
            ),
        )
        == 1
    )


def find_code(transaction: Transaction, code_id: bytes) -> CodeRow | None:
    """Return the code of that id, whatever its state."""
    statement = f"SELECT {_COLUMNS} FROM learning_code WHERE code_id = ?"  # noqa: S608 - fixed names only
    row = fetch_one(transaction, statement, (code_id,))
    return None if row is None else _code(row)


def list_codes(transaction: Transaction) -> list[CodeRow]:
    """Return every code that is remembered, the newest first."""
    statement = f"SELECT {_COLUMNS} FROM learning_code ORDER BY issued_at DESC, code_id"  # noqa: S608
    return [_code(row) for row in fetch_all(transaction, statement)]


def claim_code(transaction: Transaction, code_id: bytes, claim: Claim) -> bool:
    """Mark the code as redeemed if it still can be; return whether this claim is the one.

    One statement: of two transactions at once, in whichever process, the second finds it taken.
    """
    changed = execute(
        transaction,
        "UPDATE learning_code SET redeemed_at = ?, redeemed_by = ?, redemption = ?, consent_id = ? "
        "WHERE code_id = ? AND redeemed_at = 0 AND revoked_at = 0 AND expires_at > ?",
        (claim.now_ms, claim.peer, claim.redemption, claim.consent_id, code_id, claim.now_ms),
    )
    return changed == 1


def revoke_code(transaction: Transaction, code_id: bytes, now_ms: int) -> bool:
    """Take back a code that was not redeemed; return whether it was live until now."""
    changed = execute(
        transaction,
        "UPDATE learning_code SET revoked_at = ? WHERE code_id = ? AND redeemed_at = 0 AND revoked_at = 0",
        (now_ms, code_id),
    )
    return changed == 1


def delete_codes(transaction: Transaction, before_ms: int) -> None:
    """Forget codes and attempts that ended, or began, before ``before_ms``."""
    execute(transaction, "DELETE FROM learning_code WHERE expires_at < ?", (before_ms,))
    execute(transaction, "DELETE FROM code_attempt WHERE begun_at < ?", (before_ms,))


def begin_attempt(transaction: Transaction, row: AttemptRow) -> AttemptRow:
    """Return the attempt that is open for this code, ``row`` itself when there was none."""
    execute(
        transaction,
        "INSERT INTO code_attempt (code_hash, exchange_id, opening_key, begun_at) "
        "VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (row.code_hash, row.exchange_id, row.opening_key, row.begun_at),
    )
    found = fetch_one(
        transaction,
        "SELECT exchange_id, opening_key, begun_at FROM code_attempt WHERE code_hash = ?",
        (row.code_hash,),
    )
    assert found is not None
    return AttemptRow(row.code_hash, bytes(found[0]), bytes(found[1]), found[2])


def end_attempt(transaction: Transaction, code_hash: bytes) -> None:
    """Forget an attempt: an answer or a refusal came."""
    execute(transaction, "DELETE FROM code_attempt WHERE code_hash = ?", (code_hash,))


def _code(row: Any) -> CodeRow:
    binary = {0, 1, 2, 8, 9}
    values: list[Any] = [bytes(value) if at in binary else value for at, value in enumerate(row)]
    return CodeRow(*values)
