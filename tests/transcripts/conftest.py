from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from gateway.records import Registry
from gateway.storage.engine import open_engine
from gateway.storage.migrate import upgrade
from tests.records.conftest import Desk, desk, opened, sqlite

__all__ = ["desk", "opened", "sqlite"]


@contextmanager
def _desk(folder: Path) -> Iterator[Desk]:
    engine = open_engine(f"sqlite:///{folder / 'records.db'}")
    upgrade(engine, "records")
    registry = Registry(engine)
    yield Desk(registry, engine, folder)
    registry.close()
    engine.dispose()


@pytest.fixture
def fresh_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Desk]]:
    """Makes desks with empty registries."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(_desk(tmp_path_factory.mktemp("desk")))
