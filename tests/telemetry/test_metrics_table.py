"""The manual's table of metrics and the page that Prometheus reads say the same, both ways."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from gateway.node.assemble import OUTCOMES
from gateway.rpc.methods import METHODS
from gateway.telemetry.gathering import SupervisorMetrics
from gateway.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]
ROW = re.compile(
    r"^\| `([a-z_]+)` \| (counter|gauge|histogram) \| ([a-z, ]*) ?\| ([^|]+) \| ?([^|]*) ?\|$", re.MULTILINE
)


def table() -> dict[str, tuple[str, str, str]]:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    section = page.split("\n## Metrics\n", 1)[1].split("\n## ", 1)[0]
    rows = ROW.findall(section)
    assert len(rows) == section.count("\n| `"), "a row is malformed"
    return {name: (kind, labels.strip(), meaning) for name, kind, labels, meaning, _do in rows}


def exposed() -> dict[str, tuple[str, str, str]]:
    registry = Metrics(OUTCOMES, (m.name for m in METHODS)).registry
    found = {}
    supervisor = SupervisorMetrics(dict, 2).registry
    for collector in [*registry._collector_to_names, *supervisor._collector_to_names]:
        for family in collector.collect():
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = ", ".join(getattr(collector, "_labelnames", ()))
            found[name] = (family.type, labels, family.documentation)
    return found


def test_the_table_of_metrics_is_the_page() -> None:
    assert table() == exposed()


def test_names_follow_the_conventions() -> None:
    for name, (kind, labels, _meaning) in exposed().items():
        assert name.startswith(("credit_gateway_", "process_"))
        assert name.endswith("_total") == (kind == "counter"), name
        assert not re.search(r"_(ms|milliseconds|minutes|days|kib|percent)(_|$)", name), name
        assert not set(labels.split(", ")) & {"exchange", "exchange_id", "learner", "key_id", "error"}


def test_whatever_a_caller_sends_makes_no_new_series() -> None:
    metrics = Metrics(OUTCOMES, (m.name for m in METHODS))
    metrics.know_peers(["anhui"])
    for odd in ("evil", "anhui ", "ANHUI", "x" * 500, "990001199003071231"):
        metrics.exchanges.labels(
            "answering", metrics.peer(odd), metrics.method(odd), metrics.outcome(odd)
        ).inc()
    samples = {
        sample.labels["peer"] + sample.labels["method"] + sample.labels["outcome"]
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "credit_gateway_exchanges_total" and sample.value
    }
    assert samples == {"unknownunknownOTHER"}


def test_the_page_reads_back() -> None:
    from prometheus_client import generate_latest

    page = generate_latest(Metrics(OUTCOMES, ()).registry).decode()
    families = {family.name: family.type for family in text_string_to_metric_families(page)}
    one_process = {name for name in exposed() if "worker" not in name}
    assert {name.removesuffix("_total") for name in one_process} <= families.keys()
