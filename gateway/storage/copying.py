"""Consistent copies of an SQLite database while a node writes to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url

from gateway.errors import StorageError

PAGES_AT_ONCE = 2_000
"""Pages copied under one lock; the node writes in between."""


def sqlite_file(url: str) -> Path | None:
    """Return the file of an SQLite URL; ``None`` for another engine."""
    parsed = make_url(url)
    return Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None


def copy_sqlite(source: Path, target: Path, progress: Callable[[int, int], None]) -> None:
    """Copy ``source`` as it stands at one moment into the new file ``target``, without its write-ahead log.

    ``progress`` is told how many pages of how many are copied.

    Raises:
        StorageError: the source cannot be read, is damaged, or the target cannot be written.
    """
    try:
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as reading,
            closing(sqlite3.connect(target)) as writing,
        ):
            reading.backup(
                writing, pages=PAGES_AT_ONCE, progress=lambda _s, left, total: progress(total - left, total)
            )
            writing.execute("PRAGMA journal_mode=DELETE")
            if writing.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise StorageError(
                    f"{source.name}: the database is damaged.",
                    remedy="Keep it, and restore an earlier backup into another folder.",
                )
    except sqlite3.Error as error:
        raise StorageError(
            f"{source.name} cannot be copied: {error}.", remedy="Is the disk full, or the file gone?"
        ) from error
