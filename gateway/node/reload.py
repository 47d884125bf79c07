"""A running node takes up what changes in its folder without a restart.

Files are polled by content: that survives network file systems and mounted secrets. A broken file is
reported once and the last good state is kept, as a whole. What of ``node.toml`` cannot change while the
node runs keeps its old value and is named.
"""

from __future__ import annotations

import threading
from hashlib import sha256
from typing import Any

from gateway.errors import GatewayError
from gateway.node.assemble import Node
from gateway.node.config import NodeConfig, load_config
from gateway.node.folder import NodeFolder
from gateway.node.state import load_state
from gateway.telemetry.events import configure, logger

POLL_S = 2.0

FIXED = (
    ("node", "id"),
    ("listen", None),
    ("database", None),
    ("audit", None),
    ("records", None),
    ("telemetry", None),
    ("limits", "threads"),
    ("limits", "message_bytes_max"),
    ("limits", "streams_per_connection_max"),
    ("limits", "connection_age_s_max"),
    ("limits", "connection_idle_s_max"),
)
"""Tables, or keys of tables, of node.toml that hold from a start to the next; all others follow the file."""

_log = logger("reload")


class Reloader(threading.Thread):
    """Watches the folder of one node."""

    def __init__(self, node: Node) -> None:
        super().__init__(name="reload", daemon=True)
        self._node = node
        self._wake = threading.Event()
        self._stopped = False
        self._one_at_a_time = threading.Lock()
        self._seen = folder_digest(node.folder)

    def run(self) -> None:
        """Poll until stopped."""
        while not self._stopped:
            self._wake.wait(POLL_S)
            self._wake.clear()
            if not self._stopped:
                self.reload_if_changed()

    def wake(self) -> None:
        """Look at once (SIGHUP)."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread."""
        self._stopped = True
        self._wake.set()
        self.join(timeout=5)

    def reload_if_changed(self) -> bool:
        """Take up what changed since the last look; returns whether anything was adopted."""
        with self._one_at_a_time:
            digest = folder_digest(self._node.folder)
            if digest == self._seen:
                return False
            self._seen = digest
            return self._reload()

    def _reload(self) -> bool:
        node = self._node
        try:
            config, fixed = merge(node.config, load_config(node.folder.root))
            before = node.card.serial
            node.take_up(load_state(node.folder, config, node.clock()))
        except GatewayError as error:
            node.metrics.reloads.labels("refused").inc()
            node.loaded.refused(str(error))
            _log.error("changed configuration refused, last good state kept", problem=str(error))
            return False
        configure(config.log.level)
        node.metrics.reloads.labels("ok").inc()
        node.loaded.took_up(is_whole=not fixed)
        _log.info(
            "changed configuration taken up",
            peers=sorted(node.snapshot.roster.peers),
            **({"card_serial": node.card.serial} if node.card.serial != before else {}),
        )
        if fixed:
            _log.warning("changes in node.toml that need a restart were left out", keys=fixed)
        return True


def merge(old: NodeConfig, new: NodeConfig) -> tuple[NodeConfig, list[str]]:
    """Return ``new`` with what only a start can change as it is in ``old``, and the names of that."""
    updates: dict[str, Any] = {}
    differing = []
    for table, key in FIXED:
        was, wanted = getattr(old, table), getattr(new, table)
        if key is None:
            if was != wanted:
                differing.append(table)
                updates[table] = was
        elif getattr(was, key) != getattr(wanted, key):
            differing.append(f"{table}.{key}")
            kept = updates.get(table, wanted)
            updates[table] = kept.model_copy(update={key: getattr(was, key)})
    return new.model_copy(update=updates), differing


def folder_digest(folder: NodeFolder) -> bytes:
    """Return a digest over the files that a running node follows."""
    digest = sha256()
    keys = (path for path in sorted(folder.keys.glob("*")) if path.suffix not in (".new", ".lock"))
    peers = sorted(folder.peers.glob("*.toml"))
    for path in (folder.config, folder.scheme, folder.access, *peers, *keys):
        try:
            content = path.read_bytes()
        except OSError:
            content = b"missing"
        digest.update(path.name.encode() + b"\x00" + sha256(content).digest())
    return digest.digest()
