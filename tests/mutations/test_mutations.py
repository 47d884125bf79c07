"""A few of the measures are taken away in every run; `make mutations` takes each."""

from __future__ import annotations

import pytest

from tests.mutations.__main__ import missed
from tests.mutations.table import MUTATIONS, Mutation


@pytest.mark.parametrize("name", ["signatures", "published-keys"])
def test_the_tests_of_a_measure_fail_without_it(name: str) -> None:
    assert missed(name) == []


def test_a_measure_that_nobody_tests_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests of another measure pass: that must not count."""
    other = Mutation(MUTATIONS["private-files"].take_away, MUTATIONS["published-keys"].tests)
    monkeypatch.setitem(MUTATIONS, "unnoticed", other)  # type: ignore[misc]
    assert missed("unnoticed") != []  # the other process does not know the name: nothing was found
