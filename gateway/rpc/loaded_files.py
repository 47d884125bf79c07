"""Which configuration a running node works with, as OperatorService lists it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from creditexchange.v1 import operator_pb2
from gateway import __version__
from gateway.clock import unix_ms

_NEVER = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class LoadedFile:
    """One file that was taken up."""

    name: str
    """Below the node's folder, for example ``peers/shanghai.toml``."""
    sha256: str
    loaded: datetime


@dataclass(frozen=True, slots=True)
class Loaded:
    """All files of a node, and why the newest changes were refused, if they were."""

    files: Sequence[LoadedFile] = ()
    started: datetime = _NEVER
    problem: str = ""
    refused: datetime = _NEVER


def loaded_message(loaded: Loaded) -> operator_pb2.ListLoadedFilesResponse:
    """Return ``loaded`` as a message."""
    return operator_pb2.ListLoadedFilesResponse(
        files=[
            operator_pb2.LoadedFile(name=f.name, sha256=f.sha256, load_ms=unix_ms(f.loaded))
            for f in loaded.files
        ],
        start_ms=unix_ms(loaded.started),
        version=__version__,
        problem=loaded.problem,
        problem_ms=unix_ms(loaded.refused),
    )
