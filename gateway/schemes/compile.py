"""From the declared tables of a scheme to the look-ups that translating uses."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType

from creditexchange.v1.record_pb2 import SchemeReference
from gateway.schemes.counting_rules import compile_counting
from gateway.schemes.declared import (
    BandEntry,
    CodeListTable,
    CreditUnitTable,
    GradeScaleTable,
    LabelEntry,
    SchemeFile,
)
from gateway.schemes.ratio import NumberFormat, Rounding, parse_amount, parse_ratio
from gateway.schemes.scheme import CodeListRules, CreditUnit, GradeBandRule, GradeScale, LevelRules, Scheme
from gateway.schemes.shared_words import (
    BANDS,
    CODE_LISTS,
    CONVERTIBILITIES,
    FRAMEWORKS,
    GRADE_STATUSES,
    HOUR_KINDS,
    KINDS,
    ROLES,
    STATES,
    VALUE_STATES,
    SharedWords,
)


def compile_scheme(file: SchemeFile, digest: bytes) -> Scheme:
    """Return the scheme that ``file``, found free of contradictions, declares."""
    table = file.scheme
    reference = SchemeReference(
        scheme_id=table.id, version=table.version, digest=digest, official=table.official
    )
    units = tuple(_compile_unit(unit) for unit in file.credit_unit)
    kinds, levels = _compile_kinds(file), _compile_levels(file)
    grade_marks, status = _values(file.grade_marks, GRADE_STATUSES), _values(file.status, STATES)
    code_lists = [_compile_code_list(table) for table in file.code_list]
    number_format = file.number_format
    return Scheme(
        reference=reference,
        names=MappingProxyType(table.names),
        note=table.note,
        rounding=Rounding(parse_ratio(file.rounding.step), file.rounding.mode),
        rounds_items=file.rounding.stage == "item",
        number_format=NumberFormat(number_format.surrounding_blanks, number_format.suffixes),
        units=units,
        unit_places=MappingProxyType(_unit_places(units)),
        unit_words=MappingProxyType({word: unit.id for unit in file.credit_unit for word in unit.words}),
        unit_of_kind=MappingProxyType({kind: unit.unit_id for unit in units for kind in unit.kinds}),
        hours_a_credit=_compile_hour_rules(file),
        scales=MappingProxyType({scale.id: _compile_scale(scale) for scale in file.grade_scale}),
        grade_marks=grade_marks,
        grade_mark_words=_first_words(grade_marks),
        value_marks=_values(file.value_marks, VALUE_STATES),
        kinds=kinds,
        kind_words=_first_words({word: kind for word, (kind, _) in kinds.items()}),
        levels=levels,
        levels_by_framework=MappingProxyType({rules.framework: rules for rules in levels.values()}),
        code_lists=MappingProxyType({(rules.of, rules.local): rules for rules in code_lists}),
        code_lists_by_shared=MappingProxyType(
            {(rules.of, rules.shared): rules for rules in reversed(code_lists)}
        ),
        status=status,
        status_words=_first_words(status),
        hour_kinds=_values(file.hour_kinds, HOUR_KINDS),
        plain_hour_kind=HOUR_KINDS.value(table.hour_kind) if table.hour_kind else 0,
        issuer_roles=_values(file.issuer_roles, ROLES),
        counting=compile_counting(file.counting, file.cap, file.replacement),
        short_reference=SchemeReference(scheme_id=table.id, version=table.version, official=table.official),
    )


def _values(words: Mapping[str, str], shared: SharedWords) -> Mapping[str, int]:
    return MappingProxyType({word: shared.value(meaning) for word, meaning in words.items()})


def _first_words(words: Mapping[str, int]) -> Mapping[int, str]:
    """Return the first declared word of each meaning."""
    return MappingProxyType({meaning: word for word, meaning in reversed(list(words.items()))})


def _compile_hour_rules(file: SchemeFile) -> Mapping[tuple[str, int], Fraction]:
    return MappingProxyType(
        {
            (rule.unit, HOUR_KINDS.value(rule.hour_kind)): parse_ratio(rule.hours)
            for rule in file.credit_from_hours
        }
    )


def _compile_kinds(file: SchemeFile) -> Mapping[str, tuple[int, int]]:
    return MappingProxyType(
        {
            word: (KINDS.value(entry.kind), CONVERTIBILITIES.value(entry.convertibility))
            for word, entry in file.kinds.items()
        }
    )


def _compile_unit(unit: CreditUnitTable) -> CreditUnit:
    return CreditUnit(
        unit_id=unit.id,
        names=MappingProxyType(unit.names),
        kinds=frozenset(KINDS.value(kind) for kind in unit.kinds),
        study_hours=parse_ratio(unit.study_hours) if unit.study_hours else None,
        no_ratio=unit.no_ratio,
        valid_from=unit.valid_from,
        valid_until=unit.valid_until,
    )


def _unit_places(units: tuple[CreditUnit, ...]) -> dict[str, tuple[int, ...]]:
    places: dict[str, tuple[int, ...]] = {}
    for place, unit in enumerate(units):
        places[unit.unit_id] = (*places.get(unit.unit_id, ()), place)
    return places


def _compile_levels(file: SchemeFile) -> Mapping[str, LevelRules]:
    declared = {
        "education": file.levels.education,
        "degree": file.levels.degree,
        "skill": file.levels.skill,
        "x-certificate": file.levels.x_certificate,
        "qualification": file.levels.qualification,
    }
    return MappingProxyType(
        {
            name: LevelRules(
                framework=FRAMEWORKS.value(name),
                name=name,
                codes=MappingProxyType(codes),
                words=MappingProxyType({code: word for word, code in reversed(codes.items())}),
            )
            for name, codes in declared.items()
        }
    )


def _compile_code_list(table: CodeListTable) -> CodeListRules:
    return CodeListRules(
        of=CODE_LISTS.value(table.of),
        local=table.local or "",
        shared=table.shared,
        codes=MappingProxyType(table.codes),
        words=MappingProxyType({code: word for word, code in reversed(table.codes.items())}),
        successors=MappingProxyType(table.successors),
    )


def _compile_scale(scale: GradeScaleTable) -> GradeScale:
    bands = sorted((_compile_band(entry, scale) for entry in scale.bands), key=lambda band: band.low)
    return GradeScale(
        scale_id=scale.id,
        names=MappingProxyType(scale.names),
        is_numeric=scale.type == "numeric",
        is_percentage=scale.is_percentage,
        low=parse_amount(scale.min or "0"),
        high=parse_amount(scale.max or "0"),
        step=parse_ratio(scale.step or "1"),
        passing=parse_amount(scale.pass_ or "0"),
        formula=(parse_ratio(scale.formula.divide), parse_amount(scale.formula.subtract))
        if scale.formula is not None
        else None,
        bands=tuple(bands),
        labels=MappingProxyType({entry.word: _compile_label(entry) for entry in scale.labels}),
    )


def _compile_band(entry: BandEntry, scale: GradeScaleTable) -> GradeBandRule:
    low, high = parse_amount(entry.from_), parse_amount(entry.to)
    passing = parse_amount(scale.pass_ or "0")
    return GradeBandRule(
        name=f"{entry.from_}-{entry.to}",
        low=low,
        high=high,
        includes_high=high == parse_amount(scale.max or "0"),
        band=BANDS.value(entry.band),
        status=GRADE_STATUSES.value("passed" if low >= passing else "failed"),
        percent=(low, high) if scale.is_percentage else _percent(entry),
    )


def _compile_label(entry: LabelEntry) -> GradeBandRule:
    return GradeBandRule(
        name=entry.word,
        low=Fraction(0),
        high=Fraction(0),
        includes_high=False,
        band=BANDS.value(entry.band) if entry.band else 0,
        status=GRADE_STATUSES.value(entry.status),
        percent=_percent(entry),
    )


def _percent(entry: BandEntry | LabelEntry) -> tuple[Fraction, Fraction] | None:
    if entry.percent_min is None or entry.percent_max is None:
        return None
    return parse_amount(entry.percent_min), parse_amount(entry.percent_max)
