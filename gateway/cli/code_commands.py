"""``code issue|redeem|list|revoke``: a learner hands a permission to somebody who stands in front of them."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from creditexchange.v1 import archive_pb2
from creditexchange.v1.exchange_pb2 import LEGAL_BASIS_CONSENT
from creditexchange.v1.operator_pb2 import (
    IssueCodeRequest,
    ListCodesRequest,
    OperatorServiceRedeemCodeRequest,
    OperatorServiceRedeemCodeResponse,
    RevokeCodeRequest,
)
from gateway.cli.archive_view import archive_json, archive_table
from gateway.cli.audit_story import Language
from gateway.cli.code_view import code_facts, code_words, require_free, show_code, show_codes, write_image
from gateway.cli.consent_commands import LanguageOption
from gateway.cli.consent_words import AUTHENTICATIONS
from gateway.cli.learner_option import IdentifierTypeOption, LearnerOption, learner_of
from gateway.cli.local_node import local_node
from gateway.cli.output import (
    EXIT_INTERRUPTED,
    EXIT_NO,
    NodeOption,
    Output,
    OutputOption,
    complain,
    folder_at,
    print_json,
    say,
)
from gateway.cli.query_progress import watch
from gateway.clock import from_unix_ms
from gateway.errors import CallerError
from gateway.learners.identifier import RESIDENT_ID
from gateway.node.config import load_config
from gateway.peers.roster import load_roster
from gateway.policy.consent import read_consent
from gateway.policy.learning_code import parse_code
from gateway.policy.purposes import KINDS, PURPOSES, parse_kind, parse_purpose
from gateway.signing import dsse
from gateway.signing.key_files import write_private_file

code_app = typer.Typer(
    no_args_is_help=True,
    help="Learning codes: a short-lived permission, shown as a QR code, redeemed once.",
    rich_markup_mode=None,
)


@code_app.command()
def issue(
    learner: LearnerOption,
    purpose: Annotated[str, typer.Option(help=f"Why: {', '.join(PURPOSES)}.")],
    kind: Annotated[list[str], typer.Option(help=f"Which kinds: {', '.join(KINDS)}. Repeatable.")],
    for_: Annotated[
        str,
        typer.Option("--for", help="Who alone may redeem it: a node's id, or an organisation's name."),
    ] = "",
    answerer: Annotated[
        list[str] | None, typer.Option(help="Node that may answer; repeatable. Default: every node.")
    ] = None,
    minutes: Annotated[int, typer.Option(help="How long it can be redeemed.", min=1, max=1440)] = 10,
    consent_minutes: Annotated[
        int, typer.Option(help="How long may be asked after it was redeemed.", min=1, max=1440)
    ] = 60,
    authentication: Annotated[
        str, typer.Option(help=f"How you made sure who it is: {', '.join(AUTHENTICATIONS)}.")
    ] = "in-person",
    language: LanguageOption = Language.en,
    png: Annotated[Path | None, typer.Option(help="Write the QR code here as PNG.")] = None,
    svg: Annotated[Path | None, typer.Option(help="Write the QR code here as SVG.")] = None,
    identifier_type: IdentifierTypeOption = RESIDENT_ID,
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Make a code by which a learner lets somebody ask for records, once, within minutes.

    The learner chooses purpose and kinds. Whoever scans or types the code first gets a consent to ask
    for exactly that; afterwards the code is worth nothing. It is shown now and never again: this node
    keeps a hash of its secret only.

    Example: credit-gateway code issue --learner - --purpose employment --kind degree --for shanghai
    """
    require_free(png, svg)
    folder = folder_at(node)
    redeemer, organisation = _for(for_, node)
    request = IssueCodeRequest(
        learner_identifier=learner_of(learner, identifier_type),
        identifier_type=identifier_type,
        purpose=parse_purpose(purpose),  # type: ignore[arg-type]
        kinds=[parse_kind(word) for word in dict.fromkeys(kind)],  # type: ignore[misc]
        redeeming_node_id=redeemer,
        organisation=organisation,
        answering_node_ids=answerer or (),
        code_minutes=minutes,
        consent_minutes=consent_minutes,
        authentication=_authentication(authentication),  # type: ignore[arg-type]
    )
    with local_node(folder) as local:
        issued = local.issue_code(request)
    if output is Output.json:
        for path, form in ((png, "png"), (svg, "svg")):
            if path is not None:
                write_image(issued.code, path, form)
        print_json(
            {
                "code": issued.code,
                "typed": parse_code(issued.code).typed,
                "id": issued.code_id,
                "until": from_unix_ms(issued.expire_ms).isoformat(timespec="seconds"),
            }
        )
        return
    show_code(issued.code, issued.expire_ms, png, svg)
    say(code_words(request, language))
    say(f"take back:     credit-gateway code revoke {issued.code_id}")


