"""So many calls within any period of a length, counted exactly and in constant time a call."""

from __future__ import annotations

from collections import deque
from threading import Lock

from gateway.clock import monotonic_s


class MovingWindow:
    """Remembers when each key was last taken, for one period; at most as many times as its limit allows."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._lock = Lock()
        self._taken: dict[str, deque[float]] = {}

    def take(self, key: str, limit: int) -> float:
        """Count one call and return 0; or count nothing and return when the next is free, seconds."""
        with self._lock:
            taken, now_s = self._recent(key)
            if len(taken) < limit:
                taken.append(now_s)
                return 0.0
            return taken[-limit] + self._period_s - now_s if limit > 0 else self._period_s

    def free_in_s(self, key: str, limit: int) -> float:
        """Return 0 when a call would be counted now, else when the next is free, seconds."""
        if key not in self._taken:
            return 0.0
        with self._lock:
            taken, now_s = self._recent(key)
            return 0.0 if len(taken) < limit else taken[-limit] + self._period_s - now_s

    def _recent(self, key: str) -> tuple[deque[float], float]:
        taken = self._taken.setdefault(key, deque())
        now_s = monotonic_s()
        while taken and taken[0] <= now_s - self._period_s:
            taken.popleft()
        return taken, now_s
