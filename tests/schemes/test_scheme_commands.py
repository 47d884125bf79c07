"""``scheme check`` and ``scheme explain`` as they are used."""

import json
from pathlib import Path

import pytest

from tests.schemes.conftest import Command
from tests.schemes.samples import CASES, NODE_CONFIG, PROVINCES

SHIPPED = [str(NODE_CONFIG / province / "scheme.toml") for province in PROVINCES]
ZHEJIANG, JIANGSU = (
    str(NODE_CONFIG / "zhejiang" / "scheme.toml"),
    str(NODE_CONFIG / "jiangsu" / "scheme.toml"),
)
BROKEN = CASES / "broken_schemes" / "everything_at_once.toml"


def test_check_says_which_schemes_are_well(scheme: Command) -> None:
    ended = scheme("check", *SHIPPED)
    assert ended.status == 0
    assert ended.out.count(": ok, ") == 4
    assert "zhejiang 2026.1 (example, not official)" in ended.out


def test_check_lists_everything_and_goes_on_to_the_next_file(scheme: Command) -> None:
    ended = scheme("check", str(BROKEN), ZHEJIANG)
    assert ended.status == 2
    assert f"{BROKEN}:23: [credit_unit.credit] study_hours: a ratio must be positive" in ended.err
    assert ended.err.count(f"{BROKEN}:") == 6
    assert ": ok, zhejiang" in ended.out


def test_check_for_programs(scheme: Command) -> None:
    ended = scheme("check", str(BROKEN), ZHEJIANG, "--output", "json")
    assert ended.status == 2
    broken, well = json.loads(ended.out)
    assert (broken["ok"], well["ok"]) == (False, True)
    assert broken["problems"][0] == {
        "table": "scheme",
        "key": "version",
        "line": 8,
        "text": "this key is needed",
    }


def test_explain_shows_each_rule_and_its_loss(scheme: Command) -> None:
    arguments = ("explain", ZHEJIANG, "--kind", "课程", "--credits", "3", "--grade", "89.5", "--to", JIANGSU)
    ended = scheme(*arguments)
    assert ended.status == 0
    for text in ("zhejiang/credit_unit/credit", "8/3", "0.5 floor", "rounding", "banding", "良", "48"):
        assert text in ended.out
    steps = json.loads(scheme(*arguments, "--output", "json").out)
    shown = next(step for step in steps if step["path"] == "credits[0]")
    assert shown == {
        "path": "credits[0]",
        "original": "48 study hours",
        "result": "2.5",
        "rule": "jiangsu/credit_unit/credit",
        "scheme": "jiangsu 2026.1",
        "unrounded": "8/3",
        "rounding": "0.5 floor",
        "loss": "rounding",
        "note": "18 study hours = 1 credit",
    }


def test_explain_says_untranslated(scheme: Command) -> None:
    ended = scheme("explain", ZHEJIANG, "--kind", "课程", "--grade", "优良")
    assert ended.status == 0
    assert "untranslated" in ended.out
    assert "no-rule" in ended.out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((ZHEJIANG, "--kind", "课"), "--kind: unknown kind"),
        ((ZHEJIANG, "--kind", "课程", "--credits", "2,5"), "--credits: write digits"),
        ((ZHEJIANG, "--kind", "课程", "--to", str(BROKEN)), "a ratio must be positive"),
        (("nowhere.toml", "--kind", "课程"), "nowhere.toml:1: [file] path: the file is missing."),
    ],
    ids=["kind", "number", "broken target", "missing file"],
)
def test_explain_refuses_in_words(scheme: Command, arguments: tuple[str, ...], complaint: str) -> None:
    ended = scheme("explain", *arguments)
    assert ended.status == 2
    assert complaint in ended.err


@pytest.mark.parametrize("command", ["check", "explain", "compare", "count", "new", "coverage"])
def test_help_teaches(scheme: Command, command: str) -> None:
    ended = scheme(command, "--help")
    assert ended.status == 0
    assert "scheme" in ended.out.lower()
    assert len(ended.out.splitlines()) > 10


def test_files_are_named_as_they_were_given(
    scheme: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scheme.toml").write_text("[scheme]\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert "scheme.toml:1: [file] kinds: this table is needed" in scheme("check", "scheme.toml").err
