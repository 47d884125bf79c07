"""``audit show|verify``: what was asked and answered, and the proof that nobody changed it since."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from gateway.audit import ProofError, VerifyReport, verify_log
from gateway.audit.entry import EntryDraft
from gateway.audit.listing import ListedEntry, list_entries
from gateway.audit.tiles import TileError
from gateway.cli.audit_offline import say_offline, verify_offline
from gateway.cli.audit_store import EXCHANGE_DIGITS, AuditStore, audit_store
from gateway.cli.local_node import local_node
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
from gateway.clock import from_unix_ms
from gateway.errors import CallerError
from gateway.exchange.evidence_bundle import BundleError
from gateway.signing.signed_note import NoteError
from gateway.storage.node_tables import Database

HELD_BYTES_MAX = 1024 * 1024
VERIFIED_MARK = "verified-entries"
"""File in the node's run folder: how far an interrupted verification came."""
INDEX_DIGITS_MAX = 18

audit_app = typer.Typer(
    help="The audit log: every exchange, provably as it was.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@audit_app.command("show")
def show(
    last: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many entries, the newest.")] = 20,
    peer: Annotated[str, typer.Option(help="Only exchanges with this peer.")] = "",
    exchange: Annotated[
        str, typer.Option(help="Only this exchange id, or ids that begin so; hexadecimal.")
    ] = "",
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Show entries of the audit log, the newest last.

    Nothing in them says about whom an exchange was. JSON output holds each leaf as it was hashed.
    """
    with audit_store(node) as store:
        entries = show_entries(store.engine, last=last, peer=peer, exchange=exchange)
    if output is Output.json:
        print_json([{"index": listed.index, **json.loads(listed.leaf)} for listed in entries])
        return
    shown = table("index", "time (UTC)", "entry", "peer", "purpose", "outcome", "records", "exchange")
    for column in shown.columns[:4]:
        column.no_wrap = True
    for listed in entries:
        shown.add_row(*_row(listed))
    console.print(shown)


@audit_app.command("verify")
def verify(
    what: Annotated[
        Path | None,
        typer.Argument(help="An evidence bundle or a folder of tiles, verified offline; no node is needed."),
    ] = None,
    card: Annotated[
        list[Path] | None,
        typer.Option("--card", metavar="FILE", help="A card that you trust; repeatable."),
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option("--key", help="Verifier key of a witness that is no node. Repeatable.")
    ] = None,
    held: Annotated[
        list[Path] | None,
        typer.Option(
            "--held",
            metavar="FILE",
            help="A checkpoint of this log that a peer or auditor kept. Without one, a log that was cut "
            "back as a whole looks intact. May be repeated.",
        ),
    ] = None,
    ask_peers: Annotated[
        bool, typer.Option("--ask-peers", help="Hold the log against what the peers have cosigned of it.")
    ] = False,
    every_signature: Annotated[
        bool,
        typer.Option(
            "--every-signature", help="Verify each checkpoint's signature, also of a log with very many."
        ),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an interrupted verification ended.")
    ] = False,
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Verify the whole audit log: every byte, every node of the tree, every signature.

    Exit status 0: intact. 1: not intact; the first entry that is altered, missing, inserted or out
    of place is named. The node may run meanwhile. Ctrl-C keeps what was verified for --resume.

    With WHAT, verify what somebody handed out: `audit verify evidence.json --card shanghai.json`.
    """
    if what is not None:
        _verify_what(what, card or [], key or [], output)
        return
    notes = [_read_held(path) for path in held or ()]
    if ask_peers:
        notes += _held_by_peers(node)
    with audit_store(node) as store:
        report = run_verify(store, held=notes, resume=resume, every_signature=every_signature)
    if output is Output.json:
        print_json(_report_json(report))
    else:
        _say_report(report, len(notes))
    if not report.ok:
        raise typer.Exit(EXIT_NO)


def _verify_what(what: Path, cards: list[Path], keys: list[str], output: Output) -> None:
    try:
        facts = verify_offline(what, cards, keys)
    except (BundleError, TileError, NoteError, ProofError) as error:
        if output is Output.json:
            print_json({"verified": False, "problem": error.message})
        else:
            say(f"NOT VERIFIED: {error}")
        raise typer.Exit(EXIT_NO) from error
    if output is Output.json:
        print_json({"verified": True, **facts})
    else:
        say_offline(facts)


def show_entries(engine: Database, *, last: int, peer: str = "", exchange: str = "") -> list[ListedEntry]:
    """Return the entries to show. Raises ``CallerError`` for a malformed exchange id."""
    try:
        exchange_id = bytes.fromhex(exchange)
    except ValueError as error:
        raise CallerError("an exchange id is up to 32 hexadecimal digits, an even number of them.") from error
    return list_entries(engine, last=last, peer=peer, exchange_id=exchange_id)


def run_verify(
    store: AuditStore, *, held: Sequence[str] = (), resume: bool = False, every_signature: bool = False
) -> VerifyReport:
    """Verify the log of an open store, with a progress bar where somebody watches."""
    mark = store.folder.run / VERIFIED_MARK
    reached = 0
    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with progress_bar(*columns) as bar:
        task = bar.add_task("verify", total=None)

        def note_progress(done: int, total: int, verified: int) -> None:
            nonlocal reached
            reached = verified
            bar.update(task, completed=done, total=total)

        try:
            report = verify_log(
                store.engine,
                store.verifier.vkey,
                held=held,
                start=_read_mark(mark) if resume else 0,
                every_signature=every_signature,
                progress=note_progress,
                other_keys=store.other_keys,
            )
        except KeyboardInterrupt:
            _write_mark(mark, reached)
            complain(f"{reached} entries are verified; go on with --resume.")
            raise
    mark.unlink(missing_ok=True)
    return report


def _read_mark(path: Path) -> int:
    """Return how far an interrupted verification came; whatever it says is verified before it is used."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return 0
    return int(text) if text.isdigit() and len(text) <= INDEX_DIGITS_MAX else 0


def _write_mark(path: Path, verified: int) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_text(f"{verified}\n", encoding="ascii")


def _held_by_peers(node: Path) -> list[str]:
    """Return what reachable peers have cosigned of this node's log."""
    with local_node(folder_at(node)) as local:
        held = local.held_checkpoints()
    complain_about = [holder.node_id for holder in held.holders if holder.outcome != "OK"]
    if complain_about:
        complain(f"not asked, or without an answer: {', '.join(complain_about)}.")
    return [holder.checkpoint for holder in held.holders if holder.checkpoint]


def _read_held(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(HELD_BYTES_MAX).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise CallerError(f"{path} cannot be read as a checkpoint.") from error


def _row(listed: ListedEntry) -> tuple[str, ...]:
    draft = listed.entry.draft
    time = from_unix_ms(listed.entry.logged_at_ms).strftime("%Y-%m-%d %H:%M:%S")
    return (
        str(listed.index),
        time,
        *_what(draft),
        str(draft.count),
        draft.exchange_id.hex()[:EXCHANGE_DIGITS],
    )


def _what(draft: EntryDraft) -> tuple[str, str, str, str]:
    """Return kind, peer, purpose and outcome in the words of this node's operator."""
    if draft.kind == "management":
        return (draft.action, draft.peer, "", draft.reason)
    if draft.role == "answerer":
        return ("answered", draft.asker, draft.purpose, draft.outcome)
    return ("asked" if draft.kind == "exchange" else draft.kind, draft.answerer, draft.purpose, draft.outcome)


def _report_json(report: VerifyReport) -> dict[str, Any]:
    return {
        "intact": report.ok,
        "entries": report.entries,
        "verified_from": report.verified_from,
        "checkpoints": report.checkpoints,
        "signatures": report.signatures,
        "first_bad": report.first_bad,
        "findings": list(report.findings),
    }


def _say_report(report: VerifyReport, held: int) -> None:
    against = f" and {held} that others hold" if held else ""
    if report.signatures < report.checkpoints:
        against += f", {report.signatures} of their signatures verified"
    if report.verified_from:
        against += f"; entries below {report.verified_from} were verified by an earlier run"
    if report.ok:
        say(f"intact: {report.entries} entries, {report.checkpoints} signed checkpoints{against}.")
        return
    say(f"NOT INTACT: {report.entries} entries, {report.checkpoints} signed checkpoints{against}.")
    for finding in report.findings:
        say(f"  - {finding}")
    say("Stop the node, keep this database as it is, and compare with a backup and your peers' logs.")
