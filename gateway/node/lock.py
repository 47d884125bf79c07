"""One process a node: SQLite has exactly one writer, and two servers must never share a log."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from gateway.errors import AlreadyRunningError, OperatorError
from gateway.node.folder import NodeFolder
from gateway.signing.key_files import read_private_file, write_private_file


@dataclass(frozen=True, slots=True)
class RunningNode:
    """Where a running node listens."""

    pid: int
    peers: str
    operator: str
    metrics: str


@contextmanager
def node_lock(folder: NodeFolder) -> Iterator[int]:
    """Hold the node's lock; released by the kernel when the process ends, however it ends.

    Yields its file descriptor: a process that inherits it keeps the lock held as well.

    Raises:
        AlreadyRunningError: another process holds it.
        OperatorError: the folder cannot be written.
    """
    descriptor = _opened(folder, "lock")
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AlreadyRunningError(
                f"another process works on {folder.root}.",
                remedy="Stop the running node first, or use another folder.",
            ) from error
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def file_lock(folder: NodeFolder) -> Iterator[None]:
    """Wait for the other workers of this node to have written the folder's card and TLS leaf.

    Raises:
        OperatorError: the folder cannot be written.
    """
    descriptor = _opened(folder, "files.lock")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _opened(folder: NodeFolder, name: str) -> int:
    """Return the descriptor of a file in the run folder that is there to be locked."""
    try:
        folder.run.mkdir(mode=0o700, exist_ok=True)
        return os.open(folder.run / name, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise OperatorError(
            f"{folder.run} cannot be written: {error.strerror}.", remedy="Make the node's folder writable."
        ) from error


def announce(folder: NodeFolder, running: RunningNode) -> str:
    """Write where the node listens and a fresh operator token; returns the token."""
    token = secrets.token_urlsafe(32)
    token_file = folder.run / "operator.token"
    token_file.unlink(missing_ok=True)
    write_private_file(token_file, token.encode() + b"\n")
    fresh = folder.run / "node.json.new"
    fresh.write_text(json.dumps(asdict(running), indent=2) + "\n", encoding="utf-8")
    fresh.replace(folder.run / "node.json")
    return token


def read_token(folder: NodeFolder) -> str:
    """Return the operator token that :func:`announce` wrote. Raises ``KeyFileError``."""
    return read_private_file(folder.run / "operator.token").decode().strip()


def withdraw(folder: NodeFolder) -> None:
    """Remove what :func:`announce` wrote."""
    for name in ("node.json", "operator.token"):
        (folder.run / name).unlink(missing_ok=True)


def find_running(folder: NodeFolder) -> tuple[RunningNode, str] | None:
    """Return the running node and its operator token; ``None`` when it does not run."""
    try:
        with node_lock(folder):
            return None
    except AlreadyRunningError:
        pass
    try:
        running = RunningNode(**json.loads((folder.run / "node.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise AlreadyRunningError(
            f"another process works on {folder.root} and is not ready.", remedy="Try again in a moment."
        ) from error
    return running, read_token(folder)


def find_announced(folder: NodeFolder) -> tuple[RunningNode, str] | None:
    """Return where the node listens, or listened before it was killed; ``None`` when it says nothing.

    Unlike :func:`find_running` this never takes the lock, not even for a moment: who looks again and
    again must not keep the node from starting.
    """
    try:
        running = RunningNode(**json.loads((folder.run / "node.json").read_text(encoding="utf-8")))
        return running, read_token(folder)
    except (OSError, ValueError, TypeError, OperatorError):
        return None
