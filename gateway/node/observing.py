"""Fills the metrics of a node's state: what is watched as it happens, and what is looked up now and then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from gateway.audit import AuditLog
from gateway.clock import Clock
from gateway.exchange.asking.askable import maintenance_of
from gateway.peers.card import Card
from gateway.peers.roster import Roster
from gateway.storage import audit_rows, reconcile_rows
from gateway.storage.engine import connections_of, size_bytes
from gateway.storage.node_tables import Database
from gateway.telemetry import tracing
from gateway.telemetry.metrics import Metrics


@dataclass
class Observing:
    """What is looked at, and where it is shown."""

    log: AuditLog
    records: Database
    clock: Clock
    metrics: Metrics
    _heard: dict[str, float] = field(default_factory=dict)
    """When each known peer was last heard from, seconds since 1970."""

    def watch(self, calls_at_once_max: int) -> None:
        """Have every gauge read, whenever it is asked for, what the node knows in memory."""
        state = self.metrics.state

        def committed(items: int, seconds: float) -> None:
            state.group_entries.observe(items)
            state.group_seconds.observe(seconds)
            tracing.note("commit", seconds, items=items)
            state.checkpoint_time.set(self.clock().timestamp())

        self.log.watch_commits(committed)
        state.group_waiting.set_function(lambda: self.log.groups_waiting)
        state.log_halted.set_function(lambda: float(self.log.halted is not None))
        state.calls_max.set(calls_at_once_max)
        for name, database in self._databases.items():
            for number, kind in enumerate(("in_use", "idle")):
                state.connections.labels(name, kind).set_function(_nth_count(database, number))

    def heard_from(self, node_id: str) -> None:
        """A peer gave a sign of life."""
        if node_id in self._heard:
            now_s = self.clock().timestamp()
            self._heard[node_id] = now_s
            self.metrics.state.peer_heard.labels(node_id).set(now_s)

    def last_heard_s(self, node_id: str) -> float:
        """When the peer was last heard from, or since when it is known; seconds since 1970."""
        return self._heard.get(node_id, 0.0)

    def describe(self, roster: Roster) -> None:
        """Set the gauges of the peers that are known now; those of others vanish."""
        state, now_s = self.metrics.state, self.clock().timestamp()
        state.config_loaded.set(now_s)
        for gone in self._heard.keys() - roster.peers.keys():
            state.clock_offset.remove(gone)
        asked = roster.active
        self._heard = {peer.node_id: self._heard.get(peer.node_id, now_s) for peer in asked}
        state.peer_heard.clear()
        state.in_maintenance.clear()
        for peer in asked:
            state.peer_heard.labels(peer.node_id).set(self._heard[peer.node_id])
            is_in_maintenance = partial(self._is_in_maintenance, peer.card)
            state.in_maintenance.labels(peer.node_id).set_function(is_in_maintenance)

    def refresh(self, roster: Roster) -> None:
        """Look up what changes slowly.

        Raises:
            StorageError: a database cannot be read.
        """
        metrics, state = self.metrics, self.metrics.state
        for name, database in self._databases.items():
            state.database_bytes.labels(name).set(size_bytes(database))
        with self.log.reading() as connection:
            tree = audit_rows.read_tree(connection, self.log.origin)
            if tree is not None and tree.size:
                state.checkpoint_time.set(tree.logged_at / 1000)
            for node_id in roster.peers:
                row = reconcile_rows.read_reconciliation(connection, node_id)
                if row is not None and row.done_at:
                    state.reconciled.labels(node_id).set(row.done_at / 1000)
                    findings = reconcile_rows.count_findings(connection, node_id)
                    metrics.reconcile_findings.labels(node_id).set(findings)

    @property
    def _databases(self) -> dict[str, Database]:
        return {"log": self.log.database, "records": self.records}

    def _is_in_maintenance(self, card: Card) -> float:
        return float(maintenance_of(card, self.clock()) is not None)


def _nth_count(database: Database, number: int) -> Callable[[], float]:
    return lambda: connections_of(database)[number]
