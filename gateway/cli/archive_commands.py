"""``archive export``: what a learner takes away, in a form that other people's tools verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from creditexchange.v1 import archive_pb2
from gateway.cli.learner_option import IdentifierTypeOption, LearnerOption
from gateway.cli.local_node import local_node
from gateway.cli.new_file import write_new
from gateway.cli.output import (
    EXIT_NO,
    NodeOption,
    Output,
    OutputOption,
    complain,
    folder_at,
    print_json,
    say,
)
from gateway.cli.search_options import (
    STATUTORY_DUTY,
    BasisOption,
    ConsentOption,
    KindOption,
    PeerOption,
    PurposeOption,
    search_request,
)
from gateway.errors import CallerError
from gateway.exports.exporting import FORMS
from gateway.learners.identifier import RESIDENT_ID
from gateway.node.config import load_config
from gateway.policy.purposes import PURPOSES

archive_app = typer.Typer(
    help="A learner's archive: take it away, open it, compare it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

OwnOption = Annotated[
    bool,
    typer.Option("--own", help="The records of this node itself; no peer is asked and no purpose needed."),
]


@archive_app.command("export")
def export(
    learner: LearnerOption,
    form: Annotated[str, typer.Option("--format", help=f"Form of the document: {', '.join(FORMS)}.")],
    out: Annotated[Path, typer.Option(help="File to write; one that is there is not overwritten.")],
    purpose: PurposeOption = "",
    own: OwnOption = False,
    record: Annotated[
        str, typer.Option(help="This record only: its record_id, or SOURCE/record_id. Format vc needs one.")
    ] = "",
    kind: KindOption = None,
    peer: PeerOption = None,
    basis: BasisOption = STATUTORY_DUTY,
    consent: ConsentOption = None,
    identifier_type: IdentifierTypeOption = RESIDENT_ID,
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Write a learner's archive, or one record of it, as a document that others can verify.

    vc: one record as an Open Badges 3.0 credential. clr: all as a Comprehensive Learner Record 2.0. Both
    are W3C Verifiable Credentials 2.0. elmo: ELMO 1.7 XML, signed. pdf: a transcript in Chinese and
    English, signed, with the clr inside. csv, json: for people and spreadsheets, not signed.

    The federation is asked as `query` asks it. With --own nobody is asked. A peer that gives nothing is
    named here and in the document. The same record gets the same credential again.

    Exit status 0 when every peer answered, 1 when one gave nothing for a reason.

    Example: credit-gateway archive export --own --learner 990099199604121228 --format pdf --out mine.pdf
    Example: credit-gateway archive export --learner - --purpose personal-archive --format clr --out mine.json
    """
    if form not in FORMS:
        raise CallerError(f"--format: no format {form[:20]!r}.", remedy=f"Use one of: {', '.join(FORMS)}.")
    request = export_request(
        learner, identifier_type, purpose, kind, peer, basis, consent, is_own=own, form=form, record=record
    )
    with write_new(out) as file:
        response = exported(request, node)
        file.write(response.content)
    if output is Output.json:
        print_json(
            {
                "file": str(out),
                "format": form,
                "media_type": response.media_type,
                "bytes": len(response.content),
                "records": response.record_count,
                "issuer": response.issuer or None,
                "peers": [{"id": each.node_id, "outcome": each.outcome} for each in response.peers],
            }
        )
    else:
        signed = f", issued by {response.issuer}" if response.issuer else ""
        say(f"{out}: {_count(response.record_count)}, {len(response.content):,} bytes{signed}")
    warn_of_gaps(response)


def export_request(
    learner: str,
    identifier_type: str,
    purpose: str,
    kind: list[str] | None,
    peer: list[str] | None,
    basis: str,
    consent: Path | None,
    *,
    is_own: bool,
    form: str,
    record: str = "",
) -> archive_pb2.ExportArchiveRequest:
    """Return the request that the options make.

    Raises:
        CallerError: an option is wrong, or one is missing.
    """
    if not is_own and not purpose:
        raise CallerError(
            "--purpose is needed: peers want to know why they are asked.",
            remedy=f"Use one of: {', '.join(PURPOSES)}; or --own for the records of this node alone.",
        )
    if is_own and (peer or consent is not None):
        raise CallerError("--own asks no peer, so that --peer and --consent say nothing.")
    search = search_request(learner, identifier_type, "" if is_own else purpose, kind, peer, basis, consent)
    return archive_pb2.ExportArchiveRequest(search=search, own_records=is_own, format=form, record_id=record)


def exported(request: archive_pb2.ExportArchiveRequest, node: Path) -> archive_pb2.ExportArchiveResponse:
    """Return what the node exports. Raises ``GatewayError``."""
    folder = folder_at(node)
    load_config(folder.root)
    with local_node(folder) as local:
        return local.export(request)


def warn_of_gaps(response: archive_pb2.ExportArchiveResponse) -> None:
    """Name each peer that gave nothing for a reason, and end with status 1 if there is one."""
    silent = [each for each in response.peers if each.outcome not in ("OK", "NOT_ASKED")]
    for each in silent:
        complain(f"{each.node_id} gave nothing: {each.outcome}. {each.explanation}".rstrip())
    if silent:
        raise typer.Exit(EXIT_NO)


def _count(number: int) -> str:
    return "1 record" if number == 1 else f"{number} records"
