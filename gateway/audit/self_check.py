"""Verifies the log of an open store; the logic is in :mod:`gateway.audit.verify`, the SQL is not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gateway.audit.proofs import stored_edge
from gateway.audit.verify import Progress, StoredTree, VerifyReport, verify_stored_log
from gateway.errors import AuditLogError
from gateway.signing.signed_note import NoteVerifier
from gateway.storage import audit_rows
from gateway.storage.engine import reading
from gateway.storage.node_tables import Database, Transaction


def verify_log(
    engine: Database,
    verifier_key: str,
    *,
    held: Sequence[str] = (),
    start: int = 0,
    every_signature: bool = False,
    progress: Progress | None = None,
    other_keys: Sequence[tuple[int, NoteVerifier]] = (),
) -> VerifyReport:
    """Verify every byte of the log whose origin is the name of ``verifier_key`` (a vkey).

    The store may be appended to meanwhile. ``held`` are checkpoints that others kept; ``start``,
    ``every_signature``, ``progress`` and ``other_keys`` as in :func:`gateway.audit.verify.verify_stored_log`.

    Raises:
        NoteError: the verifier key is malformed.
        StorageError: the database cannot be read.
        AuditLogError: it holds no such log.
    """
    verifier = NoteVerifier.from_vkey(verifier_key)
    with reading(engine) as connection:
        source = _StoredLog(connection, verifier.name)
        return verify_stored_log(
            source,
            verifier,
            held=held,
            start=start,
            every_signature=every_signature,
            progress=progress,
            other_keys=other_keys,
        )


class _StoredLog:
    """The rows of one store, as :class:`gateway.audit.verify.LogSource`."""

    def __init__(self, connection: Transaction, origin: str) -> None:
        self._connection = connection
        self.origin = origin

    def tree(self) -> StoredTree:
        row = audit_rows.read_tree(self._connection, self.origin)
        if row is None:
            raise AuditLogError(
                f"the database holds no audit log {self.origin!r}.",
                remedy="Check [log] origin in node.toml.",
            )
        return StoredTree(row.size, row.root, row.edge)

    def closed_origins(self) -> Sequence[tuple[int, str]]:
        return audit_rows.read_closed_origins(self._connection)

    def entries(self, start: int, end: int) -> Iterator[Sequence[Any]]:
        return audit_rows.stream_entries(self._connection, start, end)

    def nodes(self, start: int, end: int) -> Iterator[Sequence[Any]]:
        return audit_rows.stream_nodes(self._connection, start, end)

    def edge(self, size: int) -> tuple[bytes, ...]:
        return stored_edge(self._connection, size)

    def checkpoint_count(self) -> int:
        return audit_rows.count_checkpoints(self._connection)

    def checkpoints(self, after: int) -> Iterator[tuple[int, str]]:
        return audit_rows.stream_checkpoints(self._connection, after)
