"""Moves the databases of a stopped node from SQLite to PostgreSQL, and proves that nothing was lost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from gateway.audit import verify_log
from gateway.errors import AuditLogError, CallerError
from gateway.node.config import load_config
from gateway.node.folder import NodeFolder, load_signing_key, passphrase_of
from gateway.node.lock import node_lock
from gateway.signing.signed_note import NoteSigner
from gateway.storage import audit_rows
from gateway.storage.engine import database_name, is_sqlite_database, open_engine, reading
from gateway.storage.migrate import Store
from gateway.storage.moving import MovingStore, end_move
from gateway.storage.node_tables import Database

Progress = Callable[[str, int, int], None]
"""Takes what is done, how many of how many."""

VERIFYING = "verifying the log"


@dataclass(frozen=True)
class Moved:
    """What was moved."""

    rows: dict[str, int]
    """By table."""
    entries: int
    """Of the audit log, every one verified in its new place."""
    root: bytes
    """Of the log, the same in both databases."""


@dataclass(frozen=True)
class Urls:
    """The two databases of a node; one PostgreSQL database may be both."""

    node: str
    records: str


def move_storage(folder: NodeFolder, given_from: Urls, to: Urls, progress: Progress) -> Moved:
    """Copy both databases, then verify the log in the new one against the old one.

    ``given_from`` may leave a URL empty: then node.toml says it. Nothing in the source is changed.
    Interrupted, it goes on when it is run again.

    Raises:
        AlreadyRunningError: the node runs.
        CallerError: a source is not SQLite or not this node's, or a target is not PostgreSQL.
        StorageError: a database cannot be used, or a target holds something else.
        AuditLogError: the log in the new database is not the one in the old.
    """
    config = load_config(folder.root)
    origin = config.audit.origin
    with node_lock(folder), ExitStack() as stack:
        sources = Urls(
            _source(folder, config.database.url, given_from.node),
            _source(folder, config.database.records_url, given_from.records),
        )
        stores: list[MovingStore] = []
        pairs: tuple[tuple[Store, str, str], ...] = (
            ("node", sources.node, to.node),
            ("records", sources.records, to.records),
        )
        for store, source_url, target_url in pairs:
            source, target = open_engine(source_url), open_engine(target_url)
            stack.callback(source.dispose)
            stack.callback(target.dispose)
            if not is_sqlite_database(source) or is_sqlite_database(target):
                raise CallerError(
                    "a node is moved from SQLite to PostgreSQL.",
                    remedy="Write --to postgresql+psycopg://USER@HOST/DATABASE; "
                    "between PostgreSQL databases use pg_dump and pg_restore.",
                )
            stores.append(MovingStore(store, source, target))
        for moving in stores:
            moving.claim()
        rows: dict[str, int] = {}
        for moving in stores:
            rows |= moving.copy(progress)
        for moving in stores:
            moving.compare()
        root = _same_root(stores[0], origin)
        key = load_signing_key(folder, config.keys.log, passphrase_of(folder, config))
        report = verify_log(
            stores[0].target,
            NoteSigner(origin, key.private).verifier.vkey,
            progress=lambda done, total, _: progress(VERIFYING, done, total),
        )
        if not report.ok:
            raise AuditLogError(
                f"the log in {database_name(stores[0].target)} does not agree with itself after the move.",
                remedy="Run `credit-gateway audit verify` on the old one: it says whether it did before.",
            )
        for target in {to.node: stores[0].target, to.records: stores[1].target}.values():
            end_move(target)
    return Moved(rows, report.entries, root)


def _source(folder: NodeFolder, configured: str, given: str) -> str:
    """Return the URL to read from: what node.toml says, which ``given`` must not contradict."""
    url = folder.database_url(configured)
    if given and folder.database_url(given) != url:
        raise CallerError(
            "--from is not the database that node.toml names.",
            remedy="Leave --from away, or correct [database] in node.toml first.",
        )
    return url


def _same_root(moving: MovingStore, origin: str) -> bytes:
    old, new = _root_in(moving.source, origin), _root_in(moving.target, origin)
    if old != new:
        raise AuditLogError(
            "the two databases hold logs of different roots.",
            remedy="Drop the new one, make it again empty, and repeat the command.",
        )
    return new


def _root_in(database: Database, origin: str) -> bytes:
    with reading(database) as connection:
        tree = audit_rows.read_tree(connection, origin)
    if tree is None:
        raise AuditLogError(
            f"database {database_name(database)} holds no audit log {origin!r}.",
            remedy="Check [audit] origin in node.toml.",
        )
    return tree.root
