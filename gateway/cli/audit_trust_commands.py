"""``audit reconcile|witness|accept-rollback``: this log and what other nodes hold of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from creditexchange.v1.operator_pb2 import ReconcileRequest, ReconcileResponse
from gateway.cli.audit_store import EXCHANGE_DIGITS, AuditStore, audit_store
from gateway.cli.local_node import LocalNode, local_node
from gateway.cli.output import (
    EXIT_NO,
    NodeOption,
    Output,
    OutputOption,
    complain,
    console,
    folder_at,
    print_json,
    progress_bar,
    say,
    table,
)
from gateway.clock import from_unix_ms, unix_ms
from gateway.errors import CallerError, PeerFaultError
from gateway.node.config import load_config
from gateway.peers.card import fingerprint_for_people
from gateway.peers.roster import load_roster
from gateway.storage import reconcile_rows, witness_rows
from gateway.storage.engine import reading
from gateway.storage.reconcile_rows import FindingRow

FINDINGS_SHOWN = 200
TIME = "%Y-%m-%d %H:%M:%S"


def reconcile(
    peer: Annotated[str, typer.Option(help="Node id of the peer.")],
    since: Annotated[
        str,
        typer.Option(
            help="Begin anew with entries of this day (2026-11-01) or time (2026-11-01T08:00, UTC) on."
        ),
    ] = "",
    settle: Annotated[
        float, typer.Option(min=0, max=86_400, help="Leave entries of the last so many seconds for later.")
    ] = 60.0,
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Compare the audit log with a peer's, entry by entry, each with its proof.

    Goes on where the last comparison ended; --since 1970-01-01 compares everything anew. Ctrl-C loses
    nothing. Entries of the last minutes are left for the next time: theirs or ours may still be on
    the way.

    Exit status 0: no differences with this peer. 1: there are some, each listed with the side that
    must explain it. docs/audit.md says what each means.
    """
    begin_ms = _parse_since(since) if since else None
    with local_node(folder_at(node)) as local:
        last = _run(local, peer, begin_ms, settle)
    with audit_store(node) as store:
        findings = _findings(store, peer)
    if output is Output.json:
        print_json(_reconcile_json(last, findings))
    else:
        _say_reconciled(peer, last, findings)
    if last.findings:
        raise typer.Exit(EXIT_NO)


