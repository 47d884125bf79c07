"""``peers add|list|check|remove``: whom this node trusts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from creditexchange.v1.archive_pb2 import CheckPeerResponse
from creditexchange.v1.exchange_pb2 import GrantSummary
from gateway.cli.local_node import local_node
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
from gateway.clock import system_clock
from gateway.errors import CallerError
from gateway.node.config import load_config
from gateway.peers.card import Card, fingerprint_for_people, read_card_file, require_fingerprint
from gateway.peers.onboarding import accept, remove, require_acceptable
from gateway.peers.roster import Peer, load_roster
from gateway.policy.purposes import kind_word, purpose_word

peers_app = typer.Typer(
    help="The peers that this node trusts.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)


peers_app.command("retry")(retry_peer)


@peers_app.command("add")
def add(
    card_file: Annotated[Path, typer.Argument(metavar="CARD", help="The card that the peer sent you.")],
    fingerprint: Annotated[
        str,
        typer.Option(help="The fingerprint that the peer's operator read to you; at least 32 digits."),
    ] = "",
    node: NodeOption = Path(),
) -> None:
    """Accept a peer's card, or a newer card of a known peer.

    Shows what will be trusted and asks you to compare the fingerprint with the peer's operator
    over another channel. Grants stay off: write them into access.toml. A running node takes the
    peer up within seconds.
    """
    folder = folder_at(node)
    config = load_config(folder.root)
    card = read_card_file(card_file)
    known = require_acceptable(card, folder.peers, config.node.id, system_clock())
    _show_card(card, known)
    if fingerprint:
        require_fingerprint(card, fingerprint)
    else:
        _ask_for_fingerprint(card)
    path = accept(card, folder.peers, system_clock())
    say(f"accepted; wrote {path.relative_to(folder.root)}. It may ask nothing until access.toml grants it.")


@peers_app.command("list")
def list_peers(node: NodeOption = Path(), output: OutputOption = Output.table) -> None:
    """List accepted peers: endpoints, state, whether they are asked now, the days their cards have left."""
    folder = folder_at(node)
    roster = load_roster(folder.peers, load_config(folder.root).node.id)
    now = system_clock()
    peers = list(roster.peers.values())
    asked = reach_words(folder, peers, now)
    if output is Output.json:
        print_json([_peer_json(peer, (peer.card.expires - now).days, asked[peer.node_id]) for peer in peers])
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
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Ask peers for a signed echo: reachable, keys, clock, and what they let this node ask.

    Uses the running node if there is one. Exit status 1 when a peer fails, with what to mend.
    """
    folder = folder_at(node)
    config = load_config(folder.root)
    own = load_roster(folder.peers, config.node.id)
    names = peers or list(own.peers)
    if not names:
        raise CallerError("there are no peers.", remedy="Add one with `credit-gateway peers add CARD`.")
    with local_node(folder) as local:
        results = [(name, local.check(name)) for name in names]
    if output is Output.json:
        print_json([_check_json(name, check) for name, check in results])
    else:
        shown = table("peer", "outcome", "ms", "clock off by ms", "lets us ask", "remark")
        for name, check in results:
            shown.add_row(
                name,
                check.outcome,
                str(check.elapsed_ms),
                str(check.clock_offset_ms),
                "\n".join(map(_grant_text, check.grants)) or "nothing",
                Text(check.explanation),
            )
        console.print(shown)
    if any(check.outcome != "OK" for _, check in results):
        raise typer.Exit(EXIT_NO)


def _check_json(name: str, check: CheckPeerResponse) -> dict[str, object]:
    return {
        "peer": name,
        "outcome": check.outcome,
        "explanation": check.explanation,
        "milliseconds": check.elapsed_ms,
        "clock_offset_ms": check.clock_offset_ms,
        "accepted_card_serial": check.accepted_card_serial,
        "federation_epochs": list(check.federation_epochs),
        "grants": [_grant_text(grant) for grant in check.grants],
    }


def _grant_text(grant: GrantSummary) -> str:
    kinds = ", ".join(kind_word(kind) for kind in grant.kinds)
    return f"{purpose_word(grant.purpose)}: {kinds}{' (with consent)' if grant.consent_required else ''}"


def _show_card(card: Card, known: Card | None) -> None:
    say(f"{'New card of a known peer' if known else 'New peer'}: {card.node_id}")
    for language, name in card.names.items():
        say(f"  name ({language}): {name}")
    say(f"  endpoints:    {', '.join(card.endpoints)}")
    say(f"  serial:       {card.serial}{f' (accepted until now: {known.serial})' if known else ''}")
    say(f"  expires:      {card.expires:%Y-%m-%d}")
    say(f"  audit log:    {card.log_origin}")
    say(f"  keys:         {len(card.keys)}, TLS authorities: {len(card.cas)}")
    say(f"  signs with:   {', '.join(sorted(card.offered_suites))}{_lost_suites(card, known)}")
    say(f"  fingerprint:  {fingerprint_for_people(card.fingerprint)}")


def _lost_suites(card: Card, known: Card | None) -> str:
    lost = sorted(known.offered_suites - card.offered_suites) if known else []
    return f" (NO LONGER with {', '.join(lost)}: ask why)" if lost else ""


def _ask_for_fingerprint(card: Card) -> None:
    if not sys.stdin.isatty():
        raise CallerError(
            "the fingerprint was not compared.",
            remedy="Have the peer's operator read it to you, then give it with --fingerprint.",
        )
    typed = typer.prompt("Type the fingerprint that the peer's operator reads to you (32 digits or more)")
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
