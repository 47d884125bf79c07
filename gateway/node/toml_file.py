"""Reads a TOML file of a node's folder, or says which file is wrong and how to mend it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from gateway.errors import ConfigError


def read_toml(path: Path, *, missing: ConfigError | None = None) -> dict[str, Any]:
    """Return what the file declares.

    Raises:
        ConfigError: it cannot be read, is not UTF-8 or no TOML; ``missing`` when it is not there.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text.", remedy="Save it as UTF-8.") from error
    except OSError as error:
        if missing is not None and isinstance(error, FileNotFoundError):
            raise missing from error
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: no TOML: {error}.", remedy="Correct that line.") from error
