"""``access explain|list|check``: who may ask for what, and which line says so."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.access_view import (
    explanation_json,
    limits_of,
    limits_text,
    matrix,
    show_explanation,
    show_matrix,
    theirs,
)
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
    say,
    table,
)
from gateway.cli.search_options import KindOption, PeerOption, PurposeOption
from gateway.clock import system_clock
from gateway.errors import CallerError
from gateway.node.access_explained import explain_access
from gateway.node.config import load_config
from gateway.node.folder import NodeFolder
from gateway.node.state import load_policy
from gateway.peers.roster import Roster, load_roster
from gateway.policy.grants import Access
from gateway.policy.purposes import KINDS, kind_word, parse_kind, parse_purpose, purpose_word

access_app = typer.Typer(
    no_args_is_help=True, help="Who may ask this node for what: explain, list, check.", rich_markup_mode=None
)


@access_app.command()
def explain(
    peer: Annotated[str, typer.Option(help="Which peer, by node id.")],
    purpose: PurposeOption,
    kind: KindOption = None,
    consent: Annotated[
        bool, typer.Option("--consent", help="Suppose that the learner's consent is sent.")
    ] = False,
    ours: Annotated[
        bool, typer.Option("--ours", help="The other way: may this node ask the peer? Asks it now, by echo.")
    ] = False,
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Say whether a peer may ask for kinds of record, and which line of access.toml decides.

    It is the decision that a query meets: grants, consent, whether the peer is suspended, what is left
    of its quota today, its rate. Exit status 0 for yes, 1 for no.

    Example: credit-gateway access explain --peer shanghai --purpose employment --kind x-certificate
    """
    folder = folder_at(node)
    config = load_config(folder.root)
    roster = load_roster(folder.peers, config.node.id, config.policy.required_suites)
    asked = parse_purpose(purpose)
    kinds = [parse_kind(word) for word in dict.fromkeys(kind or KINDS)]
    if ours:
        _explain_ours(folder, roster, config.node.id, (peer, asked, kinds), consent, output)
        return
    found = explain_access(
        folder, config, roster, (peer, asked, kinds), has_consent=consent, now=system_clock()
    )
    if output is Output.json:
        print_json(explanation_json(found, config.node.id))
    else:
        show_explanation(found, config.node.id)
    if not found.is_allowed:
        raise typer.Exit(EXIT_NO)


@access_app.command("list")
def list_(
    peer: PeerOption = None,
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Show for each peer which kinds it may ask for which purpose: yes, with consent, or not.

    Example: credit-gateway access list --peer shanghai
    """
    roster, access = _policy(folder_at(node))
    names = peer or sorted({*roster.peers, *(name for name, _ in access.grants)})
    if output is Output.json:
        print_json(
            [{"peer": name, "grants": matrix(access, name), **limits_of(access, name)} for name in names]
        )
        return
    for name in names:
        show_matrix(access, name, limits_text(limits_of(access, name)))
        say()


@access_app.command()
def check(node: NodeOption = Path(), output: OutputOption = Output.table) -> None:
    """Read access.toml as the node does, and name what is surely not meant so.

    Exit status 0 when nothing was found, 1 otherwise, 2 when the file is broken.
    """
    roster, access = _policy(folder_at(node))
    findings = _findings(roster, access)
    if output is Output.json:
        print_json(findings)
    elif findings:
        for finding in findings:
            complain(finding)
    else:
        say(f"{len(access.grants)} grants of {len(roster.peers)} peers; nothing to mend.")
    if findings:
        raise typer.Exit(EXIT_NO)


def _policy(folder: NodeFolder) -> tuple[Roster, Access]:
    roster, access, _ = load_policy(folder, load_config(folder.root))
    return roster, access


def _findings(roster: Roster, access: Access) -> list[str]:
    granted = {peer for peer, _ in access.grants}
    known = set(roster.peers)
    found = [
        f"{what} names {name!r}, which is no accepted peer: it has no effect."
        for what, names in (
            ("[[grant]]", granted),
            ("[[rate]]", set(access.rates)),
            ("[[quota]]", set(access.quotas)),
            ("[consent] issuers", set(access.consent_issuers)),
        )
        for name in sorted(names - known)
    ]
    found += [f"{name} is accepted and may ask nothing." for name in sorted(known - granted)]
    found += [
        f"[[quota]] {quota.number + 1} lets {name} ask about nobody: learners_per_day is 0."
        for name, quotas in access.quotas.items()
        for quota in quotas
        if not quota.learners_per_day
    ]
    found += [
        f"[[grant]] {grant.number + 1} grants {name} nothing for {purpose_word(purpose)}: kinds is empty."
        for (name, purpose), grants in access.grants.items()
        for grant in grants
        if not grant.kinds
    ]
    return found


def _explain_ours(
    folder: NodeFolder,
    roster: Roster,
    own: str,
    question: tuple[str, int, list[int]],
    has_consent: bool,
    output: Output,
) -> None:
    """Ask the peer by a signed echo what it grants, and say whether that is enough."""
    peer, purpose, kinds = question
    if peer not in roster.peers:
        raise CallerError(
            f"unknown peer {peer[:32]!r}.", remedy=f"Known peers: {', '.join(roster.peers) or 'none'}."
        )
    with local_node(folder) as local:
        reply = local.check(peer)
    rows = [(kind, *theirs(reply, purpose, kind)) for kind in kinds]
    allowed = reply.outcome == "OK" and all(
        granted and (has_consent or not needs) for _, granted, needs in rows
    )
    if output is Output.json:
        print_json(
            {
                "allowed": allowed,
                "asker": own,
                "answerer": peer,
                "purpose": purpose_word(purpose),
                "outcome": reply.outcome,
                "reason": reply.explanation or None,
                "kinds": [
                    {"kind": kind_word(kind), "granted": granted, "consent_needed": needs}
                    for kind, granted, needs in rows
                ],
            }
        )
    else:
        say(
            f"{'yes' if allowed else 'no'}: {own} {'may' if allowed else 'may not'} ask {peer}, "
            f"for {purpose_word(purpose)}, as {peer} says now."
        )
        if reply.outcome != "OK":
            complain(f"{reply.outcome}: {reply.explanation}")
        else:
            shown = table("kind", "granted", "consent")
            for kind, granted, needs in rows:
                consent = "needed" if needs else "not needed" if granted else ""
                shown.add_row(kind_word(kind), "yes" if granted else "no", consent)
            console.print(shown)
    if not allowed:
        raise typer.Exit(EXIT_NO)
