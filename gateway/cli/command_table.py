"""Every command, and where it is written: a module is read when its command is asked for, or help for all."""

from __future__ import annotations

import importlib
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

PLACES = {
    "init": "node_commands:init",
    "check": "node_commands:check",
    "serve": "node_commands:serve",
    "card": "node_commands:card",
    "query": "query_commands:query",
    "certificate": "certificate_commands:certificate",
    "locate": "locate_commands:locate",
    "changes": "changes_commands:changes",
    "conformance": "conformance_commands:conformance",
    "console": "console_commands:console_pages",
    "portal": "portal_commands:portal",
    "report": "report_commands:report",
    "backup": "backup_commands:backup",
    "restore": "backup_commands:restore",
    "demo": "demo_commands:demo",
    "peers": "peers_commands:peers_app",
    "records": "records_commands:records_app",
    "scheme": "scheme_commands:scheme_app",
    "archive": "archive_group:archive_app",
    "audit": "audit_group:audit_app",
    "consent": "consent_commands:consent_app",
    "code": "code_commands:code_app",
    "access": "access_commands:access_app",
    "keys": "keys_commands:keys_app",
    "storage": "storage_commands:storage_app",
    "config": "config_commands:config_app",
}
"""``module:attribute`` below ``gateway.cli``; the attribute is a function or a group."""


class CommandTable(TyperGroup):
    """The top of the command line. Reading all of its modules would take longer than most commands do."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - Typer's signature
        """Return the names in the order of help."""
        return list(PLACES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, read when first asked for; for a misspelt name all, so that one is suggested."""
        for name in (cmd_name,) if cmd_name in PLACES else PLACES:
            if name not in self.commands:
                self.commands[name] = _read(name, PLACES[name])
        return super().get_command(ctx, cmd_name)


def _read(name: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    found = getattr(importlib.import_module(f"gateway.cli.{module}"), attribute)
    if not isinstance(found, typer.Typer):
        single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        single.command(name)(found)
        found = single
    command = get_command(found)
    command.name = name
    return command
