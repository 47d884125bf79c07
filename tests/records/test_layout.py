"""docs/records.md is true: every column, and its examples."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.learners.identifier import IDENTIFIER_TYPES
from gateway.records.intake import formats
from gateway.records.intake.rows import COLUMNS, REQUIRED_COLUMNS
from tests.records.conftest import Desk

PAGE = (Path(__file__).parents[2] / "docs" / "records.md").read_text(encoding="utf-8")


def test_every_column_has_its_line_in_order() -> None:
    table = PAGE.partition("## Columns")[2].partition("## Examples")[0]
    named = re.findall(r"^\| `([a-z_.A-Z]+)` \|", table, re.MULTILINE)
    assert named == [*COLUMNS, "original.NAME"]
    for column in REQUIRED_COLUMNS:
        assert f"`{column}`" in table.partition("| column |")[0]
    for word in IDENTIFIER_TYPES:
        assert f"`{word}`" in table


def test_every_kind_of_file_is_named() -> None:
    assert all(f"`{suffix}`" in PAGE for suffix in formats._READERS)


def test_the_examples_can_be_imported(desk: Desk) -> None:
    lines = re.findall(
        r"^    (.+)\n", PAGE.partition("## Examples")[2].partition("## Uploads")[0], re.MULTILINE
    )
    table = "\n".join(line for line in lines if not line.startswith("{"))
    objects = "\n".join(line for line in lines if line.startswith("{"))
    assert desk.take_text(table, "example.csv").added == 2
    assert desk.take_text(objects, "example.jsonl").unchanged == 2
