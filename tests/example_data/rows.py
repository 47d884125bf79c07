"""The committed example records, read as the importer's users would read them."""

import csv
import json
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

NODE_CONFIG = Path(__file__).resolve().parents[2] / "node_config"

PROVINCES = ("shanghai", "jiangsu", "zhejiang", "anhui")

DEMO_LEARNER = "990099199604121228"

Row = dict[str, str]


@cache
def rows(province: str) -> tuple[Row, ...]:
    """Every row of a province; what a file does not state is "" in no column."""
    found: list[Row] = []
    for path in sorted((NODE_CONFIG / province / "records").iterdir()):
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".csv":
            found += [{k: v for k, v in row.items() if v} for row in csv.DictReader(text.splitlines())]
        else:
            found += [json.loads(line) for line in text.splitlines()]
    return tuple(found)


@cache
def scheme(province: str) -> dict[str, Any]:
    return tomllib.loads((NODE_CONFIG / province / "scheme.toml").read_text(encoding="utf-8"))


def kind(province: str, row: Row) -> str:
    """The row's kind in the shared model."""
    return str(scheme(province)["kinds"][row["kind"]]["kind"])


def state(province: str, row: Row) -> str:
    return str(scheme(province)["status"][row["status"]])


@cache
def catalogue() -> tuple[Row, ...]:
    text = (NODE_CONFIG / "zhejiang" / "catalogue.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))
