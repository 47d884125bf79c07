"""One record as an Open Badges 3.0 credential, an archive as a Comprehensive Learner Record 2.0.

Both are W3C Verifiable Credentials 2.0. Members that other tools know say what fits them; the exact
values stand in ``learningRecord``. Nothing here is signed yet.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from creditexchange.v1 import record_pb2 as pb
from creditexchange.v1.record_pb2 import LearningRecord, PartialDate
from gateway.exchange.asking.question import Provenance
from gateway.exports.issuer import Issuer
from gateway.exports.proof import timestamp
from gateway.exports.published_contexts import CLR, CREDENTIALS, OPEN_BADGES, own_context_sri
from gateway.exports.shared_record import shared_record
from gateway.exports.wording import text_in, title_of
from gateway.schemes.shared_words import KINDS

CHINA = timedelta(hours=8)
"""Days of awards and expiries are days in China."""

_TYPES = {
    pb.RECORD_KIND_DEGREE: "Degree",
    pb.RECORD_KIND_GRADUATION: "Diploma",
    pb.RECORD_KIND_COURSE: "Course",
    pb.RECORD_KIND_MODULE: "Course",
    pb.RECORD_KIND_UNIT: "MicroCredential",
    pb.RECORD_KIND_VOCATIONAL_QUALIFICATION: "Certification",
    pb.RECORD_KIND_SKILL_LEVEL: "Certificate",
    pb.RECORD_KIND_X_CERTIFICATE: "Certificate",
    pb.RECORD_KIND_TRAINING: "CertificateOfCompletion",
    pb.RECORD_KIND_EXPERIENCE: "CommunityService",
    pb.RECORD_KIND_COMPETITION: "Award",
    pb.RECORD_KIND_LEISURE: "LearningProgram",
}
"""``achievementType`` (OB 3.0); the exact kind stands in ``learningRecord``."""

_RESULTS = {
    pb.GRADE_STATUS_PASSED: "Completed",
    pb.GRADE_STATUS_FAILED: "Failed",
    pb.GRADE_STATUS_IN_PROGRESS: "InProgress",
    pb.GRADE_STATUS_DEFERRED: "OnHold",
}
_PLAIN_AMOUNT = re.compile(r"\d{1,6}(\.\d{1,3})?", re.ASCII)
_IDENTIFIER_TYPES = {"uscc": "ext:uscc", "moe-school": "ext:moe-school"}


def achievement_credential(
    record: LearningRecord,
    given_by: Sequence[Provenance],
    issuer: Issuer,
    credential_id: str,
    issued: datetime,
    status: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Return one record as an ``AchievementCredential`` (1EdTech OB 3.0, on VCDM 2.0), unsigned.

    ``status`` are its entries in status lists.
    """
    credential: dict[str, Any] = {
        "@context": [CREDENTIALS, OPEN_BADGES, issuer.own_context],
        "id": credential_id,
        "type": ["VerifiableCredential", "AchievementCredential"],
        "issuer": issuer.profile(),
        "validFrom": timestamp(issued),
        "name": title_of(record) or record.record_id,
        "credentialSubject": _subject(record, credential_id)
        | {"learningRecord": shared_record(record, given_by, credential_id)},
        "relatedResource": [_own_context_pin(issuer)],
    }
    expiry = _start_of_day(record.certificate.expire_date)
    if expiry is not None:
        credential["validUntil"] = timestamp(expiry)
    awarded = _start_of_day(record.award_date)
    if awarded is not None:
        credential["awardedDate"] = timestamp(awarded)
    if status:
        credential["credentialStatus"] = list(status)
    return credential


def learner_record(
    credentials: Sequence[dict[str, Any]],
    holder_name: str,
    notes: Sequence[str],
    issuer: Issuer,
    credential_id: str,
    issued: datetime,
) -> dict[str, Any]:
    """Return signed credentials as one ``ClrCredential`` (1EdTech CLR 2.0), unsigned.

    ``notes`` say what may be missing: peers that did not answer.
    """
    subject: dict[str, Any] = {"id": f"{credential_id}#learner", "type": ["ClrSubject"]}
    if holder_name:
        subject["identifier"] = [_holder(holder_name)]
    subject["verifiableCredential"] = list(credentials)
    parts = _associations(credentials)
    if parts:
        subject["association"] = parts
    credential: dict[str, Any] = {
        "@context": [CREDENTIALS, CLR, OPEN_BADGES, issuer.own_context],
        "id": credential_id,
        "type": ["VerifiableCredential", "ClrCredential"],
        "issuer": issuer.profile(),
        "validFrom": timestamp(issued),
        "name": "学习成果档案 / Lifelong-learning archive",
        "credentialSubject": subject,
        "relatedResource": [_own_context_pin(issuer)],
    }
    if notes:
        credential["archiveNote"] = list(notes)
    return credential


