"""What the province ruled about a record after it was imported: revoked, suspended, superseded.

A ruling stands in the translated record, as one step of its trace, and nowhere in the original: what the
source wrote stays as it was. It outlives a new translation and a new import of the same record, so a
stale file never makes a revoked record valid again; only lifting the ruling does.
"""

from __future__ import annotations

from typing import NamedTuple

from creditexchange.v1 import record_pb2 as pb
from gateway.errors import CallerError
from gateway.records.translating import translate_stored
from gateway.schemes import LocalRecord, Scheme, UntranslatableError
from gateway.schemes.dates import parse_date
from gateway.schemes.shared_words import STATES

RULE = "registry/ruling"
"""Names the step in the trace; no scheme has a rule of this name."""
REASON_CHARACTERS_MAX = 500

RULED_STATES = ("revoked", "suspended", "superseded")


class Ruling(NamedTuple):
    """One ruling."""

    state: str
    """One of ``RULED_STATES``."""
    reason: str
    """For whoever asks for the record; no identifier of a person."""
    since: str
    """``YYYY``, ``YYYY-MM`` or ``YYYY-MM-DD``."""
    superseded_by: str = ""
    """``record_id`` of the corrected record."""


def check_ruling(ruling: Ruling) -> None:
    """Refuse a ruling that cannot be written. Raises ``CallerError``."""
    if ruling.state not in RULED_STATES:
        raise CallerError(
            f"--state {ruling.state[:32]!r} is unknown.", remedy=f"Use {', '.join(RULED_STATES)}."
        )
    if not ruling.reason.strip() or len(ruling.reason) > REASON_CHARACTERS_MAX:
        raise CallerError(f"--reason needs 1 to {REASON_CHARACTERS_MAX} characters.", remedy="Say why.")
    if sum(map(str.isdigit, ruling.reason)) >= 15:
        raise CallerError(
            "--reason may hold an identity number, and every asker reads it.", remedy="Leave numbers out."
        )
    if (ruling.state == "superseded") != bool(ruling.superseded_by):
        raise CallerError(
            "--superseded-by goes with --state superseded.",
            remedy="Name the corrected record by its record_id.",
        )
    try:
        parse_date("since", ruling.since)
    except UntranslatableError as error:
        raise CallerError(f"--since: {error.reason}.") from error


def ruling_in(shared: pb.LearningRecord) -> Ruling | None:
    """Return the ruling in a translated record, ``None`` when there is none."""
    step = next((step for step in shared.trace if step.rule == RULE), None)
    if step is None:
        return None
    since = shared.status.since
    parts = [f"{since.year:04d}", *(f"{part:02d}" for part in (since.month, since.day) if part)]
    return Ruling(step.result, step.note, "-".join(parts), shared.status.superseded_by)


def apply_ruling(shared: pb.LearningRecord, ruling: Ruling | None) -> pb.LearningRecord:
    """Put ``ruling`` into a record that has none, and return the record."""
    if ruling is not None:
        shared.status.state = STATES.value(ruling.state)  # type: ignore[assignment]
        shared.status.since.CopyFrom(parse_date("since", ruling.since))
        shared.status.superseded_by = ruling.superseded_by
        shared.trace.add(
            path="status.state",
            original=shared.status.as_issued,
            result=ruling.state,
            rule=RULE,
            note=ruling.reason,
        )
    return shared


def translate_again(
    record: LocalRecord, translated: bytes, scheme: Scheme, node_id: str
) -> pb.LearningRecord:
    """Translate a stored record by another version of the scheme; a ruling in ``translated`` still holds.

    Raises:
        UntranslatableError: the record does not fit the scheme any more.
    """
    ruling = ruling_in(pb.LearningRecord.FromString(translated))
    return apply_ruling(translate_stored(record, scheme, node_id), ruling)
