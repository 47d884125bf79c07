"""docs/threat-model.md: every test that it names exists, and every measure that can be taken away is in it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.conformance.test_broken_nodes import NODES
from tests.mutations.table import MUTATIONS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py(?:::\w+)?)`", PAGE)))
THREAT = re.compile(r"^\| ([STRIDE](?:, [STRIDE])*): .*\|$", re.MULTILINE)


@cache
def functions_of(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def exists(named: str) -> bool:
    path, _, function = named.partition("::")
    return (ROOT / path).is_file() and (not function or function in functions_of(path))


def test_every_test_that_is_named_exists() -> None:
    assert len(NAMED) > 80
    assert [named for named in NAMED if not exists(named)] == []
    assert not exists("tests/manual/test_threat_model.py::test_that_nobody_wrote")


def test_every_measure_that_can_be_taken_away_stands_beside_the_test_that_notices() -> None:
    rows = [line for line in PAGE.splitlines() if THREAT.match(line)]
    for name, mutation in MUTATIONS.items():
        beside = [row for row in rows if row.rsplit("|", 2)[1].find(f"`{name}`") >= 0]
        assert beside, name
        assert any(test in row for row in beside for test in mutation.tests), name
        assert all(exists(test) for test in mutation.tests), name


def test_every_threat_has_a_measure_a_test_and_what_takes_it_away() -> None:
    rows = [line.strip("|").split("|") for line in PAGE.splitlines() if THREAT.match(line)]
    assert len(rows) > 40
    for threat, measure, shown_by, taken_away in ([cell.strip() for cell in row] for row in rows):
        assert measure, threat
        assert re.search(r"`tests/[\w/]+\.py::\w+`", shown_by), threat
        known = re.findall(r"`([a-z-]+)`", taken_away)
        assert known or taken_away.startswith(("–", "broken node", "its own", "the lying")), threat
        assert set(known) <= set(MUTATIONS), threat


def test_broken_nodes_that_are_named_exist() -> None:
    named = set(re.findall(r"“([^”]+)”", PAGE))
    assert named <= {node.name for node in NODES}
    assert named


@pytest.mark.parametrize("number", range(1, 31))
def test_every_failure_and_attack_of_the_plan_has_its_row(number: int) -> None:
    row = re.search(rf"^\| {number} \| [^|]+ \| ([^|]+) \|$", PAGE, re.MULTILINE)
    assert row is not None
    assert "tests/" in row[1] or "section" in row[1] or "not applicable" in row[1] or "conformance" in row[1]
