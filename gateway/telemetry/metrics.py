"""Every metric of a node: name, labels, meaning. Labels are closed lists or ids from the roster.

Whatever a caller sends can only choose among values that exist already; everything else counts
as ``unknown``. docs/operations.md lists every one; a test holds both equal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.registry import Collector

from gateway.telemetry.state import StateMetrics
from gateway.telemetry.timings import Timings

UNKNOWN = "unknown"
OTHER = "OTHER"

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

ANSWERING = "answering"
ASKING = "asking"

STEPS = ("open", "admit", "authorise", "find", "translate", "log", "seal", "refuse", "wait")
"""Steps of the answering side that are timed; ``count`` is the one that writes the times down.

``wait`` is what passed between them while others were worked for that are answered together."""


OWN_FAULTS = ("AUDIT_UNAVAILABLE", "SOURCE_UNAVAILABLE", "OVERLOADED", "ANSWER_TOO_LARGE", "INTERNAL")
"""Refusals that are this node's fault; deploy/prometheus counts them against its error budget."""


CALLS_WAITING_MAX = 200
"""Answered calls that wait to be counted, unless the page is read before."""


@dataclass(frozen=True, slots=True)
class AnsweredCall:
    """A call that was answered or refused, as metrics see it; every text is a label already."""

    peer: str
    method: str
    outcome: str
    records: int
    total_s: float
    steps: Sequence[tuple[str, float]]
    """Step and seconds."""
    clock_offset_s: float | None = None
    """How far the peer's clock was ahead, if the message was authentic."""


