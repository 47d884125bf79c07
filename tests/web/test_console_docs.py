"""What docs/console.md says of settings is what node.toml takes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.node.console_table import ConsoleTable
from gateway.web.console.roles import ROLES

PAGE = (Path(__file__).parents[2] / "docs" / "console.md").read_text(encoding="utf-8")


def test_the_example_is_accepted_and_names_every_role() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    table = ConsoleTable.model_validate(tomllib.loads(example)["console"])
    assert table.oidc is not None
    assert set(table.oidc.roles.values()) == set(ROLES)


def test_every_setting_stands_in_the_table() -> None:
    section = PAGE.split("## Settings", 1)[1].split("## ", 1)[0]
    listed = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)))
    assert sorted(listed) == sorted(set(ConsoleTable.model_fields) - {"oidc"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"listen": "0.0.0.0:8446"},
        {"listen": "console.example:8446"},
        {"url": "https://console.example/path"},
        {"time_zone": "Mars/Olympus"},
        {"idle_minutes": 0},
        {"oidc": {"issuer": "https://a.example", "client_id": "c", "roles": {}}},
        {"oidc": {"issuer": "https://a.example", "client_id": "c", "roles": {"x": "root"}}},
        {"password": "no such thing"},
    ],
)
def test_what_would_open_the_console_wrongly_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ConsoleTable.model_validate(wrong)
