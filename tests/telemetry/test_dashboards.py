"""Dashboards are what their generator writes, and ask for nothing that a node does not show."""

import json
import runpy
import subprocess
from pathlib import Path

import pytest

from tests.telemetry.promql import ROOT, unknown_in

FOLDER = ROOT / "deploy" / "grafana"
PAGES = sorted(FOLDER.glob("*.json"))


def queries(path: Path) -> list[str]:
    page = json.loads(path.read_text(encoding="utf-8"))
    nested = [panel for panel in page["panels"] for panel in (panel, *panel.get("panels", ()))]
    variables = [v["query"] for v in page["templating"]["list"] if v["type"] == "query"]
    return [target["expr"] for panel in nested for target in panel.get("targets", ())] + [
        v.removeprefix("label_values(").split(",")[0] for v in variables
    ]


def test_committed_pages_are_what_the_generator_writes() -> None:
    rendered = runpy.run_path(str(FOLDER / "dashboards.py"))["rendered"]()
    assert rendered == {path.name: path.read_text(encoding="utf-8") for path in PAGES}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_query_names_what_a_node_shows(path: Path) -> None:
    assert queries(path)
    for expression in queries(path):
        assert not unknown_in(expression), expression


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_prometheus_can_parse_every_query(path: Path, tmp_path: Path) -> None:
    rule = {
        "groups": [
            {
                "name": "queries",
                "rules": [
                    {"record": f"query:{number}:x".replace(":", "_"), "expr": expression.replace("$", "x")}
                    for number, expression in enumerate(queries(path))
                ],
            }
        ]
    }
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps(rule), encoding="utf-8")
    done = subprocess.run(
        ["promtool", "check", "rules", str(file)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_of_the_node_has_a_place_on_a_page_or_in_a_rule() -> None:
    from tests.telemetry.promql import EXPOSED, rules

    text = " ".join([*(q for path in PAGES for q in queries(path)), *(rule["expr"] for rule in rules())])
    stems = {name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for name in EXPOSED}
    unseen = {stem for stem in stems if stem not in text}
    assert unseen == {"process_virtual_memory_bytes"}
