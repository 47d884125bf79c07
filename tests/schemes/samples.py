"""Schemes and records for the tests of this folder."""

from dataclasses import replace
from functools import cache
from pathlib import Path

from gateway.schemes import LocalRecord, Scheme, load_scheme, parse_scheme

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


@cache
def with_replacement(province: str) -> Scheme:
    """The same scheme with a certificate that stands for a course."""
    text = (NODE_CONFIG / province / "scheme.toml").read_text(encoding="utf-8")
    rule = 'certificate = "ZJE-502"\nunit = "credit"\ncourses = [{ code = "EB2001", credits = "4" }]\n'
    return parse_scheme(f"{text}\n[[replacement]]\n{rule}", "scheme.toml")


def record(**values: str) -> LocalRecord:
    return replace(LocalRecord(record_id="R1", kind="课程", title="高等数学"), **values)  # type: ignore[arg-type]
