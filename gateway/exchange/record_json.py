"""A record of an archive as members of a JSON object: what ``query --output json`` and the local API show."""

from __future__ import annotations

from typing import Any

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
from gateway.policy.purposes import kind_word


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
                "role": word(IssuerRole, issuer.role, "ISSUER_ROLE_"),
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
            {"value": w.as_issued, "hour_kind": word(HourKind, w.hour_kind, "HOUR_KIND_")}
            for w in record.workloads
        ],
        "grade": record.grade.as_issued if record.HasField("grade") else None,
        "levels": [
            {"framework": word(LevelFramework, v.framework, "LEVEL_FRAMEWORK_"), "value": v.as_issued}
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
                "state": word(ValueState, c.state, "VALUE_STATE_"),
            }
            for c in record.credits
        ],
        "hours": [
            {"amount": w.amount or None, "state": word(ValueState, w.state, "VALUE_STATE_")}
            for w in record.workloads
        ],
        "grade": {
            "status": word(GradeStatus, grade.status, "GRADE_STATUS_"),
            "band": word(GradeBand, grade.band, "GRADE_BAND_"),
            "percent_min": grade.percent_min or None,
            "percent_max": grade.percent_max or None,
            "scale": grade.scale,
            "state": word(ValueState, grade.state, "VALUE_STATE_"),
        }
        if record.HasField("grade")
        else None,
        "levels": [
            {
                "framework": word(LevelFramework, v.framework, "LEVEL_FRAMEWORK_"),
                "code": v.code or None,
                "state": word(ValueState, v.state, "VALUE_STATE_"),
            }
            for v in record.levels
        ],
        "codes": [
            {
                "list": c.shared_list,
                "code": c.code or None,
                "state": word(ValueState, c.state, "VALUE_STATE_"),
            }
            for c in record.codes
        ],
        "status": word(RecordState, record.status.state, "RECORD_STATE_"),
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
        "state": word(ValueState, value.state, "VALUE_STATE_"),
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
        "loss": word(Loss, step.loss, "LOSS_") if step.loss else None,
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


def word(enum: Any, value: int, prefix: str) -> str:
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
