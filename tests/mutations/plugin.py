"""A pytest plugin that takes one measure away before any test is imported: `--mutation NAME`.

It also tells, on a line of its own, each test whose call failed: an error of a fixture finds nothing.
"""

from __future__ import annotations

import pytest

FOUND = "MUTATION FOUND BY "


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mutation", help="name of the measure that is taken away")


def pytest_configure(config: pytest.Config) -> None:
    from tests.mutations.table import MUTATIONS

    name = config.getoption("--mutation")
    if name:
        MUTATIONS[name].take_away()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and report.failed:
        print(f"\n{FOUND}{report.nodeid.split('[')[0]}")
