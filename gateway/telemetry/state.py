"""Metrics of a node's state: its peers, its log's head, its databases, its limits.

They stand beside the counters of the traffic (:mod:`gateway.telemetry.metrics`) in one registry and
follow the same rule: labels are closed lists or ids from the roster. Gauges say how the values of
several worker processes make one.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

COMMIT_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
GROUP_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_000)

DATABASES = ("log", "records")
"""Label values of ``database``: the audit log with its evidence, and the registry of records."""


class StateMetrics:
    """What follows from state rather than from single calls."""

    def __init__(self, registry: CollectorRegistry) -> None:
        ProcessCollector(registry=registry)
        self.peer_heard = Gauge(
            "credit_gateway_peer_last_heard_timestamp_seconds",
            "When each peer last gave a sign of life, seconds since 1970; at first, since when it is known.",
            ("peer",),
            registry=registry,
            multiprocess_mode="max",
        )
        self.clock_offset = Gauge(
            "credit_gateway_peer_clock_offset_seconds",
            "By how much each peer's clock is ahead of this node's (below 0: behind), from its last message.",
            ("peer",),
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.in_maintenance = Gauge(
            "credit_gateway_peer_in_maintenance",
            "1 while the peer's card announces maintenance, else 0.",
            ("peer",),
            registry=registry,
            multiprocess_mode="max",
        )
        self.checkpoint_time = Gauge(
            "credit_gateway_checkpoint_timestamp_seconds",
            "When the newest checkpoint of this node's log was signed, seconds since 1970.",
            registry=registry,
            multiprocess_mode="max",
        )
        self.log_halted = Gauge(
            "credit_gateway_audit_log_halted",
            "1 when nothing is appended any more, because the log was rolled back or forked, else 0.",
            registry=registry,
            multiprocess_mode="max",
        )
        self.reconciled = Gauge(
            "credit_gateway_reconciled_timestamp_seconds",
            "When comparing this node's log with a peer's last reached both ends, seconds since 1970.",
            ("peer",),
            registry=registry,
            multiprocess_mode="max",
        )
        self.group_entries = Histogram(
            "credit_gateway_group_commit_entries",
            "Items that one transaction of the audit log made durable.",
            buckets=GROUP_BUCKETS,
            registry=registry,
        )
        self.group_seconds = Histogram(
            "credit_gateway_group_commit_duration_seconds",
            "How long one transaction of the audit log took.",
            buckets=COMMIT_BUCKETS_S,
            registry=registry,
        )
        self.group_waiting = Gauge(
            "credit_gateway_group_commit_waiting",
            "Callers that wait for the next transaction of the audit log.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.connections = Gauge(
            "credit_gateway_database_connections",
            "Connections of this node's pool to a database, by state.",
            ("database", "state"),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.database_bytes = Gauge(
            "credit_gateway_database_size_bytes",
            "Size of a database, bytes.",
            ("database",),
            registry=registry,
            multiprocess_mode="max",
        )
        self.calls_max = Gauge(
            "credit_gateway_calls_in_flight_limit",
            "Calls that may be answered at once; more are refused as OVERLOADED.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.bulk_in_flight = Gauge(
            "credit_gateway_bulk_answers_in_flight",
            "Answers in bulk that are being given now.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.config_loaded = Gauge(
            "credit_gateway_config_loaded_timestamp_seconds",
            "When the present peers, grants and scheme were taken up, seconds since 1970.",
            registry=registry,
            multiprocess_mode="max",
        )
        self.upkeep_failures = Counter(
            "credit_gateway_upkeep_failures_total",
            "Rounds of upkeep that failed: on this node's own state, or with its peers.",
            ("work",),
            registry=registry,
        )
