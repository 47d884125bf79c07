"""From the bytes of a scheme file to what its TOML holds, with a line for whatever is wrong.

A file may come from anywhere: its size, its depth and the number of complaints are bounded.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.errors import SchemeError, SchemeProblem
from gateway.schemes.source_lines import Location, SourceLines

SCHEME_BYTES_MAX = 1024 * 1024
REPEATS_MAX = 100
"""Keys that stand twice and are looked for; each costs another reading of the file."""

Repeat = tuple[Location, int, str]
"""A key that stands twice: where, on which line, and what to say."""

_KEY_TWICE = "Cannot overwrite a value"
_TABLE_TWICE = "Cannot declare"
"""How tomllib begins when a key, or a table, stands twice."""
_TOML_LINE = re.compile(r"\(at line (\d+),")


def read_text(path: Path) -> str:
    """Return the text of a scheme file.

    Raises:
        SchemeError: it cannot be read, is too large or is not UTF-8; names the line.
    """
    try:
        with path.open("rb") as file:
            content = file.read(SCHEME_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise _failed(path, 1, "the file is missing.") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        text = getattr(error, "strerror", None) or "no such path"
        raise _failed(path, 1, f"the file cannot be read: {text}.") from error
    if len(content) > SCHEME_BYTES_MAX:
        raise _failed(path, 1, "the file is larger than 1 MiB: this is no scheme.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _failed(path, line, "the file is not UTF-8 text here; save it as UTF-8.") from error


def read_toml(text: str, lines: SourceLines, place: str) -> tuple[Mapping[str, Any], list[Repeat]]:
    """Return what ``text`` holds, and the keys that stand twice: only their first line counts.

    Raises:
        SchemeError: it is no TOML. What stands after the fault cannot be read.
    """
    repeats: list[Repeat] = []
    rows = text.split("\n")
    while True:
        try:
            return tomllib.loads("\n".join(rows)), repeats
        except tomllib.TOMLDecodeError as error:
            line = _line_of(error, rows)
            where = lines.at(line)
            first = lines.find(where) if where else line
            is_repeat = str(error).startswith(_KEY_TWICE) and first < line and rows[line - 1]
            if not is_repeat or len(repeats) >= REPEATS_MAX:
                faults = [
                    SchemeProblem(".".join(map(str, at[:-1])) or "file", str(at[-1]), number, what)
                    for at, number, what in repeats
                ]
                faults.append(SchemeProblem("file", "toml", line, _in_words(str(error))))
                raise SchemeError(place, sorted(faults, key=lambda p: p.line)) from error
            repeats.append((where, line, f"stands twice; first at line {first}"))
            rows[line - 1] = ""  # so that one run finds the rest as well
        except RecursionError as error:
            raise _no_toml(place, "values are nested too deeply") from error
        except ValueError as error:  # Python refuses integers of thousands of digits
            raise _no_toml(place, "a number has too many digits; write amounts as text") from error


def _line_of(error: tomllib.TOMLDecodeError, rows: list[str]) -> int:
    found = _TOML_LINE.search(str(error))
    return min(int(found[1]) if found else len(rows), len(rows))


def _in_words(text: str) -> str:
    if text.startswith(_TABLE_TWICE):
        return "the table stands twice; put its keys together, or write [[…]] where several may stand"
    return text


def _no_toml(place: str, text: str) -> SchemeError:
    return SchemeError(place, [SchemeProblem("file", "toml", 1, text)])


def _failed(path: Path, line: int, text: str) -> SchemeError:
    return SchemeError(str(path), [SchemeProblem("file", "path", line, text)])
