"""From a province's own words to the shared model: declared rules only, originals kept, every rule named.

What has no rule arrives as untranslated with its original. Only what can be nothing but a mistake
(a malformed number or date, an unknown kind) is rejected, at import. Nothing is dropped: a column
that says nothing without its neighbour goes to ``originals``.
"""

from __future__ import annotations

from creditexchange.v1.record_pb2 import (
    BASIS_STATED,
    LOSS_MERGED,
    LOSS_NO_RULE,
    RELATION_ROLE_PART_OF,
    VALUE_STATE_TRANSLATED,
    VALUE_STATE_UNTRANSLATED,
    LearningRecord,
)
from gateway.schemes.certificate_number import describe_number, find_number_conflicts
from gateway.schemes.codes import add_codes
from gateway.schemes.credit import merge_credits, merge_derived_credits, workload_part
from gateway.schemes.dates import days_of, parse_date
from gateway.schemes.grade import grade_part
from gateway.schemes.institution_code import is_social_credit_code
from gateway.schemes.local_record import LocalRecord
from gateway.schemes.scheme import Scheme
from gateway.schemes.shared_words import KINDS, ROLES, STATES, VALUE_STATES
from gateway.schemes.untranslatable import UntranslatableError

TEXT_CHARACTERS_MAX = 4096

_NO_USCC = "the institution's code is no unified social credit code (GB 32100); it stays as it is"
_MERGED = "several words of the scheme mean this; shown again it reads {}"


def translate_record(record: LocalRecord, scheme: Scheme, source_node: str) -> LearningRecord:
    """Return ``record`` in the shared model; the same record and scheme give the same answer always.

    Raises:
        UntranslatableError: a value can only be a mistake; names the column.
    """
    for column, value in (("record_id", record.record_id), ("title", record.title)):
        if not value.strip():
            raise UntranslatableError(column, "it is empty")
        if len(value) > TEXT_CHARACTERS_MAX:
            raise UntranslatableError(column, f"it is longer than {TEXT_CHARACTERS_MAX} characters")
    shared = LearningRecord(record_id=record.record_id, source_node=source_node, scheme=scheme.reference)
    shared.MergeFrom(scheme.shared_parts.get(_kind_part, scheme, record.kind))
    _add_texts(record, shared)
    _add_dates(record, shared)
    _add_issuer(record, scheme, shared)
    _add_amounts(record, scheme, shared)
    if record.grade or record.attempt:
        part = scheme.shared_parts.get(grade_part, scheme, record.grade, record.grade_scale, record.attempt)
        shared.MergeFrom(part)
    else:
        _keep(shared, "grade_scale", record.grade_scale)
    _add_levels(record, scheme, shared)
    _add_certificate(record, shared)
    if scheme.code_lists:
        add_codes(record, scheme, shared)
    shared.MergeFrom(scheme.shared_parts.get(_status_part, scheme, record.status, record.status_since))
    if record.superseded_by:
        shared.status.superseded_by = record.superseded_by
    return shared


def _keep(shared: LearningRecord, column: str, value: str) -> None:
    """Carry a column that has no place in the shared model."""
    if value:
        shared.originals.add(name=column, value=value)


def _kind_part(scheme: Scheme, word: str) -> LearningRecord:
    found = scheme.kinds.get(word)
    if found is None:
        raise UntranslatableError("kind", f"unknown kind; the scheme knows: {', '.join(scheme.kinds)}")
    kind, convertibility = found
    part = LearningRecord(kind=kind, convertibility=convertibility)  # type: ignore[arg-type]
    first = scheme.kind_words[kind]
    loss, note = (0, "") if word == first else (LOSS_MERGED, _MERGED.format(first))
    step = scheme.applied("kind", word, KINDS.word(kind), ("kinds", word), loss=loss, note=note)
    part.trace.append(step)
    return part


def _add_texts(record: LocalRecord, shared: LearningRecord) -> None:
    shared.titles.add(language="zh-Hans", text=record.title)
    if record.title_en:
        shared.titles.add(language="en", text=record.title_en)
    shared.holder_name = record.holder_name
    if record.course_code or record.catalogue_version or record.field_code or record.field_scheme:
        shared.specification.code = record.course_code
        shared.specification.version = record.catalogue_version
        shared.specification.field_scheme = record.field_scheme
        shared.specification.field_code = record.field_code
    if record.part_of:
        shared.relations.add(record_id=record.part_of, role=RELATION_ROLE_PART_OF)
    for name, value in record.originals:
        shared.originals.add(name=name, value=value)


def _add_dates(record: LocalRecord, shared: LearningRecord) -> None:
    if record.start_date:
        shared.start_date.CopyFrom(parse_date("start_date", record.start_date))
    if record.end_date:
        shared.end_date.CopyFrom(parse_date("end_date", record.end_date))
    if record.award_date:
        shared.award_date.CopyFrom(parse_date("award_date", record.award_date))
    if record.start_date and record.end_date:
        start, end = days_of(shared.start_date), days_of(shared.end_date)
        if start and end and start[0] > end[1]:
            raise UntranslatableError("end_date", "it lies before start_date")


