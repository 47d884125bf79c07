"""``query --learners``: many applicants, resumable, with a row in the results for each and each peer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from creditexchange.v1 import archive_pb2
from creditexchange.v1.exchange_pb2 import LEGAL_BASIS_CONSENT
from gateway.cli.bulk_input import read_applicants
from gateway.cli.bulk_job import ANSWERED, RECORDS_FILE, ROW_INVALID, TABLE_FILE, Job, open_job
from gateway.cli.bulk_run import BulkRun, NodeAtHand
from gateway.cli.output import Output, complain, errors, print_json, progress_bar, say, table
from gateway.errors import CallerError
from gateway.exchange.messages import BULK_SUBJECTS_MAX
from gateway.node.config import load_config
from gateway.node.folder import NodeFolder
from gateway.peers.roster import load_roster
from gateway.policy.purposes import kind_word, purpose_word

CONSENTED_AT_ONCE = 200
"""Learners of one query when a consent of each travels with it: about 600 bytes each."""
BAD_ROWS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class BulkOptions:
    """What the command line said."""

    learners: Path
    out: Path
    identifier_type: str
    peers: Sequence[str]
    patience_s: float
    output: Output


def query_in_bulk(
    options: BulkOptions, request: archive_pb2.SearchRecordsInBulkRequest, folder: NodeFolder
) -> bool:
    """Work off the list and write the results; return whether everybody has an answer.

    Raises:
        CallerError: the list cannot be read, or the folder holds another job.
        OperatorError: this node cannot ask.
        KeyboardInterrupt: interrupted; the same command goes on.
    """
    peers = _peers(options.peers, folder)
    applicants = read_applicants(options.learners, options.identifier_type)
    terms = "/".join(
        (
            purpose_word(request.purpose),
            ",".join(kind_word(kind) for kind in request.kinds),
            str(request.legal_basis),
        )
    )
    with open_job(options.out, applicants, peers, terms) as (job, is_written):
        if is_written and not job.has_results():
            raise CallerError(
                f"{options.out} was complete, and its results were removed since.",
                remedy="Name another folder to ask again.",
            )
        if not is_written:
            _complain_of_rows(job)
            _work_off(job, options, request, folder)
            job.write_results()
        totals = job.totals()
        is_complete = all(state == ANSWERED for _, state, _, _, _ in totals)
        if is_complete and not is_written:
            job.forget_contents()
    _report(totals, options, is_complete=is_complete)
    return is_complete


def _work_off(
    job: Job, options: BulkOptions, request: archive_pb2.SearchRecordsInBulkRequest, folder: NodeFolder
) -> None:
    is_consented = request.legal_basis == LEGAL_BASIS_CONSENT
    with NodeAtHand(folder) as node, _bars(job) as advance:
        run = BulkRun(
            job,
            request,
            node,
            options.patience_s,
            CONSENTED_AT_ONCE if is_consented else BULK_SUBJECTS_MAX,
            advance,
        )
        try:
            run.run()
        except KeyboardInterrupt:
            complain("Interrupted. What came is kept: the same command goes on from here.")
            raise


def _peers(named: Sequence[str], folder: NodeFolder) -> list[str]:
    """Return whom to ask, in the order of ids: the job must name them for good."""
    config = load_config(folder.root)
    known = load_roster(folder.peers, config.node.id).peers
    unknown = [name for name in named if name not in known]
    if unknown or not known:
        raise CallerError(
            f"unknown peer {unknown[0][:32]!r}." if unknown else "this node knows no peers.",
            remedy=f"Known peers: {', '.join(known) or 'none; add one with `credit-gateway peers add`'}.",
        )
    return sorted(set(named) or known)


def _complain_of_rows(job: Job) -> None:
    """Name the rows that are no applicants, and go on."""
    bad = 0
    for applicant in job.applicants:
        if applicant.problem:
            bad += 1
            if bad <= BAD_ROWS_SHOWN:
                complain(f"{job.applicants.path.name}:{applicant.line}: {applicant.problem}")
    if bad > BAD_ROWS_SHOWN:
        complain(f"and {bad - BAD_ROWS_SHOWN} more; the results name each with outcome {ROW_INVALID}.")


@contextmanager
def _bars(job: Job) -> Iterator[Callable[[str, int], None]]:
    """Yield what shows progress: a bar a peer when a person watches, else nothing."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with progress_bar(*columns) as bar:
        tasks = {}
        for peer in job.peers:
            done, total = job.done_and_total(peer)
            tasks[peer] = bar.add_task(peer, total=total, completed=done, rate="")

        def advance(peer: str, lines: int) -> None:
            task = bar.tasks[tasks[peer]]
            speed = task.finished_speed or task.speed or 0.0
            bar.update(tasks[peer], advance=lines, rate=f"{speed:,.0f} learners/s")

        yield advance


def _report(
    totals: Sequence[tuple[str, int, str, int, int]], options: BulkOptions, *, is_complete: bool
) -> None:
    if options.output is Output.json:
        print_json(
            {
                "complete": is_complete,
                "results": str(options.out / TABLE_FILE),
                "records": str(options.out / RECORDS_FILE),
                "peers": [
                    {"id": peer, "outcome": outcome, "learners": lines, "records": records}
                    for peer, _, outcome, lines, records in totals
                ],
            }
        )
        return
    shown = table("peer", "outcome", "learners", "records")
    for peer, _, outcome, lines, records in totals:
        shown.add_row(peer, outcome, f"{lines:,}", f"{records:,}")
    errors.print(shown)
    say(
        f"{options.out / TABLE_FILE} and {options.out / RECORDS_FILE} have a row for each applicant and peer."
    )
    if not is_complete:
        complain("Some have no answer, and the reason beside it. The same command asks again about those.")
