"""Adding a department: one file and a database. Shown for the big-data bureau and an open-course platform."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing, nullcontext
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.errors import ConfigError
from gateway.node.config import load_config
from tests.postgres import fresh_database
from tests.processes.provinces import DEMO_LEARNER, EXAMPLES, ProcessNode, make_node

DEPARTMENTS = EXAMPLES / "departments"
BUREAU = "big-data-bureau"


@pytest.fixture
def zhejiang(tmp_path: Path) -> ProcessNode:
    return make_node(tmp_path, "zhejiang", records=False)


def add_department(node: ProcessNode, name: str, url: str = "") -> None:
    folder = node.folder.root / "sources"
    folder.mkdir(exist_ok=True)
    declared = (DEPARTMENTS / f"{name}.toml").read_text(encoding="utf-8")
    if url:
        declared = "".join(
            f'url = "{url}"\n' if line.startswith("url =") else f"{line}\n" for line in declared.splitlines()
        )
    (folder / f"{name}.toml").write_text(declared, encoding="utf-8")


def bureau_statements() -> list[str]:
    script = (DEPARTMENTS / f"{BUREAU}.sql").read_text(encoding="utf-8")
    lines = [line for line in script.splitlines() if not line.startswith("--")]
    return [each.strip() for each in "\n".join(lines).split(";\n") if each.strip()]


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def exported(node: ProcessNode, tmp_path: Path) -> list[dict]:
    out = tmp_path / "mine.json"
    root = str(node.folder.root)
    run(
        "archive",
        "export",
        "--own",
        "--node",
        root,
        "--learner",
        DEMO_LEARNER,
        "--format",
        "json",
        "--out",
        str(out),
    )
    return json.loads(out.read_bytes())["records"]


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_the_big_data_bureau_is_one_file_and_its_own_database(
    zhejiang: ProcessNode, tmp_path: Path, engine: str
) -> None:
    with (
        fresh_database()
        if engine == "postgresql"
        else nullcontext(f"sqlite:///{tmp_path / 'bureau.db'}") as url
    ):
        bureau_is_answered(zhejiang, tmp_path, url)


def bureau_is_answered(zhejiang: ProcessNode, tmp_path: Path, url: str) -> None:
    database = create_engine(url)
    with database.begin() as connection:
        for statement in bureau_statements():
            connection.execute(text(statement.rstrip(";")))
    database.dispose()
    add_department(zhejiang, BUREAU, url)
    root = str(zhejiang.folder.root)
    assert "big-data-bureau: 1 rows, 1 learners" in run("records", "index", "--node", root)
    records = {each["recordId"]: each for each in exported(zhejiang, tmp_path)}
    driver = records["BDB-2023-990001"]
    assert driver["recordKind"] == "vocational-qualification"
    assert driver["institution"][0]["institutionName"] == {"zh-Hans": "浙江示例交通运输厅"}
    assert driver["certificateCatalogueCode"] == "BDB-TRA-04"
    assert {"name": "regulation", "value": "道路运输从业人员管理规定（示例）"} in driver["sourceField"]
    assert records["BDB-2024-990002"]["recordKind"] == "training"


def open_course_platform(path: Path) -> None:
    """A platform's database: the catalogue of 230 courses, and one learner who finished two of them."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE open_course (code, name_zh, name_en, platform, platform_name, institution, edition, "
            "field, credits, hours, language, recognition, recognised_in)"
        )
        rows = [tuple(row.values()) for row in catalogue()]
        database.executemany(f"INSERT INTO open_course VALUES ({','.join('?' * 13)})", rows)
        database.execute("CREATE TABLE learner (learner_key, id_card)")
        database.execute(
            "CREATE TABLE finished (certificate, code, learner_key, learner_name, mark, begun_on, finished_on)"
        )
        database.execute("INSERT INTO learner VALUES (5, ?)", (DEMO_LEARNER,))
        for number, code in enumerate(("OC001", "OC002"), 1):
            values = (f"OCC-{number}", code, 5, "林思雨", "88", "2025-03-01", "2025-06-20")
            database.execute("INSERT INTO finished VALUES (?, ?, ?, ?, ?, ?, ?)", values)


