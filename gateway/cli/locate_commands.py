"""``locate``: which province has something? No record is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from creditexchange.v1 import archive_pb2
from creditexchange.v1.exchange_pb2 import LEGAL_BASIS_CONSENT
from gateway.cli.consent_commands import load_consent
from gateway.cli.learner_option import IdentifierTypeOption, LearnerOption, UntilFoundOption, learner_of
from gateway.cli.local_node import local_node
from gateway.cli.output import (
    EXIT_NO,
    NodeOption,
    Output,
    OutputOption,
    console,
    folder_at,
    print_json,
    table,
)
from gateway.learners.identifier import RESIDENT_ID
from gateway.policy.purposes import (
    KINDS,
    LEGAL_BASES,
    PURPOSES,
    kind_word,
    parse_kind,
    parse_legal_basis,
    parse_purpose,
)


def locate(
    learner: LearnerOption,
    purpose: Annotated[str, typer.Option(help=f"Why: {', '.join(PURPOSES)}.")],
    identifier_type: IdentifierTypeOption = RESIDENT_ID,
    kind: Annotated[
        list[str] | None, typer.Option(help=f"Which kinds matter; default: all. {', '.join(KINDS)}.")
    ] = None,
    peer: Annotated[list[str] | None, typer.Option(help="Which peers; default: all.")] = None,
    basis: Annotated[str, typer.Option(help=f"Legal basis: {', '.join(LEGAL_BASES)}.")] = "statutory-duty",
    consent: Annotated[
        Path | None, typer.Option(help="The learner's consent, DSSE JSON; the legal basis is then consent.")
    ] = None,
    until_found: UntilFoundOption = False,
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Ask peers of which kinds they hold records of a learner. Each says that, signed, and nothing else.

    It needs the same grant or consent as the records themselves, and is logged on both sides.

    Exit status 0 when some peer holds something, else 1.

    Example: credit-gateway locate --learner 990001199001011239 --purpose employment
    """
    request = archive_pb2.ArchiveServiceLocateRecordsRequest(
        search=archive_pb2.SearchRecordsRequest(
            learner_identifier=learner_of(learner, identifier_type),
            identifier_type=identifier_type,
            purpose=parse_purpose(purpose),  # type: ignore[arg-type]
            kinds=[parse_kind(word) for word in kind or ()],  # type: ignore[misc]
            peers=peer or (),
            legal_basis=parse_legal_basis(basis),  # type: ignore[arg-type]
            stops_when_found=until_found,
        )
    )
    if consent is not None:
        request.search.consent.CopyFrom(load_consent(consent))
        request.search.legal_basis = LEGAL_BASIS_CONSENT
    with local_node(folder_at(node)) as local:
        results = [_facts(result) for result in local.locate(request).results]
    if output is Output.json:
        print_json(results)
    else:
        shown = table("peer", "outcome", "holds", "what it means")
        for facts in results:
            shown.add_row(facts["peer"], facts["outcome"], ", ".join(facts["holds"]), facts["explanation"])
        console.print(shown)
    if not any(facts["holds"] for facts in results):
        raise typer.Exit(EXIT_NO)


def _facts(result: archive_pb2.LocationResult) -> dict[str, Any]:
    peer = result.peer
    is_empty = peer.outcome == "OK" and not result.held_kinds
    return {
        "peer": peer.node_id,
        "outcome": peer.outcome,
        "holds": [kind_word(kind) for kind in result.held_kinds],
        "explanation": peer.explanation or ("nothing of these kinds is held there" if is_empty else ""),
        "exchange": peer.exchange_id.hex(),
        "receipt_verified": peer.receipt_verified,
    }
