"""From a province's own words to the shared model: declared rules only, originals kept, every rule named.

What has no rule arrives as untranslated with its original. Only what can be nothing but a mistake
(a malformed number or date, an unknown kind) is rejected, at import.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from fractions import Fraction

from creditexchange.v1.record_pb2 import (
    BASIS_STATED,
    LOSS_INCOMMENSURABLE_UNIT,
    LOSS_NO_RULE,
    LOSS_OUT_OF_SCALE,
    VALUE_STATE_TRANSLATED,
    VALUE_STATE_UNTRANSLATED,
    LearningRecord,
    PartialDate,
)
from gateway.errors import GatewayError
from gateway.schemes.certificate_number import describe_number, find_number_conflicts
from gateway.schemes.local_record import LocalRecord
from gateway.schemes.ratio import AmountError, exact_text, parse_amount
from gateway.schemes.scheme import GradeBandRule, GradeScale, Scheme, first_day

_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)
_TEXT_CHARACTERS_MAX = 4096


class UntranslatableError(GatewayError):
    """A record must be rejected: ``column`` holds something that can only be a mistake."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(f"{column}: {reason}")
        self.column = column
        self.reason = reason


def translate_record(record: LocalRecord, scheme: Scheme, source_node: str) -> LearningRecord:
    """Return ``record`` in the shared model.

    Raises:
        UntranslatableError: a value can only be a mistake; names the column.
    """
    for column, value in (("record_id", record.record_id), ("title", record.title)):
        if not value.strip():
            raise UntranslatableError(column, "it is empty")
        if len(value) > _TEXT_CHARACTERS_MAX:
            raise UntranslatableError(column, f"it is longer than {_TEXT_CHARACTERS_MAX} characters")
    shared = LearningRecord(record_id=record.record_id, source_node=source_node, scheme=scheme.reference)
    work = _Translation(record, scheme, shared)
    work.kind()
    work.texts()
    work.dates()
    work.issuer()
    work.credits()
    work.workload()
    work.grade()
    work.levels()
    work.certificate()
    work.status()
    return shared


