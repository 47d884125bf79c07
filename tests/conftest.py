"""What holds for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests import fresh_tables

# How long one case takes says more about the machine than about the code: what must be fast is in bench/.
settings.register_profile("repository", deadline=None)
settings.load_profile("repository")


@pytest.fixture(scope="session", autouse=True)
def _fresh_tables() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        fresh_tables.install(patch)
        yield
