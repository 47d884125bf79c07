"""How often a peer may call, and how many unproved messages a connection may send."""

from __future__ import annotations

import math
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

from gateway.clock import monotonic_s
from gateway.errors import RefusedError, StorageError
from gateway.policy.moving_window import MovingWindow

FAILURES_PERIOD_S = 10.0
FAILED_SIGNATURES_PER_10_S = 20
"""Messages that do not verify, per TLS identity: checking a signature costs more than sending one."""
BLOCKS_PER_SECOND = 16
"""A process takes a peer's calls off the shared rate in blocks of this share of a second."""
BLOCK_S = 1.0
"""How long the rest of a block stays good, seconds."""


class SharedWindow(Protocol):
    """A rate that all processes of the node take from."""

    def take(self, name: str, limit: int, amount: int) -> float:
        """Take ``amount`` of ``limit`` calls a second; return 0, or when to try again, seconds.

        Raises:
            StorageError: it cannot be counted.
        """
        ...


@dataclass
class _Block:
    left: int = 0
    ends_s: float = 0.0


class CallRates:
    """Counts calls per peer. Keys are roster ids, so that their number is bounded.

    Where several processes serve the node, they share ``shared``: each takes a block of calls at a
    time, so that a call seldom costs a look at the database. While that cannot be reached, each process
    counts for itself; nothing could be answered then anyway. Failures are counted by each process.
    """

    def __init__(self, shared: SharedWindow | None = None) -> None:
        self._shared = shared
        self._calls = MovingWindow(1.0)
        self._failures = MovingWindow(FAILURES_PERIOD_S)
        self._lock = Lock()
        self._blocks: dict[str, _Block] = {}

    def admit_call(self, peer: str, calls_per_second: int) -> None:
        """Count one call of ``peer``.

        Raises:
            RefusedError: ``RATE_EXCEEDED`` with the time after which to come back.
        """
        wait_s = self._take(peer, calls_per_second)
        if wait_s:
            raise RefusedError(
                "RATE_EXCEEDED",
                f"more than {calls_per_second} calls a second.",
                details={"callsPerSecondMax": str(calls_per_second)},
                retry_after_s=wait_s,
            )
        wait_s = self._failures.free_in_s(peer, FAILED_SIGNATURES_PER_10_S)
        if wait_s:
            raise RefusedError(
                "RATE_EXCEEDED",
                "too many messages did not verify.",
                details={"callsPerSecondMax": str(calls_per_second)},
                retry_after_s=float(math.ceil(wait_s)),
            )

    def count_failure(self, peer: str) -> None:
        """Count one message over ``peer``'s connection whose signature did not verify."""
        self._failures.take(peer, FAILED_SIGNATURES_PER_10_S)

    def _take(self, peer: str, calls_per_second: int) -> float:
        """Take one call; return 0, or the seconds until the next one is free."""
        if self._shared is not None:
            try:
                return self._take_shared(self._shared, peer, calls_per_second)
            except StorageError:
                pass
        return self._calls.take(peer, calls_per_second)

    def _take_shared(self, shared: SharedWindow, peer: str, calls_per_second: int) -> float:
        with self._lock:
            block = self._blocks.setdefault(peer, _Block())
            if block.left and monotonic_s() < block.ends_s:
                block.left -= 1
                return 0.0
            size = max(1, calls_per_second // BLOCKS_PER_SECOND)
            for amount in dict.fromkeys((size, 1)):
                wait_s = shared.take(f"calls/{peer}", calls_per_second, amount)
                if not wait_s:
                    block.left, block.ends_s = amount - 1, monotonic_s() + BLOCK_S
                    return 0.0
            return wait_s
