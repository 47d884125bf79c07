"""docs/exports.md and docs/sources.md: their commands do what the pages say, in the order in which they stand."""

from __future__ import annotations

import os
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from tests.processes.provinces import ProcessNode, make_node

ROOT = Path(__file__).parents[2]


def commands(page: str) -> list[str]:
    lines = (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.startswith("    ") and line.strip()]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProcessNode:
    """A folder as the reader has it, with a node in it."""
    for name in ("docs", "gateway", "node_config", "node_modules"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("four words of mine\n")
    passphrase.chmod(0o600)
    return make_node(tmp_path, "zhejiang")


def run(line: str, node: ProcessNode) -> tuple[int, str]:
    """Run a line as the reader would; our own command in this process, because starting it is most of its time."""
    if line.startswith("credit-gateway "):
        words = shlex.split(line.replace("$CREDIT_GATEWAY_NODE", str(node.folder.root)))[1:]
        result = CliRunner().invoke(app, words, env={"CREDIT_GATEWAY_NODE": str(node.folder.root)})
        return result.exit_code, result.output
    line = line.replace("python -c", f"{shlex.quote(sys.executable)} -c", 1)
    done = subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"CREDIT_GATEWAY_NODE": str(node.folder.root)},
    )
    return done.returncode, done.stdout + done.stderr


def test_what_the_page_exports_others_verify(desk: ProcessNode) -> None:
    lines = commands("exports.md")
    assert len(lines) >= 13
    for line in lines:
        status, shown = run(line, desk)
        assert status == 0, (line, shown)
        if line.startswith("pdfsig"):
            assert "Signature is Valid" in shown
        if line.startswith("node "):
            assert shown.count("verified eddsa-") >= 10
            assert "NOT" not in shown
            shown_altered_is_refused(line, desk)


def shown_altered_is_refused(line: str, desk: ProcessNode) -> None:
    path = Path("one.vc.json")
    path.write_text(path.read_text(encoding="utf-8").replace("创业培训", "高级创业培训"), encoding="utf-8")
    status, shown = run(line, desk)
    assert status == 1
    assert shown.count("NOT VERIFIED") == 2


def test_a_department_is_added_by_the_commands_of_the_page(desk: ProcessNode) -> None:
    script = (ROOT / "node_config/departments/big-data-bureau.sql").read_text(encoding="utf-8")
    with closing(sqlite3.connect(desk.folder.root / "data" / "big-data-bureau.db")) as database:
        database.executescript(script)
    (desk.folder.root / "sources").mkdir()
    (_, check, index) = [run(line, desk) for line in commands("sources.md")]
    assert "source big-data-bureau" in check[1]
    assert (check[0], index[0]) == (0, 0), (check, index)
    assert "big-data-bureau: 1 rows, 1 learners" in index[1]
