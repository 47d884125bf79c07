"""``records rekey``: records are found under the next epoch of the federation secret too."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from gateway.cli.bulk_input import Applicant, read_applicants
from gateway.cli.output import EXIT_NO, NodeOption, complain, progress_bar, say
from gateway.cli.registry_access import OpenRegistry, open_registry
from gateway.errors import CallerError
from gateway.learners.subject_token import subject_token

LEARNERS_AT_ONCE = 200
"""Learners of one transaction; answers come in between."""


def rekey(
    learners: Annotated[
        Path, typer.Argument(help="List of your learners: CSV with a column `identifier`, or one a line.")
    ],
    node: NodeOption = Path(),
) -> None:
    """Let records be found under the next epoch of the federation secret, after `keys rotate federation`.

    Identifiers are kept nowhere, so nobody but you can say which learner a record belongs to: give the list
    of all your learners, in one or several files. Importing record files again does the same. The node
    goes on answering under both epochs; Ctrl-C leaves what was done, and running it again finishes.

    Exit status 1 while records are left under the old epoch.
    """
    found = read_applicants(learners)
    with open_registry(node) as opened:
        if len(opened.secrets) < 2:
            raise CallerError(
                "no epoch of the federation secret is on its way.",
                remedy="Begin with `credit-gateway keys rotate federation --epoch E --secret FILE`.",
            )
        moved = refused = 0
        with progress_bar(TextColumn("records rekey"), BarColumn(), MofNCompleteColumn()) as bar:
            task = bar.add_task("rekey", total=sum(1 for _ in found))
            rows = iter(found)
            while batch := list(islice(rows, LEARNERS_AT_ONCE)):
                usable = [applicant for applicant in batch if not applicant.problem]
                refused += len(batch) - len(usable)
                moved += opened.registry.rekey(_pairs(usable, opened), opened.secrets[0].epoch)
                bar.update(task, advance=len(batch))
        records, entries = opened.registry.count_under_other_epochs(opened.secrets[0].epoch)
    say(f"{moved:,} records are found under epoch {opened.secrets[0].epoch} now.")
    if refused:
        complain(f"{refused:,} rows name nobody: their identifiers are malformed.")
    if entries:
        complain("SQL sources: run `credit-gateway records index`.")
    if records:
        complain(f"{records:,} records of learners who are not on the list are left under the old epoch.")
    if records or entries:
        raise typer.Exit(EXIT_NO)


def _pairs(applicants: list[Applicant], opened: OpenRegistry) -> list[tuple[bytes, bytes]]:
    newest, *older = opened.secrets
    return [
        (
            subject_token(secret, applicant.identifier_type, applicant.identifier),
            subject_token(newest, applicant.identifier_type, applicant.identifier),
        )
        for applicant in applicants
        for secret in older
    ]
