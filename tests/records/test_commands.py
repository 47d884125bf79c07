"""``records import|list|export`` as people and programs see them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.cli import registry_access
from gateway.cli.registry_access import OpenRegistry
from gateway.errors import CallerError, OperatorError, StorageError
from gateway.exports.formula_safe import inert
from tests.records.conftest import Desk, run
from tests.records.synthetic import NODE, learner_id, make_row, make_rows, write_csv


def test_an_import_says_what_became_of_each_file(opened: Desk) -> None:
    path = write_csv(opened.folder / "a.csv", make_rows(7))
    first, again = run("import", path), run("import", path)
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert "a.csv: 7 rows in " in first.stdout
    assert "7 added, 0 unchanged, 0 replaced" in first.stdout
    assert "0 added, 7 unchanged, 0 replaced" in again.stdout


def test_a_refused_file_ends_with_status_1_and_names_the_first_rows(opened: Desk) -> None:
    path = write_csv(opened.folder / "a.csv", [row | {"credits": "x"} for row in make_rows(30)])
    report = opened.folder / "refused.csv"
    result = run("import", path, "--report", report)
    assert result.exit_code == 1
    assert "a.csv: refused, nothing was kept: 30 of 30 rows" in result.stderr
    assert result.stderr.count("write digits with a point") == 20
    with report.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30
    assert list(rows[4].values())[:3] == ["a.csv", "6", "credits"]
    assert rows[4]["reason"].startswith("write digits with a point for decimals, such as 2.5")


def test_the_other_files_are_imported(opened: Desk) -> None:
    bad = write_csv(opened.folder / "bad.csv", [make_row(0) | {"kind": "x"}])
    broken = opened.folder / "broken.csv"
    broken.write_text("a;b\n")
    good = write_csv(opened.folder / "good.csv", make_rows(5))
    report = opened.folder / "refused.csv"
    result = run("import", bad, broken, good, "--output", "json", "--report", report)
    assert result.exit_code == 1
    outcomes = json.loads(result.stdout)
    assert [outcome["kept"] for outcome in outcomes] == [False, False, True]
    assert outcomes[0]["first_refusals"][0]["column"] == "kind"
    assert "no header" in outcomes[1]["problem"]
    assert outcomes[2]["added"] == 5
    assert [line.split(",")[0] for line in report.read_text("utf-8-sig").splitlines()] == [
        "file",
        "bad.csv",
        "broken.csv",
    ]


def test_replace(opened: Desk) -> None:
    opened.take_rows(list(make_rows(2)))
    path = write_csv(opened.folder / "a.csv", [make_row(1) | {"grade": "99"}])
    assert run("import", path).exit_code == 1
    assert "1 replaced" in run("import", path, "--replace").stdout


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_no_cell_of_a_report_is_a_formula(cell: str) -> None:
    assert inert(cell) == f"'{cell}"
    assert inert(f"x{cell}") == f"x{cell}"


def test_a_missing_file_and_an_unwritable_report_are_wrong_use(opened: Desk) -> None:
    with pytest.raises(CallerError, match="No such file"):
        run("import", opened.folder / "none.csv")
    path = write_csv(opened.folder / "a.csv", make_rows(1))
    with pytest.raises(CallerError, match="--report"):
        run("import", path, "--report", opened.folder / "none" / "r.csv")
    assert opened.registry.count() == 0


def test_totals_of_everybody(opened: Desk) -> None:
    opened.take_rows(list(make_rows(25)))
    shown = run("list")
    assert shown.exit_code == 0
    assert "course  present  25       3" in shown.stdout
    (total,) = json.loads(run("list", "--output", "json").stdout)["totals"]
    assert total == {
        "kind": "course",
        "scheme_digest": opened.scheme.reference.digest.hex(),
        "scheme_is_present": True,
        "records": 25,
        "learners": 3,
    }


@pytest.mark.parametrize("asked", ["-", learner_id(1)])
def test_totals_of_one_learner_are_shown_masked(opened: Desk, asked: str) -> None:
    opened.take_rows(list(make_rows(25)))
    result = run("list", "--learner", asked, "--output", "json", text=learner_id(1) + "\n")
    shown = json.loads(result.stdout)
    assert shown["learner"] == f"990*************{learner_id(1)[-2:]}"
    assert [total["records"] for total in shown["totals"]] == [10]
    assert learner_id(1) not in result.output


def test_an_empty_or_wrong_learner_is_refused(opened: Desk) -> None:
    for learner in ("-", "123"):
        with pytest.raises(CallerError):
            run("list", "--learner", learner, text="\n")


def test_an_export_holds_original_and_shared_but_no_learner(opened: Desk) -> None:
    opened.take_rows(list(make_rows(12)))
    out = opened.folder / "out.jsonl"
    assert "wrote 12 records" in run("export", "--out", out).stdout
    assert out.stat().st_mode & 0o777 == 0o600
    text = out.read_text(encoding="utf-8")
    assert run("export").stdout == text
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["record_id"] for line in lines] == [f"ZJ-{n:08d}" for n in range(12)]
    assert lines[0]["original"]["title"] == make_row(0)["title"]
    assert lines[0]["shared"]["source_node"] == NODE
    assert learner_id(0) not in text
    with pytest.raises(CallerError, match="File exists"):
        run("export", "--out", out)


def test_a_node_without_secret_or_database_is_a_broken_set_up(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def open_registry(_node: Path) -> Iterator[OpenRegistry]:
        yield OpenRegistry(
            desk.registry, desk.scheme, [], NODE, desk.folder / "records.key", desk.folder / "contexts"
        )

    monkeypatch.setattr(registry_access, "open_registry", open_registry)
    path = write_csv(desk.folder / "a.csv", make_rows(1))
    with pytest.raises(OperatorError, match="no federation secret"):
        run("import", path)
    with pytest.raises(OperatorError, match="no federation secret"):
        run("list", "--learner", learner_id(1))
    with desk.database.begin() as connection:
        connection.exec_driver_sql("DROP TABLE learner_record")
    with pytest.raises(StorageError, match="no tables"):
        run("list")
