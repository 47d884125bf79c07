"""Makes the SQL sources that ``node.toml`` declares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from gateway.errors import GatewayError
from gateway.node.config import NodeConfig, SqlSourceTable
from gateway.node.folder import NodeFolder
from gateway.records.records_key import KEY_FILE, records_key_at
from gateway.records.registry import Registry
from gateway.records.source import RecordSource
from gateway.records.sources import Sources
from gateway.records.sql_source import SqlMapping, SqlSource
from gateway.schemes import Scheme
from gateway.schemes.shared_words import KINDS
from gateway.signing.key_files import read_private_file
from gateway.storage.foreign_database import ForeignDatabase


def mapping_of(table: SqlSourceTable) -> SqlMapping:
    """Return how a source is asked."""
    return SqlMapping(
        table.name,
        table.query,
        table.learners,
        table.columns,
        table.values,
        frozenset(KINDS.value(word) for word in table.kinds),
        table.learner_id_type,
    )


@contextmanager
def foreign_database_of(
    folder: NodeFolder, table: SqlSourceTable, timeout_s: float | None = None
) -> Iterator[ForeignDatabase]:
    """Yield a source's database, unconnected, and close it afterwards.

    ``timeout_s`` takes the place of the look-ups' own, for reading a whole table.

    Raises:
        KeyFileError: the password file is missing or others can read it.
        StorageError: the driver is not installed.
    """
    password = ""
    if table.password_file:
        password = read_private_file(folder.root / table.password_file).decode().rstrip("\r\n")
    foreign = ForeignDatabase(
        folder.database_url(table.url),
        password,
        timeout_s=table.timeout_s if timeout_s is None else timeout_s,
        connections_max=table.connections_max,
    )
    try:
        yield foreign
    finally:
        foreign.close()


def probe(folder: NodeFolder, table: SqlSourceTable) -> None:
    """Ask a source for a learner whom nobody is. Raises ``OperatorError``: it does not answer."""
    with foreign_database_of(folder, table) as foreign:
        foreign.look_up(table.query, [None], 1)


@contextmanager
def sources_of(
    folder: NodeFolder,
    config: NodeConfig,
    registry: Registry,
    scheme: Callable[[], Scheme],
    failed: Callable[[str, GatewayError], None],
) -> Iterator[RecordSource]:
    """Yield all sources as one, the registry first; the registry itself when there is no other.

    Raises:
        OperatorError: a source cannot be set up. Whether it answers is seen when it is asked.
    """
    if not config.records.sql:
        yield registry
        return
    key = records_key_at(folder.key(KEY_FILE))
    with ExitStack() as stack:
        sources: list[RecordSource] = [registry]
        for table in config.records.sql:
            foreign = stack.enter_context(foreign_database_of(folder, table))
            sources.append(
                SqlSource(mapping_of(table), foreign, registry.database, key, config.node.id, scheme, failed)
            )
        yield Sources(sources)
