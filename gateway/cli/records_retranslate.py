"""``records retranslate``: bring the registry up to the present scheme."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from gateway.cli import registry_access
from gateway.cli.output import EXIT_NO, NodeOption, complain, progress_bar, say
from gateway.records.retranslating import count_outdated, retranslate


def retranslate_records(node: NodeOption = Path()) -> None:
    """Translate again all records that another version of scheme.toml translated.

    A running node does this by itself when the scheme changes; answers are right meanwhile either way.
    It works in small transactions: Ctrl-C or a power cut lose nothing, and the next run goes on.

    Exit status 1 when records do not fit the present scheme; they stay in their old version.

    Example: credit-gateway records retranslate
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with registry_access.open_registry(node) as opened:
        total = count_outdated(opened.registry, opened.scheme)
        with progress_bar(*columns) as bar:
            task = bar.add_task("records", total=total)
            result = retranslate(
                opened.registry,
                opened.scheme,
                opened.node_id,
                progress=lambda progress: bar.update(task, completed=progress.done),
            )
    say(f"{result.done:,} records translated again by scheme {opened.scheme.reference.version}")
    for reason, count in result.reasons.most_common(10):
        complain(f"{count:,} records do not fit the scheme: {reason}")
    if result.unfit:
        raise typer.Exit(EXIT_NO)
