"""This node's own checkpoints together with what witnesses have signed under them."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.audit.checkpoint import size_of
from gateway.audit.log import AuditLog
from gateway.errors import AuditLogError
from gateway.signing.cosignature import CosignatureVerifier, cosignatures_of
from gateway.signing.signed_note import NoteError, NoteVerifier, parse_note
from gateway.storage import audit_rows, witness_rows
from gateway.storage.node_tables import Transaction
from gateway.storage.witness_rows import CosignatureRow


def cosigned_checkpoint(transaction: Transaction, note: str) -> str:
    """Return the own checkpoint ``note`` with the cosignatures that are stored for its size."""
    if not note:
        return ""
    return note + "".join(row.line for row in witness_rows.read_cosignatures(transaction, size_of(note)))


def best_cosigned_checkpoint(
    transaction: Transaction, size_min: int, verifiers: Sequence[NoteVerifier] = ()
) -> str:
    """Return the checkpoint of at least ``size_min`` entries that most witnesses cosigned.

    While none has, it is the newest; so it is when ``verifiers`` are given and none of them signed the
    other one: whoever knows the log's present key only could not verify that.

    Raises:
        AuditLogError: there is no checkpoint of that size or larger.
    """
    size = witness_rows.read_best_cosigned_size(transaction, size_min)
    found = audit_rows.read_checkpoint(transaction, size)  # the newest while no size is cosigned
    if found is None or found[0] < size_min:
        raise AuditLogError(f"the log has no checkpoint of {size_min} entries or more yet.")
    if verifiers and not is_signed_by(found[1], verifiers):
        found = audit_rows.read_checkpoint(transaction) or found
    return cosigned_checkpoint(transaction, found[1])


def is_signed_by(note: str, verifiers: Sequence[NoteVerifier]) -> bool:
    """Whether a line of the own checkpoint ``note`` is by one of ``verifiers``; not whether it verifies."""
    return any((verifier.name, verifier.key_id) in _lines(note) for verifier in verifiers)


def is_cosigned_by(note: str, verifiers: Sequence[CosignatureVerifier]) -> bool:
    """Whether a line under ``note`` is by one of the witness keys ``verifiers``; not whether it verifies."""
    return any((verifier.name, verifier.key_id) in _lines(note) for verifier in verifiers)


def _lines(note: str) -> set[tuple[str, bytes]]:
    return {(line.name, line.key_id) for line in parse_note(note).signatures}


def keep_cosignatures(log: AuditLog, note: str, lines: str, witness: Sequence[CosignatureVerifier]) -> int:
    """Store what ``witness`` signed under the own checkpoint ``note``; return the time it states, seconds.

    Raises:
        NoteError: no line is the witness's, or it does not verify.
    """
    found = cosignatures_of(note + lines, witness)
    if not found:
        raise NoteError("the witness's answer holds no line of its own.")
    row = CosignatureRow(found[0].name, size_of(note), found[0].time_s, found[0].line)
    log.transact(lambda transaction: witness_rows.put_cosignature(transaction, row))
    return row.time_s
