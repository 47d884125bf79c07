"""What the types of a scheme file complain about, in words that say what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from gateway.schemes.declared import SchemeFile
from gateway.schemes.source_lines import Location

NUMBER_CHARACTERS_SHOWN = 20
"""Longer numbers are not repeated in a complaint."""

_WORDED = {
    "too_short": "it must not be empty",
    "string_too_short": "it must not be empty",
    "string_type": "write text in quotes",
    "dict_type": "write a table of keys and values",
    "model_type": "write a table of keys and values",
    "tuple_type": "write a list in brackets",
    "bool_type": "write true or false, without quotes",
    "date_type": "write a date without quotes and without time, such as 2024-09-01",
}
_PATTERNS = {
    "id": "write lower-case letters, digits and hyphens, a letter first, at most 41 characters",
    "version": "write letters, digits, points, hyphens and underscores, at most 32 characters",
}


def typed_problems(error: ValidationError) -> Iterator[tuple[Location, str]]:
    """Yield where each complaint stands, and what it says."""
    for entry in error.errors():
        where = tuple(part for part in entry["loc"] if part != "[key]")
        yield where, _explained(entry)


def _explained(entry: Any) -> str:
    kind, location = entry["type"], entry["loc"]
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(location[-1]), _keys_beside(location), n=1)
        what = "unknown key" if len(location) > 1 else "unknown table"
        return f"{what}{f'; did you mean {near[0]!r}?' if near else ''}"
    if kind == "missing":
        return "this key is needed" if len(location) > 1 else "this table is needed"
    if kind == "string_type" and type(entry["input"]) in (int, float):
        number = str(entry["input"])
        if number.strip("-") in ("nan", "inf") or len(number) > NUMBER_CHARACTERS_SHOWN:
            return 'write a plain number as text, such as "16"'
        return f'write the number as text, "{number}", so that it stays exact'
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(str(location[-1]), "it holds characters that are not allowed here")
    if kind in _WORDED:
        return _WORDED[kind]
    text = str(entry["msg"]).removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


def is_strange(model: type[BaseModel], entry: Any) -> bool:
    """Whether ``entry`` complains of an unknown key of ``model`` that is like no known one."""
    location = entry["loc"]
    if entry["type"] != "extra_forbidden":
        return False
    return not difflib.get_close_matches(str(location[-1]), _keys_beside(location, model), n=1)


def _keys_beside(location: Location, model: type[BaseModel] = SchemeFile) -> list[str]:
    """Return the keys of ``model`` that are known where ``location`` ends."""
    current: Any = model
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        fields = {field.alias or name: field for name, field in current.model_fields.items()}
        if part in fields:
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
