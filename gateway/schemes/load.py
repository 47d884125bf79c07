"""Reads ``scheme.toml``: declared, checked, compiled. Every problem of a file in one run."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError

from creditexchange.v1.record_pb2 import (
    Convertibility,
    GradeBand,
    GradeStatus,
    HourKind,
    IssuerRole,
    LevelFramework,
    RecordKind,
    RecordState,
    SchemeReference,
)
from gateway.errors import SchemeError, SchemeProblem
from gateway.schemes.consistency import find_contradictions
from gateway.schemes.declared import BandEntry, GradeScaleTable, LabelEntry, SchemeFile
from gateway.schemes.ratio import Rounding, parse_amount, parse_ratio
from gateway.schemes.scheme import CreditUnit, GradeBandRule, GradeScale, LevelRules, Scheme
from gateway.schemes.source_lines import Location, SourceLines

SCHEME_BYTES_MAX = 1024 * 1024
FRAMEWORKS = {
    "education": LevelFramework.LEVEL_FRAMEWORK_EDUCATION,
    "degree": LevelFramework.LEVEL_FRAMEWORK_DEGREE,
    "skill": LevelFramework.LEVEL_FRAMEWORK_SKILL,
    "x-certificate": LevelFramework.LEVEL_FRAMEWORK_X_CERTIFICATE,
}


def load_scheme(path: Path) -> Scheme:
    """Read, check and compile a scheme.

    Raises:
        SchemeError: it cannot be read or is wrong; lists every problem with table, key and line.
    """
    try:
        content = path.read_bytes()
        text = content.decode("utf-8")
    except FileNotFoundError as error:
        raise _failed(path, 1, "the file is missing.") from error
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _failed(path, line, "the file is not UTF-8 text here; save it as UTF-8.") from error
    except OSError as error:
        raise _failed(path, 1, f"the file cannot be read: {error.strerror}.") from error
    if len(content) > SCHEME_BYTES_MAX:
        raise _failed(path, 1, "the file is larger than 1 MiB: this is no scheme.")
    return parse_scheme(text, str(path))


def parse_scheme(text: str, place: str) -> Scheme:
    """Check and compile the text of a scheme; ``place`` names it in errors. Raises ``SchemeError``."""
    lines = SourceLines(text)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = getattr(error, "lineno", 0) or _line_in(str(error))
        raise SchemeError(place, [SchemeProblem("file", "", line, f"no TOML: {error}")]) from error
    try:
        declared = SchemeFile.model_validate(data)
    except ValidationError as error:
        raise SchemeError(place, list(_typed_problems(error, lines))) from error
    problems = [
        SchemeProblem(_table(where), _key(where), lines.find(where), what)
        for where, what in find_contradictions(declared)
    ]
    if problems:
        raise SchemeError(place, sorted(problems, key=lambda p: p.line))
    return _compile(declared, sha256(text.encode()).digest())


def scheme_json_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``scheme.toml``, for editors."""
    return SchemeFile.model_json_schema()


def _compile(file: SchemeFile, digest: bytes) -> Scheme:
    table = file.scheme
    kinds = {
        word: (
            RecordKind.Value(_name("RECORD_KIND", entry.kind)),
            Convertibility.Value(_name("CONVERTIBILITY", entry.convertibility)),
        )
        for word, entry in file.kinds.items()
    }
    status = {word: RecordState.Value(_name("RECORD_STATE", state)) for word, state in file.status.items()}
    levels = {
        "education": file.levels.education,
        "degree": file.levels.degree,
        "skill": file.levels.skill,
        "x-certificate": file.levels.x_certificate,
    }
    return Scheme(
        reference=SchemeReference(
            scheme_id=table.id, version=table.version, digest=digest, official=table.official
        ),
        names=MappingProxyType(table.names),
        note=table.note,
        rounding=Rounding(parse_ratio(file.rounding.step), file.rounding.mode),
        units=tuple(
            CreditUnit(
                unit_id=unit.id,
                names=unit.names,
                kinds=frozenset(RecordKind.Value(_name("RECORD_KIND", kind)) for kind in unit.kinds),
                study_hours=parse_ratio(unit.study_hours) if unit.study_hours else None,
                no_ratio=unit.no_ratio,
                valid_from=unit.valid_from,
                valid_until=unit.valid_until,
            )
            for unit in file.credit_unit
        ),
        scales=MappingProxyType({scale.id: _compile_scale(scale) for scale in file.grade_scale}),
        grade_marks=MappingProxyType(
            {
                word: GradeStatus.Value(_name("GRADE_STATUS", value))
                for word, value in file.grade_marks.items()
            }
        ),
        kinds=MappingProxyType(kinds),
        kind_words=MappingProxyType({kind: word for word, (kind, _) in reversed(kinds.items())}),
        levels=MappingProxyType(
            {
                name: LevelRules(
                    framework=FRAMEWORKS[name],
                    name=name,
                    codes=MappingProxyType(codes),
                    words=MappingProxyType({code: word for word, code in reversed(codes.items())}),
                )
                for name, codes in levels.items()
            }
        ),
        status=MappingProxyType(status),
        status_words=MappingProxyType({state: word for word, state in reversed(status.items())}),
        hour_kinds=MappingProxyType(
            {word: HourKind.Value(_name("HOUR_KIND", value)) for word, value in file.hour_kinds.items()}
        ),
        issuer_roles=MappingProxyType(
            {word: IssuerRole.Value(_name("ISSUER_ROLE", value)) for word, value in file.issuer_roles.items()}
        ),
    )


