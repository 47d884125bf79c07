"""A node, its console and its portal run as nobody, on a file system that is read-only but for what they need."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.deploy.confinement import NOBODY, UNITS, confined, settings_of
from tests.processes.provinces import ProcessNode, introduce, make_node
from tests.web.pages_process import pages_of

NODE, CONSOLE, PORTAL = (f"credit-gateway{part}@.service" for part in ("", "-console", "-portal"))
PROBE = """
import os, sys
from pathlib import Path
for path in sys.argv[1:]:
    try:
        Path(path).read_bytes() if path.endswith((".pem", ".secret")) else Path(path, "probe").touch()
        print("yes", path)
    except OSError:
        print("no", path)
"""


@pytest.fixture(scope="module")
def provinces() -> Iterator[tuple[ProcessNode, ProcessNode]]:
    """Shanghai, whose folder is nobody's; Zhejiang asks it. Not under pytest's folder, which is root's alone."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as parent:
        Path(parent).chmod(0o755)
        shanghai = make_node(Path(parent), "shanghai", records=False)
        zhejiang = make_node(Path(parent), "zhejiang", secret_from=shanghai, records=False)
        introduce(shanghai, zhejiang)
        shanghai.folder.run.mkdir(mode=0o700, exist_ok=True)
        (shanghai.folder.keys / "console-client.secret").write_text("invented")
        for path in (shanghai.folder.root, *shanghai.folder.root.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        shanghai.under = confined(NODE, shanghai.folder.root, writable=("data", "run"))
        shanghai.start()
        yield shanghai, zhejiang
        for node in (shanghai, zhejiang):
            node.close()


def unprivileged(pid: int) -> bool:
    lines = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    owners = {int(owner) for owner in lines["Uid"].split()}
    return owners == {NOBODY} and int(lines["CapEff"], 16) == 0 and lines["NoNewPrivs"] == "1"


def keeps_its_memory(pid: int) -> bool:
    """No core dump; and its files in /proc are root's, as the kernel makes them of a process that is not dumpable."""
    (core,) = [line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if "core file" in line]
    return core.split()[4:6] == ["0", "0"] and Path(f"/proc/{pid}/mem").stat().st_uid == 0


def may(prefix: list[str], *paths: Path) -> set[str]:
    """Names of those paths that a confined process can read (private files) or write in (folders)."""
    done = subprocess.run(
        [*prefix, sys.executable, "-c", PROBE, *map(str, paths)], capture_output=True, text=True, check=True
    )
    return {Path(line.split(" ", 1)[1]).name for line in done.stdout.splitlines() if line.startswith("yes")}


def test_a_node_answers_where_only_two_of_its_folders_can_be_written(
    provinces: tuple[ProcessNode, ProcessNode],
) -> None:
    shanghai, zhejiang = provinces
    assert shanghai.process is not None
    assert unprivileged(shanghai.process.pid)
    assert keeps_its_memory(shanghai.process.pid)
    assert not unprivileged(os.getpid())
    (peer,) = zhejiang.query("--peer", "shanghai")["peers"]
    assert peer["outcome"] == "OK"
    folder = shanghai.folder
    assert may(
        list(shanghai.under), folder.root, folder.keys, folder.peers, folder.root / "data", folder.run
    ) == {
        "data",
        "run",
    }


@pytest.mark.parametrize(
    ("command", "unit", "page"), [("console", CONSOLE, "/"), ("portal", PORTAL, "/verify")]
)
def test_pages_are_served_from_what_their_unit_leaves_them(
    provinces: tuple[ProcessNode, ProcessNode], command: str, unit: str, page: str
) -> None:
    shanghai, _ = provinces
    under = confined(unit, shanghai.folder.root)
    with pages_of(shanghai, command, under=under) as (process, url):
        assert unprivileged(process.pid)
        assert keeps_its_memory(process.pid)
        answer = httpx2.get(url + page, trust_env=False, follow_redirects=True)
        assert answer.status_code in (200, 401), answer.text
        assert "<html" in answer.text
    keys = sorted(shanghai.folder.keys.iterdir())
    assert len(keys) > 5
    expected = {"console-client.secret"} if command == "console" else set()
    assert may(under, *keys) == expected
    assert may(under, shanghai.folder.keys, shanghai.folder.peers, shanghai.folder.root) == set()


def test_a_process_that_keeps_nothing_private_is_told_apart(
    provinces: tuple[ProcessNode, ProcessNode],
) -> None:
    under = confined(NODE, provinces[0].folder.root)
    ask = "import os; print(os.stat('/proc/self/mem').st_uid)"
    done = subprocess.run([*under, sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert int(done.stdout) == NOBODY


def test_every_unit_steps_down_and_dumps_no_core() -> None:
    units = sorted(UNITS.glob("*.service"))
    assert len(units) >= 5
    for unit in units:
        settings = settings_of(unit.name, Path("/srv/credit-gateway/zhejiang"))
        assert settings["User"] == ["credit-gateway"], unit.name
        assert settings["LimitCORE"] == ["0"], unit.name
        assert settings["ProtectSystem"] == ["strict"], unit.name
        assert settings["CapabilityBoundingSet"] == [""], unit.name
        assert settings["NoNewPrivileges"] == ["yes"], unit.name
        assert settings["UMask"] == ["0077"], unit.name
        assert "/etc" not in " ".join(settings["ReadWritePaths"]), unit.name


def test_the_link_that_signs_in_stays_out_of_the_journal() -> None:
    assert settings_of(CONSOLE, Path("/srv"))["StandardOutput"] == ["null"]
