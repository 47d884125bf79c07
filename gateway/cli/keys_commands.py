"""``keys rotate``: replace a key of the node."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from gateway.cli.output import NodeOption, folder_at, progress_bar, say
from gateway.node.rotation import rotate_evidence

keys_app = typer.Typer(
    help="The keys of this node.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)


@keys_app.callback()
def keys() -> None:
    """Keep `rotate` a command of its own."""


@keys_app.command("rotate")
def rotate(
    key: Annotated[Literal["evidence"], typer.Argument(help="evidence: what encrypts past openings.")],
    node: NodeOption = Path(),
) -> None:
    """Replace a key by a new one; the node must be stopped.

    The evidence key: every data key is wrapped anew and every reference to a learner made anew; then
    the old key is deleted, and with it what a stolen backup of it could open. Ctrl-C leaves a node
    that works with both keys; run it again to finish. The change is an entry of the audit log.
    """
    columns = (TextColumn(f"rotating the {key} key"), BarColumn(), MofNCompleteColumn())
    with progress_bar(*columns) as bar:
        task = bar.add_task("rotate", total=None)
        done = rotate_evidence(
            folder_at(node), lambda count, total: bar.update(task, completed=count, total=total)
        )
    say(f"the {key} key is new; {done} data keys were wrapped anew, the old key is deleted.")
    say("Copy keys/evidence.secret to where you keep its backup, and destroy the old copy there.")
