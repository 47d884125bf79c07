"""Backups of a whole node: made while it runs, put back into an empty folder, guarded against replays.

A backup is one compressed tar archive. ``manifest.json`` in it states of which node it is, how large
its audit log was, and the SHA-256 of every file, so that nothing damaged is put back.
"""

from __future__ import annotations

import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from gateway import __version__
from gateway.audit.fence import raise_fence
from gateway.clock import Clock
from gateway.errors import CallerError, OperatorError
from gateway.node.config import NodeConfig, load_config
from gateway.node.department_files import SOURCES_FOLDER
from gateway.node.folder import NodeFolder
from gateway.storage import audit_rows
from gateway.storage.copying import copy_sqlite, sqlite_file
from gateway.storage.engine import open_engine, reading

MANIFEST = "manifest.json"
FORMAT = "credit-gateway-backup/1"
MANIFEST_BYTES_MAX = 4 * 1024 * 1024

Progress = Callable[[str, int, int], None]
"""Told what is done, how far it is, and of how much."""


@dataclass(frozen=True, slots=True)
class Backup:
    """What an archive holds."""

    node_id: str
    made_at: str
    version: str
    entries: int
    """Entries of the audit log."""
    has_keys: bool
    files: dict[str, str]
    """SHA-256 by path."""
    left_out: tuple[str, ...]
    """Databases that are no SQLite files and are backed up by their own means."""


def make_backup(
    folder: NodeFolder, archive: Path, *, with_keys: bool, now: datetime, progress: Progress
) -> Backup:
    """Write a backup of the node, which may run meanwhile, to the new file ``archive`` (mode 0600).

    Raises:
        CallerError: the archive exists or cannot be written.
        OperatorError: the node's folder or databases cannot be read.
    """
    config = load_config(folder.root)
    if archive.exists():
        raise CallerError(
            f"{archive} exists already.", remedy="Give another name; backups are never replaced."
        )
    partial = archive.with_name(archive.name + ".partial")
    try:
        with tempfile.TemporaryDirectory(prefix="backup-", dir=archive.parent) as scratch:
            copies, left_out = _copy_databases(folder, config, Path(scratch), progress)
            files = {**dict(_plain_files(folder, with_keys=with_keys)), **copies}
            backup = Backup(
                node_id=config.node.id,
                made_at=now.isoformat(timespec="seconds"),
                version=__version__,
                entries=_entries(copies.get("data/node.db"), config),
                has_keys=with_keys,
                files={name: _digest(path) for name, path in files.items()},
                left_out=tuple(left_out),
            )
            _write_archive(partial, backup, files, progress)
        partial.rename(archive)
    except OSError as error:
        raise CallerError(f"{archive} cannot be written: {error.strerror}.") from error
    finally:
        partial.unlink(missing_ok=True)
    return backup


def restore_backup(archive: Path, folder: NodeFolder, clock: Clock, progress: Progress) -> Backup:
    """Put a backup back into the empty or new folder, and fence off messages of before.

    The replay guard of a backup does not know what was accepted after it was made. So messages that
    were issued before now plus the tolerated skew are refused. Whether peers have seen more of the
    log is asked by every start.

    Raises:
        CallerError: the folder is not empty, or the archive is damaged or none.
        OperatorError: the folder cannot be written.
    """
    if folder.root.exists() and any(folder.root.iterdir()):
        raise CallerError(
            f"{folder.root} is not empty.",
            remedy="Move what is there away: it may hold newer entries of the log.",
        )
    try:
        with tarfile.open(archive, "r:*") as tar:
            backup = _read_manifest(tar)
            folder.root.mkdir(parents=True, exist_ok=True)
            for done, (name, digest) in enumerate(backup.files.items(), 1):
                _extract(tar, name, digest, folder.root)
                progress("restoring", done, len(backup.files))
    except (tarfile.TarError, EOFError, KeyError) as error:
        raise CallerError(f"{archive}: this is no whole backup.", remedy="Use another copy of it.") from error
    except OSError as error:
        raise OperatorError(f"{folder.root} cannot be restored: {error.strerror or error}.") from error
    _fence(folder, clock)
    return backup


