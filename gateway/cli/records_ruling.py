"""``records revoke|restore``: rulings on records that the registry holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import registry_access
from gateway.cli.output import NodeOption, say
from gateway.clock import system_clock
from gateway.errors import OperatorError
from gateway.records.ruling import RULED_STATES, Ruling, check_ruling
from gateway.schemes import UntranslatableError

RecordArgument = Annotated[str, typer.Argument(help="record_id of the record.")]


def revoke(
    record_id: RecordArgument,
    reason: Annotated[
        str, typer.Option(help="Why, for whoever asks for the record; no identifier of a person.")
    ],
    state: Annotated[
        str, typer.Option(help=f"What it is from now on: {', '.join(RULED_STATES)}.")
    ] = "revoked",
    since: Annotated[str, typer.Option(help="Since when: YYYY-MM-DD; default: today.")] = "",
    superseded_by: Annotated[str, typer.Option(help="record_id of the corrected record.")] = "",
    node: NodeOption = Path(),
) -> None:
    """Say that a record no longer holds: revoked, suspended, or superseded by a corrected one.

    It stays, and from the next answer on every asker sees its state and the reason. Importing its file
    again does not undo that, not even with --replace; `records restore` does. Doing it again changes nothing.

    Example: credit-gateway records revoke ZJ-2024-000137 --reason "degree withdrawn, decision 2026-17"
    """
    ruling = Ruling(state, reason.strip(), since or system_clock().date().isoformat(), superseded_by)
    check_ruling(ruling)
    changed = _rule(node, record_id, ruling, is_dated=bool(since))
    say(f"{record_id}: {state}" if changed else f"{record_id}: was {state} already; nothing changed")


def restore(record_id: RecordArgument, node: NodeOption = Path()) -> None:
    """Lift what `records revoke` said: the record is again what its source says. Again changes nothing.

    Example: credit-gateway records restore ZJ-2024-000137
    """
    changed = _rule(node, record_id, None, is_dated=True)
    say(f"{record_id}: {'restored' if changed else 'nothing was ruled about it; nothing changed'}")


def _rule(node: Path, record_id: str, ruling: Ruling | None, *, is_dated: bool) -> bool:
    with registry_access.open_registry(node) as opened:
        try:
            return opened.registry.rule(record_id, ruling, opened.scheme, opened.node_id, is_dated=is_dated)
        except UntranslatableError as error:
            raise OperatorError(
                f"record {record_id[:200]!r} does not fit the scheme: {error.column}: {error.reason}.",
                remedy="Correct scheme.toml, or import the record again.",
            ) from error
