"""Whether a peer is worth asking now: a circuit breaker a peer, and how long its answers take.

After three calls in a row that got nothing, the peer is left alone: a second at first, twice as long after
each further failure, at most two minutes. While that lasts, asking it fails at once. Then one call tries
(*half-open*): its success clears everything, its failure begins a longer rest. Any proof that the peer lives
clears it too: an answer to whatever call, a call of its own, or the operator's command.

A handful of known peers is not the open internet: the rest is short, it is visible, and it ends by itself.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.clock import monotonic_s

FAILURES_TO_OPEN = 3
REST_S_MIN = 1.0
REST_S_MAX = 120.0
JITTER = 0.2
"""A rest is shortened by up to this share, so that nodes that lost a peer together come back apart."""
LATENCIES_KEPT = 128
LATENCIES_NEEDED = 20
"""With fewer answers than this, nothing is said about how long a peer takes."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """The state of one peer. Immutable; instants are seconds on a steady clock."""

    failures: int = 0
    """Calls in a row that got nothing."""
    open_until_s: float = 0.0
    rest_s: float = 0.0
    """Length of the present or last rest, before jitter; 0 = there was none since the last success."""
    probe_until_s: float = 0.0
    """Until then one call is trying alone; 0 = none is."""

    def is_open(self, now_s: float) -> bool:
        """Whether the peer is being left alone."""
        return now_s < self.open_until_s

    def begin(self, now_s: float, call_s: float) -> Breaker | None:
        """Return the state in which a call of at most ``call_s`` seconds runs; ``None`` if none may now."""
        if self.is_open(now_s) or now_s < self.probe_until_s:
            return None
        if not self.rest_s:
            return self
        return Breaker(self.failures, self.open_until_s, self.rest_s, now_s + call_s)

    def failed(self, now_s: float, chance: float) -> Breaker:
        """Return the state after a call that got nothing; ``chance`` from 0 to 1 sets the jitter."""
        failures = self.failures + 1
        if failures < FAILURES_TO_OPEN:
            return Breaker(failures)
        if self.is_open(now_s):
            return self  # a call that began before the rest says nothing new
        rest_s = min(max(REST_S_MIN, 2 * self.rest_s), REST_S_MAX)
        return Breaker(failures, now_s + rest_s * (1 - JITTER * chance), rest_s)

    def wait_s(self, now_s: float) -> float:
        """How long it takes until a call may try, seconds; 0 = now."""
        return max(0.0, self.open_until_s - now_s, self.probe_until_s - now_s)


CLOSED = Breaker()


@dataclass
class Reaches:
    """The breakers and latencies of all peers of one node, by node id; shared by all threads."""

    now_s: Callable[[], float] = monotonic_s
    chance: Callable[[], float] = random.random
    _breakers: dict[str, Breaker] = field(default_factory=dict)
    _latencies_s: dict[str, deque[float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, node_id: str, call_s: float) -> float:
        """Ask leave for a call of at most ``call_s`` seconds; return 0, or for how many seconds to wait."""
        with self._lock:
            now_s, known = self.now_s(), self._breakers.get(node_id, CLOSED)
            begun = known.begin(now_s, call_s)
            if begun is None:
                return known.wait_s(now_s)
            if begun is not known:
                self._breakers[node_id] = begun
            return 0.0

    def failed(self, node_id: str) -> None:
        """A call got no answer at all."""
        with self._lock:
            known = self._breakers.get(node_id, CLOSED)
            self._breakers[node_id] = known.failed(self.now_s(), self.chance())

    def heard_from(self, node_id: str, latency_s: float | None = None) -> None:
        """The peer lives. ``latency_s`` is how long it took to answer a query, if that is how it showed."""
        if latency_s is None and node_id not in self._breakers:
            return
        with self._lock:
            self._breakers.pop(node_id, None)
            if latency_s is not None:
                kept = self._latencies_s.setdefault(node_id, deque(maxlen=LATENCIES_KEPT))
                kept.append(latency_s)

    def rest_s(self, node_id: str) -> float:
        """How long the peer is still left alone, seconds; 0 = it may be asked."""
        with self._lock:
            return self._breakers.get(node_id, CLOSED).wait_s(self.now_s())

    def failures(self, node_id: str) -> int:
        """How many calls in a row got nothing."""
        with self._lock:
            return self._breakers.get(node_id, CLOSED).failures

    def slow_s(self, node_id: str) -> float | None:
        """The 95th percentile of the peer's last answers, seconds; ``None`` while too few came."""
        with self._lock:
            kept = sorted(self._latencies_s.get(node_id, ()))
        return kept[int(0.95 * (len(kept) - 1))] if len(kept) >= LATENCIES_NEEDED else None