@code_app.command()
def redeem(
    code: Annotated[str, typer.Argument(help="The code as scanned or typed; `-` reads it.")],
    organisation: Annotated[
        str,
        typer.Option(help="For whom you redeem it, as the learner knows it. Needed unless the code says."),
    ] = "",
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the consent here, DSSE JSON, to ask again with it.")
    ] = None,
    peer: Annotated[list[str] | None, typer.Option(help="Which peers to ask; default: all.")] = None,
    only: Annotated[
        bool, typer.Option("--no-query", help="Redeem it and ask nobody yet; needs --out.")
    ] = False,
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Redeem a learner's code and ask for the records that it permits.

    The node that issued the code turns it into a consent for this node, once. If its answer was lost,
    run the same command again. Peers other than the issuer believe the consent if their access.toml
    names the issuer in [consent] issuers.

    Exit status 0 when the code was redeemed and every peer answered, 1 otherwise.

    Example: credit-gateway code redeem - --organisation "Ningbo Employment Service"
    """
    require_free(out)
    if only and out is None:
        raise CallerError("--no-query needs --out: the consent would be lost.")
    text = sys.stdin.readline() if code == "-" else code
    request = OperatorServiceRedeemCodeRequest(code=text.strip(), organisation=organisation)
    with local_node(folder_at(node)) as local:
        redeemed = local.redeem_code(request)
        if redeemed.outcome != "OK":
            _say_refusal(redeemed, output)
            raise typer.Exit(EXIT_NO)
        if out is not None:
            write_private_file(out, f"{dsse.to_json(redeemed.message)}\n".encode())
            _tell(f"the consent is written to {out}.", output)
        if only:
            if output is Output.json:
                print_json({"outcome": "OK", "consent": read_consent(redeemed.message).consent_id.hex()})
            return
        with closing(local.follow(_question(redeemed, peer or []))) as events:
            watched = watch(events, is_live=output is Output.table)
    if output is Output.json:
        consent_id = read_consent(redeemed.message).consent_id.hex()
        print_json({"outcome": "OK", "consent": consent_id} | archive_json("", watched.response))
    else:
        archive_table(watched.response)
    if watched.is_interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    if any(result.outcome != "OK" for result in watched.response.peers):
        raise typer.Exit(EXIT_NO)


@code_app.command("list")
def list_(
    learner: Annotated[str, typer.Option(help="Only this learner's; `-` reads the identifier.")] = "",
    identifier_type: IdentifierTypeOption = RESIDENT_ID,
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """List the codes that this node issued in the last 30 days, the newest first. Nobody is named."""
    request = ListCodesRequest(identifier_type=identifier_type)
    if learner:
        request.learner_identifier = learner_of(learner, identifier_type)
    with local_node(folder_at(node)) as local:
        codes = list(local.issued_codes(request).codes)
    if output is Output.json:
        print_json([code_facts(code) for code in codes])
    else:
        show_codes(codes)


@code_app.command()
def revoke(
    code: Annotated[str, typer.Argument(help="What `code list` calls it, or the whole code.")],
    node: NodeOption = Path(),
) -> None:
    """Take back a code that nobody has redeemed yet. Of a redeemed one, take back the consent."""
    with local_node(folder_at(node)) as local:
        local.revoke_code(RevokeCodeRequest(code_id=code))
    say("taken back; nobody can redeem it any more.")


def _question(
    redeemed: OperatorServiceRedeemCodeResponse, peers: list[str]
) -> archive_pb2.SearchRecordsRequest:
    consent = read_consent(redeemed.message)
    if not peers and not consent.every_node_may_answer:
        peers = list(consent.answering_node_ids)
    return archive_pb2.SearchRecordsRequest(
        purpose=consent.purpose,
        kinds=consent.kinds,
        peers=peers,
        legal_basis=LEGAL_BASIS_CONSENT,
        consent=redeemed.message,
    )


def _for(text: str, node: Path) -> tuple[str, str]:
    """Return which node, or else which organisation, alone may redeem the code."""
    folder = folder_at(node)
    config = load_config(folder.root)
    known = {config.node.id, *load_roster(folder.peers, config.node.id).peers}
    return (text, "") if text in known else ("", text)


def _authentication(word: str) -> int:
    if word not in AUTHENTICATIONS:
        raise CallerError(
            f"unknown authentication {word[:40]!r}.", remedy=f"Use one of: {', '.join(AUTHENTICATIONS)}."
        )
    return AUTHENTICATIONS[word]


def _say_refusal(redeemed: OperatorServiceRedeemCodeResponse, output: Output) -> None:
    if output is Output.json:
        facts = {"outcome": redeemed.outcome, "rule": redeemed.rule or None}
        print_json(facts | {"reason": redeemed.explanation})
        return
    complain(f"{redeemed.issuing_node_id} did not redeem it: {redeemed.outcome}: {redeemed.explanation}")
    if redeemed.outcome == "CODE_INVALID":
        complain("Ask the learner for a new code.")
    else:
        complain("The code is still good: run the same command again.")


def _tell(text: str, output: Output) -> None:
    if output is Output.table:
        say(text)
