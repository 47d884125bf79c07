"""JSON Lines: one object of strings a line, streamed.

Numbers are refused, so that no amount ever passes through a binary float.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import repeat
from typing import Any

from gateway.learners.identifier import RESIDENT_ID
from gateway.records.intake.lines import SourceFile
from gateway.records.intake.rows import (
    COLUMNS_MAX,
    FIELD_CHARACTERS_MAX,
    LEARNER_ID,
    LEARNER_ID_TYPE,
    ORIGINAL_PREFIX,
    REQUIRED_COLUMNS,
    Reading,
    Row,
    is_column,
    unknown_column,
)
from gateway.records.refusal import Refusal, RefusedRow, refused, shown_name
from gateway.records.source import TEXT_FIELDS, make_record

Pairs = list[tuple[str, Any]]


class _Number:
    """Stands for any number: its digits are never read."""


def _number(_text: str) -> _Number:
    return _Number()


class _Members(list[tuple[str, Any]]):
    """The members of an object in the order of the text, repeated ones too."""


_decode = json.JSONDecoder(
    object_pairs_hook=_Members, parse_int=_number, parse_float=_number, parse_constant=_number
).decode


def read_rows(source: SourceFile, _reading: Reading | None = None) -> Iterator[Row | RefusedRow]:
    """Yield each row, or why it is none.

    Raises:
        CallerError: the file cannot be opened.
        IntakeError: the file as a whole is refused: it is no JSON Lines.
    """
    found = False
    for text in source:
        if source.problem is not None:
            found = True
            yield RefusedRow((source.problem,))
            continue
        stripped = text.strip()
        if not stripped:
            continue
        if not found and stripped[0] != "{":
            raise source.fail(f"line {source.line}: {_not_json_lines(stripped)}.", _LINES_REMEDY)
        if not found and stripped == "{":
            raise source.fail(f"line {source.line}: an object spans several lines.", _LINES_REMEDY)
        found = True
        yield _row(source.line, text.rstrip())
    if not found:
        raise source.fail("the file is empty.")


_LINES_REMEDY = "Write one JSON object a line."


def _not_json_lines(text: str) -> str:
    return "this is a JSON array" if text[0] == "[" else "this is no JSON object"


def _row(line: int, text: str) -> Row | RefusedRow:
    try:
        pairs = _decode(text)
    except json.JSONDecodeError as error:
        return refused(line, "", f"no JSON: {error.msg.lower()} at character {error.colno} of line {line}")
    except RecursionError:
        return refused(line, "", "no JSON that can be read: it is nested too deeply")
    if not isinstance(pairs, _Members):
        return refused(line, "", "the line is no JSON object")
    members = dict(pairs)
    refusals = _find_problems(line, pairs, members)
    if refusals:
        return RefusedRow(tuple(refusals))
    originals = tuple(
        [
            (name.removeprefix(ORIGINAL_PREFIX), value)
            for name, value in pairs
            if name.startswith(ORIGINAL_PREFIX) and value
        ]
    )
    return Row(
        line,
        members.get(LEARNER_ID_TYPE) or RESIDENT_ID,
        members[LEARNER_ID],
        make_record(*map(members.get, TEXT_FIELDS, repeat("")), originals),
    )


def _find_problems(line: int, pairs: Pairs, members: dict[str, Any]) -> list[Refusal]:
    """Return everything that is wrong with the members of one object."""
    refusals = []
    if len(members) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                refusals.append(Refusal(line, shown_name(name), "the member stands twice"))
            seen.add(name)
    for name, value in members.items():
        if not is_column(name):
            refusals.append(Refusal(line, shown_name(name), unknown_column(name)))
        elif type(value) is not str:
            refusals.append(Refusal(line, shown_name(name), _wrong_type(value)))
        elif len(value) > FIELD_CHARACTERS_MAX:
            reason = f"the field is longer than {FIELD_CHARACTERS_MAX // 1024} Ki characters"
            refusals.append(Refusal(line, shown_name(name), reason))
        elif "\x00" in value:
            refusals.append(Refusal(line, shown_name(name), "the field holds a NUL; no text has one"))
    refusals += [
        Refusal(line, name, "the member is missing") for name in REQUIRED_COLUMNS if name not in members
    ]
    if len(members) > COLUMNS_MAX:
        refusals.append(Refusal(line, "", f"{len(members)} members; at most {COLUMNS_MAX} are read"))
    return refusals


def _wrong_type(value: object) -> str:
    if isinstance(value, _Number):
        return 'a number; write it as text, such as "2.5", so that it stays exact'
    if isinstance(value, _Members):
        return "an object; write its members as columns of their own"
    if value is None:
        return 'null; leave the member out, or write ""'
    return f"{'a list' if isinstance(value, list) else 'true or false'}; write it as text"
