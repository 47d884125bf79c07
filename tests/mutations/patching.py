"""How a measure is taken away: a name of the program gets another value before any test is imported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Mutation:
    """A measure that is taken away. Every one of ``tests`` must fail without it."""

    take_away: Callable[[], None]
    tests: tuple[str, ...]


def patched(place: str, value: Any) -> Callable[[], None]:
    """Put ``value`` where ``place`` is: module, colon, a name or a class's attribute."""

    def take_away() -> None:
        module, path = place.split(":")
        target: Any = import_module(module)
        *way, last = path.split(".")
        for part in way:
            target = getattr(target, part)
        assert hasattr(target, last), place
        setattr(target, last, value)

    return take_away


def both(*steps: Callable[[], None]) -> Callable[[], None]:
    def take_away() -> None:
        for step in steps:
            step()

    return take_away


def nothing(*_: object, **__: object) -> None:
    """A check that never refuses."""


def yes(*_: object, **__: object) -> bool:
    return True


def first(value: Any, *_: object, **__: object) -> Any:
    return value
