"""What a node shows and the rules record, against what expressions of PromQL name."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from prometheus_client import CollectorRegistry

from gateway.node.assemble import OUTCOMES
from gateway.rpc.methods import METHODS
from gateway.telemetry.gathering import SupervisorMetrics
from gateway.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = sorted(PROMETHEUS.glob("*.rules.yml"))


def rules() -> list[dict]:
    return [
        rule
        for path in RULES
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]


RECORDED = {rule["record"] for rule in rules() if "record" in rule}


def series_of(registry: CollectorRegistry) -> dict[str, set[str]]:
    """Names of series as PromQL writes them, each with its labels."""
    found = {}
    for collector in registry._collector_to_names:
        for family in collector.collect():
            labels = set(getattr(collector, "_labelnames", ()))
            suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
            for suffix in suffixes.get(family.type, ("",)):
                found[family.name + suffix] = labels | ({"le"} if suffix == "_bucket" else set())
    return found


EXPOSED = series_of(Metrics(OUTCOMES, (m.name for m in METHODS)).registry)
SUPERVISOR = series_of(SupervisorMetrics(dict, 2).registry)
"""What a node with several workers shows beside them."""


def unknown_in(expression: str) -> set[str]:
    """Metrics and labels of a PromQL expression that no node shows."""
    bad = set()
    for name, selector in re.findall(
        r"\b([a-z_:]*(?:credit_gateway|process)_[a-z_:0-9]+)(?:\{([^}]*)\})?", expression
    ):
        if name in RECORDED:
            continue
        known = EXPOSED | SUPERVISOR
        if name not in known:
            bad.add(name)
            continue
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector):
            if label not in known[name] | {"instance", "job"}:
                bad.add(f"{name}{{{label}}}")
    return bad
