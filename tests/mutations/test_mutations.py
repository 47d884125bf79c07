"""A few of the measures are taken away in every run; `make mutations` takes each."""

from __future__ import annotations

import re
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from types import ModuleType

import pytest

from tests.mutations import doors, table
from tests.mutations.__main__ import missed
from tests.mutations.table import MUTATIONS, Mutation


@pytest.mark.parametrize("name", ["signatures"])
def test_the_tests_of_a_measure_fail_without_it(name: str) -> None:
    assert missed(name) == []


def source_of(module: ModuleType) -> str:
    assert module.__file__ is not None
    return Path(module.__file__).read_text(encoding="utf-8")


def test_every_place_that_is_patched_exists() -> None:
    places = re.findall(r'"(gateway[\w.]+):([\w.]+)"', "".join(map(source_of, (doors, table))))
    assert len(places) > 20
    for module, way in places:
        attrgetter(way)(import_module(module))


def test_a_measure_that_nobody_tests_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests of another measure pass: that must not count."""
    other = Mutation(MUTATIONS["private-files"].take_away, MUTATIONS["published-keys"].tests)
    monkeypatch.setitem(MUTATIONS, "unnoticed", other)  # type: ignore[misc]
    assert missed("unnoticed") != []  # the other process does not know the name: nothing was found
