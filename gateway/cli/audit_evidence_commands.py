"""``audit export|prove|disclose|subject|erase``: evidence about exchanges, given away or erased."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from creditexchange.v1.envelope_pb2 import Opening
from creditexchange.v1.operator_pb2 import EraseRequest, NoteAccessRequest
from creditexchange.v1.record_pb2 import LearningRecord
from gateway.audit.checkpoint import size_of
from gateway.audit.cosigned import best_cosigned_checkpoint, is_cosigned_by, is_signed_by
from gateway.audit.entry import parse_leaf
from gateway.audit.evidence import EvidenceVault
from gateway.audit.proof_file import parse_proof_file
from gateway.audit.tile_directory import export_tiles, policy_text, published_size
from gateway.audit.tiles import StoredTiles
from gateway.cli.audit_store import AuditStore, audit_store
from gateway.cli.audit_story import Language, sentence, story_json
from gateway.cli.learner_option import IdentifierTypeOption, LearnerOption, learner_of
from gateway.cli.local_node import local_node
from gateway.cli.output import (
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
from gateway.clock import system_clock, unix_ms
from gateway.errors import CallerError
from gateway.exchange.collect_evidence import Collector
from gateway.exchange.evidence_bundle import EvidenceBundle
from gateway.learners.identifier import RESIDENT_ID
from gateway.learners.subject_token import subject_token
from gateway.node.folder import load_keys
from gateway.node.state import load_secrets, past_secrets
from gateway.peers.roster import Roster, load_roster
from gateway.policy.purposes import kind_word
from gateway.signing.cosignature import CosignatureVerifier
from gateway.signing.signed_note import parse_note
from gateway.storage import audit_rows, evidence_rows
from gateway.storage.audit_rows import EntryRow
from gateway.storage.engine import reading
from gateway.storage.evidence_rows import PartRow

ExchangeArgument = Annotated[str, typer.Argument(help="Exchange id, or its beginning.")]
OfLearnerOption = Annotated[
    str, typer.Option("--learner", help="Of an exchange about many: whose part. `-` reads the identifier.")
]
OutOption = Annotated[Path | None, typer.Option("--out", help="File to write. Default: standard output.")]


def export(
    exchange: Annotated[str, typer.Argument(help="Exchange id, or its beginning.")] = "",
    out: OutOption = None,
    tiles: Annotated[
        Path | None, typer.Option(help="Write the whole log as tiles into this folder, for any web server.")
    ] = None,
    learner: OfLearnerOption = "",
    identifier_type: IdentifierTypeOption = RESIDENT_ID,
    node: NodeOption = Path(),
) -> None:
    """Write the evidence of one exchange, or the whole log as tiles.

    An evidence bundle holds the signed request and answer, the log's entry with its proof up to a
    cosigned checkpoint, and the cards of both nodes; nothing in it is personal. Anybody verifies it
    offline with `credit-gateway audit verify FILE`, or part by part with other people's tools.

    --tiles can be repeated on the same folder: it adds what is new.

    Example: credit-gateway audit export 5f0c21aa --out evidence.json
    """
    if bool(exchange) == (tiles is not None):
        raise CallerError("name an exchange, or a folder with --tiles; not both.")
    if tiles is not None:
        _export_tiles(node, tiles)
        return
    with _collecting(node) as (collector, store):
        row = _find(collector, exchange)
        if learner:
            about = _rows_about(collector, store, identifier_type, learner_of(learner, identifier_type))
            mine = [own for own, _ in about if own.exchange_id == row.exchange_id]
            if not mine:
                raise CallerError("that exchange was not about this learner, or it was erased.")
            row = mine[0]
        bundle = collector.bundle(row)
    _deliver(bundle, out)


def prove(
    entry: Annotated[str, typer.Argument(help="Index of the entry, or exchange id (8 digits or more).")],
    out: OutOption = None,
    leaf: Annotated[Path | None, typer.Option(help="Also write the entry's bytes to this file.")] = None,
    node: NodeOption = Path(),
) -> None:
    """Write a .tlog-proof (C2SP) that one entry stands in the log."""
    with _collecting(node) as (collector, _):
        row = _row_at(collector, int(entry)) if _is_index(entry) else _find(collector, entry)
        text = collector.proof(row.idx).render()
    if leaf is not None:
        _write(leaf, row.leaf)
    if out is None:
        typer.echo(text, nl=False)
    else:
        _write(out, text.encode())
        say(f"wrote the proof of entry {row.idx} to {out}.")


def disclose(
    exchange: ExchangeArgument,
    record: Annotated[int | None, typer.Option(min=0, help="Which record, from 0.")] = None,
    out: OutOption = None,
    learner: OfLearnerOption = "",
    identifier_type: IdentifierTypeOption = RESIDENT_ID,
    node: NodeOption = Path(),
) -> None:
    """Write the evidence of one exchange with one of its records opened, and nothing about the others.

    Without --record the records are listed, to choose from. Either way the look into the evidence is
    itself logged, before anything is shown.
    """
    with _collecting(node) as (collector, store):
        row = _find(collector, exchange)
        draft = parse_leaf(row.leaf).draft
        if learner:
            about = _rows_about(collector, store, identifier_type, learner_of(learner, identifier_type))
            records = _records_about(collector, about, row.exchange_id)
        elif draft.chunk:
            raise CallerError("that exchange was about many learners.", remedy="Name one with --learner.")
        else:
            records = [(row, at, opening) for at, opening in collector.records(row.idx, draft)]
    _note_access(node, "evidence-opened", "disclosure", row.exchange_id, 1)
    if record is None:
        shown = table("record", "kind", "title")
        for at, (_, _, opening) in enumerate(records):
            found = LearningRecord.FromString(opening.item)
            titles = [title.text for title in found.titles]
            shown.add_row(str(at), kind_word(found.kind), titles[0] if titles else "")
        console.print(shown)
        say("Choose one with --record.")
        return
    if record >= len(records):
        raise CallerError(f"there are {len(records)} records; count from 0.")
    row, index, _ = records[record]
    with _collecting(node) as (collector, _):
        bundle = collector.bundle(row, index)
    _deliver(bundle, out)


def subject(
    learner: LearnerOption,
    identifier_type: IdentifierTypeOption = RESIDENT_ID,
    language: Annotated[Language, typer.Option(help="Language of the sentences.")] = Language.en,
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Tell every exchange about one learner, in words that a person understands.

    The look is itself logged, without saying about whom. Exchanges whose openings were erased are not
    found any more: that is what erasing means.
    """
    identifier = learner_of(learner, identifier_type)
    with _collecting(node) as (collector, store):
        roster = load_roster(store.folder.peers, store.config.node.id)
        rows = [
            (row, collector.share_of(row, place.part))
            for row, place in _rows_about(collector, store, identifier_type, identifier)
        ]
    _note_access(node, "subject-access", "learner-asked", b"", len(rows))
    names = _names(store, roster)
    if output is Output.json:
        print_json([story_json(row, draft, names, language) for row, draft in rows])
        return
    for row, draft in rows:
        say(sentence(row, draft, names, language))
    if not rows:
        say({"en": "There is nothing about this person.", "zh": "没有关于此人的记录。"}[language.value])


