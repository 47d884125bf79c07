"""``audit verify WHAT``: bundles and published logs, on a machine that has never seen either node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from creditexchange.v1.record_pb2 import LearningRecord
from gateway.audit.tile_directory import CHECKPOINT, TileReport, verify_tiles
from gateway.cli.output import progress_bar, say
from gateway.clock import from_unix_ms
from gateway.errors import CallerError
from gateway.exchange.evidence_bundle import (
    BUNDLE_BYTES_MAX,
    BundleError,
    BundleReport,
    parse_bundle,
    verify_bundle,
)
from gateway.peers.card import Card, fingerprint_for_people, read_card_file
from gateway.policy.purposes import kind_word
from gateway.signing.cosignature import CosignatureVerifier

TIME = "%Y-%m-%d %H:%M:%S"


def verify_offline(what: Path, card_files: list[Path], keys: list[str]) -> dict[str, Any]:
    """Verify a bundle or a folder of tiles and return the facts that it proves.

    Raises:
        BundleError, TileError, NoteError, ProofError: it proves nothing; the text says why.
        CallerError: it cannot be read, or the card that it needs was not given.
    """
    cards = [read_card_file(path) for path in card_files]
    if what.is_dir():
        return _verify_directory(what, cards, [CosignatureVerifier.from_vkey(key) for key in keys])
    try:
        with what.open("rb") as file:
            content = file.read(BUNDLE_BYTES_MAX + 1)
    except OSError as error:
        raise CallerError(f"{what} cannot be read: {error.strerror}.") from error
    report = verify_bundle(parse_bundle(content))
    compared = _compare_cards(report, cards)
    return _bundle_facts(report, compared)


def say_offline(facts: dict[str, Any]) -> None:
    """Say in words what was verified."""
    if facts["what"] == "tiles":
        say(f"verified: {facts['entries']} entries of {facts['log']} in {facts['files']} files.")
        say(f"cosigned by: {', '.join(facts['cosigned_by']) or 'nobody'}.")
        return
    say(f"verified: exchange {facts['exchange']}")
    say(f"  {facts['asker']} asked {facts['answerer']} for {facts['purpose']}; outcome {facts['outcome']},")
    say(f"  {facts['records']} records; logged {facts['logged']} UTC.")
    say(f"  It stands at entry {facts['index']} of the log {facts['log']} ({facts['size']} entries).")
    if facts["peer_log"]:
        say(
            f"  The other side logged it at entry {facts['peer_log']['index']} of {facts['peer_log']['log']}."
        )
    for name, time in facts["cosigned_by"].items():
        say(f"  Witness {name} saw that log at {time} UTC.")
    if facts["record"]:
        say(f"  Disclosed record: {facts['record']['kind']}, {facts['record']['title']}")
        say(f"  (record {facts['record']['id']} of {facts['record']['source']}).")
    say("This holds if these are the real cards; compare the fingerprints with the nodes' operators:")
    for node_id, card in facts["cards"].items():
        mark = "compared with --card" if card["compared"] else "NOT compared"
        say(f"  {node_id}: {fingerprint_for_people(card['fingerprint'])}  {mark}")


def _verify_directory(
    directory: Path, cards: list[Card], witnesses: list[CosignatureVerifier]
) -> dict[str, Any]:
    try:
        origin = (directory / CHECKPOINT).read_text(encoding="utf-8").split("\n", 1)[0]
    except (OSError, UnicodeDecodeError) as error:
        raise CallerError(f"{directory / CHECKPOINT} cannot be read.") from error
    own = [card for card in cards if card.log_origin == origin]
    if not own:
        raise CallerError(
            f"the folder holds the log {origin[:128]!r}; the card of its node is needed.",
            remedy="Give it with --card, and the cards of its witnesses as well.",
        )
    known = [verifier for card in cards if card not in own for verifier in card.witness_verifiers]
    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn())
    with progress_bar(*columns) as bar:
        task = bar.add_task("verify", total=None)
        report: TileReport = verify_tiles(
            directory,
            own[0].log_verifiers,
            [*known, *witnesses],
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    return {
        "what": "tiles",
        "log": report.checkpoint.origin,
        "entries": report.checkpoint.size,
        "root": report.checkpoint.root.hex(),
        "files": report.files,
        "cosigned_by": list(report.cosigned_by),
    }


def _compare_cards(report: BundleReport, cards: list[Card]) -> set[str]:
    """Return the nodes whose card is the one that was given.

    Raises:
        BundleError: a card in the bundle is another one.
    """
    for card in cards:
        inside = report.cards.get(card.node_id)
        if inside is not None and inside.fingerprint != card.fingerprint:
            raise BundleError(
                f"the bundle's card of {card.node_id} is not the one that was given.",
                remedy="It may be an older card: ask that node's operator. Else do not believe it.",
            )
    return {card.node_id for card in cards if card.node_id in report.cards}


def _bundle_facts(report: BundleReport, compared: set[str]) -> dict[str, Any]:
    entry = report.entry
    peer_log = report.peer_log
    return {
        "what": "bundle",
        "exchange": entry.exchange_id.hex(),
        "asker": entry.asker,
        "answerer": entry.answerer,
        "purpose": entry.purpose,
        "outcome": entry.outcome,
        "records": entry.count,
        "logged": from_unix_ms(report.logged_at_ms).strftime(TIME),
        "log": report.log_origin,
        "index": report.index,
        "size": report.size,
        "peer_log": None if peer_log is None else {"log": peer_log.origin, "index": peer_log.index},
        "cosigned_by": {name: time.strftime(TIME) for name, time in report.cosigned_by.items()},
        "record": None if report.record is None else _record_facts(report.record),
        "cards": {
            node_id: {"fingerprint": card.fingerprint, "compared": node_id in compared}
            for node_id, card in report.cards.items()
        },
    }


def _record_facts(record: LearningRecord) -> dict[str, str]:
    titles = [title.text for title in record.titles]
    return {
        "kind": kind_word(record.kind),
        "title": titles[0] if titles else "",
        "id": record.record_id,
        "source": record.source_node,
    }
