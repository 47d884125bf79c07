"""``--learner``: an identifier from the command line, or from standard input so that it leaves no trace."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gateway.errors import CallerError
from gateway.learners.identifier import normalise

LearnerOption = Annotated[
    str, typer.Option(help="The learner's identifier; `-` reads it from standard input.")
]
IdentifierTypeOption = Annotated[str, typer.Option(help="Type of the identifier.")]


def learner_of(option: str, identifier_type: str) -> str:
    """Return the identifier as written, after its form was checked.

    Raises:
        CallerError: it is empty.
        IdentifierError: it is malformed.
    """
    identifier = (sys.stdin.readline() if option == "-" else option).strip()
    if not identifier:
        raise CallerError("--learner is empty.", remedy="Give the identifier, or - to read it.")
    normalise(identifier_type, identifier)
    return identifier