def _own_context_pin(issuer: Issuer) -> dict[str, str]:
    return {"id": issuer.own_context, "digestSRI": own_context_sri()}


def _subject(record: LearningRecord, base: str) -> dict[str, Any]:
    subject: dict[str, Any] = {"id": f"{base}#learner", "type": ["AchievementSubject"]}
    if record.holder_name:
        subject["identifier"] = [_holder(record.holder_name)]
    subject["achievement"] = _achievement(record, base)
    earned = [each.amount for each in record.credits if _PLAIN_AMOUNT.fullmatch(each.amount)]
    if len(earned) == 1:
        # For display by other tools only: a binary float. The exact amount and its unit are strings.
        subject["creditsEarned"] = float(earned[0]) if "." in earned[0] else int(earned[0])
    if record.certificate.number:
        subject["licenseNumber"] = record.certificate.number
    for name, date in (("activityStartDate", record.start_date), ("activityEndDate", record.end_date)):
        day = _start_of_day(date)
        if day is not None:
            subject[name] = timestamp(day)
    if record.HasField("grade"):
        result: dict[str, Any] = {"type": ["Result"]}
        if record.grade.as_issued:
            result["value"] = record.grade.as_issued
        if record.grade.status in _RESULTS:
            result["status"] = _RESULTS[record.grade.status]
        subject["result"] = [result]
    return subject


def _holder(name: str) -> dict[str, Any]:
    return {"type": "IdentityObject", "hashed": False, "identityHash": name, "identityType": "name"}


def _achievement(record: LearningRecord, base: str) -> dict[str, Any]:
    institution = text_in(record.issuers[0].names) if record.issuers else ""
    title = title_of(record) or record.record_id
    achievement: dict[str, Any] = {
        "id": f"{base}#achievement",
        "type": ["Achievement"],
        "achievementType": _TYPES.get(record.kind, "ext:LearningRecord"),
        "name": title,
        "description": " · ".join(filter(None, (title_of(record, "en"), institution))) or title,
        "criteria": {
            "narrative": "As the awarding institution set it; the credit bank keeps the record. "
            f"Kind: {KINDS.word(record.kind)}."
        },
    }
    if record.specification.code:
        achievement["humanCode"] = record.specification.code
    if record.specification.version:
        achievement["version"] = record.specification.version
    if record.specification.field_code:
        achievement["fieldOfStudy"] = record.specification.field_code
    if institution:
        achievement["creator"] = _creator(record, base, institution)
    return achievement


def _creator(record: LearningRecord, base: str, name: str) -> dict[str, Any]:
    creator: dict[str, Any] = {"id": f"{base}#creator", "type": ["Profile"], "name": name}
    codes = [
        {
            "type": "IdentifierEntry",
            "identifier": code.value,
            "identifierType": _IDENTIFIER_TYPES.get(code.scheme, "ext:local"),
        }
        for code in record.issuers[0].identifiers
    ]
    if codes:
        creator["otherIdentifier"] = codes
    return creator


def _associations(credentials: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Tie each record to the certificate that replaced it, where both are in the archive."""
    achievements = {}
    for each in credentials:
        subject = each["credentialSubject"]
        record = subject["learningRecord"]
        achievements[record.get("sourceNode"), record["recordId"]] = subject["achievement"]["id"]
    found = []
    for each in credentials:
        record = each["credentialSubject"]["learningRecord"]
        target = achievements.get((record.get("sourceNode"), record.get("supersededBy", "")))
        if target:
            found.append(
                {
                    "type": "Association",
                    "associationType": "replacedBy",
                    "sourceId": each["credentialSubject"]["achievement"]["id"],
                    "targetId": target,
                }
            )
    return found


def _start_of_day(date: PartialDate) -> datetime | None:
    """Return the first moment of a day in China; nothing when the day is not stated."""
    if not (date.year and date.month and date.day):
        return None
    try:
        return datetime(date.year, date.month, date.day, tzinfo=UTC) - CHINA
    except ValueError:
        return None
