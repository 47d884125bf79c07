"""``backup`` and ``restore``: a whole node in one file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, TaskProgressColumn, TextColumn

from gateway.cli.output import NodeOption, folder_at, progress_bar, say
from gateway.clock import system_clock
from gateway.node.backup import Backup, Progress, make_backup, restore_backup


def backup(
    archive: Annotated[Path, typer.Argument(help="The new file, for example zhejiang-2026-11-25.tar.gz.")],
    without_keys: Annotated[
        bool, typer.Option("--without-keys", help="Leave keys/ out; back them up elsewhere.")
    ] = False,
    node: NodeOption = Path(),
) -> None:
    """Write everything of a node into one file, while it runs: configuration, keys, log, evidence, records.

    The file holds the private keys and is readable by its owner only: encrypt it before it leaves the
    machine. Databases on PostgreSQL are not in it: use pg_dump beside it.

    A backup never replaces a file. It keeps what is erased later: delete backups as your law demands.

    Example: credit-gateway backup /backup/zhejiang-$(date +%F).tar.gz --node /srv/zhejiang
    """
    with progress_bar(TextColumn("{task.description}"), BarColumn(), TaskProgressColumn()) as bar:
        task = bar.add_task("backup", total=None)
        tell: Progress = lambda what, done, total: bar.update(  # noqa: E731
            task, description=what, completed=done, total=total
        )
        made = make_backup(
            folder_at(node), archive.resolve(), with_keys=not without_keys, now=system_clock(), progress=tell
        )
    say(f"{archive}: {made.node_id}, {len(made.files)} files, audit log of {made.entries} entries.")
    _say_left_out(made)


def restore(
    archive: Annotated[Path, typer.Argument(help="A file that `backup` wrote.", exists=True, dir_okay=False)],
    node: NodeOption = Path(),
) -> None:
    """Put a backup back into an empty or new folder.

    Every file is checked against the backup's manifest. Messages that were issued before the restore
    are refused, since the backup cannot know which of them were answered already. When the node is
    started, it asks its peers whether they have seen more of its log than the backup holds; if so it
    does not serve: docs/operations.md, "Backups", says what to do.

    Example: credit-gateway restore /backup/zhejiang-2026-11-25.tar.gz --node /srv/zhejiang
    """
    folder = folder_at(node)
    with progress_bar(TextColumn("{task.description}"), BarColumn(), TaskProgressColumn()) as bar:
        task = bar.add_task("restore", total=None)
        tell: Progress = lambda what, done, total: bar.update(  # noqa: E731
            task, description=what, completed=done, total=total
        )
        made = restore_backup(archive.resolve(), folder, system_clock, tell)
    say(f"{folder.root}: {made.node_id} as of {made.made_at}, audit log of {made.entries} entries.")
    if not made.has_keys:
        say("The backup holds no keys: put keys/ back before you start the node.")
    _say_left_out(made)
    say("Next: credit-gateway init (migrates an older version's tables), credit-gateway check, then serve.")


def _say_left_out(made: Backup) -> None:
    for name in made.left_out:
        say(f"Not in it: the {name} database, which is no SQLite file. Use its own tool (pg_dump).")
