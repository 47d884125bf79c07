"""The report: it grows by rounds, can be gone on with, and two processes share one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.faults import KINDS, draw
from tests.chaos.report import OtherRunError, Report
from tests.chaos.rounds import Outcome, seed_of


def outcome(number: int, *wrong: str) -> Outcome:
    return Outcome(number, seed_of(1, number), ["killed at shanghai"], ["killed"], list(wrong), 10, 1.5, 3.0)


def content(file: Path) -> dict:
    return json.loads(file.read_text(encoding="utf-8"))


def test_a_run_that_was_interrupted_goes_on_where_it_was(tmp_path: Path) -> None:
    first = Report(tmp_path / "chaos.json", 1, 3)
    assert first.take() == 1
    first.add(outcome(1))
    again = Report(tmp_path / "chaos.json", 1, 3)
    assert again.take() == 2
    again.add(outcome(2, "something"))
    assert again.take() == 3
    again.add(outcome(3))
    assert again.take() is None
    again.end()
    written = content(tmp_path / "chaos.json")
    assert (written["total"], written["failed"], written["acknowledged"]) == (3, 1, 30)
    assert [(row["fault"], row["rounds"], row["good"]) for row in written["table"]] == [("killed", 3, 2)]
    assert [file.name for file in tmp_path.iterdir()] == ["chaos.json"]


def test_a_run_that_has_ended_is_followed_by_a_new_one(tmp_path: Path) -> None:
    for seed in (1, 2):
        report = Report(tmp_path / "chaos.json", seed, 1)
        assert report.take() == 1
        report.add(outcome(1))
        report.end()
    assert content(tmp_path / "chaos.json")["seed"] == 2


def test_a_run_is_not_mixed_with_another(tmp_path: Path) -> None:
    Report(tmp_path / "chaos.json", 1, 3)
    with pytest.raises(OtherRunError, match="seed 1"):
        Report(tmp_path / "chaos.json", 2, 3)


TAKE = "import sys; from pathlib import Path; from tests.chaos.report import Report; r = Report(Path(sys.argv[1]), 1, 3); print(r.take(), flush=True); sys.stdin.read()"


def test_two_processes_do_no_round_twice_and_a_dead_one_gives_its_round_back(tmp_path: Path) -> None:
    file = tmp_path / "chaos.json"
    mine = Report(file, 1, 3)
    assert mine.take() == 1
    with subprocess.Popen(
        [sys.executable, "-c", TAKE, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"2\n"
        mine.add(outcome(1))
        assert mine.take() == 3
        mine.add(outcome(3))
        assert mine.take() is None
        other.kill()
    assert mine.take() == 2


def test_a_seed_always_draws_the_same_faults_and_all_kinds_are_drawn() -> None:
    seeds = [seed_of(1, number) for number in range(500)]
    drawn = [draw(seed) for seed in seeds]
    assert [[f.told for f in faults] for faults in drawn] == [[f.told for f in draw(s)] for s in seeds]
    assert {fault.name for faults in drawn for fault in faults} == set(KINDS)
    assert {len(faults) for faults in drawn} == {1, 2, 3}
    assert all(len(faults) == 1 for faults in drawn if "old state" in {f.name for f in faults})
