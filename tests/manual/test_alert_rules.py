"""Alerts name metrics that a node really shows, and sections of the manual that really exist."""

import re
from pathlib import Path

import pytest

from gateway.node.assemble import OUTCOMES
from gateway.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "deploy" / "prometheus").glob("*.rules.yml"))


def names() -> set[str]:
    return {
        f"{family.name}{'_total' if family.type == 'counter' else ''}"
        for family in Metrics(OUTCOMES, ()).registry.collect()
    }


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_every_metric_of_an_alert_exists(path: Path) -> None:
    used = set(re.findall(r"credit_gateway_[a-z_]+", path.read_text(encoding="utf-8")))
    assert used
    assert used <= names()


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_every_runbook_section_exists(path: Path) -> None:
    for page, anchor in re.findall(r"runbook: (\S+)#(\S+)", path.read_text(encoding="utf-8")):
        titles = re.findall(r"^#+ (.*)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}
