"""An archive as a table (CSV) and as JSON, for people and spreadsheets. Neither is signed."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from creditexchange.v1.record_pb2 import LocalValue
from gateway.exchange.asking.question import ArchiveEntry
from gateway.exports.formula_safe import inert
from gateway.exports.issuer import Issuer
from gateway.exports.proof import timestamp
from gateway.exports.serialising import json_bytes
from gateway.exports.shared_record import shared_record
from gateway.exports.wording import date_text, text_in, title_of
from gateway.schemes.shared_words import GRADE_STATUSES, HOUR_KINDS, KINDS, STATES, VALUE_STATES

COLUMNS = (
    "source",
    "record_id",
    "kind",
    "title",
    "title_en",
    "holder_name",
    "institution",
    "start_date",
    "end_date",
    "award_date",
    "credits",
    "credit_unit",
    "study_hours",
    "credits_here",
    "credit_unit_here",
    "hours",
    "hour_kind",
    "grade",
    "grade_status",
    "grade_here",
    "levels",
    "certificate_number",
    "expire_date",
    "state",
)
"""Columns of the table. Values are text as they were issued; ``…_here`` is the exporting node's scheme."""


def archive_csv(entries: Sequence[ArchiveEntry]) -> bytes:
    """Return one row a record: RFC 4180, UTF-8 with byte order mark, no cell that is a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([inert(cell) for cell in _row(entry)] for entry in entries)
    return text.getvalue().encode("utf-8-sig")


def _row(entry: ArchiveEntry) -> tuple[str, ...]:
    record, local = entry.record, entry.local
    return (
        record.source_node,
        record.record_id,
        KINDS.word(record.kind),
        title_of(record),
        title_of(record, "en") if len(record.titles) > 1 else "",
        record.holder_name,
        text_in(record.issuers[0].names) if record.issuers else "",
        date_text(record.start_date),
        date_text(record.end_date),
        date_text(record.award_date),
        _joined(each.as_issued for each in record.credits),
        _joined(each.unit for each in record.credits),
        _joined(each.study_hours for each in record.credits),
        _joined(each.value for each in local.credits),
        _joined(each.unit for each in local.credits),
        _joined(each.as_issued for each in record.workloads),
        _joined(HOUR_KINDS.word(each.hour_kind) for each in record.workloads),
        record.grade.as_issued,
        GRADE_STATUSES.word(record.grade.status),
        local.grade.value,
        _joined(each.as_issued for each in record.levels),
        record.certificate.number,
        date_text(record.certificate.expire_date),
        STATES.word(record.status.state),
    )


def _joined(values: Any) -> str:
    return "; ".join(value for value in values if value)


def archive_json(
    entries: Sequence[ArchiveEntry], notes: Sequence[str], issuer: Issuer, now: datetime
) -> bytes:
    """Return the archive in the terms of the credentials, with the exporting node's view of each record."""
    return json_bytes(
        {
            "format": "credit-exchange/archive/v1",
            "exported_by": issuer.node_id,
            "exported_at": timestamp(now),
            "notes": list(notes),
            "records": [
                shared_record(entry.record, entry.provenance, _base(entry))
                | {
                    "here": {
                        "scheme": f"{entry.local.scheme.scheme_id} {entry.local.scheme.version}".strip(),
                        "credits": [_value(each) for each in entry.local.credits],
                        "grade": _value(entry.local.grade) if entry.local.HasField("grade") else None,
                        "levels": [_value(each) for each in entry.local.levels],
                    }
                }
                for entry in entries
            ],
        }
    )


def _base(entry: ArchiveEntry) -> str:
    return f"urn:credit-exchange:record:{entry.record.source_node}:{entry.record.record_id}"


def _value(value: LocalValue) -> dict[str, str | None]:
    return {
        "value": value.value or None,
        "unit": value.unit or None,
        "state": VALUE_STATES.word(value.state),
    }