class _Translation:
    """One record on its way; each method fills one group of the shared record."""

    def __init__(self, record: LocalRecord, scheme: Scheme, shared: LearningRecord) -> None:
        self.record = record
        self.scheme = scheme
        self.shared = shared

    def _trace(
        self, path: str, original: str, result: str, rule: str, *, loss: int = 0, note: str = ""
    ) -> None:
        self.shared.trace.add(
            path=path,
            original=original,
            result=result,
            rule=rule,
            scheme=self.scheme.short_reference,
            loss=loss,
            note=note,
        )

    def kind(self) -> None:
        found = self.scheme.kinds.get(self.record.kind)
        if found is None:
            raise UntranslatableError(
                "kind", f"unknown kind; the scheme knows: {', '.join(self.scheme.kinds)}"
            )
        self.shared.kind, self.shared.convertibility = found  # type: ignore[assignment]
        self._trace(
            "kind", self.record.kind, _KIND_NAMES[found[0]], self.scheme.rule("kinds", self.record.kind)
        )

    def texts(self) -> None:
        record, shared = self.record, self.shared
        shared.titles.add(language="zh-Hans", text=record.title)
        if record.title_en:
            shared.titles.add(language="en", text=record.title_en)
        shared.holder_name = record.holder_name
        if record.course_code or record.catalogue_version or record.field_code:
            shared.specification.code = record.course_code
            shared.specification.version = record.catalogue_version
            shared.specification.field_scheme = record.field_scheme
            shared.specification.field_code = record.field_code
        if record.part_of:
            shared.relations.add(record_id=record.part_of, role=1)
        for name, value in record.originals:
            shared.originals.add(name=name, value=value)

    def dates(self) -> None:
        for name in ("start_date", "end_date", "award_date"):
            text = getattr(self.record, name)
            if text:
                getattr(self.shared, name).CopyFrom(parse_date(name, text))
        start, end = first_day(self.shared.start_date), first_day(self.shared.end_date)
        if start and end and start > end:
            raise UntranslatableError("end_date", "it lies before start_date")

    def issuer(self) -> None:
        record = self.record
        if not (record.issuer_name or record.issuer_code):
            return
        issuer = self.shared.issuers.add(region=record.issuer_region)
        if record.issuer_name:
            issuer.names.add(language="zh-Hans", text=record.issuer_name)
        if record.issuer_code:
            issuer.identifiers.add(scheme=record.issuer_code_scheme or "local", value=record.issuer_code)
        if record.issuer_role:
            role = self.scheme.issuer_roles.get(record.issuer_role)
            if role is None:
                rule = self.scheme.rule("issuer_roles", "")
                self._trace("issuers[0].role", record.issuer_role, "", rule, loss=LOSS_NO_RULE)
            else:
                issuer.role = role  # type: ignore[assignment]

    def credits(self) -> None:
        record, scheme = self.record, self.scheme
        if not record.credits:
            return
        amount = _amount("credits", record.credits)
        credit = self.shared.credits.add(
            as_issued=record.credits, amount=exact_text(amount), basis=BASIS_STATED
        )
        path = "credits[0].study_hours"
        unit = scheme.unit_for(record.credit_unit, self.shared.kind, self._when())
        if unit is None:
            credit.state = VALUE_STATE_UNTRANSLATED
            credit.unit = f"{scheme.scheme_id}/{record.credit_unit or 'unknown'}"
            note = "no unit of credit is declared for this kind on this date"
            self._trace(
                path, record.credits, "", scheme.rule("credit_unit", ""), loss=LOSS_NO_RULE, note=note
            )
            return
        credit.unit = f"{scheme.scheme_id}/{unit.unit_id}"
        rule = scheme.rule("credit_unit", unit.unit_id)
        if unit.study_hours is None:
            credit.state = VALUE_STATE_UNTRANSLATED
            self._trace(path, record.credits, "", rule, loss=LOSS_INCOMMENSURABLE_UNIT, note=unit.no_ratio)
            return
        credit.state = VALUE_STATE_TRANSLATED
        credit.study_hours = exact_text(amount * unit.study_hours)
        note = f"1 {unit.unit_id} = {exact_text(unit.study_hours)} study hours"
        self._trace(path, record.credits, credit.study_hours, rule, note=note)

    def workload(self) -> None:
        record = self.record
        if not record.hours:
            return
        amount = _amount("hours", record.hours)
        work = self.shared.workloads.add(
            as_issued=record.hours, amount=exact_text(amount), basis=BASIS_STATED
        )
        work.state = VALUE_STATE_TRANSLATED
        word = record.hour_kind
        kind = self.scheme.hour_kinds.get(word)
        if kind is not None:
            work.hour_kind = kind  # type: ignore[assignment]
            rule = self.scheme.rule("hour_kinds", word)
            self._trace("workloads[0].hour_kind", word, _HOUR_NAMES[kind], rule)
        elif word:
            work.state = VALUE_STATE_UNTRANSLATED
            rule = self.scheme.rule("hour_kinds", "")
            self._trace("workloads[0].hour_kind", word, "", rule, loss=LOSS_NO_RULE)

    def grade(self) -> None:
        record, scheme = self.record, self.scheme
        if record.attempt and not (record.attempt.isdecimal() and record.attempt.isascii()):
            raise UntranslatableError("attempt", "write a whole number, 1 for the first attempt")
        if not record.grade:
            return
        grade = self.shared.grade
        grade.as_issued = record.grade
        grade.attempt = int(record.attempt or "0")
        mark = scheme.grade_marks.get(record.grade)
        if mark is not None:
            grade.state, grade.status = VALUE_STATE_TRANSLATED, mark  # type: ignore[assignment]
            rule = scheme.rule("grade_marks", record.grade)
            self._trace("grade.status", record.grade, _GRADE_STATUS_NAMES[mark], rule)
            return
        scale = self._scale()
        if scale is None:
            self._untranslated_grade(LOSS_NO_RULE, "no scale, or more than one, holds this grade")
            return
        grade.scale = f"{scheme.scheme_id}/{scale.scale_id}"
        if scale.is_numeric:
            self._numeric_grade(scale)
        else:
            self._grade_by(scale, scale.labels[record.grade], None)

    def _scale(self) -> GradeScale | None:
        """Return the scale that the record names, else the only one that can hold its grade."""
        record, scales = self.record, self.scheme.scales
        if record.grade_scale:
            named = scales.get(record.grade_scale)
            if named is None:
                known = ", ".join(scales)
                raise UntranslatableError("grade_scale", f"unknown scale; the scheme knows: {known}")
            return named if named.is_numeric or record.grade in named.labels else None
        if record.grade[0].isdecimal():
            return next((scale for scale in scales.values() if scale.is_numeric), None)
        holding = [scale for scale in scales.values() if record.grade in scale.labels]
        return holding[0] if len(holding) == 1 else None

    def _numeric_grade(self, scale: GradeScale) -> None:
        try:
            value = parse_amount(self.record.grade)
        except AmountError:
            self._untranslated_grade(LOSS_NO_RULE, "the scale holds numbers")
            return
        if not scale.low <= value <= scale.high or ((value - scale.low) / scale.step).denominator != 1:
            self._untranslated_grade(LOSS_OUT_OF_SCALE, "the grade lies outside the declared scale")
            return
        band = next(
            band
            for band in scale.bands
            if band.low <= value < band.high or (band.includes_high and value == band.high)
        )
        self._grade_by(scale, band, value if scale.is_percentage else None)

    def _grade_by(self, scale: GradeScale, band: GradeBandRule, exact: Fraction | None) -> None:
        grade = self.shared.grade
        grade.state = VALUE_STATE_TRANSLATED
        grade.status, grade.band = band.status, band.band  # type: ignore[assignment]
        if exact is not None:
            grade.percent_min = grade.percent_max = exact_text(exact)
        elif band.percent is not None:
            grade.percent_min, grade.percent_max = map(exact_text, band.percent)
        result = _BAND_NAMES[band.band] if band.band else _GRADE_STATUS_NAMES[band.status]
        rule = self.scheme.rule(f"grade_scale.{scale.scale_id}", band.name)
        self._trace("grade.band", self.record.grade, result, rule)

    def _untranslated_grade(self, loss: int, note: str) -> None:
        self.shared.grade.state = VALUE_STATE_UNTRANSLATED
        rule = self.scheme.rule("grade_scale", self.record.grade_scale)
        self._trace("grade", self.record.grade, "", rule, loss=loss, note=note)

    def levels(self) -> None:
        record = self.record
        for name, word in (
            ("education", record.education_level),
            ("degree", record.degree_level),
            ("skill", record.skill_level),
            ("x-certificate", record.x_level),
        ):
            if not word:
                continue
            rules = self.scheme.levels[name]
            path = f"levels[{len(self.shared.levels)}].code"
            level = self.shared.levels.add(as_issued=word, basis=BASIS_STATED)
            level.framework = rules.framework  # type: ignore[assignment]
            code = rules.codes.get(word)
            if code is None:
                level.state = VALUE_STATE_UNTRANSLATED
                self._trace(path, word, "", self.scheme.rule(f"levels.{name}", ""), loss=LOSS_NO_RULE)
            else:
                level.state, level.code = VALUE_STATE_TRANSLATED, code
                self._trace(path, word, code, self.scheme.rule(f"levels.{name}", word))

    def certificate(self) -> None:
        record = self.record
        if not (record.certificate_number or record.certificate_code or record.expire_date):
            return
        certificate = self.shared.certificate
        certificate.number = record.certificate_number
        certificate.catalogue_code = record.certificate_code
        certificate.number_scheme = describe_number(record.certificate_number)
        if record.expire_date:
            certificate.expire_date.CopyFrom(parse_date("expire_date", record.expire_date))
        for code, text in find_number_conflicts(self.shared):
            self.shared.warnings.add(code=code, text=text)

    def status(self) -> None:
        record, status = self.record, self.shared.status
        if record.status_since:
            status.since.CopyFrom(parse_date("status_since", record.status_since))
        status.superseded_by = record.superseded_by
        if not record.status:
            return
        status.as_issued = record.status
        state = self.scheme.status.get(record.status)
        if state is None:
            rule = self.scheme.rule("status", "")
            self._trace("status.state", record.status, "", rule, loss=LOSS_NO_RULE)
        else:
            status.state = state  # type: ignore[assignment]
            rule = self.scheme.rule("status", record.status)
            self._trace("status.state", record.status, _STATE_NAMES[state], rule)

    def _when(self) -> date:
        """The day whose rules hold: of the award, else of the end, else today."""
        return (
            first_day(self.shared.award_date) or first_day(self.shared.end_date) or datetime.now(UTC).date()
        )