def erase(
    learner: Annotated[str, typer.Option(help="The learner's identifier; `-` reads it.")] = "",
    expired: Annotated[
        bool, typer.Option("--expired", help="Erase what is older than its retention.")
    ] = False,
    identifier_type: IdentifierTypeOption = RESIDENT_ID,
    reason: Annotated[
        str, typer.Option(help="One lower-case word with hyphens; it stands in the log for ever.")
    ] = "learner-request",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    node: NodeOption = Path(),
) -> None:
    """Erase the openings of one learner's exchanges, or of all whose retention has ended.

    What is erased cannot be brought back: who was asked about and what was answered is gone from the
    database's files. Signatures, digests and proofs verify as before, the erasure is itself logged,
    and the peers get a signed notice. Backups need their own care: docs/audit.md.
    """
    if bool(learner) == expired:
        raise CallerError("name a learner with --learner, or --expired; not both.")
    request = EraseRequest(identifier_type=identifier_type, reason=reason)
    if expired:
        request.expired_before_ms = unix_ms(system_clock())
    else:
        request.learner_identifier = learner_of(learner, identifier_type)
    if not yes:
        typer.confirm("Erase for good?", abort=True)
    with local_node(folder_at(node)) as local:
        done = local.erase(request)
    say(f"erased {done.parts} openings; {done.notices} peers are told by signed notice.")
    if not done.is_gone:
        complain("The bytes are still in the database's write-ahead file, which was being read; erase again.")


@contextmanager
def _collecting(node: Path) -> Iterator[tuple[Collector, AuditStore]]:
    with audit_store(node) as store, reading(store.engine) as connection:
        keys = load_keys(store.folder, store.config)
        vault = EvidenceVault(keys.evidence, keys.previous_evidence)
        roster = load_roster(store.folder.peers, store.config.node.id)
        nodes = (store.config.node.id, *roster.peers)
        witnesses = tuple(witness.verifier_key for witness in store.config.audit.witnesses)
        yield Collector(connection, vault, nodes, witnesses), store


