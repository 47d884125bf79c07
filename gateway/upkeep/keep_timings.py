"""Stores the step times of recent exchanges, off the path of any exchange, and forgets old ones."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta

from gateway.audit import AuditLog
from gateway.clock import Clock, monotonic_s, unix_ms
from gateway.errors import GatewayError
from gateway.storage import timing_rows
from gateway.storage.node_tables import Transaction
from gateway.storage.timing_rows import TimingRow
from gateway.telemetry.events import logger
from gateway.telemetry.timings import Timing, Timings

EVERY_S = 1.0
STORED_AT_ONCE_MAX = 200
"""Of more exchanges in one second, those that were refused or slow are kept rather than the others."""
KEPT_MAX = 20_000
KEPT_DAYS = 7

_log = logger("timings")


class TimingKeeper(threading.Thread):
    """Writes what :class:`Timings` holds into the node's database once a second, until stopped."""

    def __init__(self, timings: Timings, log: AuditLog, clock: Clock) -> None:
        super().__init__(name="timings", daemon=True)
        self._timings = timings
        self._audit_log = log
        self._clock = clock
        self._stopped = threading.Event()

    def run(self) -> None:
        """Go on until stopped; times that cannot be stored are dropped."""
        while not self._stopped.wait(EVERY_S):
            self.store()

    def store(self) -> None:
        """Store what waits now."""
        taken = self._timings.take()
        if not taken:
            return
        rows = [self._row(timing) for timing in worth_keeping(taken)]
        oldest_ms = unix_ms(self._clock() - timedelta(days=KEPT_DAYS))

        def keep(transaction: Transaction) -> None:
            timing_rows.insert_timings(transaction, rows)
            timing_rows.prune_timings(transaction, count=KEPT_MAX, ended_before=oldest_ms)

        try:
            self._audit_log.transact(keep)
        except GatewayError as error:
            _log.warning("step times could not be kept", problem=str(error.__cause__ or error))

    def stop(self) -> None:
        """End the thread after a last look."""
        self._stopped.set()
        if self.is_alive():
            self.join(timeout=5)
        self.store()

    def _row(self, timing: Timing) -> TimingRow:
        ended = self._clock() - timedelta(seconds=monotonic_s() - timing.ended_s)
        steps = " ".join(f"{name}={round(seconds * 1_000_000)}" for name, seconds in timing.steps)
        return TimingRow(
            timing.exchange_id, timing.direction, unix_ms(ended), timing.peer, timing.outcome, steps
        )


def worth_keeping(timings: Sequence[Timing], count: int = STORED_AT_ONCE_MAX) -> list[Timing]:
    """Return at most ``count`` of ``timings``: refusals before answers, slow ones before fast ones."""
    if len(timings) <= count:
        return list(timings)
    return sorted(timings, key=lambda timing: (timing.outcome == "OK", -timing.total_s))[:count]
