"""A SQL source as an operator sets it up: node.toml, `records index`, a node that uses it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from creditexchange.v1 import record_pb2 as pb
from gateway.cli.records_commands import records_app
from gateway.clock import system_clock
from gateway.errors import CallerError, ConfigError, KeyFileError
from gateway.learners.subject_token import subject_token
from gateway.node.assemble import assemble
from gateway.node.checks import run_checks
from gateway.node.config import load_config
from gateway.node.folder import NodeFolder
from gateway.node.state import load_secrets
from gateway.records.sources import Sources
from tests.processes.provinces import make_node
from tests.records import synthetic
from tests.sources.conftest import QUERY, School

TABLE = f"""
[[records.sql]]
name = "school"
url = "URL"
query = "{QUERY}"
learners = "SELECT id_card AS learner_id, student_no AS learner_key FROM students"
kinds = ["course"]
columns = {{ record_id = "id", title = "course", credits = "points", grade = "mark", award_date = "passed_on" }}
values = {{ kind = "课程" }}
"""


@pytest.fixture
def folder(tmp_path: Path) -> NodeFolder:
    return make_node(tmp_path, "anhui", records=False).folder


def declare(folder: NodeFolder, school: School, table: str = TABLE) -> None:
    with folder.config.open("a", encoding="utf-8") as file:
        file.write(table.replace("URL", school.url))


def seen_by_check(folder: NodeFolder) -> list[tuple[str, str, str]]:
    return [(each.state, each.what, each.seen) for each in run_checks(folder, system_clock)]


def test_check_asks_each_source(folder: NodeFolder, school: School) -> None:
    declare(folder, school)
    school.run("DROP TABLE results")
    (state, seen) = next(
        (state, seen) for state, what, seen in seen_by_check(folder) if what == "source school"
    )
    assert state == "problem"
    assert "the source cannot be read" in seen


def test_a_node_answers_from_the_database_after_one_command(folder: NodeFolder, school: School) -> None:
    declare(folder, school)
    result = CliRunner().invoke(records_app, ["index", "--node", str(folder.root)], catch_exceptions=False)
    assert result.exit_code == 0
    assert "school: 3 rows, 3 learners" in result.stdout
    assert ("ok", "source school", "answers; 3 learners in its index") in seen_by_check(folder)
    node = assemble(folder)
    try:
        assert isinstance(node.source, Sources)
        (secret,) = load_secrets(folder, load_config(folder.root)).values()
        token = subject_token(secret, "resident-id", synthetic.learner_id(2))
        (records,) = node.answering.source.find([token], [pb.RECORD_KIND_COURSE])
        assert [record.record_id for record in records] == ["S-2-1", "S-2-2"]
    finally:
        node.close()
    with pytest.raises(CallerError, match=r"no such SQL source; node.toml declares: school"):
        CliRunner().invoke(
            records_app, ["index", "other", "--node", str(folder.root)], catch_exceptions=False
        )


def test_without_sources_the_registry_is_the_source(folder: NodeFolder) -> None:
    node = assemble(folder)
    node.close()
    assert node.source is node.registry


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"URL"', '"postgresql://a:secret@host/x"', "a password stands in it"),
        ('"URL"', '"oracle://host/x"', "no read-only mode"),
        ("SELECT r.id", "DELETE r.id", "write one SELECT and nothing else"),
        (":learner", "1", "exactly the parameter :learner"),
        ("title = ", "titel = ", "did you mean 'title'"),
        ('kinds = ["course"]', "kinds = []", "at least 1 item"),
        ('kinds = ["course"]', 'kinds = ["kurs"]', "use one of degree, graduation, course"),
        ('values = { kind = "课程" }', "values = {}", "missing in columns: kind"),
        ('"school"', '"School"', "match pattern"),
        ("kinds =", "kind =", "records.sql.0.kind: unknown key"),
    ],
)
def test_what_is_wrong_in_node_toml_is_named(
    folder: NodeFolder, tmp_path: Path, old: str, new: str, reason: str
) -> None:
    with folder.config.open("a", encoding="utf-8") as file:
        file.write(TABLE.replace(old, new).replace("URL", f"sqlite:///{tmp_path / 'school.db'}"))
    with pytest.raises(ConfigError) as caught:
        load_config(folder.root)
    assert reason in str(caught.value)
    assert "secret@" not in str(caught.value)


def test_the_password_comes_from_a_private_file(folder: NodeFolder, school: School) -> None:
    declare(folder, school, TABLE + 'password_file = "keys/school.password"\n')
    with pytest.raises(KeyFileError, match=r"school\.password is missing"):
        assemble(folder)
    path = folder.key("school.password")
    path.write_text("secret\n")
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="others can read it"):
        assemble(folder)