def _find(collector: Collector, exchange: str) -> EntryRow:
    try:
        prefix = bytes.fromhex(exchange)
    except ValueError as error:
        raise CallerError("an exchange id is up to 32 hexadecimal digits, an even number of them.") from error
    rows = audit_rows.read_entries_of_prefix(collector.connection, prefix, 100) if prefix else []
    ids = {row.exchange_id for row in rows}
    if len(ids) > 1:
        raise CallerError(f"{len(ids)} exchanges begin with {exchange}.", remedy="Give more digits.")
    return collector.find(ids.pop() if ids else prefix)


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 8


def _row_at(collector: Collector, index: int) -> EntryRow:
    row = audit_rows.read_entry(collector.connection, index)
    if row is None:
        raise CallerError(f"the log has no entry {index}.")
    return row


def _rows_about(
    collector: Collector, store: AuditStore, identifier_type: str, identifier: str
) -> list[tuple[EntryRow, PartRow]]:
    """Return the entries about one learner, each with the learner's place in it."""
    refs = [
        ref
        for secret in (*load_secrets(store.folder, store.config).values(), *past_secrets(store.folder))
        for ref in collector.vault.subject_refs(subject_token(secret, identifier_type, identifier))
    ]
    parts = evidence_rows.read_parts_of_subjects(collector.connection, refs) if refs else []
    return [(_row_at(collector, part.idx), part) for part in parts]


def _records_about(
    collector: Collector, found: list[tuple[EntryRow, PartRow]], exchange_id: bytes
) -> list[tuple[EntryRow, int, Opening]]:
    """Return one learner's records of an exchange: entry, place in its answer, opening."""
    chosen = []
    for row, part in found:
        draft = parse_leaf(row.leaf).draft
        if row.exchange_id == exchange_id and draft.kind == "exchange" and draft.outcome == "OK":
            given = collector.records(row.idx, draft, {part.part})
            chosen += [(row, index, opening) for index, opening in given]
    return chosen


def _names(store: AuditStore, roster: Roster) -> dict[str, dict[str, str]]:
    names = {peer.node_id: dict(peer.card.names) for peer in roster.peers.values()}
    return names | {store.config.node.id: dict(store.config.node.names)}


def _note_access(node: Path, action: str, reason: str, exchange_id: bytes, count: int) -> None:
    request = NoteAccessRequest(action=action, reason=reason, exchange_id=exchange_id, count=count)
    with local_node(folder_at(node)) as local:
        local.note_access(request)


def _export_tiles(node: Path, directory: Path) -> None:
    columns = (TextColumn("writing tiles"), BarColumn(), MofNCompleteColumn())
    with audit_store(node) as store, reading(store.engine) as connection:
        size = store.log_size(connection)
        published = published_size(directory, store.config.audit.origin, size)
        note = best_cosigned_checkpoint(connection, max(1, published), store.verifiers)
        with progress_bar(*columns) as bar:
            task = bar.add_task("tiles", total=None)
            written = export_tiles(
                StoredTiles(connection, size_of(note)),
                note,
                _policy(store, note),
                directory,
                lambda done, total: bar.update(task, completed=done, total=total),
            )
    say(f"{directory} holds {size_of(note)} entries; {written} files were new.")


def _policy(store: AuditStore, note: str) -> str:
    roster = load_roster(store.folder.peers, store.config.node.id)
    known = [verifier for peer in roster.peers.values() for verifier in peer.card.witness_verifiers]
    known += [CosignatureVerifier.from_vkey(w.verifier_key) for w in store.config.audit.witnesses]
    signed = [verifier for verifier in known if is_cosigned_by(note, [verifier])]
    log = next((verifier for verifier in store.verifiers if is_signed_by(note, [verifier])), store.verifier)
    return policy_text(log, signed, min(2, len(signed)))


def _deliver(bundle: EvidenceBundle, out: Path | None) -> None:
    content = bundle.render()
    if len(parse_note(parse_proof_file(bundle.proof).note).signatures) == 1:
        complain("No witness has cosigned this entry yet; `credit-gateway audit witness --now`, then again.")
    if out is None:
        typer.echo(content.decode(), nl=False)
        return
    _write(out, content)
    say(f"wrote {out}; verify it anywhere with `credit-gateway audit verify {out.name}`.")


def _write(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.write_bytes(content)
        fresh.replace(path)
    except OSError as error:
        raise CallerError(f"{path} cannot be written: {error.strerror}.") from error
