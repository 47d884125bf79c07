"""The wheel: the same to the byte whenever and wherever it is built, and nothing in it that does not belong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = ("gateway", "protos", "build_protos.py", "pyproject.toml", "README.md", "LICENSE")


def built(parent: Path, name: str, umask: int) -> Path:
    """Build a wheel from a copy of the source in a folder of its own."""
    source = parent / name / "source"
    source.mkdir(parents=True)
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / part, source / part)
    target = parent / name / "wheel"
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    env = {key: value for key, value in os.environ.items() if key != "SOURCE_DATE_EPOCH"} | {
        "TZ": f"UTC{umask % 7}"
    }
    subprocess.run(command, cwd=source, env=env, check=True, capture_output=True, umask=umask)
    (wheel,) = target.glob("*.whl")
    return wheel


def test_two_builds_give_the_same_bytes_and_only_the_package(tmp_path: Path) -> None:
    one, other = built(tmp_path, "one", 0o022), built(tmp_path, "another place", 0o077)
    assert one.read_bytes() == other.read_bytes()
    names = zipfile.ZipFile(one).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {
        "gateway",
        "creditexchange",
        "credit_exchange_gateway",
    }
    assert not [name for name in names if name.endswith((".pem", ".secret", ".key", ".db", ".pyc"))]
