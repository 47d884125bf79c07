"""Where a table or key stands in a TOML file, so that a complaint can name its line."""

from __future__ import annotations

import re

Location = tuple[str | int, ...]

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]#]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*("[^"]*"|'[^']*'|[A-Za-z0-9_-]+)\s*=""")
_ENTRY = re.compile(r"\s*\{")


class SourceLines:
    """Line numbers of one file, from 1. Works on broken files too: it only looks at line starts."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Location, int] = {}
        self._keys: dict[int, Location] = {}
        table: Location = ()
        counts: dict[Location, int] = {}
        array: Location | None = None
        entries = 0
        for number, line in enumerate(text.split("\n"), 1):
            if header := _HEADER.match(line):
                name: Location = tuple(part.strip().strip("\"'") for part in header[2].split("."))
                if header[1] == "[[":
                    counts[name] = counts.get(name, -1) + 1
                    name = (*name, counts[name])
                else:
                    name = _within(name, counts)
                table, array = name, None
                self._lines.setdefault(table, number)
            elif array is not None and _ENTRY.match(line):
                self._lines.setdefault((*array, entries), number)
                entries += 1
            elif key := _KEY.match(line):
                place = (*table, key[1].strip("\"'"))
                self._lines.setdefault(place, number)
                self._keys[number] = place
                array = place if line.rstrip().split("#")[0].rstrip().endswith("[") else None
                entries = 0

    def at(self, line: int) -> Location:
        """Return the key that stands on ``line``, with its table; nothing when there is none."""
        return self._keys.get(line, ())

    def find(self, location: Location) -> int:
        """Return the line of ``location``, or of the nearest table or key around it; 1 at least."""
        for length in range(len(location), 0, -1):
            line = self._lines.get(location[:length])
            if line is not None:
                return line
        return 1


def _within(name: Location, counts: dict[Location, int]) -> Location:
    """Return the place of ``[name]``: inside the latest table of an array, if an array is on the way."""
    for length in range(1, len(name)):
        if name[:length] in counts:
            return (*name[:length], counts[name[:length]], *name[length:])
    return name
