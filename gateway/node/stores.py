"""The stores of a node's folder, opened and closed: its registry of records, and its audit log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.audit import AuditLog
from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.node.config import NodeConfig
from gateway.node.folder import NodeFolder, NodeKeys
from gateway.records.registry import Registry
from gateway.storage.engine import open_engine
from gateway.storage.migrate import require_current
from gateway.storage.node_tables import Database


@contextmanager
def registry_of(folder: NodeFolder, config: NodeConfig) -> Iterator[Registry]:
    """Yield the node's registry and close its database afterwards. Raises ``StorageError``."""
    engine = open_engine(folder.database_url(config.database.records_url))
    try:
        require_current(engine, "records")
        registry = Registry(engine)
        try:
            yield registry
        finally:
            registry.close()
    finally:
        engine.dispose()


@contextmanager
def audit_log_of(
    folder: NodeFolder,
    config: NodeConfig,
    keys: NodeKeys,
    clock: Clock,
    failed: Callable[[GatewayError], None] = lambda _error: None,
) -> Iterator[AuditLog]:
    """Yield the node's audit log, open for appending, and close its database afterwards.

    ``failed`` is told each time the log could not be written or read.

    Raises:
        StorageError: the database cannot be used.
        AuditLogError: the log does not agree with itself.
    """
    engine = open_engine(folder.database_url(config.database.url))
    try:
        log = _open_log(engine, config, keys, clock, failed)
        try:
            yield log
        finally:
            log.close()
    finally:
        engine.dispose()


def _open_log(
    engine: Database,
    config: NodeConfig,
    keys: NodeKeys,
    clock: Clock,
    failed: Callable[[GatewayError], None],
) -> AuditLog:
    return AuditLog.open(
        engine,
        config.audit.origin,
        keys.log.private,
        clock,
        keys.evidence,
        previous_evidence_key=keys.previous_evidence,
        skew_s=config.exchange.skew_s,
        failed=failed,
        further_log_keys=[key.private for key in keys.log_keys[1:]],
        past_verifiers=keys.past_log_verifiers(config.audit.origin),
    )
