"""A file that appears whole or not at all, and never in the place of another one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from gateway.errors import CallerError

_MODE = 0o600
"""What a learner takes away says who they are: readable by the user alone."""


@contextmanager
def write_new(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write; it gets its name only when nothing went wrong, Ctrl-C included.

    Raises:
        CallerError: there is a file of that name, or the folder cannot be written.
    """
    if path.exists():
        raise CallerError(f"{path} is there already.", remedy="Choose another name, or remove it.")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE), "wb") as file:
            yield file
        os.link(partial, path)
    except FileExistsError as error:
        raise CallerError(f"{path} is there already.", remedy="Choose another name, or remove it.") from error
    except OSError as error:
        raise CallerError(f"{path}: {error.strerror}.", remedy="Choose another folder.") from error
    finally:
        with suppress(OSError):
            partial.unlink()
