"""The alert rules with every duration made short, so that what takes hours is seen in seconds.

Ranges, `for` and ages that are compared with seconds are divided by :data:`DIVISOR`, and then kept between a
few scrapes and half a minute. Nothing else of the rules changes.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tests.telemetry.promql import RULES

DIVISOR = 30
RANGE_S = (10, 30)
FOR_S_MAX = 4
AGE_S = (12, 20)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _short(seconds: float, bounds: tuple[float, float]) -> int:
    return round(min(max(seconds / DIVISOR, bounds[0]), bounds[1]))


def _seconds(text: str) -> int:
    return int(text[:-1]) * _UNITS[text[-1]]


def short_expression(expression: str) -> str:
    expression = re.sub(r"\[(\d+[smhd])\]", lambda m: f"[{_short(_seconds(m[1]), RANGE_S)}s]", expression)
    return re.sub(
        r"(time\(\) - (?:max by \([a-z, ]+\) \()?\w+\)? > )(\d+)",
        lambda m: f"{m[1]}{_short(int(m[2]), AGE_S)}",
        expression,
    )


def write_short_rules(folder: Path) -> list[Path]:
    """Write the shortened copies; return the files."""
    written = []
    for path in RULES:
        rules = yaml.safe_load(path.read_text(encoding="utf-8"))
        for group in rules["groups"]:
            for rule in group["rules"]:
                rule["expr"] = short_expression(rule["expr"])
                if "for" in rule:
                    rule["for"] = f"{_short(_seconds(rule['for']), (1, FOR_S_MAX))}s"
        target = folder / path.name
        target.write_text(yaml.safe_dump(rules), encoding="utf-8")
        written.append(target)
    return written
