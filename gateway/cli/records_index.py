"""``records index``: which rows of a SQL source are whose, under subject tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from gateway.cli.output import NodeOption, complain, folder_at, progress_bar, say
from gateway.errors import CallerError, OperatorError
from gateway.learners.subject_token import FederationSecret
from gateway.node.config import SqlSourceTable, load_config
from gateway.node.folder import NodeFolder
from gateway.node.sources import foreign_database_of, mapping_of
from gateway.node.state import load_secrets, next_secret
from gateway.node.stores import registry_of
from gateway.records import Registry
from gateway.records.records_key import KEY_FILE, RecordsKey, records_key_at
from gateway.records.sql_source import build_index

INDEX_TIMEOUT_S = 3_600.0
"""How long one statement may take while an index is built."""


def index(
    name: Annotated[
        str, typer.Argument(help="Name of the source; default: all that node.toml declares.")
    ] = "",
    node: NodeOption = Path(),
) -> None:
    """Build the index of a SQL source: which of its rows belong to which subject token.

    Run it when learners were added to the source, for example every night. Identifiers become subject
    tokens while they stream by; the source's own keys are kept encrypted. The old index serves until the
    new one is complete; Ctrl-C leaves the old one.

    Example: credit-gateway records index school
    """
    folder = folder_at(node)
    config = load_config(folder.root)
    tables = [table for table in config.records.sql if name in ("", table.name)]
    if not tables:
        known = ", ".join(table.name for table in config.records.sql) or "none"
        raise CallerError(f"no such SQL source; node.toml declares: {known}.", remedy="See docs/records.md.")
    coming = next_secret(folder)
    secrets = [*([coming] if coming is not None else []), *load_secrets(folder, config).values()]
    if not secrets:
        raise OperatorError(
            "this node has no federation secret, so learners cannot be given subject tokens.",
            remedy="Put it in place with `credit-gateway init --federation-secret`.",
        )
    key = records_key_at(folder.key(KEY_FILE))
    with registry_of(folder, config) as registry:
        for table in tables:
            _index_one(folder, table, registry, key, secrets)


def _index_one(
    folder: NodeFolder,
    table: SqlSourceTable,
    registry: Registry,
    key: RecordsKey,
    secrets: Sequence[FederationSecret],
) -> None:
    """Build the index of one source and say what it holds."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        foreign_database_of(folder, table, INDEX_TIMEOUT_S) as foreign,
        progress_bar(*columns) as bar,
    ):
        task = bar.add_task(table.name, total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        report = build_index(mapping_of(table), foreign, registry.database, key, secrets, show)
    say(f"{table.name}: {report.rows:,} rows, {report.learners:,} learners")
    if report.refused:
        complain(f"{table.name}: {report.refused:,} rows have no right identifier; nobody finds them")
