"""What stands in the PDF transcript, as plain text: no drawing here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from creditexchange.v1 import record_pb2 as pb
from creditexchange.v1.record_pb2 import LearningRecord, LocalValue
from gateway.exchange.asking.question import ArchiveEntry
from gateway.exports.issuer import Issuer
from gateway.exports.wording import HOUR_KINDS as HOUR_WORDS
from gateway.exports.wording import KINDS as KIND_WORDS
from gateway.exports.wording import STATES as STATE_WORDS
from gateway.exports.wording import UNITS, date_text, text_in, title_of
from gateway.schemes.shared_words import HOUR_KINDS, KINDS, STATES

CERTIFICATES = frozenset(
    {
        pb.RECORD_KIND_DEGREE,
        pb.RECORD_KIND_GRADUATION,
        pb.RECORD_KIND_VOCATIONAL_QUALIFICATION,
        pb.RECORD_KIND_SKILL_LEVEL,
        pb.RECORD_KIND_X_CERTIFICATE,
        pb.RECORD_KIND_COMPETITION,
    }
)
"""Kinds that stand in the first part of the transcript; the others are learning with hours and credits."""
_CHINA = timedelta(hours=8)
_UNCOUNTED = (pb.GRADE_STATUS_FAILED, pb.GRADE_STATUS_IN_PROGRESS, pb.GRADE_STATUS_ABSENT)


def transcript_facts(
    entries: Sequence[ArchiveEntry], notes: Sequence[str], issuer: Issuer, digest: str, now: datetime
) -> dict[str, Any]:
    """Return the facts that the template sets, all of them text or lists of text.

    ``digest`` is the SHA-256 of the signed credential that is attached, hexadecimal.
    """
    return {
        "issuer": {"zh": _name(issuer, "zh"), "en": _name(issuer, "en"), "did": issuer.did},
        "holder": next((each.record.holder_name for each in entries if each.record.holder_name), ""),
        "day": (now + _CHINA).strftime("%Y-%m-%d"),
        "digest": digest,
        "has_status": bool(issuer.domain),
        "notes": list(notes),
        "certificates": [_certificate(each) for each in entries if each.record.kind in CERTIFICATES],
        "learning": [_learning(each) for each in entries if each.record.kind not in CERTIFICATES],
        "totals": _totals(entries),
        "scheme": _scheme(entries),
        "sources": sorted({each.record.source_node for each in entries}),
    }


def _name(issuer: Issuer, language: str) -> str:
    for tag, name in issuer.names.items():
        if tag.split("-", 1)[0] == language:
            return name
    return issuer.name()


def _scheme(entries: Sequence[ArchiveEntry]) -> str:
    scheme = entries[0].local.scheme
    return f"{scheme.scheme_id} {scheme.version}".strip()


def _both(words: tuple[str, str]) -> dict[str, str]:
    return {"zh": words[0], "en": words[1]}


def _shared(record: LearningRecord) -> dict[str, Any]:
    kind, state = KINDS.word(record.kind), STATES.word(record.status.state)
    english = next((t.text for t in record.titles if t.language.split("-", 1)[0] == "en"), "")
    return {
        "source": record.source_node,
        "record_id": record.record_id,
        "title": title_of(record) or record.record_id,
        "title_en": english if english != title_of(record) else "",
        "institution": text_in(record.issuers[0].names) if record.issuers else "",
        "kind": _both(KIND_WORDS.get(kind, (kind, kind))),
        "state": _both(STATE_WORDS.get(state, (state, state))),
        "is_valid": state in ("valid", ""),
        "awarded": date_text(record.award_date) or date_text(record.end_date),
    }


def _certificate(entry: ArchiveEntry) -> dict[str, Any]:
    record = entry.record
    return _shared(record) | {
        "number": record.certificate.number,
        "levels": [level.as_issued for level in record.levels],
        "grade": record.grade.as_issued,
        "expires": date_text(record.certificate.expire_date),
    }


def _learning(entry: ArchiveEntry) -> dict[str, Any]:
    record = entry.record
    hours = [
        f"{each.as_issued} {HOUR_WORDS.get(HOUR_KINDS.word(each.hour_kind), HOUR_WORDS[''])[0]}"
        for each in record.workloads
        if each.as_issued
    ]
    return _shared(record) | {
        "credits": [_amount(c.as_issued, c.unit) for c in record.credits if c.as_issued],
        "credits_here": [_local(value) for value in entry.local.credits],
        "hours": hours,
        "grade": record.grade.as_issued,
        "grade_here": _local(entry.local.grade) if entry.local.HasField("grade") else "",
    }


def _amount(value: str, unit: str) -> str:
    name = unit.rsplit("/", 1)[-1]
    return f"{value} {UNITS.get(name, (name, name))[0]}".strip()


def _local(value: LocalValue) -> str:
    return _amount(value.value, value.unit if "credit" in value.unit or "point" in value.unit else "") or "—"


def _totals(entries: Iterable[ArchiveEntry]) -> list[dict[str, Any]]:
    """Return sums of credits in the exporting node's scheme, one a kind and unit.

    Counted is what holds and was not failed. Units are never mixed; what was not translated is left out
    and said so by the table itself.
    """
    sums: dict[tuple[int, str], Fraction] = {}
    for entry in entries:
        record = entry.record
        if record.status.state not in (pb.RECORD_STATE_VALID, pb.RECORD_STATE_UNSPECIFIED):
            continue
        if record.grade.status in _UNCOUNTED:
            continue
        for value in entry.local.credits:
            if value.value:
                key = (record.kind, value.unit)
                sums[key] = sums.get(key, Fraction()) + Fraction(value.value)
    return [
        {"kind": _both(KIND_WORDS[KINDS.word(kind)]), "amount": _amount(_number(total), unit)}
        for (kind, unit), total in sorted(sums.items())
        if KINDS.word(kind) in KIND_WORDS
    ]


def _number(value: Fraction) -> str:
    """Return an exact number: a decimal where it has an end, else a fraction."""
    for digits in range(7):
        if (value * 10**digits).denominator == 1:
            whole = int(value * 10**digits)
            text = f"{whole:0{digits + 1}}"
            return f"{text[:-digits]}.{text[-digits:]}" if digits else text
    return f"{value.numerator}/{value.denominator}"
