"""The audit log of a node as commands read it: beside the running node, or without one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.audit.merkle import SIZE_MAX
from gateway.cli.output import folder_at
from gateway.errors import AuditLogError
from gateway.node.config import NodeConfig, load_config
from gateway.node.folder import NodeFolder, load_signing_key, passphrase_of
from gateway.node.key_slots import load_slot
from gateway.node.rotation_plan import read_plan
from gateway.signing.signed_note import NoteVerifier
from gateway.storage import audit_rows
from gateway.storage.engine import open_engine
from gateway.storage.migrate import require_current
from gateway.storage.node_tables import Database, Transaction

EXCHANGE_DIGITS = 16
"""How much of an exchange id people are shown; JSON has all of it.

Twelve are its milliseconds, which the exchanges of one question to several peers have in common; the
others tell them apart.
"""


@dataclass(frozen=True)
class AuditStore:
    """The database of a node and what verifies its log."""

    folder: NodeFolder
    config: NodeConfig
    engine: Database
    verifier: NoteVerifier
    further: tuple[NoteVerifier, ...] = ()
    """Keys that sign beside it while the log's key is being replaced."""
    past: tuple[tuple[int, NoteVerifier], ...] = ()
    """Keys that are retired, each with the largest size of the log that it may have signed."""

    @property
    def verifiers(self) -> tuple[NoteVerifier, ...]:
        """Every key that signs the log's checkpoints now."""
        return (self.verifier, *self.further)

    @property
    def other_keys(self) -> tuple[tuple[int, NoteVerifier], ...]:
        """The keys beside ``verifier``, each with the largest size that it may have signed."""
        return (*((SIZE_MAX, verifier) for verifier in self.further), *self.past)

    def log_size(self, connection: Transaction) -> int:
        """Return the number of entries.

        Raises:
            AuditLogError: the database holds no log of the name that node.toml states.
        """
        tree = audit_rows.read_tree(connection, self.config.audit.origin)
        if tree is None:
            raise AuditLogError(
                f"the database holds no audit log {self.config.audit.origin!r}.",
                remedy="Check [audit] origin in node.toml.",
            )
        return tree.size


@contextmanager
def audit_store(node: Path) -> Iterator[AuditStore]:
    """Yield the node's audit log for reading.

    Raises:
        OperatorError: the folder, its keys or its database cannot be used.
    """
    folder = folder_at(node)
    config = load_config(folder.root)
    passphrase, plan, origin = passphrase_of(folder, config), read_plan(folder.keys), config.audit.origin
    slot = load_slot(
        "log", config.keys.log, plan, folder.keys, lambda place: load_signing_key(folder, place, passphrase)
    )
    further = [NoteVerifier(origin, slot.other.verifying.public)] if slot.other is not None else []
    past = [(key.size_max, NoteVerifier.from_vkey(key.verifier_key)) for key in plan.past_log_key]
    engine = open_engine(folder.database_url(config.database.url))
    try:
        require_current(engine, "node")
        verifier = NoteVerifier(origin, slot.active.verifying.public)
        yield AuditStore(folder, config, engine, verifier, tuple(further), tuple(past))
    finally:
        engine.dispose()
