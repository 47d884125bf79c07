"""A long query in bulk as a job: what is still to be asked, what came, and the results at its end."""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import IO, Any

from gateway.cli.bulk_input import Applicant, ApplicantList
from gateway.errors import CallerError
from gateway.exports.formula_safe import inert
from gateway.storage import bulk_job_rows
from gateway.storage.bulk_job_rows import ANSWERED, FAILED, JobRow
from gateway.storage.engine import reading, writing
from gateway.storage.node_tables import Database

ROWS_AT_ONCE = 1_000
ROW_INVALID = "ROW_INVALID"
JOB_FILE, TABLE_FILE, RECORDS_FILE = "job.sqlite", "results.csv", "results.jsonl"
_EXPECTED = "expected"
_COLUMNS = ("line", "reference", "peer", "outcome", "records", "titles", "explanation", "exchange_id")


@dataclass(frozen=True)
class Job:
    """A job that was begun; one process works on it."""

    folder: Path
    database: Database
    applicants: ApplicantList
    peers: tuple[str, ...]

    def pending(self, peer: str) -> Iterator[Applicant]:
        """Yield those about whom ``peer`` is still to be asked, in the order of the list."""
        wanted = self._pending_lines(peer)
        line = next(wanted, None)
        for applicant in self.applicants:
            if line is None:
                return
            if applicant.line == line:
                yield applicant
                line = next(wanted, None)

    def keep(self, rows: Sequence[JobRow]) -> None:
        """Write down what came; it is there when this returns. Raises ``StorageError``."""
        with writing(self.database) as transaction:
            bulk_job_rows.put_rows(transaction, rows)

    def give_up(self, peer: str, outcome: str, explanation: str) -> None:
        """Give what is still pending at ``peer`` a reason; the next run asks again."""
        with writing(self.database) as transaction:
            bulk_job_rows.fail_pending(transaction, peer, outcome, explanation)

    def totals(self) -> list[tuple[str, int, str, int, int]]:
        """Return (peer, state, outcome, lines, records)."""
        with reading(self.database) as transaction:
            rows = bulk_job_rows.count_by_outcome(transaction)
        return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]

    def done_and_total(self, peer: str) -> tuple[int, int]:
        """Return how many lines are answered, and how many there are."""
        mine = [(state, lines) for who, state, _, lines, _ in self.totals() if who == peer]
        return sum(n for state, n in mine if state == ANSWERED), sum(n for _, n in mine)

    def write_results(self) -> None:
        """Write both files of results, whole or not at all.

        Exactly one row a line and peer, in the order of the list. Raises ``CallerError``.
        """
        table, records = self.folder / TABLE_FILE, self.folder / RECORDS_FILE
        with _fresh(table, "utf-8-sig") as csv_file, _fresh(records, "utf-8") as lines_file:
            writer = csv.writer(csv_file)
            writer.writerow(_COLUMNS)
            rows = groupby(self._rows(), key=lambda row: row.line)
            line, found = next(rows, (0, iter(())))
            for applicant in self.applicants:
                if applicant.line != line:
                    continue
                for row in found:
                    given = json.loads(zlib.decompress(row.content)) if row.content else []
                    writer.writerow(_cells(applicant, row, given))
                    lines_file.write(json.dumps(_members(applicant, row, given), ensure_ascii=False) + "\n")
                line, found = next(rows, (0, iter(())))

    def has_results(self) -> bool:
        """Whether both files of results are there."""
        return all((self.folder / name).exists() for name in (TABLE_FILE, RECORDS_FILE))

    def forget_contents(self) -> None:
        """Remove from the job what the results hold. Only when everything was answered."""
        with writing(self.database) as transaction:
            bulk_job_rows.put_fact(transaction, "written", "yes")
            bulk_job_rows.empty_contents(transaction)

    def _pending_lines(self, peer: str) -> Iterator[int]:
        after = 0
        while True:
            with reading(self.database) as transaction:
                lines = bulk_job_rows.pending_lines(transaction, peer, after, ROWS_AT_ONCE)
            if not lines:
                return
            yield from lines
            after = lines[-1]

    def _rows(self) -> Iterator[JobRow]:
        after = (0, "")
        while True:
            with reading(self.database) as transaction:
                rows = bulk_job_rows.page_of_rows(transaction, after, ROWS_AT_ONCE)
            if not rows:
                return
            yield from rows
            after = (rows[-1].line, rows[-1].peer)


