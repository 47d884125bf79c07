"""``conformance``: plays a peer through the cases of docs/protocol.md against a live node."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from gateway.cli.output import EXIT_NO, Output, OutputOption, console, errors, print_json, say, table
from gateway.cli.suite_option import suites_named
from gateway.conformance.identity import Identity, load_identity, make_identity
from gateway.conformance.liar import Liar, judge_lies
from gateway.conformance.lying import LIES
from gateway.conformance.lying_server import lying
from gateway.conformance.registry import CASES
from gateway.conformance.report import as_json, as_junit, counts, has_passed
from gateway.conformance.run import CaseResult, run_cases
from gateway.conformance.session import Session
from gateway.peers.card import Card, fingerprint_for_people, read_card_file
from gateway.policy.purposes import parse_purpose
from gateway.signing.suites import ED25519

NEW_IDENTITY = Path("conformance-peer")
STYLES = {"passed": "green", "failed": "red", "not run": "yellow"}


def conformance(
    card_file: Annotated[Path, typer.Argument(metavar="CARD", help="The card of the node under test.")],
    identity: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a node made by `init` for this purpose alone, whose card the node under test has "
            f"accepted. Without it, one is made in ./{NEW_IDENTITY}.",
            show_default=False,
        ),
    ] = None,
    endpoint: Annotated[str, typer.Option(help="host:port; default: the card's first endpoint.")] = "",
    only: Annotated[
        list[str] | None, typer.Option("--case", help="Only cases whose id begins so; may be repeated.")
    ] = None,
    serve: Annotated[
        bool,
        typer.Option(
            "--serve", help="Play a server that lies, for the client of the node whose card this is."
        ),
    ] = False,
    suite: Annotated[
        str,
        typer.Option(
            help="Signature suites of an identity that is made, as for `init`; "
            "ed25519+ml-dsa-65 also tries what becomes of a stripped signature."
        ),
    ] = ED25519.name,
    code: Annotated[
        list[str] | None,
        typer.Option(help="Good learning code of the node under test; three are used up by a run."),
    ] = None,
    expired_code: Annotated[str, typer.Option(help="A learning code of it that has expired.")] = "",
    used_up_purpose: Annotated[
        str, typer.Option(help="A purpose granted to the identity with a quota of 0 learners a day.")
    ] = "",
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML to this file.")] = None,
    output: OutputOption = Output.table,
) -> None:
    """Say which rules of docs/protocol.md a node keeps, by trying each.

    Never give it a serving node's folder as identity: the kit signs contradicting checkpoints on
    purpose, and the node under test keeps them as evidence. It asks about an invented learner only.

    With --serve the node asks and the kit answers, each query with another lie; the node's own log
    says whether it noticed.

    Exit status 0 when every case passed, 1 when one failed or could not be run.

    Example: credit-gateway conformance shanghai-card.json --identity conformance-peer
    """
    card = read_card_file(card_file)
    if identity is None:
        _introduce(make_identity(NEW_IDENTITY.resolve(), suites=suites_named(suite)), card)
        raise typer.Exit(EXIT_NO)
    played = load_identity(identity.resolve())
    session = Session(
        played,
        card,
        endpoint or card.endpoints[0],
        codes=list(code or ()),
        expired_code=expired_code,
        used_up_purpose=parse_purpose(used_up_purpose) if used_up_purpose else 0,
    )
    wanted = tuple(only or ("",))
    try:
        session.learn()
        results = _lie(session, wanted) if serve else _try(session, wanted)
    finally:
        session.close()
    if junit is not None:
        junit.write_bytes(as_junit(card, results))
    if output is Output.json:
        print_json(as_json(card, results))
    else:
        _show(card, results)
    if not has_passed(results):
        raise typer.Exit(EXIT_NO)


def _try(session: Session, wanted: tuple[str, ...]) -> list[CaseResult]:
    return run_cases(session, [case for case in CASES if case.id.startswith(wanted)])


def _lie(session: Session, wanted: tuple[str, ...]) -> list[CaseResult]:
    """Answer the node's queries until every lie was told, then ask its log."""
    liar = Liar(session.identity, session.card, [lie for lie in LIES if lie.id.startswith(wanted)])
    if not liar.lies:
        return []
    with lying(liar) as address:
        _note(f"listening on {address}; now let {session.card.node_id} ask {len(liar.lies)} times:")
        _note(f"  credit-gateway query --peer {session.identity.node_id} --learner … --purpose …")
        with suppress(KeyboardInterrupt):
            liar.ended.wait()
    return judge_lies(session, liar)


def _introduce(identity: Identity, card: Card) -> None:
    """Say what the other operator must do before a run."""
    say(f"made the identity {identity.node_id} in {identity.folder.root}; nothing was tested yet.")
    say(f"The operator of {card.node_id} must now")
    say(f"  1. accept its card: credit-gateway peers add {identity.folder.card}")
    say(f"     fingerprint: {fingerprint_for_people(identity.card.fingerprint)}")
    say("  2. grant it something in access.toml, for as long as the run takes:")
    for line in (
        "[[grant]]",
        f'peer = "{identity.node_id}"',
        'purposes = ["employment"]',
        'kinds = ["course"]',
        "consent_required = false",
        'statutory_basis = "conformance run; asks about an invented learner only"',
        "",
        "[[grant]]",
        f'peer = "{identity.node_id}"',
        'purposes = ["personal-archive"]',
        'kinds = ["course"]',
        "consent_required = true",
    ):
        say(f"     {line}".rstrip())
    say(f"Then: credit-gateway conformance CARD --identity {identity.folder.root}")
    say("Afterwards: credit-gateway peers remove, and take the grants back.")


def _note(text: str) -> None:
    """Write for people beside a report that may be JSON."""
    errors.print(text, markup=False)


def _show(card: Card, results: Sequence[CaseResult]) -> None:
    shown = table("case", "rule", "sent", "must be", "happened", "outcome", title=f"Node {card.node_id}")
    for result in results:
        shown.add_row(
            result.case.id,
            result.case.section,
            Text(result.case.sent),
            Text(result.case.must.text),
            Text(result.happened),
            Text(result.outcome, STYLES[result.outcome]),
        )
    console.print(shown)
    say(", ".join(f"{number} {outcome}" for outcome, number in counts(results).items()))
