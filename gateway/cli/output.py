"""How results and errors are shown: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
import unicodedata
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import (
    Console,
    ConsoleOptions,
    ConsoleRenderable,
    RenderableType,
    RenderHook,
    RenderResult,
)
from rich.measure import Measurement
from rich.progress import Progress, ProgressColumn
from rich.segment import Segment
from rich.table import Table

from gateway.node.folder import NodeFolder

EXIT_NO = 1
"""The answer is no."""
EXIT_WRONG = 2
"""Used wrongly, or the set-up is broken."""
EXIT_INTERRUPTED = 130
"""Ended by Ctrl-C."""
EXIT_DEFECT = 70
"""A defect of this program (EX_SOFTWARE of sysexits.h)."""

NODE_VARIABLE = "CREDIT_GATEWAY_NODE"


class Output(str, Enum):  # noqa: UP042 - typer shows the values of str enums
    """Forms of output."""

    table = "table"
    json = "json"


NodeOption = Annotated[
    Path,
    typer.Option(
        "--node",
        envvar=NODE_VARIABLE,
        help="The node's folder (made by `init`). Default: this folder.",
        show_default=False,
    ),
]
OutputOption = Annotated[Output, typer.Option("--output", help="table for people, json for programs.")]

WIDTH_IN_FILES = 160
"""Width of tables that go into a file or pipe, characters."""


@dataclass(frozen=True)
class _Harmless:
    """What is shown, without characters that steer a terminal: most of it was written by peers."""

    shown: RenderableType

    def __rich_console__(self, on: Console, options: ConsoleOptions) -> RenderResult:
        for segment in on.render(self.shown, options):
            yield segment if segment.control else Segment(harmless(segment.text), segment.style)

    def __rich_measure__(self, on: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(on, options, self.shown)


class _Disarm(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Wrap all that is printed."""
        return [_Harmless(each) for each in renderables]


def harmless(text: str) -> str:
    """Return ``text`` with each control, direction and other invisible character shown as U+FFFD.

    A name could otherwise move the cursor and write over the fingerprint that is about to be compared.
    """
    if text.isprintable():
        return text
    return "".join("\ufffd" if _is_steering(character) else character for character in text)


def _is_steering(character: str) -> bool:
    return character not in "\n\t" and unicodedata.category(character) in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")


console = Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else WIDTH_IN_FILES)
errors = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)
for _each in (console, errors):
    _each.push_render_hook(_Disarm())


def folder_at(path: Path) -> NodeFolder:
    """Return the node's folder, as an absolute path."""
    return NodeFolder(path.resolve())


def print_json(data: Any) -> None:
    """Write one JSON document to standard output."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=2) + "\n")


NARROW = frozenset({"source", "awarded", "kind", "status", "peer", "outcome", "records", "ms", "serial"})
"""Columns that are never folded."""


def table(*columns: str, title: str | None = None) -> Table:
    """Return an empty table with these columns; text is never taken as markup."""
    result = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        result.add_column(column, overflow="fold", no_wrap=column in NARROW)
    return result


def say(text: str = "") -> None:
    """Write a line for people to standard output, without markup."""
    console.print(text, markup=False, soft_wrap=True)


def complain(text: str) -> None:
    """Write an error for people to standard error, without markup."""
    errors.print(text, markup=False, style="red")


def progress_bar(*columns: ProgressColumn) -> Progress:
    """Return bars of ``columns`` on standard error; they show when a person watches, and then go."""
    return Progress(*columns, console=errors, disable=not errors.is_terminal, transient=True)
