"""``keys rotate|list``: replace a key of the node, and see where each stands."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.text import Text

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
from gateway.clock import system_clock
from gateway.errors import CallerError
from gateway.node.config import load_config
from gateway.node.folder import PAST_CREDENTIAL_KEYS, NodeFolder
from gateway.node.issuing_keys import replace_credential_key, replace_document_key
from gateway.node.key_list import KeyLine, KeyList, list_keys
from gateway.node.lock import find_running
from gateway.node.rotating import begin, begin_epoch, cancel, renew_leaf_soon
from gateway.node.rotation import begin_evidence, rotate_evidence
from gateway.node.rotation_plan import ANNOUNCED, Role

keys_app = typer.Typer(
    help="The keys of this node.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)

Key = Literal[
    "signing", "tls-leaf", "tls-ca", "log", "witness", "evidence", "federation", "credential", "documents"
]

NEW_SECRET = "new"  # noqa: S105 - the word that asks for one
EPOCH_PATTERN = re.compile(r"[a-z0-9-]{1,16}", re.ASCII)

PLANNED: dict[str, Role] = {"signing": "signing", "tls-ca": "tls-ca", "log": "log", "witness": "witness"}
"""Keys that stand in the card: they are announced there before they are used."""


@keys_app.command("rotate")
def rotate(
    key: Annotated[
        Key,
        typer.Argument(
            help="signing: messages and the card; tls-leaf, tls-ca: TLS; log: checkpoints of the audit log; "
            "witness: cosignatures; evidence: what encrypts past openings; federation: what names learners; "
            "credential, documents: what learners take away."
        ),
    ],
    to: Annotated[
        str, typer.Option(help="PKCS#11 URI of the next key, made with the hardware module's own tool.")
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Do not wait for peers that lack the card: they are locked out.")
    ] = False,
    secret: Annotated[
        str, typer.Option(help="federation: file with the next secret, or `new` on the node that makes it.")
    ] = "",
    epoch: Annotated[str, typer.Option(help="federation: name of the next epoch, for example 2027.")] = "",
    give_up: Annotated[
        bool, typer.Option("--cancel", help="Give up a change whose next key is announced only.")
    ] = False,
    node: NodeOption = Path(),
) -> None:
    """Replace a key by a new one; the node goes on running, and no exchange fails.

    A key that stands in the card goes four steps: the next key is announced in the card; when every peer
    has that card it is used; the old one is accepted for a while; then it is deleted. The running node
    does the steps, and goes on with them after any interruption; [rotation] in node.toml says how long
    each takes, `keys list` where each stands. Running this again continues, and changes nothing that is
    under way. The TLS leaf, the evidence key and the keys of what learners take away concern no peer and
    are replaced at once; what they signed goes on to verify.
    """
    folder = folder_at(node)
    if key not in (*PLANNED, "federation") and (to or force or give_up):
        raise CallerError(f"--to, --force and --cancel do not fit {key}.", remedy="Leave them out.")
    if key == "evidence":
        _rotate_evidence(folder)
    elif key == "federation":
        _rotate_federation(folder, secret, epoch, give_up=give_up, force=force)
    elif key == "tls-leaf":
        renew_leaf_soon(folder, system_clock())
        say("the TLS leaf is issued anew: by the running node within seconds, by a stopped one at its start.")
    elif key == "credential":
        name = replace_credential_key(folder, load_config(folder.root))
        say(f"credentials are signed by {name} from now on; keys/{PAST_CREDENTIAL_KEYS} keeps the last key's")
        say("public half, which the DID document goes on to publish. Was it stolen? Delete its line there.")
    elif key == "documents":
        replace_document_key(folder, load_config(folder.root), system_clock())
        say("PDF and XML are signed by a new key from now on; what the last one signed verifies as before.")
    elif give_up:
        for step in cancel(folder, PLANNED[key]):
            say(f"given up: {step.slot} stays; its next key {step.new} is deleted.")
    else:
        _rotate_planned(folder, PLANNED[key], to, force=force)


@keys_app.command("list")
def show(node: NodeOption = Path(), output: OutputOption = Output.table) -> None:
    """Show each key: role, suite, key id, where it is, its state, what comes next, and who has the card."""
    found = list_keys(folder_at(node), system_clock)
    if output is Output.json:
        print_json(_as_json(found))
        return
    shown = table("role", "suite", "key id", "place", "state", "until", "next step")
    for line in found.keys:
        shown.add_row(
            line.role,
            line.suite,
            f"{line.key_id[:23]}…" if line.key_id else "secret",
            Text(line.place),
            line.state,
            _time(line.until) or "",
            Text(line.next_step),
        )
    console.print(shown)
    say(f"card {found.card_serial}")
    for peer, serial in found.accepted.items():
        has = "has it" if serial >= found.card_serial else f"has {serial or 'not said which it has'}"
        say(f"  {peer}: {has}")


def _rotate_planned(folder: NodeFolder, role: Role, to: str, *, force: bool) -> None:
    if force:
        complain("--force: peers that lack the card will refuse this node until they get it by hand.")
    for step in begin(folder, role, system_clock(), to=to, forced=force):
        if step.phase == ANNOUNCED:
            say(f"{step.slot}: the next key {step.new} is announced in the card.")
            say(f"  It is used from {step.switch_at:%Y-%m-%d %H:%M:%S} UTC on, when the peers have the card.")
        else:
            say(f"{step.slot}: the new key {step.new} is in use.")
            say(f"  The old one is deleted after {step.retire_at:%Y-%m-%d %H:%M:%S} UTC.")
    if find_running(folder) is None:
        say("The node does not run: start it, so that it announces the key and goes on.")


def _rotate_federation(folder: NodeFolder, secret: str, epoch: str, *, give_up: bool, force: bool) -> None:
    if give_up:
        for step in cancel(folder, "federation"):
            say(f"given up: epoch {step.slot} stays; the secret of {step.to} is deleted.")
        return
    if not secret or not EPOCH_PATTERN.fullmatch(epoch):
        raise CallerError(
            "--epoch and --secret are needed: a new name, up to 16 of a-z, 0-9 and hyphens, and its secret.",
            remedy="One node says --secret new and hands keys/federation-EPOCH.secret to the others.",
        )
    source = None if secret == NEW_SECRET else Path(secret)
    step = begin_epoch(folder, epoch, source, system_clock(), forced=force)
    if step.phase == ANNOUNCED:
        say(f"epoch {epoch} is on its way; {step.slot} stays in use until records are found under it.")
        say("  Next: `credit-gateway records rekey LEARNERS`, and `records index` for SQL sources.")
        return
    say(f"epoch {epoch} is in use towards peers that have it; {step.slot} goes when all have it.")


def _rotate_evidence(folder: NodeFolder) -> None:
    if find_running(folder) is not None:
        begin_evidence(folder)
        say("the evidence key is new; the running node wraps every data key anew and deletes the old one.")
        _say_backup()
        return
    columns = (TextColumn("rotating the evidence key"), BarColumn(), MofNCompleteColumn())
    with progress_bar(*columns) as bar:
        task = bar.add_task("rotate", total=None)
        done = rotate_evidence(folder, lambda count, total: bar.update(task, completed=count, total=total))
    say(f"the evidence key is new; {done} data keys were wrapped anew, the old key is deleted.")
    _say_backup()


def _say_backup() -> None:
    say("Copy keys/evidence.secret to where you keep its backup, and destroy the old copy there.")


def _time(time: datetime | None) -> str | None:
    return None if time is None else time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _as_json(found: KeyList) -> dict[str, object]:
    return {
        "card_serial": found.card_serial,
        "peers": [
            {"peer": peer, "accepted_card_serial": serial, "has_present_card": serial >= found.card_serial}
            for peer, serial in found.accepted.items()
        ],
        "keys": [_key_json(line) for line in found.keys],
    }


def _key_json(line: KeyLine) -> dict[str, object]:
    return {
        "role": line.role,
        "suite": line.suite,
        "key_id": line.key_id or None,
        "place": line.place,
        "state": line.state,
        "since": _time(line.since),
        "until": _time(line.until),
        "next_step": line.next_step or None,
    }
