"""Cuts the answer to a query in bulk into chunks, as the records come: never more than one is held.

A chunk ends where the next record would not fit. A learner with more records than fit goes on as the
first of the next chunk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from gateway.errors import RefusedError, StorageError
from gateway.exchange.answering.bulk_authorise import AuthorisedBulk, BulkSubject
from gateway.exchange.answering.translate import translated
from gateway.exchange.messages import Snapshot
from gateway.records.source import RecordSource

SUBJECTS_AT_ONCE = 64
"""Learners that are looked up in one statement; a number of placeholders that is prepared anyway."""
CHUNK_SUBJECTS_MAX = 256
"""Most learners of a chunk: a bound on one transaction of the log."""
RECORD_OVERHEAD_BYTES = 128
"""What a record takes beside its own bytes: key, lengths, commitment."""
SUBJECT_BYTES = 16
"""What a learner takes in the signed body."""
ENVELOPE_BYTES = 16 * 1024
"""What header, receipt, checkpoint, scheme and signatures may take."""


@dataclass(frozen=True, slots=True)
class SubjectRecords:
    """One learner's records in the shared model, serialised; or why there are none."""

    subject: BulkSubject
    records: Sequence[bytes] = field(default=(), repr=False)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """What one chunk holds of one learner."""

    subject: BulkSubject
    records: Sequence[bytes] = field(repr=False)
    continues: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk before it is committed to and logged."""

    number: int
    is_last: bool
    pieces: Sequence[Piece]


def chunks_of(authorised: AuthorisedBulk, source: RecordSource, snapshot: Snapshot) -> Iterator[Chunk]:
    """Yield the chunks of the whole answer, reading as much from ``source`` as the next one needs.

    Raises:
        RefusedError: ``SOURCE_UNAVAILABLE``.
    """
    bytes_max = snapshot.settings.message_bytes_max - ENVELOPE_BYTES
    return cut(_records_of(authorised, source, snapshot, bytes_max - SUBJECT_BYTES), bytes_max)


def cut(answers: Iterable[SubjectRecords], bytes_max: int) -> Iterator[Chunk]:
    """Yield chunks of at most ``bytes_max`` bytes; no single record may be larger than that."""
    number, size = 1, 0
    pieces: list[Piece] = []
    for answer in answers:
        if len(pieces) >= CHUNK_SUBJECTS_MAX or (pieces and size + SUBJECT_BYTES > bytes_max):
            yield Chunk(number, is_last=False, pieces=pieces)
            number, size, pieces = number + 1, 0, []
        size += SUBJECT_BYTES
        taken: list[bytes] = []
        for record in answer.records:
            cost = len(record) + RECORD_OVERHEAD_BYTES
            if size + cost > bytes_max and (taken or pieces):
                if taken:
                    pieces.append(Piece(answer.subject, taken, continues=True))
                yield Chunk(number, is_last=False, pieces=pieces)
                number, size, pieces, taken = number + 1, SUBJECT_BYTES, [], []
            taken.append(record)
            size += cost
        pieces.append(Piece(answer.subject, taken, continues=False, reason=answer.reason))
    yield Chunk(number, is_last=True, pieces=pieces)


def _records_of(
    authorised: AuthorisedBulk, source: RecordSource, snapshot: Snapshot, bytes_max: int
) -> Iterator[SubjectRecords]:
    kinds = frozenset(authorised.body.kinds)
    subjects = authorised.subjects
    for start in range(0, len(subjects), SUBJECTS_AT_ONCE):
        batch = subjects[start : start + SUBJECTS_AT_ONCE]
        asked = [subject.token for subject in batch if not subject.reason]
        try:
            found = iter(source.find(asked, kinds) if asked else ())
        except StorageError as error:
            raise RefusedError(
                "SOURCE_UNAVAILABLE", "the record source does not answer.", retry_after_s=5
            ) from error
        for subject in batch:
            if subject.reason:
                yield SubjectRecords(subject, reason=subject.reason)
                continue
            records = [translated(record, snapshot) for record in next(found)]
            if any(len(record) + RECORD_OVERHEAD_BYTES > bytes_max for record in records):
                yield SubjectRecords(subject, reason="ANSWER_TOO_LARGE")
            else:
                yield SubjectRecords(subject, records)
