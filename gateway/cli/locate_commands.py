"""``locate``: which province has something? No record is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from creditexchange.v1 import archive_pb2
from gateway.cli.learner_option import IdentifierTypeOption, LearnerOption
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
from gateway.learners.identifier import RESIDENT_ID
from gateway.policy.purposes import kind_word


def locate(
    learner: LearnerOption,
    purpose: PurposeOption,
    identifier_type: IdentifierTypeOption = RESIDENT_ID,
    kind: KindOption = None,
    peer: PeerOption = None,
    basis: BasisOption = STATUTORY_DUTY,
    consent: ConsentOption = None,
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
        search=search_request(
            learner, identifier_type, purpose, kind, peer, basis, consent, until_found=until_found
        )
    )
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
