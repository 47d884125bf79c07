"""A running node takes up changed peers, grants and scheme without a restart.

Files are polled by content: that survives network file systems and mounted secrets. A broken
file is reported once and the last good state is kept.
"""

from __future__ import annotations

import threading
from hashlib import sha256

from gateway.errors import OperatorError
from gateway.node.assemble import Node, load_policy
from gateway.node.folder import NodeFolder
from gateway.telemetry.events import logger

POLL_S = 2.0

_log = logger("reload")


class Reloader(threading.Thread):
    """Watches the folder of one node."""

    def __init__(self, node: Node) -> None:
        super().__init__(name="reload", daemon=True)
        self._node = node
        self._wake = threading.Event()
        self._stopped = False
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
        digest = folder_digest(self._node.folder)
        if digest == self._seen:
            return False
        self._seen = digest
        try:
            self._node.adopt(*load_policy(self._node.folder, self._node.config))
        except OperatorError as error:
            self._node.metrics.reloads.labels("refused").inc()
            _log.error("changed configuration refused, last good state kept", problem=str(error))
            return False
        self._node.metrics.reloads.labels("ok").inc()
        _log.info("changed configuration taken up", peers=sorted(self._node.snapshot.roster.peers))
        return True


def folder_digest(folder: NodeFolder) -> bytes:
    """Return a digest over the files that a running node follows."""
    digest = sha256()
    for path in (folder.scheme, folder.access, *sorted(folder.peers.glob("*.toml"))):
        try:
            content = path.read_bytes()
        except OSError:
            content = b"missing"
        digest.update(path.name.encode() + b"\x00" + sha256(content).digest())
    return digest.digest()
