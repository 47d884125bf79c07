"""Why a row of a file was refused, in words that give nobody away."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

NAME_CHARACTERS_MAX = 60
"""Longer names out of a file are shortened in messages."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing wrong in a row. No member ever repeats a value of the row."""

    line: int
    """The line on which the row begins, from 1; for an unclosed quote, where it was opened."""
    column: str
    """The column, ``""`` when the row as a whole is wrong."""
    reason: str
    """What is wrong and what to do, for people."""


class RefusedRow(NamedTuple):
    """A row that cannot be taken, with everything that is wrong in it."""

    refusals: tuple[Refusal, ...]


def refused(line: int, column: str, reason: str) -> RefusedRow:
    """Return a row refused for one reason."""
    return RefusedRow((Refusal(line, column, reason),))


def shown_name(name: str) -> str:
    """Return a name out of a file, fit for a message.

    Control characters are replaced, a long name is shortened, and so is anything in it that may be
    an identity number: when columns are mixed up, a value stands where a name should.
    """
    name = "".join(character if character.isprintable() else "\ufffd" for character in name)
    name = re.sub(r"\w*\d{6}\w*", "…", name)
    return name if len(name) <= NAME_CHARACTERS_MAX else f"{name[: NAME_CHARACTERS_MAX - 1]}…"