@contextmanager
def open_job(
    folder: Path, applicants: ApplicantList, peers: Sequence[str], terms: str
) -> Iterator[tuple[Job, bool]]:
    """Yield the job in ``folder``, begun now or earlier, and whether its results are complete already.

    ``terms`` are purpose, kinds and basis as text: a job goes on under the terms under which it began.

    Raises:
        CallerError: the folder holds a job about another list or under other terms.
        StorageError: it cannot be written, or another run works on it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise CallerError(f"--out {folder}: {error.strerror}.") from error
    path = folder / JOB_FILE
    wanted = {"list": applicants.digest, "peers": ",".join(peers), "terms": terms}
    with bulk_job_rows.locked(path):
        database = bulk_job_rows.open_job(path)
        try:
            job = Job(folder, database, applicants, tuple(peers))
            with writing(database) as transaction:
                for name, value in wanted.items():
                    before = bulk_job_rows.get_fact(transaction, name)
                    if before not in (None, value):
                        raise CallerError(
                            f"{folder} holds a job with another {name}.",
                            remedy="Go on with the same list and options, or name another folder.",
                        )
                    bulk_job_rows.put_fact(transaction, name, value)
                is_expected = bulk_job_rows.get_fact(transaction, _EXPECTED) is not None
                is_written = bulk_job_rows.get_fact(transaction, "written") is not None
                bulk_job_rows.ask_failed_again(transaction)
            if not is_expected:
                _expect(job)
            yield job, is_written
        finally:
            database.dispose()


def _expect(job: Job) -> None:
    """Note every line of the list; those that are no applicants get their reason at once."""
    rows = iter(job.applicants)
    while batch := list(islice(rows, ROWS_AT_ONCE)):
        refused = [
            JobRow(a.line, peer, ANSWERED, ROW_INVALID, a.problem, 0, b"", b"")
            for a in batch
            if a.problem
            for peer in job.peers
        ]
        with writing(job.database) as transaction:
            bulk_job_rows.expect_lines(transaction, [a.line for a in batch], job.peers)
            bulk_job_rows.put_rows(transaction, refused)
    with writing(job.database) as transaction:
        bulk_job_rows.put_fact(transaction, _EXPECTED, "yes")


def packed(records: list[dict[str, Any]]) -> bytes:
    """Return records as they are kept until the results are written."""
    return zlib.compress(json.dumps(records, ensure_ascii=False).encode(), 1) if records else b""


def _cells(applicant: Applicant, row: JobRow, records: list[dict[str, Any]]) -> list[str]:
    titles = "; ".join(next(iter(record["title"].values()), "") for record in records)
    cells = (
        str(applicant.line),
        applicant.reference,
        row.peer,
        row.outcome,
        str(row.record_count),
        titles,
        row.explanation,
        row.exchange_id.hex(),
    )
    return [inert(cell) for cell in cells]


def _members(applicant: Applicant, row: JobRow, records: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "line": applicant.line,
        "reference": applicant.reference,
        "peer": row.peer,
        "outcome": row.outcome,
        "explanation": row.explanation or None,
        "exchange_id": row.exchange_id.hex() or None,
        "records": records,
    }


@contextmanager
def _fresh(path: Path, encoding: str) -> Iterator[IO[str]]:
    """A file that takes the place of ``path`` when it is whole; readable by its owner only."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        with fresh.open("w", encoding=encoding, newline="") as file:
            yield file
        fresh.replace(path)
    except OSError as error:
        raise CallerError(f"{path} cannot be written: {error.strerror}.") from error


__all__ = ("ANSWERED", "FAILED", "Job", "JobRow", "open_job", "packed")
