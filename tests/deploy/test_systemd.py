"""systemd itself reads the units, and finds them tight."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
PROGRAM = Path(sys.executable).with_name("credit-gateway")
EXPOSURE_MAX = 20
"""Tenths of systemd's points from 0 to 10; below 2 it says OK."""


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Copies that name the program where it is here, and a user that exists."""
    for unit in UNITS.iterdir():
        text = unit.read_text(encoding="utf-8").replace(
            "/opt/credit-gateway/bin/credit-gateway", str(PROGRAM)
        )
        (tmp_path / unit.name).write_text(text.replace("=credit-gateway\n", "=daemon\n"), encoding="utf-8")
    return tmp_path


def test_systemd_accepts_every_unit(units: Path) -> None:
    for unit in sorted(units.iterdir()):
        copy = units / unit.name.replace("@.", "@zhejiang.")
        copy.write_text(unit.read_text(encoding="utf-8"), encoding="utf-8")
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(copy)], check=False, capture_output=True, text=True
        )
        about_us = [line for line in done.stderr.splitlines() if "credit-gateway" in line]
        assert not about_us, about_us


@pytest.mark.parametrize("unit", sorted(path.name for path in UNITS.glob("*.service")))
def test_no_service_is_exposed_to_much(units: Path, unit: str) -> None:
    done = subprocess.run(
        [
            "systemd-analyze",
            "security",
            "--offline=true",
            f"--threshold={EXPOSURE_MAX}",
            str(units / unit),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr


def test_every_command_of_a_unit_exists() -> None:
    from tests.processes.provinces import cli

    helped = cli("--help").stdout
    for unit in UNITS.glob("*.service"):
        for command in re.findall(r"bin/credit-gateway (\w+)", unit.read_text(encoding="utf-8")):
            assert re.search(rf"\b{command}\b", helped), command