def test_an_open_course_comes_with_its_platform_and_its_recognition(
    zhejiang: ProcessNode, tmp_path: Path
) -> None:
    open_course_platform(tmp_path / "platform.db")
    add_department(zhejiang, "open-courses", f"sqlite:///{tmp_path / 'platform.db'}")
    run("records", "index", "--node", str(zhejiang.folder.root))
    first, second = sorted(exported(zhejiang, tmp_path), key=lambda each: each["recordId"])
    known = {row["code"]: row for row in catalogue()}
    for each in (first, second):
        course = known[each["courseCode"]]
        kept = {field["name"]: field["value"] for field in each["sourceField"]}
        assert kept["platform"] == course["platform"]
        assert kept["recognition"] == course["recognition"]
        assert each["credit"][0]["asIssued"] == course["credits"]
        assert each["credit"][0]["valueState"] == "translated"
        assert each["title"] == {"zh-Hans": course["name_zh"], "en": course["name_en"]}


def catalogue() -> list[dict[str, str]]:
    with (DEPARTMENTS / "open_courses.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_catalogue_has_230_different_courses_at_every_level_of_recognition() -> None:
    rows = catalogue()
    assert len(rows) == len({row["code"] for row in rows}) == len({row["name_zh"] for row in rows}) == 230
    assert min(Counter(row["recognition"] for row in rows).values()) >= 20
    assert set(Counter(row["recognition"] for row in rows)) == {
        "national-first-class",
        "provincial-first-class",
        "provincial-open-course",
        "platform-only",
    }
    assert len({row["platform"] for row in rows}) == 4
    for row in rows:
        assert bool(row["recognised_in"]) == (row["recognition"] != "platform-only")
        assert float(row["hours"]) == float(row["credits"]) * 16
        assert row["name_en"].isascii()


def test_the_catalogue_is_what_its_script_writes(tmp_path: Path) -> None:
    script = EXAMPLES / "make_open_courses.py"
    assert subprocess.run([sys.executable, script, "--check"], check=False).returncode == 0
    shutil.copy(script, tmp_path)
    (tmp_path / "departments").mkdir()
    (tmp_path / "departments" / "open_courses.csv").write_text("altered")
    copy = tmp_path / script.name
    assert subprocess.run([sys.executable, copy, "--check"], check=False).returncode == 1


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            lambda text: text.replace("kinds =", "kind ="),
            "big-data-bureau.toml: kind: unknown key; did you mean 'kinds'",
        ),
        (lambda text: text.replace("WHERE i.holder_key = :learner", ""), "big-data-bureau.toml: query"),
        (lambda text: text + "[", "big-data-bureau.toml: no TOML"),
        (lambda text: f'name = "Big"\n{text}', "big-data-bureau.toml: name"),
    ],
)
def test_a_wrong_file_is_named(zhejiang: ProcessNode, change, complaint: str) -> None:
    add_department(zhejiang, BUREAU)
    path = zhejiang.folder.root / "sources" / f"{BUREAU}.toml"
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_config(zhejiang.folder.root)
    assert complaint in str(error.value)


def test_two_sources_of_one_name_are_refused(zhejiang: ProcessNode) -> None:
    add_department(zhejiang, BUREAU)
    folder = zhejiang.folder.root / "sources"
    text_ = (folder / f"{BUREAU}.toml").read_text(encoding="utf-8")
    (folder / "other.toml").write_text(f'name = "{BUREAU}"\n{text_}', encoding="utf-8")
    with pytest.raises(ConfigError, match="two sources have one name"):
        load_config(zhejiang.folder.root)
