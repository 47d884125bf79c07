"""Options of the commands that ask peers about a learner, and the request that they make."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from creditexchange.v1.archive_pb2 import SearchRecordsRequest
from creditexchange.v1.exchange_pb2 import LEGAL_BASIS_CONSENT
from gateway.cli.consent_commands import load_consent
from gateway.cli.learner_option import learner_of
from gateway.policy.purposes import KINDS, LEGAL_BASES, PURPOSES, parse_kind, parse_legal_basis, parse_purpose

STATUTORY_DUTY = "statutory-duty"
"""The legal basis when none is named."""

PurposeOption = Annotated[str, typer.Option(help=f"Why: {', '.join(PURPOSES)}.")]
KindOption = Annotated[list[str] | None, typer.Option(help=f"Which kinds; default: all. {', '.join(KINDS)}.")]
PeerOption = Annotated[list[str] | None, typer.Option(help="Which peers; default: all.")]
BasisOption = Annotated[str, typer.Option(help=f"Legal basis: {', '.join(LEGAL_BASES)}.")]
ConsentOption = Annotated[
    Path | None, typer.Option(help="The learner's consent, DSSE JSON; the legal basis is then consent.")
]
UntilFoundOption = Annotated[
    bool,
    typer.Option(
        "--until-found",
        help="Ask one peer after the other, the likeliest first, and stop at the first that holds something.",
    ),
]


def search_request(
    learner: str,
    identifier_type: str,
    purpose: str,
    kind: list[str] | None,
    peer: list[str] | None,
    basis: str,
    consent: Path | None,
    *,
    until_found: bool = False,
) -> SearchRecordsRequest:
    """Return the request that the options make; an empty ``purpose`` makes one about own records.

    Raises:
        CallerError: an option is wrong, or the consent cannot be read.
        IdentifierError: the identifier is malformed.
    """
    request = SearchRecordsRequest(
        learner_identifier=learner_of(learner, identifier_type),
        identifier_type=identifier_type,
        kinds=[parse_kind(word) for word in kind or ()],  # type: ignore[misc]
        peers=peer or (),
        stops_when_found=until_found,
    )
    if purpose:
        request.purpose = parse_purpose(purpose)  # type: ignore[assignment]
        request.legal_basis = parse_legal_basis(basis)  # type: ignore[assignment]
    if consent is not None:
        request.consent.CopyFrom(load_consent(consent))
        request.legal_basis = LEGAL_BASIS_CONSENT
    return request
