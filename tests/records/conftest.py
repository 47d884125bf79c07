from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gateway.cli import registry_access
from gateway.cli.records_commands import records_app
from gateway.cli.registry_access import OpenRegistry
from gateway.records import ImportReport, Refusal, Registry, import_file
from gateway.schemes import Scheme
from gateway.storage.engine import open_engine
from gateway.storage.migrate import upgrade
from gateway.storage.node_tables import Database
from tests.postgres import fresh_database
from tests.records import synthetic

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

scheme = cache(synthetic.scheme)


@dataclass
class Desk:
    """A registry and what is needed to fill it."""

    registry: Registry
    database: Database
    folder: Path
    scheme: Scheme = field(default_factory=scheme)
    refusals: list[Refusal] = field(default_factory=list)

    def take(self, path: Path, **changes: Any) -> ImportReport:
        """Import ``path``; what is wrong is in ``refusals``."""
        self.refusals = []
        facts: dict[str, Any] = {
            "registry": self.registry,
            "scheme": self.scheme,
            "secret": synthetic.SECRET,
            "node_id": synthetic.NODE,
            "clock": lambda: NOW,
            "report": self.refusals.append,
        }
        return import_file(path, **(facts | changes))

    def take_text(self, text: str | bytes, name: str = "rows.csv", **changes: Any) -> ImportReport:
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return self.take(path, **changes)

    def take_rows(self, rows: Sequence[dict[str, str]], **changes: Any) -> ImportReport:
        return self.take(synthetic.write_csv(self.folder / "rows.csv", list(rows)), **changes)

    @property
    def seen(self) -> list[tuple[int, str, str]]:
        return [(refusal.line, refusal.column, refusal.reason) for refusal in self.refusals]


def _opened(url: str) -> Iterator[Database]:
    engine = open_engine(url)
    upgrade(engine, "records")
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    """An empty registry on SQLite."""
    yield from _opened(f"sqlite:///{tmp_path / 'records.db'}")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """An empty registry, on each engine in turn."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite")
        return
    with fresh_database() as url:
        yield from _opened(url)


def _desk(database: Database, folder: Path) -> Iterator[Desk]:
    registry = Registry(database)
    yield Desk(registry, database, folder)
    registry.close()


@pytest.fixture
def desk(sqlite: Database, tmp_path: Path) -> Iterator[Desk]:
    """A desk on SQLite, where the engine does not matter."""
    yield from _desk(sqlite, tmp_path)


@pytest.fixture
def any_desk(database: Database, tmp_path: Path) -> Iterator[Desk]:
    """A desk on each engine in turn."""
    yield from _desk(database, tmp_path)


@pytest.fixture
def opened(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk that the commands find instead of a node's folder."""

    @contextmanager
    def open_registry(_node: Path) -> Iterator[OpenRegistry]:
        yield OpenRegistry(
            desk.registry,
            desk.scheme,
            [synthetic.SECRET],
            synthetic.NODE,
            desk.folder / "records.key",
            desk.folder / "contexts",
        )

    monkeypatch.setattr(registry_access, "open_registry", open_registry)
    return desk


def run(*arguments: object, text: str | None = None) -> Result:
    result = CliRunner().invoke(records_app, [str(argument) for argument in arguments], input=text)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result
