"""Alerts name what a node really shows, sections of the runbook that exist, and each has a unit test."""

import re
import subprocess

import pytest
import yaml

from gateway.telemetry.metrics import OWN_FAULTS
from tests.telemetry.promql import PROMETHEUS, ROOT, RULES, rules, unknown_in

UNIT_TESTS = sorted((PROMETHEUS / "tests").glob("*.test.yml"))


ALERTS = [rule for rule in rules() if "alert" in rule]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_every_metric_and_label_of_a_rule_exists(rule: dict) -> None:
    assert not unknown_in(rule["expr"])


def test_a_metric_that_does_not_exist_would_be_found() -> None:
    assert unknown_in("rate(credit_gateway_exchanges_total{province='x'}[5m]) > credit_gateway_nothing") == {
        "credit_gateway_exchanges_total{province}",
        "credit_gateway_nothing",
    }


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_leads_to_a_section_that_says_what_to_do(rule: dict) -> None:
    page, anchor = rule["annotations"]["runbook"].split("#")
    sections = re.split(r"^#+ ", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    by_anchor = {section.split("\n", 1)[0].lower(): section for section in sections}
    for part in ("**Meaning.**", "**Confirm.**", "**Do.**"):
        assert part in by_anchor[anchor]
    assert rule["alert"].lower().startswith(anchor)
    assert rule["labels"]["severity"] in ("page", "ticket")


def test_every_section_of_the_runbook_belongs_to_an_alert() -> None:
    titles = re.findall(
        r"^### (.*)$", (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    led_to = {rule["annotations"]["runbook"].split("#")[1] for rule in ALERTS}
    assert {title.lower() for title in titles} == led_to


def test_every_alert_is_seen_quiet_and_firing_in_a_unit_test() -> None:
    quiet, firing = set(), set()
    for path in UNIT_TESTS:
        for case in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
            for look in case["alert_rule_test"]:
                (firing if look["exp_alerts"] else quiet).add(look["alertname"])
    assert quiet == firing == {rule["alert"] for rule in ALERTS}


def test_availability_counts_the_faults_of_the_node_itself() -> None:
    (failed,) = (
        r["expr"] for r in rules() if r.get("record") == "instance:credit_gateway_answers:failed_total"
    )
    assert set(re.search(r'outcome=~"([A-Z_|]+)"', failed)[1].split("|")) == set(OWN_FAULTS)


def test_promtool_accepts_rules_and_scrape_configuration() -> None:
    subprocess.run(["promtool", "check", "rules", *map(str, RULES)], check=True, capture_output=True)
    subprocess.run(
        ["promtool", "check", "config", str(PROMETHEUS / "prometheus.yml")], check=True, capture_output=True
    )


def test_promtool_runs_every_unit_test() -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", *map(str, UNIT_TESTS)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") == len(UNIT_TESTS)
