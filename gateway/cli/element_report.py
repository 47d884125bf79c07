"""The account of a foreign transcript: where each of its elements went. No value stands in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import CallerError
from gateway.records.transcripts.draft import ElementPlace

PATH_WIDTH = 80
"""Columns of the path in the table for people; a longer path shifts its line."""


@contextmanager
def element_report(path: Path) -> Iterator[Callable[[str, ElementPlace], None]]:
    """Yield what notes an element of a file; the report is written at the end.

    Raises:
        CallerError: the report cannot be written.
    """
    lines: list[tuple[str, ElementPlace]] = []
    yield lambda file, place: lines.append((file, place))
    try:
        path.write_text(_json(lines) if path.suffix == ".json" else _table(lines), encoding="utf-8")
    except OSError as error:
        raise CallerError(f"--report-elements {path}: {error.strerror}.") from error


def _json(lines: list[tuple[str, ElementPlace]]) -> str:
    rows = [{"file": file, "element": place.path, "places": list(place.places)} for file, place in lines]
    return json.dumps(rows, ensure_ascii=False, indent=1) + "\n"


def _table(lines: list[tuple[str, ElementPlace]]) -> str:
    text, last = "", ""
    for file, place in lines:
        if file != last:
            text, last = f"{text}{file}\n", file
        text += f"  {place.path:<{PATH_WIDTH}}  {'; '.join(place.places)}\n"
    return text
