"""``storage migrate``: a node that has outgrown SQLite."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from gateway.cli.output import NodeOption, Output, OutputOption, folder_at, print_json, progress_bar, say
from gateway.node.move_storage import Urls, move_storage

storage_app = typer.Typer(
    help="Where this node keeps its log and its records.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@storage_app.callback()
def storage() -> None:
    """Keep `migrate` a command of its own."""


@storage_app.command("migrate")
def migrate(
    to: Annotated[
        str, typer.Option("--to", help="A new, empty database: postgresql+psycopg://USER@HOST/DATABASE.")
    ],
    records_to: Annotated[
        str, typer.Option(help="Another empty database for the records; default: the same one.")
    ] = "",
    from_: Annotated[
        str, typer.Option("--from", help="sqlite:///FILE of the log; default: what node.toml names.")
    ] = "",
    records_from: Annotated[
        str, typer.Option(help="sqlite:///FILE of the records; default: what node.toml names.")
    ] = "",
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Move the node's databases from SQLite to PostgreSQL; the node must be stopped.

    Everything is copied as it is, so every receipt, checkpoint and proof stays valid. At the end the
    whole log is verified in its new place and held against the old one. The old files are not changed.
    Interrupted, run it again: it goes on where it stopped. Then write the new URLs into node.toml.

    Keep the password out of the command line: put it into ~/.pgpass, or PGPASSFILE.

    Example: credit-gateway storage migrate --to postgresql+psycopg://gateway@db.example/zhejiang
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with progress_bar(*columns) as bar:
        task = bar.add_task("moving", total=None)

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        moved = move_storage(folder_at(node), Urls(from_, records_from), Urls(to, records_to or to), show)
    root = base64.b64encode(moved.root).decode()
    if output is Output.json:
        print_json({"rows": moved.rows, "entries": moved.entries, "root": root})
        return
    say(f"moved {sum(moved.rows.values())} rows; the log of {moved.entries} entries is verified, root {root}")
    say("Now write the new place into node.toml, and keep the old files until the node has served from it:")
    say(f'[database]\nurl = "{_shown(to)}"\nrecords_url = "{_shown(records_to or to)}"')


def _shown(url: str) -> str:
    """Return the URL without its password."""
    head, at, tail = url.rpartition("@")
    scheme, slashes, user = head.partition("://")
    return f"{scheme}{slashes}{user.partition(':')[0]}{at}{tail}" if at else url
