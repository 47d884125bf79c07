"""What the manual tells people to type is run; both languages tell the same."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.clock import monotonic_s
from gateway.rpc.server import is_serving
from tests.processes.provinces import cli

ROOT = Path(__file__).parents[2]
LANGUAGES = ("README.md", "README.zh-CN.md")


def blocks(name: str) -> list[str]:
    """The shell blocks of a page, comments and line continuations removed."""
    text = (ROOT / name).read_text(encoding="utf-8")
    found = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [re.sub(r"[ \t]*#.*", "", block.replace("\\\n", " ")).strip() for block in found]


def commands(block: str) -> list[str]:
    return [re.sub(r"\s+", " ", line).strip() for line in block.splitlines() if line.strip()]


def test_both_languages_show_the_same_commands() -> None:
    english, chinese = ([commands(b) for b in blocks(name)] for name in LANGUAGES)
    assert english == chinese


def test_every_make_target_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name in LANGUAGES:
        for target in re.findall(r"make ([a-z-]+)", (ROOT / name).read_text(encoding="utf-8")):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_two_commands_of_the_readme_are_what_ci_runs() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for command in ("make test", "make demo"):
        assert command in script
        assert command in blocks("README.md")[0]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory):
    """A folder as the reader has it, with the demo's nodes running."""
    here = tmp_path_factory.mktemp("reader")
    (here / "node_config").symlink_to(ROOT / "node_config")
    assert "proof verified" in cli("demo", "--keep", cwd=here).stdout
    yield here
    cli("demo", "--stop", cwd=here)
    (state,) = here.rglob("demo.json")
    nodes = json.loads(state.read_text(encoding="utf-8"))["nodes"]
    assert set(nodes) == {"shanghai", "jiangsu", "zhejiang", "anhui"}
    for node in nodes.values():
        assert set(node) >= {"dir", "grpc", "metrics", "pid"}
        command = Path(f"/proc/{node['pid']}/cmdline")
        assert not command.exists() or b"serve" not in command.read_bytes()


def run(line: str, here: Path) -> subprocess.CompletedProcess[str]:
    line = line.replace("credit-gateway", f"{shlex.quote(sys.executable)} -m gateway.cli.main", 1)
    return subprocess.run(
        ["bash", "-c", line],
        cwd=here,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def test_the_five_minute_tour_works(demo: Path) -> None:
    tour = commands(blocks("README.md")[1])
    assert len(tour) >= 8
    for line in tour:
        done = run(line, demo)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        assert done.stdout.strip(), line


def test_two_fresh_nodes_answer_each_other_after_eight_commands(tmp_path: Path) -> None:
    lines = commands(blocks("README.md")[2])
    assert len(lines) <= 8
    records = ROOT / "node_config" / "zhejiang" / "records" / "education.csv"
    (tmp_path / "records.csv").write_bytes(records.read_bytes())
    fingerprints: dict[str, str] = {}
    serving: list[subprocess.Popen[bytes]] = []
    try:
        for line in lines:
            if "serve" in line:
                serving.append(start(line.rstrip("&"), tmp_path))
                continue
            card = line.split()[3] if "peers add" in line else ""
            done = run(f"{line} --fingerprint '{fingerprints[card]}'" if card else line, tmp_path)
            assert done.returncode == 0, (line, done.stdout, done.stderr)
            if told := re.search(r"for peers: (\S+), fingerprint (.+)", done.stdout + done.stderr):
                fingerprints[str(Path(told[1]).relative_to(tmp_path))] = told[2]
    finally:
        for process in serving:
            process.terminate()
            process.wait()
    assert "机电一体化技术" in done.stdout


def start(line: str, here: Path) -> subprocess.Popen[bytes]:
    """Run a command that does not end by itself, and wait until the node serves."""
    command = shlex.split(
        line.replace("credit-gateway", f"{shlex.quote(sys.executable)} -m gateway.cli.main", 1)
    )
    with (here / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=here, stdout=log, stderr=log, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
    end_s = monotonic_s() + 40
    while process.poll() is None and monotonic_s() < end_s:
        if is_serving("127.0.0.1:18444", timeout_s=2):
            return process
    raise AssertionError((here / "serve.log").read_text(encoding="utf-8"))


def test_the_operations_page_lists_every_limit() -> None:
    from gateway.node.config import LimitsTable

    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for key in LimitsTable.model_fields:
        assert f"`{key}`" in page or f"limits.{key}" in page, key


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("node_config/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
