"""``peers add|list|check|remove``: whom this node trusts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from time import sleep
from typing import Annotated

import typer
from rich.text import Text

from creditexchange.v1.exchange_pb2 import PURPOSE_UNSPECIFIED
from creditexchange.v1.operator_pb2 import DiagnosePeerRequest, DiagnosePeerResponse
from gateway.cli.card_view import show_card
from gateway.cli.diagnosis_view import collect, diagnosis_json, show_diagnosis
from gateway.cli.local_node import LocalNode, local_node
from gateway.cli.output import (
    EXIT_NO,
    NodeOption,
    Output,
    OutputOption,
    console,
    folder_at,
    print_json,
    say,
    table,
)
from gateway.cli.reach_commands import reach_words, retry_peer
from gateway.clock import monotonic_s, system_clock
from gateway.doctor.standing import broken_peer_file
from gateway.doctor.step import verdict_of
from gateway.errors import CallerError, CardError, ConfigError
from gateway.node.config import NodeConfig, load_config
from gateway.node.folder import NodeFolder
from gateway.peers.card import Card, read_card_file
from gateway.peers.fingerprint import require_fingerprint
from gateway.peers.onboarding import accept, pending_card, remove, require_acceptable
from gateway.peers.roster import Peer, load_peer, load_roster
from gateway.policy.grant_proposal import propose_grant
from gateway.policy.purposes import parse_kind, parse_purpose
from gateway.rpc.diagnosis import event_message

TAKEN_UP_S_MAX = 6.0
"""How long to wait for a running node to take up a peer that was added, seconds; it looks every two."""

peers_app = typer.Typer(
    help="The peers that this node trusts.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)


peers_app.command("retry")(retry_peer)


@peers_app.command("add")
def add(
    card_file: Annotated[Path, typer.Argument(metavar="CARD", help="The card that the peer sent you.")],
    fingerprint: Annotated[
        str,
        typer.Option(
            help="The fingerprint that was read to you: 12 words, their numbers, or 32 digits or more."
        ),
    ] = "",
    node: NodeOption = Path(),
) -> None:
    """Accept a peer's card, or a newer card of a known peer.

    Shows what will be trusted and asks you to compare the fingerprint with the peer's operator
    over another channel, such as the telephone: twelve words, their numbers, or 32 digits. Writes
    peers/ID.toml, and a proposal of a grant into access.toml as comments, which grants nothing. A running
    node takes the peer up within seconds.
    """
    folder = folder_at(node)
    config = load_config(folder.root)
    card = read_card_file(card_file)
    known = require_acceptable(card, folder.peers, config.node.id, system_clock())
    show_card(card, known, system_clock())
    if fingerprint:
        require_fingerprint(card, fingerprint)
    else:
        _ask_for_fingerprint(card)
    path = accept(card, folder.peers, system_clock())
    is_proposed = propose_grant(folder.access, card.node_id)
    proposed = " and, as comments, a proposal of a grant into access.toml" if is_proposed else ""
    say(
        f"accepted; wrote {path.relative_to(folder.root)}{proposed}. access.toml says what "
        f"{card.node_id} may ask."
    )
    say(f"Next: credit-gateway peers check {card.node_id}")


@peers_app.command("list")
def list_peers(node: NodeOption = Path(), output: OutputOption = Output.table) -> None:
    """List accepted peers: endpoints, state, whether they are asked now, the days their cards have left."""
    folder = folder_at(node)
    roster = load_roster(folder.peers, load_config(folder.root).node.id)
    now = system_clock()
    peers = list(roster.peers.values())
    asked = reach_words(folder, peers, now)
    if output is Output.json:
        waiting = {card.node_id: card.serial for card in _pending(folder.peers, peers)}
        print_json(
            [
                _peer_json(peer, (peer.card.expires - now).days, asked[peer.node_id])
                | {"pending_serial": waiting.get(peer.node_id)}
                for peer in peers
            ]
        )
        return
    shown = table("peer", "name", "state", "asked", "endpoints", "serial", "days left", "fingerprint")
    for peer in peers:
        shown.add_row(
            peer.node_id,
            Text(" / ".join(peer.card.names.values())),
            peer.state,
            asked[peer.node_id],
            ", ".join(peer.endpoints),
            str(peer.card.serial),
            str((peer.card.expires - now).days),
            f"{peer.card.fingerprint[:16]}…",
        )
    console.print(shown)
    for card in _pending(folder.peers, peers):
        say(f"A newer card of {card.node_id} (serial {card.serial}) waits: no trusted key vouches for it.")
        say("  Have its operator read the fingerprint to you by telephone, then run")
        say(f"  credit-gateway peers add {pending_card(card.node_id, folder.peers)}")


def _pending(folder: Path, peers: list[Peer]) -> list[Card]:
    """Return the newer cards that wait for a person."""
    paths = {peer.node_id: pending_card(peer.node_id, folder) for peer in peers}
    return [read_card_file(path) for path in paths.values() if path.exists()]


@peers_app.command("remove")
def remove_peer(
    peer: Annotated[str, typer.Argument(help="Node id of the peer.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    node: NodeOption = Path(),
) -> None:
    """Stop trusting a peer. A running node refuses its next call."""
    folder = folder_at(node)
    load_config(folder.root)
    if not yes and not _confirm(f"Stop trusting {peer}?"):
        raise typer.Exit(EXIT_NO)
    remove(peer, folder.peers)
    say(f"removed {peer}")


@peers_app.command("check")
def check_peers(
    peers: Annotated[list[str] | None, typer.Argument(help="Node ids; default: every peer.")] = None,
    purpose: Annotated[
        str, typer.Option(help="For which purpose you want to ask; default: any that is granted.")
    ] = "",
    kind: Annotated[
        list[str] | None, typer.Option(help="About which kind of record; may be given several times.")
    ] = None,
    without_consent: Annotated[
        bool, typer.Option("--without-consent", help="Whether you want to ask without the learner's consent.")
    ] = False,
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Find out why a peer cannot be asked, and who has to mend it.

    Goes from the name of each endpoint over connection, TLS and certificate to a signed echo, and then
    compares clocks, cards, protocol versions, message sizes, federation secrets and grants. Each step says
    what was tried, seen and expected; the end names the one thing to mend first, and the side: this one, the
    peer's, or the network. Uses the running node if there is one. Exit status 1 when exchanges with a peer
    do not work. docs/peers.md lists every finding.
    """
    folder = folder_at(node)
    config = load_config(folder.root)
    names = peers or sorted(path.stem for path in folder.peers.glob("*.toml"))
    if not names:
        raise CallerError("there are no peers.", remedy="Add one with `credit-gateway peers add CARD`.")
    wanted = DiagnosePeerRequest(
        purpose=parse_purpose(purpose) if purpose else PURPOSE_UNSPECIFIED,  # type: ignore[arg-type]
        kinds=[parse_kind(word) for word in kind or ()],  # type: ignore[misc]
        without_consent=without_consent,
    )
    broken = {name: events for name in names if (events := _broken_file(folder, config, name))}
    found = [collect(name, events) for name, events in broken.items()]
    if sound := [name for name in names if name not in broken]:
        with local_node(folder) as local:
            for name in sound:
                wanted.node_id = name
                found.append(collect(name, _events(local, wanted, folder)))
    if output is Output.json:
        print_json([diagnosis_json(one) for one in found])
    else:
        for one in found:
            show_diagnosis(one)
    if not all(one.is_good for one in found):
        raise typer.Exit(EXIT_NO)