def _fence(folder: NodeFolder, clock: Clock) -> None:
    config = load_config(folder.root)
    file = sqlite_file(folder.database_url(config.database.url))
    if file is None or not file.exists():
        return
    engine = open_engine(folder.database_url(config.database.url))
    try:
        raise_fence(engine, clock(), config.exchange.skew_s)
    finally:
        engine.dispose()


def _copy_databases(
    folder: NodeFolder, config: NodeConfig, scratch: Path, progress: Progress
) -> tuple[dict[str, Path], list[str]]:
    """Copy the databases; return the copies by their place in the folder, and what is none of SQLite's."""
    copies: dict[str, Path] = {}
    left_out: list[str] = []
    for name, url in (("log", config.database.url), ("records", config.database.records_url)):
        source = sqlite_file(folder.database_url(url))
        if source is None:
            left_out.append(name)
            continue
        try:
            place = str(source.resolve().relative_to(folder.root.resolve()))
        except ValueError as error:
            raise OperatorError(
                f"{source} lies outside of the node's folder.",
                remedy="Copy it with `sqlite3 FILE '.backup COPY'`, and back up the rest without it.",
            ) from error
        target = scratch / f"{name}.db"
        copy_sqlite(source, target, lambda done, total, name=name: progress(name, done, total))  # type: ignore[misc]
        copies[place] = target
    return copies, left_out


def _plain_files(folder: NodeFolder, *, with_keys: bool) -> Iterator[tuple[str, Path]]:
    parts = [folder.config, folder.scheme, folder.access, folder.card]
    for tables in (folder.peers, folder.root / SOURCES_FOLDER):
        parts += sorted(tables.glob("*.toml"))
    if with_keys:
        parts += sorted(path for path in folder.keys.iterdir() if path.is_file())
    for path in parts:
        if path.is_file():
            yield str(path.relative_to(folder.root)), path


def _entries(copy: Path | None, config: NodeConfig) -> int:
    if copy is None:
        return 0
    engine = open_engine(f"sqlite:///{copy}")
    try:
        with reading(engine) as connection:
            tree = audit_rows.read_tree(connection, config.audit.origin)
    finally:
        engine.dispose()
    return tree.size if tree is not None else 0


def _write_archive(archive: Path, backup: Backup, files: dict[str, Path], progress: Progress) -> None:
    descriptor = os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out, tarfile.open(fileobj=out, mode="w:gz", compresslevel=6) as tar:
        content = json.dumps({"format": FORMAT, **asdict(backup)}, indent=2).encode()
        with tempfile.TemporaryFile() as manifest:
            manifest.write(content)
            manifest.seek(0)
            info = tarfile.TarInfo(MANIFEST)
            info.size, info.mode = len(content), 0o600
            tar.addfile(info, manifest)
        for done, (name, path) in enumerate(files.items(), 1):
            tar.add(path, name, filter=_anonymous)
            progress("writing", done, len(files))
        tar.close()
        out.flush()
        os.fsync(out.fileno())


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out whose file it was here."""
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode = 0o600
    return info


def _read_manifest(tar: tarfile.TarFile) -> Backup:
    member = tar.getmember(MANIFEST)
    stream = tar.extractfile(member)
    if stream is None or member.size > MANIFEST_BYTES_MAX:
        raise tarfile.TarError
    try:
        facts = json.loads(stream.read())
        if facts.pop("format") != FORMAT:
            raise tarfile.TarError
        return Backup(**{**facts, "left_out": tuple(facts["left_out"])})
    except (ValueError, TypeError, AttributeError) as error:
        raise tarfile.TarError from error


def _extract(tar: tarfile.TarFile, name: str, digest: str, root: Path) -> None:
    """Write one file of the archive, if it is the one that the manifest means and stays in the folder."""
    target = (root / name).resolve()
    stream = tar.extractfile(tar.getmember(name))
    if stream is None or root.resolve() not in target.parents:
        raise tarfile.TarError
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    is_public = target.suffix == ".toml" or name == "card.json"
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644 if is_public else 0o600)
    found = sha256()
    with os.fdopen(descriptor, "wb") as out:
        while block := stream.read(1024 * 1024):
            found.update(block)
            out.write(block)
        out.flush()
        os.fsync(out.fileno())
    if found.hexdigest() != digest:
        raise tarfile.TarError


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        found = sha256()
        while block := stream.read(1024 * 1024):
            found.update(block)
    return found.hexdigest()