def _add_issuer(record: LocalRecord, scheme: Scheme, shared: LearningRecord) -> None:
    code, code_scheme = record.issuer_code, record.issuer_code_scheme
    if record.issuer_name or code or record.issuer_role or record.issuer_region:
        part = scheme.shared_parts.get(
            _issuer_part,
            scheme,
            record.issuer_name,
            code,
            code_scheme,
            record.issuer_role,
            record.issuer_region,
        )
        shared.MergeFrom(part)
    if not code:
        _keep(shared, "issuer_code_scheme", code_scheme)


def _issuer_part(
    scheme: Scheme, name: str, code: str, code_scheme: str, word: str, region: str
) -> LearningRecord:
    part = LearningRecord()
    issuer = part.issuers.add(region=region)
    if name:
        issuer.names.add(language="zh-Hans", text=name)
    if code:
        issuer.identifiers.add(scheme=code_scheme or "local", value=code)
        if code_scheme == "uscc" and not is_social_credit_code(code):
            part.warnings.add(code="issuer-uscc-check", text=_NO_USCC)
    if word:
        role = scheme.issuer_roles.get(word)
        if role is None:
            step = scheme.applied("issuers[0].role", word, "", ("issuer_roles", ""), loss=LOSS_NO_RULE)
        else:
            issuer.role = role  # type: ignore[assignment]
            step = scheme.applied("issuers[0].role", word, ROLES.word(role), ("issuer_roles", word))
        part.trace.append(step)
    return part


def _add_amounts(record: LocalRecord, scheme: Scheme, shared: LearningRecord) -> None:
    if record.hours:
        shared.MergeFrom(scheme.shared_parts.get(workload_part, scheme, record.hours, record.hour_kind))
    else:
        _keep(shared, "hour_kind", record.hour_kind)
    if record.credits:
        merge_credits(scheme, shared, record.credits, record.credit_unit)
        return
    has_rules = bool(record.hours and scheme.hours_a_credit)
    if not (has_rules and merge_derived_credits(scheme, shared, record.credit_unit)):
        _keep(shared, "credit_unit", record.credit_unit)


def _add_levels(record: LocalRecord, scheme: Scheme, shared: LearningRecord) -> None:
    place = 0
    for framework, word in (
        ("education", record.education_level),
        ("degree", record.degree_level),
        ("skill", record.skill_level),
        ("x-certificate", record.x_level),
        ("qualification", record.framework_level),
    ):
        if word:
            shared.MergeFrom(scheme.shared_parts.get(_level_part, scheme, framework, word, place))
            place += 1


def _level_part(scheme: Scheme, framework: str, word: str, place: int) -> LearningRecord:
    rules = scheme.levels[framework]
    path, table = f"levels[{place}].code", f"levels.{framework}"
    part = LearningRecord()
    level = part.levels.add(as_issued=word, basis=BASIS_STATED)
    level.framework = rules.framework  # type: ignore[assignment]
    code = rules.codes.get(word)
    if code is not None:
        level.state, level.code = VALUE_STATE_TRANSLATED, code
        first = rules.words[code]
        loss, note = (0, "") if word == first else (LOSS_MERGED, _MERGED.format(first))
        step = scheme.applied(path, word, code, (table, word), loss=loss, note=note)
    elif word in scheme.value_marks:
        state = scheme.value_marks[word]
        level.state = state  # type: ignore[assignment]
        step = scheme.applied(path, word, VALUE_STATES.word(state), ("value_marks", word))
    else:
        level.state = VALUE_STATE_UNTRANSLATED
        note = "the scheme has no such level; a level is never carried by equal number"
        step = scheme.applied(path, word, "", (table, ""), loss=LOSS_NO_RULE, note=note)
    part.trace.append(step)
    return part


def _add_certificate(record: LocalRecord, shared: LearningRecord) -> None:
    number = record.certificate_number
    if not (number or record.certificate_code or record.expire_date):
        return
    certificate = shared.certificate
    certificate.number = number
    certificate.number_scheme = describe_number(number)
    certificate.catalogue_code = record.certificate_code
    if record.expire_date:
        certificate.expire_date.CopyFrom(parse_date("expire_date", record.expire_date))
    if number:
        for code, text in find_number_conflicts(shared):
            shared.warnings.add(code=code, text=text)


def _status_part(scheme: Scheme, word: str, since: str) -> LearningRecord:
    part = LearningRecord()
    part.status.as_issued = word
    if since:
        part.status.since.CopyFrom(parse_date("status_since", since))
    if not word:
        return part
    state = scheme.status.get(word)
    if state is None:
        step = scheme.applied("status.state", word, "", ("status", ""), loss=LOSS_NO_RULE)
    else:
        part.status.state = state  # type: ignore[assignment]
        first = scheme.status_words[state]
        loss, note = (0, "") if word == first else (LOSS_MERGED, _MERGED.format(first))
        step = scheme.applied(
            "status.state", word, STATES.word(state), ("status", word), loss=loss, note=note
        )
    part.trace.append(step)
    return part