def _events(
    local: LocalNode, wanted: DiagnosePeerRequest, folder: NodeFolder
) -> Iterator[DiagnosePeerResponse]:
    """Yield a diagnosis; a running node may need seconds to take up a peer that was added just now."""
    ends_s = monotonic_s() + TAKEN_UP_S_MAX
    is_there = (folder.peers / f"{wanted.node_id}.toml").is_file()
    while True:
        events = iter(local.diagnose(wanted))
        try:
            first = next(events)
        except CallerError:
            if not is_there or monotonic_s() > ends_s:
                raise
            sleep(0.5)
            continue
        yield first
        yield from events
        return


def _broken_file(folder: NodeFolder, config: NodeConfig, name: str) -> list[DiagnosePeerResponse]:
    """Return a diagnosis that ends with the peer's file; empty when that is sound, or not there at all."""
    path = folder.peers / f"{name}.toml"
    if "/" in name or not path.is_file():
        return []
    try:
        load_peer(path, config.node.id, config.policy.required_suites)
    except (CardError, ConfigError) as error:
        step = broken_peer_file(error.message, error.remedy, name)
        return [event_message(step), event_message(verdict_of([step]))]
    return []


def _ask_for_fingerprint(card: Card) -> None:
    if not sys.stdin.isatty():
        raise CallerError(
            "the fingerprint was not compared.",
            remedy="Have the peer's operator read it to you, then give it with --fingerprint.",
        )
    typed = typer.prompt("Type what the peer's operator reads to you (12 words, their numbers, or 32 digits)")
    require_fingerprint(card, typed)


def _confirm(question: str) -> bool:
    if not sys.stdin.isatty():
        raise CallerError("nobody is there to answer.", remedy="Give --yes.")
    return typer.confirm(question)


def _peer_json(peer: Peer, days_left: int, asked: str) -> dict[str, object]:
    return {
        "id": peer.node_id,
        "names": dict(peer.card.names),
        "state": peer.state,
        "asked": asked,
        "endpoints": list(peer.endpoints),
        "serial": peer.card.serial,
        "days_left": days_left,
        "fingerprint": peer.card.fingerprint,
    }
