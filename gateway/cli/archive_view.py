"""A learner's archive as a table for people and as one JSON object for programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.text import Text

from creditexchange.v1 import archive_pb2, record_pb2
from creditexchange.v1.record_pb2 import (
    GradeBand,
    GradeStatus,
    HourKind,
    IssuerRole,
    LearningRecord,
    LevelFramework,
    LocalValue,
    Loss,
    PartialDate,
    RecordState,
    RuleApplication,
    ValueState,
)
from gateway.cli.output import console, say, table
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


def record_json(entry: archive_pb2.ArchiveRecord) -> dict[str, Any]:
    """Return one record of the archive as members of a JSON object."""
    record, local = entry.record, entry.local
    return {
        "source": [p.node_id for p in entry.provenance],
        "kind": kind_word(record.kind),
        "record_id": record.record_id,
        "title": _titles(record),
        "holder_name": record.holder_name or None,
        "issuers": [
            {
                "names": {name.language: name.text for name in issuer.names},
                "identifiers": {i.scheme: i.value for i in issuer.identifiers},
                "region": issuer.region or None,
                "role": _word(IssuerRole, issuer.role, "ISSUER_ROLE_"),
            }
            for issuer in record.issuers
        ],
        "dates": {
            name: date_text(getattr(record, f"{name}_date"))
            for name in ("start", "end", "award")
            if record.HasField(f"{name}_date")  # type: ignore[arg-type]
        },
        "certificate": _certificate(record),
        "original": _original(record),
        "shared": _shared(record),
        "local": _local(local),
        "trace": {
            "shared": [_step(step) for step in record.trace],
            "local": [_step(step) for step in local.trace],
        },
        "warnings": [{"code": w.code, "text": w.text} for w in record.warnings],
        "signed_by": [p.signed_by for p in entry.provenance],
    }


def _original(record: LearningRecord) -> dict[str, Any]:
    return {
        "credits": [{"value": c.as_issued, "unit": c.unit} for c in record.credits],
        "hours": [
            {"value": w.as_issued, "hour_kind": _word(HourKind, w.hour_kind, "HOUR_KIND_")}
            for w in record.workloads
        ],
        "grade": record.grade.as_issued if record.HasField("grade") else None,
        "levels": [
            {"framework": _word(LevelFramework, v.framework, "LEVEL_FRAMEWORK_"), "value": v.as_issued}
            for v in record.levels
        ],
        "status": record.status.as_issued or None,
        "fields": {f.name: f.value for f in record.originals},
    }


def _shared(record: LearningRecord) -> dict[str, Any]:
    grade = record.grade
    return {
        "scheme": f"{record.scheme.scheme_id} {record.scheme.version}",
        "credits": [
            {
                "amount": c.amount or None,
                "unit": c.unit,
                "study_hours": c.study_hours or None,
                "state": _word(ValueState, c.state, "VALUE_STATE_"),
            }
            for c in record.credits
        ],
        "hours": [
            {"amount": w.amount or None, "state": _word(ValueState, w.state, "VALUE_STATE_")}
            for w in record.workloads
        ],
        "grade": {
            "status": _word(GradeStatus, grade.status, "GRADE_STATUS_"),
            "band": _word(GradeBand, grade.band, "GRADE_BAND_"),
            "percent_min": grade.percent_min or None,
            "percent_max": grade.percent_max or None,
            "scale": grade.scale,
            "state": _word(ValueState, grade.state, "VALUE_STATE_"),
        }
        if record.HasField("grade")
        else None,
        "levels": [
            {
                "framework": _word(LevelFramework, v.framework, "LEVEL_FRAMEWORK_"),
                "code": v.code or None,
                "state": _word(ValueState, v.state, "VALUE_STATE_"),
            }
            for v in record.levels
        ],
        "codes": [
            {
                "list": c.shared_list,
                "code": c.code or None,
                "state": _word(ValueState, c.state, "VALUE_STATE_"),
            }
            for c in record.codes
        ],
        "status": _word(RecordState, record.status.state, "RECORD_STATE_"),
    }


def _local(local: record_pb2.LocalView) -> dict[str, Any]:
    return {
        "scheme": f"{local.scheme.scheme_id} {local.scheme.version}",
        "kind": _value(local.kind),
        "credits": [_value(value) for value in local.credits],
        "grade": _value(local.grade) if local.HasField("grade") else None,
        "levels": [_value(value) for value in local.levels],
        "codes": [_value(value) for value in local.codes],
        "status": _value(local.status),
    }


def _value(value: LocalValue) -> dict[str, Any]:
    return {
        "value": value.value or None,
        "unit": value.unit or None,
        "state": _word(ValueState, value.state, "VALUE_STATE_"),
    }


def _step(step: RuleApplication) -> dict[str, Any]:
    return {
        "path": step.path,
        "original": step.original,
        "result": step.result or None,
        "rule": step.rule,
        "scheme": f"{step.scheme.scheme_id} {step.scheme.version}",
        "unrounded": step.unrounded or None,
        "rounding": step.rounding or None,
        "loss": _word(Loss, step.loss, "LOSS_") if step.loss else None,
        "note": step.note or None,
    }


def _certificate(record: LearningRecord) -> dict[str, Any] | None:
    if not record.HasField("certificate"):
        return None
    certificate = record.certificate
    return {
        "number": certificate.number,
        "number_scheme": certificate.number_scheme,
        "catalogue_code": certificate.catalogue_code or None,
        "expires": date_text(certificate.expire_date) if certificate.HasField("expire_date") else None,
    }


def _titles(record: LearningRecord) -> dict[str, str]:
    return {title.language: title.text for title in record.titles}


def _word(enum: Any, value: int, prefix: str) -> str:
    """Return an enum value as a word; a value that is not known here keeps its number."""
    try:
        return str(enum.Name(value)).removeprefix(prefix).lower().replace("_", "-")
    except ValueError:
        return f"unknown-{value}"


def date_text(date: PartialDate) -> str:
    """Return a date with the precision it was given with."""
    if not date.year:
        return ""
    text = f"{date.year:04}"
    if date.month:
        text += f"-{date.month:02}"
        if date.day:
            text += f"-{date.day:02}"
    return text


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
    yield _word(RecordState, record.status.state, "RECORD_STATE_")


def _grade_text(record: LearningRecord) -> str:
    grade = record.grade
    band = _word(GradeBand, grade.band, "GRADE_BAND_") if grade.band else ""
    percent = grade.percent_min
    if grade.percent_max and grade.percent_max != grade.percent_min:
        percent = f"{grade.percent_min}–{grade.percent_max}"
    return " ".join(filter(None, (band or _word(GradeStatus, grade.status, "GRADE_STATUS_"), percent)))


def _local_text(value: LocalValue, *, is_amount: bool = False) -> str:
    unit = f" {value.unit.rsplit('/', 1)[-1]}" if is_amount and value.unit else ""
    return f"{value.value}{unit}" if value.value else "untranslated"


def _lines(*groups: Iterable[str]) -> str:
    return "\n".join(text for group in groups for text in group if text)
