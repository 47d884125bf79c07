"""A record as the ``learningRecord`` of a credential: the whole shared model in signed terms.

Amounts are decimal strings (JSON-LD numbers are binary floats), values stand beside what the source
wrote, and each object has an id, so that the canonical form of a large archive stays cheap.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from creditexchange.v1.record_pb2 import Basis, LearningRecord
from gateway.exchange.asking.question import Provenance
from gateway.exports.wording import by_language, date_text
from gateway.schemes.shared_words import (
    BANDS,
    CONVERTIBILITIES,
    FRAMEWORKS,
    GRADE_STATUSES,
    HOUR_KINDS,
    KINDS,
    LOSSES,
    ROLES,
    STATES,
    VALUE_STATES,
    SharedWords,
)

BY_SOURCE = "issued-by-source"
RECEIVED = "received-from-source"

_BASES = SharedWords(Basis, "BASIS_")


def shared_record(record: LearningRecord, given_by: Iterable[Provenance], base: str) -> dict[str, Any]:
    """Return ``record`` in the terms of the own context; ``base`` is the credential's id.

    ``given_by`` is empty for a record of the issuer's own registry. The exchange is not named: the same
    record, asked for again, makes the same credential.
    """
    receptions = [
        {
            "id": f"{base}#received-{number}",
            "type": "Reception",
            "fromNode": each.node_id,
            "signedWith": each.signed_by,
        }
        for number, each in enumerate(given_by)
    ]
    return _stated(
        {
            "id": f"{base}#record",
            "type": "LearningRecord",
            "attestation": RECEIVED if receptions else BY_SOURCE,
            "received": receptions,
            "recordId": record.record_id,
            "recordKind": KINDS.word(record.kind),
            "sourceNode": record.source_node,
            "scheme": f"{record.scheme.scheme_id} {record.scheme.version}".strip(),
            "schemeDigest": f"sha256:{record.scheme.digest.hex()}" if record.scheme.digest else "",
            "holderName": record.holder_name,
            "title": by_language(record.titles),
            "institution": _institutions(record, base),
            "credit": _credits(record, base),
            "workload": _workloads(record, base),
            "grade": _grade(record, base),
            "level": _levels(record, base),
            "startedOn": date_text(record.start_date),
            "endedOn": date_text(record.end_date),
            "awardedOn": date_text(record.award_date),
            "convertibility": CONVERTIBILITIES.word(record.convertibility),
            "sourceField": [{"name": each.name, "value": each.value} for each in record.originals],
            "translationTrace": _trace(record),
            "warning": [f"{each.code}: {each.text}" for each in record.warnings],
            **_specification(record),
            **_certificate(record),
            **_state(record),
        }
    )


def _stated(members: dict[str, Any]) -> dict[str, Any]:
    """Return the members that say something; what is not stated has no member."""
    return {name: value for name, value in members.items() if value not in ("", None, [], {})}


def _specification(record: LearningRecord) -> dict[str, str]:
    each = record.specification
    return {
        "courseCode": each.code,
        "catalogueVersion": each.version,
        "fieldScheme": each.field_scheme,
        "fieldCode": each.field_code,
        "teachingLanguage": each.teaching_language,
    }


def _certificate(record: LearningRecord) -> dict[str, str]:
    each = record.certificate
    return {
        "certificateNumber": each.number,
        "certificateNumberScheme": each.number_scheme,
        "certificateCatalogueCode": each.catalogue_code,
        "expiresOn": date_text(each.expire_date),
    }


def _state(record: LearningRecord) -> dict[str, str]:
    each = record.status
    return {
        "recordState": STATES.word(each.state),
        "recordStateAsIssued": each.as_issued,
        "recordStateSince": date_text(each.since),
        "supersededBy": each.superseded_by,
    }


def _institutions(record: LearningRecord, base: str) -> list[dict[str, Any]]:
    return [
        _stated(
            {
                "id": f"{base}#institution-{number}",
                "type": "Institution",
                "institutionName": by_language(each.names),
                "institutionCode": [f"{code.scheme}:{code.value}" for code in each.identifiers],
                "institutionRegion": each.region,
                "institutionRole": ROLES.word(each.role),
            }
        )
        for number, each in enumerate(record.issuers)
    ]


def _credits(record: LearningRecord, base: str) -> list[dict[str, Any]]:
    return [
        _stated(
            {
                "id": f"{base}#credit-{number}",
                "type": "CreditAmount",
                "asIssued": each.as_issued,
                "valueState": VALUE_STATES.word(each.state),
                "amount": each.amount,
                "unit": each.unit,
                "studyHours": each.study_hours,
                "basis": _BASES.word(each.basis),
            }
        )
        for number, each in enumerate(record.credits)
    ]


def _workloads(record: LearningRecord, base: str) -> list[dict[str, Any]]:
    return [
        _stated(
            {
                "id": f"{base}#workload-{number}",
                "type": "Workload",
                "asIssued": each.as_issued,
                "valueState": VALUE_STATES.word(each.state),
                "amount": each.amount,
                "hourKind": HOUR_KINDS.word(each.hour_kind),
                "basis": _BASES.word(each.basis),
            }
        )
        for number, each in enumerate(record.workloads)
    ]


def _grade(record: LearningRecord, base: str) -> dict[str, Any]:
    if not record.HasField("grade"):
        return {}
    each = record.grade
    return _stated(
        {
            "id": f"{base}#grade",
            "type": "Grade",
            "asIssued": each.as_issued,
            "valueState": VALUE_STATES.word(each.state),
            "scale": each.scale,
            "gradeStatus": GRADE_STATUSES.word(each.status),
            "band": BANDS.word(each.band),
            "percentMin": each.percent_min,
            "percentMax": each.percent_max,
            "attempt": str(each.attempt) if each.attempt else "",
        }
    )


def _levels(record: LearningRecord, base: str) -> list[dict[str, Any]]:
    return [
        _stated(
            {
                "id": f"{base}#level-{number}",
                "type": "Level",
                "framework": FRAMEWORKS.word(each.framework),
                "asIssued": each.as_issued,
                "valueState": VALUE_STATES.word(each.state),
                "levelCode": each.code,
                "basis": _BASES.word(each.basis),
            }
        )
        for number, each in enumerate(record.levels)
    ]


def _trace(record: LearningRecord) -> list[dict[str, str]]:
    return [
        _stated(
            {
                "path": step.path,
                "original": step.original,
                "result": step.result,
                "rule": step.rule,
                "scheme": f"{step.scheme.scheme_id} {step.scheme.version}".strip(),
                "unrounded": step.unrounded,
                "rounding": step.rounding,
                "loss": LOSSES.word(step.loss),
                "note": step.note,
            }
        )
        for step in record.trace
    ]
