"""A learner's archive as a table for people and as one JSON object for programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.text import Text

from creditexchange.v1 import archive_pb2
from creditexchange.v1.record_pb2 import GradeBand, GradeStatus, LearningRecord, LocalValue, RecordState
from gateway.cli.output import console, say, table
from gateway.exchange.record_json import date_text, record_json, word
from gateway.policy.purposes import kind_word


def archive_json(learner: str, response: archive_pb2.SearchRecordsResponse) -> dict[str, Any]:
    """Return the object that ``query --output json`` prints; ``learner`` is masked already."""
    return {
        "learner": learner,
        "peers": [
            {
                "id": result.node_id,
                "outcome": result.outcome,
                "reason": result.explanation or None,
                "record_count": result.record_count,
                "milliseconds": result.elapsed_ms,
                "exchange_id": result.exchange_id.hex(),
                "receipt_verified": result.receipt_verified,
                "leaf_index": result.peer_leaf_index if result.receipt_verified else None,
            }
            for result in response.peers
        ],
        "records": [record_json(entry) for entry in response.records],
    }


def archive_table(response: archive_pb2.SearchRecordsResponse) -> None:
    """Print who answered what, then the merged archive in both schemes."""
    peers = table("peer", "outcome", "records", "ms", "logged as", "remark")
    for result in response.peers:
        peers.add_row(
            result.node_id,
            result.outcome,
            str(result.record_count),
            str(result.elapsed_ms),
            f"#{result.peer_leaf_index}, proof verified" if result.receipt_verified else "-",
            Text(result.explanation),
        )
    console.print(peers)
    say()
    if not response.records:
        say("no records")
        return
    local_scheme = response.records[0].local.scheme.scheme_id
    rows = table(
        "source", "awarded", "kind", "title", "original", "shared model", f"in {local_scheme}", "status"
    )
    for entry in response.records:
        rows.add_row(*(Text(cell) for cell in _cells(entry)))
    console.print(rows)
    keys = {p.node_id: p.signed_by for entry in response.records for p in entry.provenance}
    say()
    for node_id, key in sorted(keys.items()):
        say(f"signature of {node_id} verified: {key}")


def _cells(entry: archive_pb2.ArchiveRecord) -> Iterable[str]:
    record, local = entry.record, entry.local
    title = record.titles[0].text if record.titles else ""
    yield ", ".join(p.node_id for p in entry.provenance)
    yield date_text(record.award_date)
    yield kind_word(record.kind)
    yield title
    yield _lines(
        (f"{c.as_issued} {c.unit.rsplit('/', 1)[-1]}" for c in record.credits if c.as_issued),
        (record.grade.as_issued,) if record.HasField("grade") else (),
        (level.as_issued for level in record.levels),
    )
    yield _lines(
        (f"{c.study_hours} study hours" if c.study_hours else "-" for c in record.credits),
        (_grade_text(record),) if record.HasField("grade") else (),
        (level.code or "untranslated" for level in record.levels),
    )
    yield _lines(
        (_local_text(value, is_amount=True) for value in local.credits),
        (_local_text(local.grade),) if local.HasField("grade") else (),
        (_local_text(value) for value in local.levels),
    )
    yield word(RecordState, record.status.state, "RECORD_STATE_")


def _grade_text(record: LearningRecord) -> str:
    grade = record.grade
    band = word(GradeBand, grade.band, "GRADE_BAND_") if grade.band else ""
    percent = grade.percent_min
    if grade.percent_max and grade.percent_max != grade.percent_min:
        percent = f"{grade.percent_min}–{grade.percent_max}"
    return " ".join(filter(None, (band or word(GradeStatus, grade.status, "GRADE_STATUS_"), percent)))


def _local_text(value: LocalValue, *, is_amount: bool = False) -> str:
    unit = f" {value.unit.rsplit('/', 1)[-1]}" if is_amount and value.unit else ""
    return f"{value.value}{unit}" if value.value else "untranslated"


def _lines(*groups: Iterable[str]) -> str:
    return "\n".join(text for group in groups for text in group if text)
