"""A running node brings its registry up to a changed scheme, in the background.

Answers do not wait for it: a record of another version is translated when it is asked for, by the scheme
of that exchange. This only makes that unnecessary again.
"""

from __future__ import annotations

import threading
from functools import partial

from gateway.clock import monotonic_s
from gateway.errors import StorageError
from gateway.node.assemble import Node
from gateway.records.retranslating import Progress, count_outdated, retranslate
from gateway.telemetry.events import logger

POLL_S = 2.0
"""How soon a changed scheme is noticed, and how soon a busy database is tried again."""
REST_S = 0.02
"""Between two transactions, so that answers come first."""
REPORT_S = 10.0
"""Between two log lines of one run."""

_log = logger("retranslate")


class Retranslator(threading.Thread):
    """Keeps the records of one node at its present scheme."""

    def __init__(self, node: Node, poll_s: float = POLL_S) -> None:
        super().__init__(name="retranslate", daemon=True)
        self._node = node
        self._poll_s = poll_s
        self._ended = threading.Event()
        self._finished = b""
        """Digest of the scheme for which there is nothing left to do."""
        self._reported_at = 0.0

    def run(self) -> None:
        """Work until stopped."""
        while not self._ended.is_set():
            self.catch_up()
            self._ended.wait(self._poll_s)

    def stop(self) -> None:
        """End the thread after the transaction that it is in."""
        self._ended.set()
        self.join(timeout=5)

    def catch_up(self) -> None:
        """Translate what is outdated, unless that was done for the present scheme already."""
        snapshot = self._node.snapshot
        digest = snapshot.scheme.reference.digest
        if digest == self._finished or not self._node.upkeep.is_held():
            return
        try:
            outdated = count_outdated(self._node.registry, snapshot.scheme)
            self._node.metrics.records_outdated.set(outdated)
            if not outdated:
                self._finished = digest
                return
            _log.info("translating records again", scheme=snapshot.scheme.reference.version, records=outdated)
            result = retranslate(
                self._node.registry,
                snapshot.scheme,
                snapshot.node_id,
                partial(self._goes_on, digest),
                partial(self._show, outdated),
            )
        except StorageError as error:
            _log.warning("records cannot be translated again now; tried again", problem=str(error))
            return
        if not result.is_complete:
            return
        self._finished = digest
        self._node.metrics.records_outdated.set(result.unfit)
        if result.unfit:
            _log.error(
                "records do not fit the scheme",
                records=result.unfit,
                reasons=[f"{reason} ({count})" for reason, count in result.reasons.most_common(5)],
            )
        _log.info("records translated again", scheme=snapshot.scheme.reference.version, records=result.done)

    def _goes_on(self, digest: bytes) -> bool:
        """Whether the run is still for the present scheme; rests a moment first."""
        is_ended = self._ended.wait(REST_S)
        return not is_ended and self._node.snapshot.scheme.reference.digest == digest

    def _show(self, outdated: int, progress: Progress) -> None:
        left = max(0, outdated - progress.done)
        self._node.metrics.records_outdated.set(left)
        if monotonic_s() - self._reported_at >= REPORT_S:
            self._reported_at = monotonic_s()
            _log.info("translating records again", done=progress.done, left=left, unfit=progress.unfit)
