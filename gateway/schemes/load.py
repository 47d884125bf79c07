"""Reads ``scheme.toml``: declared, checked, compiled. Every problem of a file in one run."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.errors import SchemeError, SchemeProblem
from gateway.schemes.compile import compile_scheme
from gateway.schemes.consistency import WORD_TABLES, SoundTables, find_contradictions
from gateway.schemes.counting_consistency import CountingTables
from gateway.schemes.declared import (
    LEVEL_CODES,
    CapTable,
    CodeListTable,
    CountingTable,
    CreditFromHoursTable,
    CreditUnitTable,
    GradeScaleTable,
    KindEntry,
    ReplacementTable,
    RoundingTable,
    SchemeFile,
)
from gateway.schemes.ratio import parse_ratio
from gateway.schemes.scheme import Scheme
from gateway.schemes.source_lines import Location, SourceLines
from gateway.schemes.toml_text import read_text, read_toml
from gateway.schemes.typed_problems import is_strange, typed_problems

Table = TypeVar("Table", bound=BaseModel)

_NAMING = ("id", "word", "local", "of")
"""Keys by which a person knows an entry of a list."""


def load_scheme(path: Path) -> Scheme:
    """Read, check and compile a scheme.

    Raises:
        SchemeError: it cannot be read or is wrong; lists every problem with table, key and line.
            A file that is no TOML has one problem: nothing after it can be read.
    """
    return parse_scheme(read_text(path), str(path))


def parse_scheme(text: str, place: str) -> Scheme:
    """Check and compile the text of a scheme; ``place`` names it in errors. Raises ``SchemeError``."""
    body = text.removeprefix("\ufeff")  # some editors put a byte order mark before UTF-8
    lines = SourceLines(body)
    data, repeats = read_toml(body, lines, place)
    found_problems: list[tuple[Location, str]] = []
    declared: SchemeFile | None = None
    try:
        declared = SchemeFile.model_validate(data)
    except ValidationError as error:
        found_problems += typed_problems(error)
    found_problems += find_contradictions(_sound_tables(data))
    problems = {SchemeProblem(*_named(where, data), line, what) for where, line, what in repeats} | {
        SchemeProblem(*_named(where, data), lines.find(where), what) for where, what in found_problems
    }
    if declared is None or problems:
        raise SchemeError(place, sorted(problems, key=lambda p: (p.line, p.table, p.key, p.text)))
    return compile_scheme(declared, sha256(text.encode()).digest())


def scheme_json_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``scheme.toml``, for editors."""
    return SchemeFile.model_json_schema()


def _sound_tables(data: Mapping[str, Any]) -> SoundTables:
    """Return what of the file is right in itself, even if the rest is not."""
    units = _items(data, "credit_unit")
    sound_kinds = {word: _sound(KindEntry, entry) for word, entry in _entries(data, "kinds").items()}
    words: dict[Location, Mapping[str, str]] = {(name,): _words(data.get(name)) for name in WORD_TABLES}
    words |= {("levels", name): _words(_entries(data, "levels").get(name)) for name in LEVEL_CODES}
    unit_ids = frozenset(
        unit["id"] for unit in units if isinstance(unit, dict) and isinstance(unit.get("id"), str)
    )
    return SoundTables(
        units=_sound_items(CreditUnitTable, units),
        unit_count=len(units),
        unit_ids=unit_ids,
        hour_rules=_sound_items(CreditFromHoursTable, _items(data, "credit_from_hours")),
        scales=_sound_items(GradeScaleTable, _items(data, "grade_scale")),
        code_lists=_sound_items(CodeListTable, _items(data, "code_list")),
        kinds={word: entry for word, entry in sound_kinds.items() if entry is not None},
        words=words,
        counting=_counting_tables(data, unit_ids),
    )


def _counting_tables(data: Mapping[str, Any], unit_ids: frozenset[str]) -> CountingTables:
    units = _sound_items(CreditUnitTable, _items(data, "credit_unit")).values()
    rounding = _sound(RoundingTable, data.get("rounding"))
    lists = [
        codes
        for codes in _sound_items(CodeListTable, _items(data, "code_list")).values()
        if codes.of == "certificate"
    ]
    return CountingTables(
        counting=_sound(CountingTable, data.get("counting")),
        caps=_sound_items(CapTable, _items(data, "cap")),
        replacements=_sound_items(ReplacementTable, _items(data, "replacement")),
        unit_ids=unit_ids,
        units_without_ratio=frozenset(unit.id for unit in units if unit.study_hours is None),
        certificates=frozenset(code for codes in lists for code in codes.codes) if lists else None,
        step=parse_ratio(rounding.step) if rounding is not None and rounding.stage == "item" else None,
    )


def _entries(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = data.get(name)
    return found if isinstance(found, dict) else {}


def _items(data: Mapping[str, Any], name: str) -> list[Any]:
    found = data.get(name)
    return found if isinstance(found, list) else []


def _sound(model: type[Table], raw: Any) -> Table | None:
    """Return the table if it is right in itself.

    A key that is unknown, and like none that is known, does not keep the rest from being looked at.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        strange = [entry["loc"] for entry in error.errors() if is_strange(model, entry)]
    if not strange:
        return None
    rest = copy.deepcopy(raw)
    for *place, key in strange:
        table = rest
        for part in place:
            table = table[part]
        del table[key]
    try:
        return model.model_validate(rest)
    except ValidationError:
        return None


def _sound_items(model: type[Table], raw: list[Any]) -> dict[int, Table]:
    tables = {place: _sound(model, item) for place, item in enumerate(raw)}
    return {place: table for place, table in tables.items() if table is not None}


def _words(table: Any) -> dict[str, str]:
    entries = table.items() if isinstance(table, dict) else ()
    return {word: value for word, value in entries if isinstance(value, str)}


def _named(where: Location, data: Any) -> tuple[str, str]:
    """Return table and key of a place as a person names them: an entry by its id or word, else by number."""
    names: list[str] = []
    current = data
    for part in where:
        try:
            current = current[part]
        except (KeyError, IndexError, TypeError):
            current = None
        if isinstance(part, int):
            entry = current if isinstance(current, dict) else {}
            own = next((entry[key] for key in _NAMING if isinstance(entry.get(key), str)), None)
            names.append(str(own or f"#{part + 1}"))
        else:
            names.append(part)
    return ".".join(names[:-1]) or "file", names[-1] if names else ""
