"""Schemes and records for the tests of this folder."""

import os
from dataclasses import replace
from functools import cache
from pathlib import Path

from hypothesis import settings

from gateway.schemes import LocalRecord, Scheme, load_scheme, parse_scheme

CASES_A_PROPERTY = int(os.environ.get("CASES_A_PROPERTY", "300"))
"""`make properties` asks for 5,000."""
many_cases = settings(max_examples=CASES_A_PROPERTY, deadline=None)

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "tests" / "cases"
NODE_CONFIG = ROOT / "node_config"
PROVINCES = ("anhui", "jiangsu", "shanghai", "zhejiang")


@cache
def shipped(province: str) -> Scheme:
    return load_scheme(NODE_CONFIG / province / "scheme.toml")


def simple_text(
    scheme_id: str = "simple",
    hours: str = "16",
    step: str = "0.5",
    mode: str = "half_up",
    stage: str = "item",
    more: str = "",
) -> str:
    """The simple scheme; ``more`` are further tables."""
    text = (CASES / "simple_scheme.toml").read_text(encoding="utf-8")
    for name, value in (
        ("ID", scheme_id),
        ("HOURS", hours),
        ("STEP", step),
        ("MODE", mode),
        ("STAGE", stage),
    ):
        text = text.replace(f'"{name}"', f'"{value}"')
    return f"{text}\n{more}"


@cache
def simple(
    scheme_id: str = "simple",
    hours: str = "16",
    step: str = "0.5",
    mode: str = "half_up",
    stage: str = "item",
    more: str = "",
) -> Scheme:
    return parse_scheme(simple_text(scheme_id, hours, step, mode, stage, more), "simple_scheme.toml")


@cache
def with_other_version(province: str) -> Scheme:
    """The same scheme in another version: another digest, so nothing counts as issued in it."""
    text = (NODE_CONFIG / province / "scheme.toml").read_text(encoding="utf-8")
    return parse_scheme(text.replace('version = "2026.1"', 'version = "2026.2"'), "scheme.toml")


POINTS_5 = """
[[grade_scale]]
id = "points-5"
names = { zh-Hans = "五分绩点" }
type = "numeric"
min = "0"
max = "5"
step = "0.05"
pass = "1"
formula = { divide = "10", subtract = "5" }
bands = [
    { from = "4", to = "5", band = "excellent", percent_min = "90", percent_max = "100" },
    { from = "3", to = "4", band = "good", percent_min = "80", percent_max = "90" },
    { from = "2", to = "3", band = "medium", percent_min = "70", percent_max = "80" },
    { from = "1", to = "2", band = "pass", percent_min = "60", percent_max = "70" },
    { from = "0", to = "1", band = "fail", percent_min = "0", percent_max = "60" },
]
"""


@cache
def with_points() -> Scheme:
    """The simple scheme with grade points by a declared formula instead of percentages."""
    text = simple_text("points")
    start, end = text.index("[[grade_scale]]"), text.index("[grade_marks]")
    return parse_scheme(text[:start] + POINTS_5 + text[end:], "scheme.toml")


@cache
def with_replacement(province: str) -> Scheme:
    """The same scheme with a certificate that stands for a course."""
    text = (NODE_CONFIG / province / "scheme.toml").read_text(encoding="utf-8")
    rule = 'certificate = "ZJE-502"\nunit = "credit"\ncourses = [{ code = "EB2001", credits = "4" }]\n'
    return parse_scheme(f"{text}\n[[replacement]]\n{rule}", "scheme.toml")


def record(**values: str) -> LocalRecord:
    return replace(LocalRecord(record_id="R1", kind="课程", title="高等数学"), **values)  # type: ignore[arg-type]
