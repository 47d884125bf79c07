"""Reads a node's own metrics page now and then, and says what happened since: the newest traffic.

The page is read over HTTP like Prometheus does, so several workers count as one node and whoever asks
holds nothing of the node's.
"""

from __future__ import annotations

import http.client
import threading
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from gateway.clock import monotonic_s
from gateway.errors import GatewayError

PAGE_S_MAX = 3.0
PAGE_BYTES_MAX = 8 * 1024 * 1024
EXCHANGES = "credit_gateway_exchanges_total"
DURATION = "credit_gateway_exchange_duration_seconds_bucket"
LOG_FAILURES = "credit_gateway_audit_log_failures_total"

Edge = tuple[str, str]
"""Direction (``asking`` or ``answering``) and peer."""


class MetricsUnreadableError(GatewayError):
    """The node's metrics page cannot be read."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the page said at one moment."""

    at_s: float
    """On the steady clock."""
    outcomes: Mapping[tuple[str, str, str], float]
    """Exchanges by direction, peer and outcome."""
    buckets: Mapping[tuple[str, str, float], float]
    """Exchanges by direction, peer and the longest that they took, seconds."""
    log_failures: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """What went over one edge in a span of time."""

    exchanges: int
    failed: int
    """Those that did not end with OK: refused, or without an answer."""
    per_minute: float
    median_s: float | None
    """``None`` when there was nothing to measure."""
    slow_s: float | None
    """The 95th percentile."""

    @property
    def failed_share(self) -> float:
        """Share of the exchanges that did not end with OK, from 0 to 1."""
        return self.failed / self.exchanges if self.exchanges else 0.0


def read_page(address: str) -> str:
    """Return the text of the metrics page at ``address``, host:port.

    Raises:
        MetricsUnreadableError: it does not answer.
    """
    host, port = address.rsplit(":", 1)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host.strip("[]"), host.strip("[]"))  # noqa: S104
    connection = http.client.HTTPConnection(host, int(port), timeout=PAGE_S_MAX)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read(PAGE_BYTES_MAX).decode()
    except (OSError, http.client.HTTPException, UnicodeDecodeError) as error:
        raise MetricsUnreadableError(
            f"the metrics page at {address} cannot be read.", remedy="Is the node running?"
        ) from error
    finally:
        connection.close()


def parse_page(text: str, at_s: float, methods: Collection[str]) -> Sample:
    """Return what the page says about exchanges by any of ``methods``.

    Raises:
        MetricsUnreadableError: it is no metrics page.
    """
    outcomes: dict[tuple[str, str, str], float] = {}
    buckets: dict[tuple[str, str, float], float] = {}
    failures = 0.0
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = sample.labels
                if sample.name == EXCHANGES and labels["method"] in methods:
                    key = (labels["direction"], labels["peer"], labels["outcome"])
                    outcomes[key] = outcomes.get(key, 0.0) + sample.value
                elif sample.name == DURATION:
                    buckets[labels["direction"], labels["peer"], float(labels["le"])] = sample.value
                elif sample.name == LOG_FAILURES:
                    failures = sample.value
    except (ValueError, KeyError) as error:
        raise MetricsUnreadableError("what answers there is no metrics page.") from error
    return Sample(at_s, outcomes, buckets, failures)


class TrafficHistory:
    """The samples of the last minutes."""

    def __init__(self, span_s: float = 300.0) -> None:
        self._span_s = span_s
        self._samples: deque[Sample] = deque()
        self._lock = threading.Lock()

    def add(self, sample: Sample) -> None:
        """Add what was read just now, and forget what is older than the span."""
        with self._lock:
            if self._samples and _went_back(self._samples[-1], sample):
                before_s = self._samples[-1].at_s
                self._samples.clear()  # the node was started anew and counts from 0
                self._samples.append(Sample(before_s, {}, {}, 0.0))
            self._samples.append(sample)
            while len(self._samples) > 2 and sample.at_s - self._samples[1].at_s >= self._span_s:
                self._samples.popleft()

    @property
    def span_s(self) -> float:
        """How long the time is over which :meth:`traffic` counts, seconds; 0 = there is nothing yet."""
        with self._lock:
            return self._samples[-1].at_s - self._samples[0].at_s if self._samples else 0.0

    @property
    def log_failures(self) -> int:
        """How often the audit log failed since the node started."""
        with self._lock:
            return int(self._samples[-1].log_failures) if self._samples else 0

    def traffic(self) -> dict[Edge, Traffic]:
        """Return what went over each edge within the span."""
        with self._lock:
            if len(self._samples) < 2:
                return {}
            first, last = self._samples[0], self._samples[-1]
        span_s = max(last.at_s - first.at_s, 1.0)
        counts: dict[Edge, list[float]] = {}
        for (direction, peer, outcome), value in last.outcomes.items():
            grown = value - first.outcomes.get((direction, peer, outcome), 0.0)
            count = counts.setdefault((direction, peer), [0.0, 0.0])
            count[0] += grown
            count[1] += 0.0 if outcome == "OK" else grown
        return {
            edge: Traffic(
                round(total),
                round(failed),
                total * 60 / span_s,
                _quantile(first, last, edge, 0.5),
                _quantile(first, last, edge, 0.95),
            )
            for edge, (total, failed) in counts.items()
        }


class Sampler(threading.Thread):
    """Reads the page of one node every few seconds, until stopped."""

    def __init__(
        self, address: str, methods: Collection[str], history: TrafficHistory, every_s: float = 5.0
    ) -> None:
        super().__init__(name="sampler", daemon=True)
        self._address = address
        self._methods = frozenset(methods)
        self._history = history
        self._every_s = every_s
        self._stopped = threading.Event()
        self.problem = ""
        """Why the last look failed; empty when it did not."""

    def run(self) -> None:
        """Go on until stopped."""
        while True:
            self.look()
            if self._stopped.wait(self._every_s):
                return

    def look(self) -> None:
        """Read the page now."""
        try:
            self._history.add(parse_page(read_page(self._address), monotonic_s(), self._methods))
            self.problem = ""
        except MetricsUnreadableError as error:
            self.problem = str(error)

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        if self.is_alive():
            self.join(timeout=PAGE_S_MAX + 1)


def _went_back(old: Sample, new: Sample) -> bool:
    return any(value > new.outcomes.get(key, 0.0) for key, value in old.outcomes.items())


def _quantile(first: Sample, last: Sample, edge: Edge, share: float) -> float | None:
    """Estimate a quantile from the histogram's growth, as Prometheus's ``histogram_quantile`` does."""
    grown = sorted(
        (limit, value - first.buckets.get((direction, peer, limit), 0.0))
        for (direction, peer, limit), value in last.buckets.items()
        if (direction, peer) == edge
    )
    if not grown or grown[-1][1] <= 0:
        return None
    wanted = share * grown[-1][1]
    below_s, below = 0.0, 0.0
    for limit_s, value in grown:
        if value >= wanted:
            if limit_s == float("inf"):
                return below_s
            return below_s + (limit_s - below_s) * (wanted - below) / max(value - below, 1e-9)
        below_s, below = limit_s, value
    return below_s
