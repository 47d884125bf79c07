"""``query``: ask peers for a learner's records."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from creditexchange.v1 import archive_pb2
from gateway.cli.archive_view import archive_json, archive_table
from gateway.cli.bulk_query import BulkOptions, query_in_bulk
from gateway.cli.learner_option import IdentifierTypeOption, LearnerOption
from gateway.cli.local_node import local_node
from gateway.cli.output import (
    EXIT_INTERRUPTED,
    EXIT_NO,
    NodeOption,
    Output,
    OutputOption,
    folder_at,
    print_json,
)
from gateway.cli.query_progress import watch
from gateway.cli.search_options import (
    STATUTORY_DUTY,
    BasisOption,
    ConsentOption,
    KindOption,
    PeerOption,
    PurposeOption,
    UntilFoundOption,
    search_request,
)
from gateway.errors import CallerError
from gateway.learners.identifier import RESIDENT_ID, mask
from gateway.node.config import load_config
from gateway.policy.purposes import parse_kind, parse_legal_basis, parse_purpose


def query(
    purpose: PurposeOption,
    learner: LearnerOption = "",
    learners: Annotated[
        Path | None, typer.Option(help="Many learners: CSV or text, one a row. Needs --out.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results about many learners.")] = None,
    patience: Annotated[
        float, typer.Option(help="Many learners: seconds to wait for a peer that is away.", min=0)
    ] = 300,
    identifier_type: IdentifierTypeOption = RESIDENT_ID,
    kind: KindOption = None,
    peer: PeerOption = None,
    basis: BasisOption = STATUTORY_DUTY,
    consent: ConsentOption = None,
    deadline: Annotated[
        float, typer.Option(help="Seconds to wait for each peer; 0 = the node's setting.", min=0, max=30)
    ] = 0,
    even_in_maintenance: Annotated[
        bool, typer.Option("--even-in-maintenance", help="Ask peers too that announced maintenance.")
    ] = False,
    until_found: UntilFoundOption = False,
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Ask peers for a learner's records and show them in the shared model and in the own scheme.

    All chosen peers are asked at once. Each either gives records, with a verified signature and
    the proof that it logged the exchange, or is named with the reason why it gave nothing. The
    identifier itself never leaves this node.

    With `--basis consent` and no file, consents that this node issued are looked for; a peer that none
    covers is not asked. Without `--kind`, those kinds are asked for that the consent names.

    Ctrl-C shows what has come by then; peers that were still being asked are marked so.

    Exit status 0 when every peer answered, 1 when one gave nothing for a reason.

    With `--learners FILE --out FOLDER` everybody in the file is asked about: a row for each applicant and
    peer in results.csv, with all records in results.jsonl. It may be interrupted at any time; the same
    command goes on. docs/bulk.md tells more.

    Example: credit-gateway query --learner 990001199001011239 --purpose employment
    Example: credit-gateway query --learners applicants.csv --purpose qualification-check --out results
    """
    if bool(learner) == (learners is not None) or (learners is None) != (out is None):
        raise CallerError("name one with --learner, or many with --learners and --out; not both.")
    if learners is not None and out is not None:
        if consent is not None:
            raise CallerError(
                "--consent is about one learner.",
                remedy="With --basis consent, consents that this node issued are looked for.",
            )
        options = BulkOptions(learners, out, identifier_type, peer or (), patience, output)
        many = archive_pb2.SearchRecordsInBulkRequest(
            purpose=parse_purpose(purpose),  # type: ignore[arg-type]
            kinds=[parse_kind(word) for word in kind or ()],  # type: ignore[misc]
            legal_basis=parse_legal_basis(basis),  # type: ignore[arg-type]
            deadline_ms=round(deadline * 1000),
        )
        if not query_in_bulk(options, many, folder_at(node)):
            raise typer.Exit(EXIT_NO)
        return
    request = search_request(
        learner, identifier_type, purpose, kind, peer, basis, consent, until_found=until_found
    )
    request.deadline_ms = round(deadline * 1000)
    request.even_in_maintenance = even_in_maintenance
    folder = folder_at(node)
    load_config(folder.root)
    with local_node(folder) as local, closing(local.follow(request)) as events:
        watched = watch(events, is_live=output is Output.table)
    response = watched.response
    if output is Output.json:
        print_json(archive_json(mask(request.learner_identifier), response))
    else:
        archive_table(response)
    if watched.is_interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    if any(result.outcome not in ("OK", "NOT_ASKED") for result in response.peers):
        raise typer.Exit(EXIT_NO)
