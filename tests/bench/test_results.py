"""Results say how each ratio was found, and what is taken from an earlier run says when that was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import pages, report
from bench.report import RATIOS, Report
from bench.simulation.costs import Costs, costs_of


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setattr(report, "LARGE", tmp_path / "large.json")
    monkeypatch.setattr(report, "LATEST", tmp_path / "latest.json")
    return tmp_path


def test_a_ratio_from_an_earlier_run_keeps_the_day_on_which_it_was_measured(files: Path) -> None:
    long = {
        "at": "2026-01-02T03:04:05+00:00",
        "ratios": {"log_1e7_vs_1e3": 1.1},
        "ratios_found_by": {"log_1e7_vs_1e3": "by turns; measured 2026-01-02"},
    }
    (files / "latest.json").write_text(json.dumps(long), encoding="utf-8")
    for _ in range(2):
        quick = Report(quick=True)
        quick.take_earlier("log_1e7_vs_1e3")
        results = quick.write(files / "latest.json")
        assert results["ratios"] == {"log_1e7_vs_1e3": 1.1}
        assert results["ratios_found_by"] == {"log_1e7_vs_1e3": "by turns; measured 2026-01-02"}


def test_a_long_run_goes_before_the_latest_and_what_nobody_measured_is_not_stated(files: Path) -> None:
    for name, value in (("latest.json", 9.0), ("large.json", 1.2)):
        held = {
            "ratios": {"learners_1e6_vs_1e3": value},
            "ratios_found_by": {"learners_1e6_vs_1e3": "by turns; measured 2026-01-02"},
        }
        (files / name).write_text(json.dumps(held), encoding="utf-8")
    quick = Report(quick=True)
    for name in ("learners_1e6_vs_1e3", "log_1e7_vs_1e3"):
        quick.take_earlier(name)
    assert quick.ratios == {"learners_1e6_vs_1e3": 1.2}


def test_the_committed_results_say_how_every_ratio_was_found() -> None:
    results = json.loads(report.LATEST.read_text(encoding="utf-8"))
    assert set(RATIOS) <= set(results["ratios"])
    assert all(results["ratios_found_by"][name] for name in RATIOS)


@pytest.mark.parametrize(
    ("page", "name"), [("performance.md", "figures"), ("capacity.md", "costs"), ("capacity.md", "simulation")]
)
def test_figures_are_put_where_the_page_has_a_place_for_them(
    page: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (pages.DOCS / page).read_text(encoding="utf-8")
    (tmp_path / page).write_text(text, encoding="utf-8")
    monkeypatch.setattr(pages, "DOCS", tmp_path)
    for figures in (pages.table(("a", "b"), [("1", r"\2")]), "none"):
        pages.put(page, name, figures)
        changed = (tmp_path / page).read_text(encoding="utf-8")
        assert f"<!-- {name} -->\n{figures}\n<!-- end of {name} -->" in changed
    with pytest.raises(RuntimeError, match="no place"):
        pages.put(page, "elsewhere", "1")


def test_what_a_group_costs_is_told_apart_from_what_an_entry_does() -> None:
    appends = {
        "1": {"per_second": 400, "cpu_us": 300, "entries_per_commit": 1.0},
        "64": {"per_second": 4_000, "cpu_us": 100, "entries_per_commit": 32.0},
    }
    results = {
        "audit_appends": appends,
        "exchange": {"ours": {"server_cpu_us": [900, 1_000, 1_100]}},
        "fan_out": {"asker_cpu_us_a_peer": 1_500},
    }
    costs = costs_of(results)
    for count, each in (("1", 1), ("64", 32)):
        held_s = costs.group_s + each * costs.entry_s
        assert each / held_s == pytest.approx(appends[count]["per_second"])
    assert costs == Costs(pytest.approx(0.0009), pytest.approx(0.0014), costs.group_s, costs.entry_s)
