"""Parts of translated records that repeat, made once.

Records differ in their titles and numbers; their kinds, credits, grades and levels repeat. The part
that follows from one such set of values, with its trace, is kept and merged into each record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar, TypeVarTuple

PARTS_MAX = 4096
"""Parts of one generation. When it is full it becomes the old one, and what was old is dropped."""
KEY_CHARACTERS_MAX = 256
"""Longer values do not repeat; they are not kept."""

Part = TypeVar("Part")
Owner = TypeVar("Owner")
Values = TypeVarTuple("Values")


class Parts(Generic[Part]):
    """A bounded memory of parts. Safe for threads: a part made twice is the same part."""

    def __init__(self) -> None:
        self._young: dict[tuple[object, ...], Part] = {}
        self._old: dict[tuple[object, ...], Part] = {}

    def get(self, make: Callable[[Owner, *Values], Part], owner: Owner, *values: *Values) -> Part:
        """Return ``make(owner, *values)``, from memory if it was made before. Do not change it."""
        key = (make, *values)
        part = self._young.get(key)
        if part is not None:
            return part
        part = self._old.get(key)
        if part is None:
            part = make(owner, *values)
            if sum(len(value) for value in values if isinstance(value, str)) > KEY_CHARACTERS_MAX:
                return part
        if len(self._young) >= PARTS_MAX:
            self._old, self._young = self._young, {}
        self._young[key] = part
        return part
