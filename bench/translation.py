"""CPU time of translating one record at import, and of showing it in another scheme."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from creditexchange.v1.record_pb2 import LearningRecord
from gateway.records.intake import delimited, json_lines
from gateway.records.intake.lines import SourceFile
from gateway.records.intake.rows import Row
from gateway.schemes import LocalRecord, Scheme, load_scheme, present_record, translate_record

NODE_CONFIG = Path(__file__).parents[1] / "node_config"
READERS = {".csv": delimited.read_rows, ".jsonl": json_lines.read_rows}
Item = TypeVar("Item")
ROUNDS = 9
VARIED_RECORDS = 20_000
INSTITUTIONS = 3_000
"""About as many as the country has."""
MAJORS = 800
DAYS = 36 * 365


@dataclass(frozen=True)
class TranslationFigures:
    """Medians of the rounds, CPU microseconds a record."""

    import_us: float
    """The example records of the dearest province."""
    varied_us: float
    """Made-up records over every institution, major, grade and day: little of one serves another."""
    show_us: float
    """The example records of that province in another's scheme."""


def measure_translation() -> TranslationFigures:
    """Measure in this process; schemes are loaded before."""
    reader = load_scheme(NODE_CONFIG / "jiangsu" / "scheme.toml")
    imports, shows = [], []
    for province in sorted(path.parent.name for path in NODE_CONFIG.glob("*/scheme.toml")):
        scheme = load_scheme(NODE_CONFIG / province / "scheme.toml")
        records = _example_records(province)
        imports.append(_cpu_us(records, partial(_translate, scheme=scheme)))
        shared = [translate_record(record, scheme, "node") for record in records]
        shows.append(_cpu_us(shared, partial(present_record, scheme=reader)))
    zhejiang = load_scheme(NODE_CONFIG / "zhejiang" / "scheme.toml")
    varied = _cpu_us(_varied_records(), partial(_translate, scheme=zhejiang))
    return TranslationFigures(max(imports), varied, max(shows))


def _translate(record: LocalRecord, scheme: Scheme) -> LearningRecord:
    return translate_record(record, scheme, "node")


def _cpu_us(items: Sequence[Item], work: Callable[[Item], object]) -> float:
    costs = []
    for round_ in range(ROUNDS + 1):
        started = time.process_time()
        for item in items:
            work(item)
        if round_:  # the first round warms up
            costs.append((time.process_time() - started) / len(items) * 1e6)
    return statistics.median(costs)


def _example_records(province: str) -> list[LocalRecord]:
    rows = [
        row
        for path in sorted((NODE_CONFIG / province / "records").iterdir())
        for row in READERS[path.suffix](SourceFile(path))
    ]
    return [row.record for row in rows if isinstance(row, Row)]


def _varied_records() -> list[LocalRecord]:
    chooser = random.Random(7)
    return [_varied_record(number, chooser) for number in range(VARIED_RECORDS)]


def _varied_record(number: int, chooser: random.Random) -> LocalRecord:
    institution = chooser.randrange(INSTITUTIONS)
    halves = chooser.randrange(201)
    return LocalRecord(
        record_id=f"V{number}",
        kind="课程",
        title=f"课程 {number}",
        issuer_name=f"学校 {institution}",
        issuer_code=f"{10000 + institution}",
        issuer_code_scheme="moe-school",
        issuer_role="授课",
        course_code=f"C{number}",
        field_scheme="major-catalogue",
        field_code=f"{chooser.randrange(MAJORS):06}",
        credits=f"{chooser.randrange(1, 41) / 2}",
        hours=str(chooser.randrange(1, 321)),
        hour_kind="学时",
        grade=f"{halves // 2}{'.5' if halves % 2 else ''}",
        education_level="本科",
        award_date=(date(1990, 1, 1) + timedelta(chooser.randrange(DAYS))).isoformat(),
        certificate_number=f"{chooser.randrange(10**12)}",
        status="有效",
    )
