"""The audit log of a node as commands read it: beside the running node, or without one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.cli.output import folder_at
from gateway.errors import AuditLogError
from gateway.node.config import NodeConfig, load_config
from gateway.node.folder import NodeFolder, load_signing_key, passphrase_of
from gateway.signing.signed_note import NoteSigner, NoteVerifier
from gateway.storage import audit_rows
from gateway.storage.engine import open_engine
from gateway.storage.migrate import require_current
from gateway.storage.node_tables import Database, Transaction


@dataclass(frozen=True)
class AuditStore:
    """The database of a node and what verifies its log."""

    folder: NodeFolder
    config: NodeConfig
    engine: Database
    verifier: NoteVerifier

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
    key = load_signing_key(folder, config.keys.log, passphrase_of(folder, config))
    engine = open_engine(folder.database_url(config.database.url))
    try:
        require_current(engine, "node")
        yield AuditStore(folder, config, engine, NoteSigner(config.audit.origin, key.private).verifier)
    finally:
        engine.dispose()
