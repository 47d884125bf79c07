"""The example records: how many, whose, and that they are what the generator writes."""

import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from gateway.learners import identifier
from tests.example_data.rows import DEMO_LEARNER, NODE_CONFIG, PROVINCES, kind, rows, scheme


def test_the_generator_writes_exactly_the_committed_files() -> None:
    script = NODE_CONFIG / "make_example_records.py"
    made = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert (made.returncode, made.stdout) == (0, "")


def test_check_says_which_file_differs(tmp_path: Path) -> None:
    for path in NODE_CONFIG.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            copy = tmp_path / path.relative_to(NODE_CONFIG)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    changed = tmp_path / "anhui" / "records" / "education.csv"
    original = changed.read_bytes()
    changed.write_bytes(original + b"\n")
    command = [sys.executable, tmp_path / "make_example_records.py"]
    check = subprocess.run([*command, "--check"], capture_output=True, text=True, check=False)
    assert check.returncode == 1
    assert "anhui/records/education.csv" in check.stdout
    assert changed.read_bytes() != original
    subprocess.run(command, capture_output=True, check=True)
    assert changed.read_bytes() == original


def test_the_files_are_small_enough_to_commit() -> None:
    files = [path for province in PROVINCES for path in (NODE_CONFIG / province / "records").iterdir()]
    assert sum(path.stat().st_size for path in files) < 1_500_000
    assert {path.suffix for path in files} == {".csv", ".jsonl"}


@pytest.mark.parametrize("province", PROVINCES)
def test_a_province_keeps_at_least_300_learners_with_2_to_12_records(province: str) -> None:
    counts = Counter(row["learner_id"] for row in rows(province))
    assert len(counts) >= 300
    assert min(counts.values()) >= 2
    assert max(counts.values()) <= 12


def test_nobody_has_more_than_12_records_in_all() -> None:
    assert max(Counter(row["learner_id"] for p in PROVINCES for row in rows(p)).values()) <= 12


def test_three_in_ten_learners_have_records_in_several_provinces() -> None:
    kept: dict[str, set[str]] = defaultdict(set)
    for province in PROVINCES:
        for row in rows(province):
            kept[row["learner_id"]].add(province)
    several = sum(len(provinces) > 1 for provinces in kept.values())
    assert several / len(kept) >= 0.3
    assert sum(len(provinces) > 2 for provinces in kept.values()) >= 10


@pytest.mark.parametrize("province", PROVINCES)
def test_every_identifier_is_valid_and_in_the_synthetic_range(province: str) -> None:
    for row in rows(province):
        assert row["learner_id_type"] == identifier.RESIDENT_ID
        assert identifier.normalise(identifier.RESIDENT_ID, row["learner_id"]) == row["learner_id"]
        assert re.fullmatch(r"9900(?!00)\d\d", row["learner_id"][:6])


def test_one_learner_has_one_name_except_where_it_was_misprinted() -> None:
    names: dict[str, set[str]] = defaultdict(set)
    for province in PROVINCES:
        for row in rows(province):
            if "superseded_by" not in row:
                names[row["learner_id"]].add(row["holder_name"])
    assert {len(found) for found in names.values()} == {1}


def test_record_ids_are_unique_and_relations_lead_to_records() -> None:
    ids = [row["record_id"] for province in PROVINCES for row in rows(province)]
    assert len(ids) == len(set(ids))
    for province in PROVINCES:
        owner = {row["record_id"]: row["learner_id"] for row in rows(province)}
        for row in rows(province):
            for column in ("part_of", "superseded_by"):
                if column in row:
                    assert owner[row[column]] == row["learner_id"]
                    assert row[column] != row["record_id"]


def test_the_demo_learner_has_records_in_all_four_provinces() -> None:
    found = {
        province: Counter(kind(province, row) for row in rows(province) if row["learner_id"] == DEMO_LEARNER)
        for province in PROVINCES
    }
    assert found["shanghai"] == {"degree": 1, "graduation": 1, "course": 3}
    assert found["jiangsu"] == {"x-certificate": 1, "skill-level": 1}
    assert found["anhui"] == {"training": 1, "course": 2}
    assert found["zhejiang"] == {"training": 1, "leisure": 1}


def test_the_demo_learners_lost_certificate() -> None:
    skill = [r for r in rows("jiangsu") if r["learner_id"] == DEMO_LEARNER and "skill_level" in r]
    assert [row["title"] for row in skill] == ["物流服务师"]
    assert scheme("jiangsu")["levels"]["skill"][skill[0]["skill_level"]] == "3"
    readme = (NODE_CONFIG / "README.md").read_text(encoding="utf-8")
    assert DEMO_LEARNER in readme


def test_the_readme_counts_what_is_there() -> None:
    readme = (NODE_CONFIG / "README.md").read_text(encoding="utf-8")
    for province in PROVINCES:
        learners = len({row["learner_id"] for row in rows(province)})
        line = next(line for line in readme.splitlines() if line.startswith(f"| {province.capitalize()} | `"))
        assert line.endswith(f"| {learners} | {len(rows(province))} |")