def parse_date(column: str, text: str) -> PartialDate:
    """Return a date with the precision of ``text``: YYYY, YYYY-MM or YYYY-MM-DD.

    Raises:
        UntranslatableError: another form, or a day that does not exist.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        raise UntranslatableError(column, "write a date as YYYY, YYYY-MM or YYYY-MM-DD")
    year, month, day = (int(part or 0) for part in match.groups())
    try:
        date(year, month or 1, day or 1)
    except ValueError as error:
        raise UntranslatableError(column, "this day does not exist") from error
    if not 1900 <= year <= 2100 or (match[2] and not month) or (match[3] and not day):
        raise UntranslatableError(column, "this day does not exist between 1900 and 2100")
    return PartialDate(year=year, month=month, day=day)


def _amount(column: str, text: str) -> Fraction:
    try:
        return parse_amount(text)
    except AmountError as error:
        raise UntranslatableError(column, str(error)) from error


def _names(enum: object, prefix: str) -> dict[int, str]:
    return {
        value: name.removeprefix(prefix).lower().replace("_", "-")
        for name, value in enum.items()  # type: ignore[attr-defined]
    }


def _tables() -> tuple[dict[int, str], ...]:
    from creditexchange.v1 import record_pb2 as model

    return (
        _names(model.RecordKind, "RECORD_KIND_"),
        _names(model.GradeStatus, "GRADE_STATUS_"),
        _names(model.GradeBand, "GRADE_BAND_"),
        _names(model.RecordState, "RECORD_STATE_"),
        _names(model.HourKind, "HOUR_KIND_"),
    )


_KIND_NAMES, _GRADE_STATUS_NAMES, _BAND_NAMES, _STATE_NAMES, _HOUR_NAMES = _tables()
