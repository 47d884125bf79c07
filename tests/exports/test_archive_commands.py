"""The commands of an archive as their user meets them: what they write, what they refuse, and how."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli.main import app
from gateway.errors import GatewayError
from gateway.records import import_file
from gateway.schemes import load_scheme
from tests.processes.provinces import EXAMPLES, ProcessNode, make_node, registry_of, system_clock

ROWS = (
    "learner_id,record_id,kind,title,title_en,holder_name,credits,credit_unit,grade,grade_scale,award_date,status\n"
    "99003719930805309X,ZJ-1,课程,高等数学,Advanced Mathematics,朱俊鹏,5,credit,86,percentage,2012-01-05,有效\n"
    "99003719930805309X,ZJ-2,课程,大学物理,Physics,朱俊鹏,3,credit,91,percentage,2013-01-05,有效\n"
)
WHOSE = ("--own", "--learner", "99003719930805309X")


@pytest.fixture
def zhejiang(tmp_path: Path) -> ProcessNode:
    node = make_node(tmp_path, "zhejiang", records=False)
    rows = tmp_path / "rows.csv"
    rows.write_text(ROWS, encoding="utf-8")
    with registry_of(node.folder, node.config) as registry:
        scheme = load_scheme(EXAMPLES / "zhejiang" / "scheme.toml")
        assert import_file(rows, registry, scheme, node.secret, "zhejiang", clock=system_clock).kept
    return node


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text("four words of mine\n")
    path.chmod(0o600)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["archive", *map(str, arguments)], catch_exceptions=True)


def complaint(*arguments: object) -> str:
    result = run(*arguments)
    assert isinstance(result.exception, GatewayError), (result.output, result.exception)
    return str(result.exception)


def test_an_export_says_what_it_wrote_and_is_the_learners_alone(
    zhejiang: ProcessNode, tmp_path: Path
) -> None:
    out = tmp_path / "mine.json"
    done = run(
        "export", "--node", zhejiang.folder.root, *WHOSE, "--format", "clr", "--out", out, "--output", "json"
    )
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["records"], said["bytes"]) == (2, out.stat().st_size)
    assert said["issuer"].startswith("did:key:z6Mk")
    assert out.stat().st_mode & 0o077 == 0
    assert "99003719930805309X" not in out.read_text(encoding="utf-8")


def test_what_is_there_is_never_overwritten_and_nothing_half_is_left(
    zhejiang: ProcessNode, tmp_path: Path
) -> None:
    out = tmp_path / "mine.csv"
    out.write_text("dear to me")
    node = ("--node", zhejiang.folder.root)
    assert "is there already" in complaint("export", *node, *WHOSE, "--format", "csv", "--out", out)
    assert out.read_text() == "dear to me"
    other = tmp_path / "other.json"
    refused = complaint("export", *node, *WHOSE, "--format", "vc", "--out", other)
    assert "zhejiang/ZJ-1, zhejiang/ZJ-2" in refused
    assert not other.exists()
    assert not list(tmp_path.glob(".*partial"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--learner", "99003719930805309X", "--format", "csv"), "--purpose is needed"),
        ((*WHOSE, "--format", "docx"), "no format 'docx'"),
        ((*WHOSE, "--format", "csv", "--peer", "anhui"), "--own asks no peer"),
        ((*WHOSE, "--format", "csv", "--record", "ZJ-9"), "no record 'ZJ-9'"),
        (("--own", "--learner", "990037199308053091", "--format", "csv"), "check"),
        (("--own", "--learner", "990099199604121228", "--format", "csv"), "no records to export"),
    ],
)
def test_wrong_use_is_told_with_what_would_be_right(
    zhejiang: ProcessNode, tmp_path: Path, arguments: tuple[str, ...], expected: str
) -> None:
    said = complaint("export", "--node", zhejiang.folder.root, *arguments, "--out", tmp_path / "x")
    assert expected in said
    assert "99003719930805309" not in said


def test_a_node_of_an_older_version_is_told_how_to_get_its_keys(
    zhejiang: ProcessNode, tmp_path: Path
) -> None:
    zhejiang.folder.key("credential.pem").unlink()
    said = complaint(
        "export", "--node", zhejiang.folder.root, *WHOSE, "--format", "clr", "--out", tmp_path / "x"
    )
    assert "credential.pem is missing" in said
    assert "credential-gateway" not in said
    assert "credit-gateway init" in said


def test_a_saved_file_opens_and_its_credential_can_be_taken_out(
    zhejiang: ProcessNode, tmp_path: Path, secret: Path
) -> None:
    saved = tmp_path / "my.archive"
    node = ("--node", zhejiang.folder.root)
    assert run("save", *node, *WHOSE, "--out", saved, "--passphrase-file", secret).exit_code == 0
    inside = tmp_path / "inside.json"
    shown = run("open", saved, "--passphrase-file", secret, "--extract", inside, "--node", tmp_path)
    assert shown.exit_code == 0, shown.output
    assert "Archive of 朱俊鹏" in shown.output
    assert "高等数学" in shown.output
    assert "Every signature verified" in shown.output
    assert json.loads(inside.read_bytes())["type"] == ["VerifiableCredential", "ClrCredential"]
    secret.write_text("another passphrase\n")
    assert "the passphrase is another one" in complaint("open", saved, "--passphrase-file", secret)
    secret.chmod(0o644)
    assert "passphrase" in complaint("open", saved, "--passphrase-file", secret)


def test_without_a_person_the_passphrase_comes_from_a_file(zhejiang: ProcessNode, tmp_path: Path) -> None:
    said = complaint("save", "--node", zhejiang.folder.root, *WHOSE, "--out", tmp_path / "x")
    assert "--passphrase-file" in said
