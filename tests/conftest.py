"""What holds for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests import fresh_tables

# How long one case takes says more about the machine than about the code: what must be fast is in bench/.
settings.register_profile("repository", deadline=None)
settings.load_profile("repository")

LONGEST = (
    "web",
    "manual",
    "chaos",
    "processes",
    "telemetry",
    "conformance",
    "fuzz",
    "records",
    "node_client",
)
"""Folders of long files begin first: what began last keeps one process busy when the others are done."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        folder = item.path.parent.name
        return LONGEST.index(folder) if folder in LONGEST else len(LONGEST)

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def _fresh_tables() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        fresh_tables.install(patch)
        yield