def _compile_scale(scale: GradeScaleTable) -> GradeScale:
    bands = sorted((_compile_band(entry, scale) for entry in scale.bands), key=lambda band: band.low)
    return GradeScale(
        scale_id=scale.id,
        names=scale.names,
        is_numeric=scale.type == "numeric",
        is_percentage=scale.is_percentage,
        low=parse_amount(scale.min or "0"),
        high=parse_amount(scale.max or "0"),
        step=parse_ratio(scale.step or "1"),
        passing=parse_amount(scale.pass_ or "0"),
        bands=tuple(bands),
        labels=MappingProxyType({entry.word: _compile_label(entry) for entry in scale.labels}),
    )


def _compile_band(entry: BandEntry, scale: GradeScaleTable) -> GradeBandRule:
    low, high = parse_amount(entry.from_), parse_amount(entry.to)
    percent = (low, high) if scale.is_percentage else _percent(entry)
    passing = parse_amount(scale.pass_ or "0")
    word = "passed" if low >= passing else "failed"
    return GradeBandRule(
        name=f"{entry.from_}-{entry.to}",
        low=low,
        high=high,
        includes_high=high == parse_amount(scale.max or "0"),
        band=GradeBand.Value(_name("GRADE_BAND", entry.band)),
        status=GradeStatus.Value(_name("GRADE_STATUS", word)),
        percent=percent,
    )


def _compile_label(entry: LabelEntry) -> GradeBandRule:
    return GradeBandRule(
        name=entry.word,
        low=Fraction(0),
        high=Fraction(0),
        includes_high=False,
        band=GradeBand.Value(_name("GRADE_BAND", entry.band)) if entry.band else 0,
        status=GradeStatus.Value(_name("GRADE_STATUS", entry.status)),
        percent=_percent(entry),
    )


def _percent(entry: BandEntry | LabelEntry) -> tuple[Fraction, Fraction] | None:
    if entry.percent_min is None or entry.percent_max is None:
        return None
    return parse_amount(entry.percent_min), parse_amount(entry.percent_max)


def _name(prefix: str, word: str) -> str:
    return f"{prefix}_{word.upper().replace('-', '_')}"


def _typed_problems(error: ValidationError, lines: SourceLines) -> Iterator[SchemeProblem]:
    for entry in error.errors():
        where = tuple(part for part in entry["loc"] if part != "[key]")
        yield SchemeProblem(_table(where), _key(where), lines.find(where), _explained(entry))


def _explained(entry: Any) -> str:
    if entry["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(entry["loc"][-1]), _keys_beside(entry["loc"]), n=1)
        return f"unknown key{f'; did you mean {near[0]!r}?' if near else ''}"
    if entry["type"] == "missing":
        return "this key is needed"
    text = str(entry["msg"]).removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


def _keys_beside(location: Location) -> list[str]:
    """Return the keys that are known where ``location`` ends."""
    current: Any = SchemeFile
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        fields = {field.alias or name: field for name, field in current.model_fields.items()}
        if part not in fields:
            return []
        found = _model_in(fields[part].annotation)
        if found is None:
            return []
        current = found
    return [field.alias or name for name, field in current.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the table type in ``annotation``, inside a tuple or dict if need be."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found is not None:
            return found
    return None


def _table(where: Location) -> str:
    names = [str(part) for part in where[:-1] if not isinstance(part, int)]
    return ".".join(names) or str(where[0] if where else "file")


def _key(where: Location) -> str:
    return str(where[-1]) if len(where) > 1 else ""


def _failed(path: Path, line: int, text: str) -> SchemeError:
    return SchemeError(str(path), [SchemeProblem("file", "", line, text)])


def _line_in(text: str) -> int:
    """Return the line that tomllib names in its message ``… (at line 3, column 1)``."""
    _, _, rest = text.partition("(at line ")
    digits = rest.split(",", 1)[0]
    return int(digits) if digits.isdigit() else 1
