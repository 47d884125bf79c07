"""``changes``: what peers told of records that they gave this node and that have changed since."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from creditexchange.v1 import archive_pb2
from creditexchange.v1.record_pb2 import RecordState
from gateway.cli.local_node import local_node
from gateway.cli.output import NodeOption, Output, OutputOption, console, folder_at, print_json, table
from gateway.clock import unix_ms
from gateway.policy.purposes import kind_word


def changes(
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"], help="Only what was heard since, UTC."),
    ] = None,
    peer: Annotated[str, typer.Option(help="Only from this peer.")] = "",
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """List records that peers gave this node and that were revoked, corrected or restored there since.

    Peers tell it by themselves, by a signed notice, until this node has confirmed it. The exchange is the one
    that `query` named; `audit export` and `audit disclose` show what was given in it. Ask again to
    see how the record is now.

    Example: credit-gateway changes --since 2026-11-01
    """
    request = archive_pb2.ListHeardChangesRequest(
        since_ms=unix_ms(since.replace(tzinfo=UTC)) if since is not None else 0, node_id=peer
    )
    with local_node(folder_at(node)) as local:
        found = [_facts(change) for change in local.heard_changes(request).changes]
    if output is Output.json:
        print_json(found)
        return
    if not found:
        console.print("No peer has told of a change.")
        return
    shown = table("heard", "peer", "exchange", "record", "kind", "state now")
    for facts in found:
        record = facts["record"] or "(a certificate's state)"
        shown.add_row(
            facts["heard"], facts["peer"], facts["exchange"][:16], record, facts["kind"], facts["state"]
        )
    console.print(shown)


def _facts(change: archive_pb2.HeardChange) -> dict[str, Any]:
    state = RecordState.Name(change.state).removeprefix("RECORD_STATE_").lower().replace("_", "-")
    return {
        "heard": f"{change.heard_time.ToDatetime(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "changed": f"{change.change_time.ToDatetime(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "peer": change.node_id,
        "exchange": change.exchange_id.hex(),
        "record": change.record_id,
        "kind": kind_word(change.kind) if change.kind else "",
        "state": state,
    }