class _Waiting(Collector):
    """Stands first in the registry: whoever reads the page has everything counted before."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        self._metrics.count_waiting()
        return ()


class Metrics:
    """The metrics of one node, in a registry of their own."""

    def __init__(self, outcomes: Iterable[str], methods: Iterable[str]) -> None:
        self.registry = CollectorRegistry()
        self._outcomes = frozenset(outcomes)
        self._methods = frozenset(methods)
        self._peers: frozenset[str] = frozenset()
        self._waiting: deque[AnsweredCall] = deque()
        registry = self.registry
        registry.register(_Waiting(self))
        self.state = StateMetrics(registry)
        self.exchanges = Counter(
            "credit_gateway_exchanges_total",
            "Exchanges by direction, peer, method and outcome.",
            ("direction", "peer", "method", "outcome"),
            registry=registry,
        )
        self.latency = Histogram(
            "credit_gateway_exchange_duration_seconds",
            "From the request's arrival (or sending) to the sealed (or verified) answer.",
            ("direction", "peer"),
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.step_latency = Histogram(
            "credit_gateway_step_duration_seconds",
            "Time spent in one step of the answering side; `wait` is what passed between them while queries "
            "that came at once were answered together.",
            ("step",),
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.refusals = Counter(
            "credit_gateway_refusals_total",
            "Requests that this node refused, by reason.",
            ("peer", "reason"),
            registry=registry,
        )
        self.signature_failures = Counter(
            "credit_gateway_signature_failures_total",
            "Messages and answers whose signature did not verify or whose key is unknown.",
            ("direction", "peer"),
            registry=registry,
        )
        self.replays = Counter(
            "credit_gateway_replays_total",
            "Messages that were seen before.",
            ("peer",),
            registry=registry,
        )
        self.records = Counter(
            "credit_gateway_records_total",
            "Records sent (answering) and received (asking).",
            ("direction", "peer"),
            registry=registry,
        )
        self.retries = Counter(
            "credit_gateway_retries_total",
            "Queries that were asked again after a failure that may pass.",
            ("peer",),
            registry=registry,
        )
        self.hedges = Counter(
            "credit_gateway_hedges_total",
            "Second messages to peers that took longer than they usually do.",
            ("peer",),
            registry=registry,
        )
        self.left_alone = Gauge(
            "credit_gateway_peer_left_alone_seconds",
            "For how long each peer is still not asked, because it did not answer; 0 = it is asked.",
            ("peer",),
            registry=registry,
        )
        self.translation_failures = Counter(
            "credit_gateway_translation_failures_total",
            "Values that no rule of the scheme could translate, by what was lost.",
            ("direction", "loss"),
            registry=registry,
        )
        self.in_flight = Gauge(
            "credit_gateway_calls_in_flight", "Calls being answered now.", registry=registry
        )
        self.log_entries = Gauge(
            "credit_gateway_audit_log_entries", "Entries of the audit log.", registry=registry
        )
        self.log_failures = Counter(
            "credit_gateway_audit_log_failures_total",
            "Times that the audit log could not be written or read; nothing was answered then.",
            registry=registry,
        )
        self.log_conflicts = Gauge(
            "credit_gateway_log_conflicts",
            "Pairs of signed heads that contradict one another, of any log; above 0 somebody must look.",
            registry=registry,
        )
        self.cosigned = Gauge(
            "credit_gateway_cosigned_timestamp_seconds",
            "When each witness last cosigned this node's log, seconds since 1970.",
            ("witness",),
            registry=registry,
        )
        self.cosigned_size = Gauge(
            "credit_gateway_cosigned_entries",
            "Entries of this node's log that each witness has cosigned.",
            ("witness",),
            registry=registry,
        )
        self.reconcile_findings = Gauge(
            "credit_gateway_reconcile_findings",
            "Differences between this node's log and a peer's.",
            ("peer",),
            registry=registry,
        )
        self.notices_pending = Gauge(
            "credit_gateway_notices_pending",
            "Notices of erasures or of changed records that a peer has not confirmed yet.",
            ("kind",),
            registry=registry,
        )
        self.revocations_pending = Gauge(
            "credit_gateway_consent_revocations_pending",
            "Revoked consents of which a peer has not been told yet.",
            registry=registry,
        )
        self.source_failures = Counter(
            "credit_gateway_source_failures_total",
            "Look-ups that a SQL source of records refused, failed or did not answer in time.",
            ("source",),
            registry=registry,
        )
        self.records_held = Gauge(
            "credit_gateway_registry_records", "Records in the registry.", registry=registry
        )
        self.records_outdated = Gauge(
            "credit_gateway_registry_records_outdated",
            "Records of another version of the scheme that are still to be translated again.",
            registry=registry,
        )
        self.card_expiry = Gauge(
            "credit_gateway_card_expiry_timestamp_seconds",
            "When a card expires, seconds since 1970; the node's own and each peer's.",
            ("peer",),
            registry=registry,
        )
        self.certificate_expiry = Gauge(
            "credit_gateway_certificate_expiry_timestamp_seconds",
            "When a TLS certificate expires, seconds since 1970: own leaf, own CA, each peer's CA.",
            ("peer", "certificate"),
            registry=registry,
        )
        self.peer_cards = Counter(
            "credit_gateway_peer_cards_total",
            "Newer cards that peers sent: taken up (accepted), waiting for a person (pending), or refused.",
            ("peer", "outcome"),
            registry=registry,
        )
        self.rotations = Gauge(
            "credit_gateway_key_rotations",
            "Keys of this node that are being replaced, by role and phase (announced, switched).",
            ("role", "phase"),
            registry=registry,
        )
        self.reloads = Counter(
            "credit_gateway_reloads_total",
            "Changed configuration that was taken up (ok) or refused (refused, last good state kept).",
            ("outcome",),
            registry=registry,
        )
        self.build = Gauge(
            "credit_gateway_build_info", "Version of the program, value 1.", ("version",), registry=registry
        )
        self.timings = Timings()
        """Step times of single exchanges, on their way to the database; no metric."""
        self._answered: dict[tuple[str, str, str], tuple[Counter, Histogram, Counter]] = {}
        self._steps: dict[str, Histogram] = {}

    def know_peers(self, peers: Iterable[str]) -> None:
        """Set the node ids that may be label values, and begin at 0 what alerts look at.

        Prometheus sees no increase in a series that appears with its first event.
        """
        self._peers = frozenset(peers)
        for peer in (*self._peers, UNKNOWN):
            self.replays.labels(peer)
            self.refusals.labels(peer, self.outcome("INTERNAL"))
            for direction in (ANSWERING, ASKING):
                self.signature_failures.labels(direction, peer)
        for peer in self._peers:
            for outcome in ("OK", *OWN_FAULTS):
                self.exchanges.labels(ANSWERING, peer, "QueryRecords", self.outcome(outcome))
        for outcome in ("ok", "refused"):
            self.reloads.labels(outcome)

    def answered(self, call: AnsweredCall) -> None:
        """Count an answered call: soon, and before anybody reads the page.

        One call touches a dozen series: counted one right after another, calls find them in the processor's
        cache, which an exchange fills with something else.
        """
        self._waiting.append(call)
        if len(self._waiting) >= CALLS_WAITING_MAX:
            self.count_waiting()

    def count_waiting(self) -> None:
        """Count every call that waits."""
        while True:
            try:
                call = self._waiting.popleft()
            except IndexError:
                return
            self._count(call)

    def _count(self, call: AnsweredCall) -> None:
        exchanges, latency, records = self._series(call.peer, call.method, call.outcome)
        exchanges.inc()
        latency.observe(call.total_s)
        for step, seconds in call.steps:
            self._step(step).observe(seconds)
        if call.records:
            records.inc(call.records)
        if call.outcome != "OK":
            self.refusals.labels(call.peer, call.outcome).inc()
        if call.outcome == "REPLAYED_MESSAGE":
            self.replays.labels(call.peer).inc()
        if call.outcome in ("INVALID_SIGNATURE", "UNKNOWN_KEY"):
            self.signature_failures.labels(ANSWERING, call.peer).inc()
        if call.clock_offset_s is not None:
            self.state.clock_offset.labels(call.peer).set(call.clock_offset_s)

    def _series(self, peer: str, method: str, outcome: str) -> tuple[Counter, Histogram, Counter]:
        """Return exchanges, their latency, records; kept, as looking them up costs more than counting."""
        place = peer, method, outcome
        known = self._answered.get(place)
        if known is None:
            known = self._answered[place] = (
                self.exchanges.labels(ANSWERING, peer, method, outcome),
                self.latency.labels(ANSWERING, peer),
                self.records.labels(ANSWERING, peer),
            )
        return known

    def _step(self, step: str) -> Histogram:
        known = self._steps.get(step)
        if known is None:
            known = self._steps[step] = self.step_latency.labels(step)
        return known

    def peer(self, node_id: str) -> str:
        """Return ``node_id`` if the roster knows it, else ``unknown``."""
        return node_id if node_id in self._peers else UNKNOWN

    def outcome(self, outcome: str) -> str:
        """Return ``outcome`` if it is on the closed list, else ``OTHER``."""
        return outcome if outcome in self._outcomes else OTHER

    def method(self, method: str) -> str:
        """Return the method's last part if the table of methods lists it, else ``unknown``."""
        return method.rsplit("/", 1)[-1] if method in self._methods else UNKNOWN