def witness(
    now: Annotated[bool, typer.Option("--now", help="First ask every witness and peer anew.")] = False,
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Show who has cosigned this log, which logs this node has cosigned, and contradictions.

    Exit status 1 when two signed heads of any log contradict one another: both are shown, with who
    showed them. That is proof against the owner of that log's key; docs/audit.md says what to do.
    """
    if now:
        with local_node(folder_at(node)) as local:
            local.witness()
    with audit_store(node) as store:
        facts = _witness_facts(store)
    if output is Output.json:
        print_json(facts)
    else:
        _say_witness(facts)
    if facts["conflicts"]:
        raise typer.Exit(EXIT_NO)


def accept_rollback_command(
    origin: Annotated[
        str, typer.Option(help="The log's new name. Default: the old one with /restored-1 at its end.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    node: NodeOption = Path(),
) -> None:
    """Decide that entries which peers have seen are lost, and go on under a new log name.

    A node whose database was restored from an older copy refuses to serve, because what it would sign
    next contradicts what its peers hold. If a newer copy exists, restore that instead. Otherwise this
    closes the log under its name and begins a new name with an entry that says how many entries were
    lost. The entries that are left stay provable. The node must be stopped; afterwards every peer
    needs the node's new card.
    """
    folder = folder_at(node)
    if not yes:
        say("Entries that this node has signed for are missing in its database. Is there no newer copy?")
        typer.confirm("Close the log under its name and go on under a new one?", abort=True)
    from gateway.node.rollback import accept_rollback  # brings the whole program, for this one command

    done = accept_rollback(folder, origin)
    if done.contradiction is not None:
        say(done.contradiction.error.message)
    say(f"The log goes on as {done.origin}; node.toml says so now, and the log's first new entry why.")
    say(f"Send your peers the new card (`credit-gateway card`), serial {done.card.serial}, fingerprint:")
    say(f"  {fingerprint_for_people(done.card.fingerprint)}")


def _run(local: LocalNode, peer: str, begin_ms: int | None, settle_s: float) -> ReconcileResponse:
    """Compare page by page until both ends are reached."""
    request = ReconcileRequest(node_id=peer, settle_ms=max(1, round(settle_s * 1000)))
    if begin_ms is not None:
        request.begin, request.since_ms = True, begin_ms
    columns = (TextColumn("comparing"), BarColumn(), MofNCompleteColumn())
    with progress_bar(*columns) as bar:
        task = bar.add_task("compare", total=None)
        while True:
            step = local.reconcile(request)
            if step.outcome != "OK":
                raise PeerFaultError(step.outcome, step.explanation)
            bar.update(task, completed=step.their_index, total=step.their_size)
            if step.done:
                return step
            request.begin, request.since_ms = False, 0


def _parse_since(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise CallerError(
            f"--since {text[:40]!r} is no date.", remedy="Write 2026-11-01 or 2026-11-01T08:00 (UTC)."
        ) from error
    return unix_ms(moment.replace(tzinfo=moment.tzinfo or UTC))


def _findings(store: AuditStore, peer: str) -> list[FindingRow]:
    with reading(store.engine) as connection:
        return reconcile_rows.list_findings(connection, peer, FINDINGS_SHOWN)


def _reconcile_json(last: ReconcileResponse, findings: list[FindingRow]) -> dict[str, Any]:
    return {
        "matched": last.matched,
        "differences": last.findings,
        "findings": [
            {
                "kind": finding.kind,
                "exchange": finding.exchange_id.hex(),
                "our_index": finding.our_idx if finding.our_idx >= 0 else None,
                "their_index": finding.their_idx if finding.their_idx >= 0 else None,
                "detail": finding.detail,
            }
            for finding in findings
        ],
    }


def _say_reconciled(peer: str, last: ReconcileResponse, findings: list[FindingRow]) -> None:
    if not findings:
        say(f"no differences with {peer}: {last.matched} pairs of entries matched, each with its proof.")
        return
    say(f"{last.findings} differences with {peer}; {last.matched} pairs of entries matched.")
    shown = table("difference", "exchange", "here", "there", "what", "explains")
    for finding in findings:
        shown.add_row(
            finding.kind,
            finding.exchange_id.hex()[:EXCHANGE_DIGITS],
            _place(finding.our_idx),
            _place(finding.their_idx),
            finding.detail,
            _who_explains(finding, peer),
        )
    console.print(shown)
    if last.findings > len(findings):
        say(f"… and {last.findings - len(findings)} more.")


def _place(index: int) -> str:
    return str(index) if index >= 0 else "-"


def _who_explains(finding: FindingRow, peer: str) -> str:
    """Return who must explain: whoever lacks an entry that the other one can prove."""
    if finding.kind in ("only-ours", "sequence-gap", "receipt-differs"):
        return peer
    return "this node" if finding.kind == "only-theirs" else "both"


def _witness_facts(store: AuditStore) -> dict[str, Any]:
    peers = load_roster(store.folder.peers, load_config(store.folder.root).node.id).peers.values()
    names = {v.name: peer.node_id for peer in peers if (v := peer.card.witness_verifier) is not None}
    with reading(store.engine) as connection:
        cosigned = witness_rows.read_newest_cosignatures(connection)
        witnessed = witness_rows.list_witnessed(connection)
        conflicts = witness_rows.list_conflicts(connection)
    return {
        "log": store.config.audit.origin,
        "cosigned_by": [
            {
                "witness": row.witness,
                "node": names.get(row.witness, ""),
                "entries": row.size,
                "time": datetime.fromtimestamp(row.time_s, UTC).strftime(TIME),
            }
            for row in cosigned
        ],
        "witnessed": [
            {"log": row.origin, "entries": row.size, "seen": from_unix_ms(row.seen_at).strftime(TIME)}
            for row in witnessed
        ],
        "conflicts": [
            {
                "log": row.origin,
                "what": row.what,
                "shown_by": row.source,
                "found": from_unix_ms(row.found_at).strftime(TIME),
                "notes": [row.note, row.other_note],
            }
            for row in conflicts
        ],
    }


def _say_witness(facts: dict[str, Any]) -> None:
    say(f"This log, {facts['log']}, was cosigned by:")
    shown = table("witness", "node", "entries", "time (UTC)")
    for row in facts["cosigned_by"]:
        shown.add_row(row["witness"], row["node"], str(row["entries"]), row["time"])
    console.print(shown if facts["cosigned_by"] else "  nobody yet")
    say("This node has cosigned:")
    shown = table("log", "entries", "seen (UTC)")
    for row in facts["witnessed"]:
        shown.add_row(row["log"], str(row["entries"]), row["seen"])
    console.print(shown if facts["witnessed"] else "  nothing yet")
    for conflict in facts["conflicts"]:
        complain(f"CONTRADICTION in {conflict['log']}: {conflict['what']}.")
        complain(f"  shown by {conflict['shown_by']}, found {conflict['found']} UTC. The two signed heads:")
        for note in conflict["notes"]:
            complain("  | " + note.rstrip("\n").replace("\n", "\n  | "))
    if facts["conflicts"]:
        complain("Both are proof against the owner of that log's key. docs/audit.md, “Contradictions”.")
