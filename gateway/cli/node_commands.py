"""``init``, ``check``, ``serve``, ``card``: the node itself."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.output import (
    EXIT_WRONG,
    NodeOption,
    Output,
    OutputOption,
    complain,
    console,
    folder_at,
    print_json,
    say,
    table,
)
from gateway.cli.suite_option import suites_named
from gateway.clock import system_clock
from gateway.errors import CallerError
from gateway.node.card_file import present_card
from gateway.node.checks import Finding, run_checks
from gateway.node.config import NodeConfig, load_config
from gateway.node.folder import NodeFolder, add_federation_secret, init_node, load_keys
from gateway.node.lock import node_lock
from gateway.node.supervise import require_shareable
from gateway.peers.card import NODE_ID_PATTERN, Card, fingerprint_for_people, is_endpoint
from gateway.peers.fingerprint import fingerprint_numbers, fingerprint_words
from gateway.schemes import load_scheme
from gateway.signing import dsse
from gateway.signing.suites import ED25519, SUITES_BY_NAME

NEW_SECRET = "new"  # noqa: S105 - a word of the command line
FIRST_EPOCH = "1"
LISTEN, OPERATOR, METRICS = "127.0.0.1:17443", "127.0.0.1:17444", "127.0.0.1:17445"


def init(
    directory: Annotated[Path, typer.Argument(help="Folder of the node; made if it is missing.")],
    node_id: Annotated[str, typer.Option("--id", help="Node id, for example zhejiang.")],
    example: Annotated[
        Path | None,
        typer.Option(help="Start from the node.toml, scheme.toml and access.toml in this folder."),
    ] = None,
    federation_secret: Annotated[
        str,
        typer.Option(
            help=f"File with the federation's secret, or `{NEW_SECRET}` for the first node of a federation."
        ),
    ] = "",
    epoch: Annotated[
        str, typer.Option(help="Epoch of that secret; default: the newest in node.toml, 1 in a new one.")
    ] = "",
    listen: Annotated[
        str, typer.Option(help=f"Where peers reach this node, host:port; default {LISTEN}.")
    ] = "",
    operator: Annotated[
        str, typer.Option(help=f"Loopback port for the command line; default {OPERATOR}.")
    ] = "",
    metrics: Annotated[str, typer.Option(help=f"Port of the metrics page; default {METRICS}.")] = "",
    suite: Annotated[
        str,
        typer.Option(
            help=f"Signature suite of the keys that are made: {', '.join(SUITES_BY_NAME)}; "
            "ed25519+ml-dsa-65 signs every message twice (docs/cryptography.md)."
        ),
    ] = ED25519.name,
) -> None:
    """Make a new node: keys, TLS authority, configuration, databases.

    Does only what is missing: run it again after an upgrade to migrate the databases, or to make
    a key that was removed. Nothing that exists is overwritten.

    Example: credit-gateway init zhejiang --id zhejiang --federation-secret new
    """
    if not NODE_ID_PATTERN.fullmatch(node_id):
        raise CallerError(
            f"--id {node_id[:40]!r} is no node id.",
            remedy="Use 2 to 32 characters of a-z, 0-9 and inner hyphens, beginning with a letter.",
        )
    suites = suites_named(suite)
    folder = folder_at(directory)
    for flag, value in (("--listen", listen), ("--operator", operator), ("--metrics", metrics)):
        if value and _has_configuration(folder, example):
            raise CallerError(
                f"{flag} has no effect: there is a node.toml already.", remedy="Change [listen] in that file."
            )
        if value and not is_endpoint(value):
            raise CallerError(f"{flag} {value[:60]!r} is not host:port.", remedy="Write 127.0.0.1:17443.")
    folder.root.mkdir(parents=True, exist_ok=True)
    now = system_clock()
    with node_lock(folder):
        created = init_node(
            folder.root,
            node_id,
            example=example,
            settings={
                "listen": listen or LISTEN,
                "endpoint": (listen or LISTEN).replace("0.0.0.0", "127.0.0.1"),  # noqa: S104 - not bound
                "operator": operator or OPERATOR,
                "metrics": metrics or METRICS,
                "origin": f"audit.{node_id}.example/{now.year}",
                "epochs": f'"{epoch or FIRST_EPOCH}"' if federation_secret else "",
            },
            now=now,
            suites=suites,
        )
        if federation_secret:
            source = None if federation_secret == NEW_SECRET else Path(federation_secret)
            live = load_config(folder.root).federation.epochs
            epoch = epoch or (live[0] if live else FIRST_EPOCH)
            if add_federation_secret(folder, epoch, source):
                created.append(f"keys/federation-{epoch}.secret")
            if epoch not in live:
                say(f'Name the epoch in node.toml: [federation] epochs = ["{epoch}"]')
    for name in created:
        say(f"created {name}")
    say(f"node {node_id} is ready in {folder.root}")
    if not federation_secret:
        say("Next: put the federation's secret in place, see --federation-secret.")
    own = _own_card(folder, load_config(folder.root))
    say(f"Its card for peers: {folder.card}, fingerprint {fingerprint_for_people(own.fingerprint)}")
    say(f"The same in words: {' '.join(fingerprint_words(own.fingerprint))}")
    say("Then: credit-gateway peers add CARD, credit-gateway serve.")


def _has_configuration(folder: NodeFolder, example: Path | None) -> bool:
    return folder.config.exists() or (example is not None and (example / folder.config.name).is_file())


def check(node: NodeOption = Path(), output: OutputOption = Output.table) -> None:
    """Look at everything a start would trip over, without starting.

    Files, keys, scheme, grants, databases, audit log, peers and what will expire soon. Each
    problem names file, key and remedy. Exit status 2 when there is any.
    """
    findings = run_checks(folder_at(node), system_clock)
    if output is Output.json:
        print_json([finding.__dict__ for finding in findings])
    else:
        _show(findings)
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(EXIT_WRONG)


def serve(
    node: NodeOption = Path(),
    workers: Annotated[
        int,
        typer.Option(
            min=1, max=64, help="Processes that serve the node together; more than 1 need PostgreSQL."
        ),
    ] = 1,
) -> None:
    """Serve the node until SIGTERM or Ctrl-C; calls in flight are finished first.

    Changed peers, grants and schemes are taken up while it runs (at once on SIGHUP). Log lines
    are JSON on standard error.

    One process uses about one core. With PostgreSQL, `--workers N` uses N: a worker that crashes is
    started again, and the others go on meanwhile (docs/scaling.md).
    """
    if workers > 1:
        require_shareable(load_config(folder_at(node).root))
        # The supervisor must never have imported grpc, and this process has.
        command = ["-P", "-m", "gateway.node.supervise", "--node", str(folder_at(node).root)]
        os.execv(sys.executable, [sys.executable, *command, "--workers", str(workers)])  # noqa: S606
    from gateway.node.serve import serve as serve_node

    serve_node(folder_at(node))


def card(
    node: NodeOption = Path(),
    out: Annotated[Path | None, typer.Option(help="Write the card to this file.")] = None,
) -> None:
    """Print this node's signed card: what a peer's operator needs to add this node.

    The card is public. Send it any way you like, then read the fingerprint to the other operator
    over another channel, such as the telephone: it is printed to standard error.
    """
    folder = folder_at(node)
    config = load_config(folder.root)
    own = _own_card(folder, config)
    text = dsse.to_json(own.message)
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")
    else:
        typer.echo(text)
    typer.echo(f"fingerprint: {fingerprint_for_people(own.fingerprint)}", err=True)
    typer.echo(f"in words: {' '.join(fingerprint_words(own.fingerprint))}", err=True)
    typer.echo(f"in numbers: {' '.join(fingerprint_numbers(own.fingerprint))}", err=True)
    if own.expires - system_clock() < timedelta(days=60):
        complain(f"this card expires on {own.expires:%Y-%m-%d}")


def _own_card(folder: NodeFolder, config: NodeConfig) -> Card:
    keys = load_keys(folder, config)
    return present_card(folder, config, keys, load_scheme(folder.scheme).reference, system_clock())


def _show(findings: list[Finding]) -> None:
    rows = table("", "what", "seen")
    signs = {"ok": "[green]ok[/green]", "note": "[yellow]note[/yellow]", "problem": "[red]problem[/red]"}
    from rich.text import Text

    for finding in findings:
        rows.add_row(signs[finding.state], Text(finding.what), Text(finding.seen))
    console.print(rows)
