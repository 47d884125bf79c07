"""``sources/NAME.toml``: one department of the province a file, so that adding one touches nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.errors import ConfigError
from gateway.node.toml_file import read_toml

SOURCES_FOLDER = "sources"
FILES_MAX = 64


def department_tables(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Return what each file of the node's ``sources/`` declares, by file name.

    A file holds the keys of one ``[[records.sql]]``; without ``name`` the file's name is it.

    Raises:
        ConfigError: one cannot be read or is no TOML, or there are too many.
    """
    paths = sorted((folder / SOURCES_FOLDER).glob("*.toml"))
    if len(paths) > FILES_MAX:
        raise ConfigError(f"{folder / SOURCES_FOLDER}: more than {FILES_MAX} files.")
    return [(path, {"name": path.stem} | read_toml(path)) for path in paths]
