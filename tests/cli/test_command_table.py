"""Commands are read when they are asked for, and people notice nothing of it."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from gateway.cli.command_table import PLACES
from gateway.cli.main import app


def test_help_lists_every_command_with_what_it_does() -> None:
    lines = CliRunner().invoke(app, ["--help"]).stdout.splitlines()
    shown = {line.split()[0]: line.split()[1:] for line in lines if line.startswith("  ") and line.strip()}
    assert all(shown.get(name) for name in PLACES), sorted(PLACES.keys() - shown.keys())


@pytest.mark.parametrize("name", PLACES)
def test_each_has_help_under_its_own_name(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"], prog_name="credit-gateway")
    assert result.exit_code == 0
    assert f"credit-gateway {name} " in result.stdout


def test_a_misspelt_name_gets_a_suggestion() -> None:
    result = CliRunner().invoke(app, ["qery"])
    assert result.exit_code == 2
    assert "Did you mean 'query'?" in result.output


def test_a_command_reads_no_module_of_another() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from gateway.cli.main import app;"
        "CliRunner().invoke(app, ['peers', '--help']);"
        "print([m for m in sys.modules if m.startswith('gateway.cli.audit_e') or m.split('.')[0] == 'alembic'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
