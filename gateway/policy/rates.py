"""How often a peer may call, and how many unproved messages a connection may send."""

from __future__ import annotations

import math

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from gateway.errors import RefusedError

FAILED_SIGNATURES_PER_10_S = 20
"""Messages that do not verify, per TLS identity: checking a signature costs more than sending one."""


class CallRates:
    """Counts calls per peer, per process. Keys are roster ids, so that their number is bounded."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._failures = RateLimitItemPerSecond(FAILED_SIGNATURES_PER_10_S, 10)

    def admit_call(self, peer: str, calls_per_second: int) -> None:
        """Count one call of ``peer``.

        Raises:
            RefusedError: ``RATE_EXCEEDED`` with the time after which to come back.
        """
        limit = RateLimitItemPerSecond(calls_per_second)
        if not self._limiter.hit(limit, "calls", peer):
            raise RefusedError(
                "RATE_EXCEEDED",
                f"more than {calls_per_second} calls a second.",
                details={"callsPerSecondMax": str(calls_per_second)},
                retry_after_s=1.0,
            )
        if not self._limiter.test(self._failures, "failures", peer):
            raise RefusedError(
                "RATE_EXCEEDED",
                "too many messages did not verify.",
                details={"callsPerSecondMax": str(calls_per_second)},
                retry_after_s=float(math.ceil(self._failures.get_expiry())),
            )

    def count_failure(self, peer: str) -> None:
        """Count one message over ``peer``'s connection whose signature did not verify."""
        self._limiter.hit(self._failures, "failures", peer)
