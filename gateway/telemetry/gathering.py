"""One metrics page for the workers of a node: each sample of each worker's own page, with its slot.

Counters of different processes are not added up here: when one of them starts again its counters
begin at 0, and only Prometheus, which sees each of them, can tell that from a loss.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

PAGE_S = 2.0
"""How long a worker may take to show its page, seconds; without it the others are shown."""


class WorkerPages(Collector):
    """Collects the pages of the workers that serve now; ``ports`` gives the port of each slot."""

    def __init__(self, ports: Callable[[], Mapping[int, int]]) -> None:
        self._ports = ports

    def collect(self) -> Iterable[Metric]:
        """Yield each metric once, with the samples of all workers."""
        merged: dict[str, Metric] = {}
        for slot, port in sorted(self._ports().items()):
            for metric in _page_of(port):
                whole = merged.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
                for sample in metric.samples:
                    whole.samples.append(sample._replace(labels={**sample.labels, "worker": str(slot)}))
        yield from merged.values()


class SupervisorMetrics:
    """What the supervisor itself counts, beside its workers' pages."""

    def __init__(self, ports: Callable[[], Mapping[int, int]], workers: int) -> None:
        self.registry = CollectorRegistry()
        Gauge(
            "credit_gateway_workers_wanted", "Workers that this node should have.", registry=self.registry
        ).set(workers)
        Gauge("credit_gateway_workers", "Workers that serve now.", registry=self.registry).set_function(
            lambda: len(ports())
        )
        self.restarts = Counter(
            "credit_gateway_worker_restarts_total",
            "Workers that ended by themselves and were started again.",
            ("worker",),
            registry=self.registry,
        )
        self.registry.register(WorkerPages(ports))


def _page_of(port: int) -> Iterable[Metric]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PAGE_S) as page:
            return list(text_string_to_metric_families(page.read().decode()))
    except (OSError, ValueError):
        return []  # it ended a moment ago
