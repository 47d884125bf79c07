"""``certificate``: is one certificate of one learner valid? Nothing else is asked or answered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from creditexchange.v1 import archive_pb2
from creditexchange.v1.exchange_pb2 import CertificateReference
from creditexchange.v1.record_pb2 import RecordState
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
    PeerOption,
    PurposeOption,
    UntilFoundOption,
    search_request,
)
from gateway.learners.identifier import RESIDENT_ID
from gateway.policy.purposes import KINDS


def certificate(
    number: Annotated[str, typer.Option(help="The certificate's number, as it stands on it.")],
    issuer: Annotated[str, typer.Option(help="Its issuer: an identifier or a name, as it stands on it.")],
    learner: LearnerOption,
    purpose: PurposeOption,
    identifier_type: IdentifierTypeOption = RESIDENT_ID,
    kind: Annotated[
        list[str] | None, typer.Option(help=f"Kinds in which it may be; default: all. {', '.join(KINDS)}.")
    ] = None,
    peer: PeerOption = None,
    basis: BasisOption = STATUTORY_DUTY,
    consent: ConsentOption = None,
    until_found: UntilFoundOption = False,
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Ask peers whether a certificate is valid, suspended, revoked, superseded, expired, or not known.

    The answer says that and nothing else; it is signed, and logged on both sides like any exchange.

    Exit status 0 when some peer says that it is valid, else 1.

    Example: credit-gateway certificate --number 103351202405000018 --issuer 10335 --learner - \
    --purpose employment
    """
    request = archive_pb2.CheckCertificateRequest(
        search=search_request(
            learner, identifier_type, purpose, kind, peer, basis, consent, until_found=until_found
        ),
        certificate=CertificateReference(number=number, issuer=issuer),
    )
    with local_node(folder_at(node)) as local:
        results = [_facts(result) for result in local.check_certificate(request).results]
    if output is Output.json:
        print_json(results)
    else:
        shown = table("peer", "outcome", "status", "what it means")
        for facts in results:
            shown.add_row(facts["peer"], facts["outcome"], facts["state"], facts["explanation"])
        console.print(shown)
    if not any(facts["state"] == "valid" for facts in results):
        raise typer.Exit(EXIT_NO)


def _facts(result: archive_pb2.CertificateResult) -> dict[str, Any]:
    peer = result.peer
    state = "" if peer.outcome != "OK" else "not known"
    if peer.record_count:
        name = RecordState.Name(result.state) if result.state in RecordState.values() else "unspecified"
        state = name.removeprefix("RECORD_STATE_").lower().replace("_", "-")
    return {
        "peer": peer.node_id,
        "outcome": peer.outcome,
        "state": state,
        "explanation": peer.explanation or _MEANINGS.get(state, ""),
        "exchange": peer.exchange_id.hex(),
        "receipt_verified": peer.receipt_verified,
    }


_MEANINGS = {
    "valid": "it is valid today",
    "expired": "its last day has passed",
    "revoked": "its issuer has taken it back",
    "suspended": "its issuer has suspended it",
    "superseded": "another one has replaced it",
    "under-correction": "its issuer is correcting it",
    "unspecified": "the issuer does not say",
    "not known": "no such certificate of this learner is held there",
}
