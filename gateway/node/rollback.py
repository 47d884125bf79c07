"""What an operator decides about an audit log that lost entries: close it, go on under a new name."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.audit import management_entry
from gateway.audit.renaming import rename_log
from gateway.clock import Clock, system_clock
from gateway.errors import CallerError, ConfigError
from gateway.node.assemble import assemble
from gateway.node.card_file import present_card
from gateway.node.config import CONFIG_FILE, load_config
from gateway.node.folder import NodeFolder, load_keys
from gateway.node.lock import node_lock
from gateway.node.state import load_policy
from gateway.peers.card import Card
from gateway.storage import audit_rows
from gateway.storage.engine import open_engine, reading
from gateway.storage.leadership import served_by_nobody
from gateway.upkeep.own_log import Contradiction, ask_witnesses


@dataclass(frozen=True)
class AcceptedRollback:
    """What was done."""

    contradiction: Contradiction | None
    """What a peer holds; ``None`` when an interrupted run was finished."""
    origin: str
    """The new name of the log."""
    card: Card
    """The node's new card, which every peer needs."""


def accept_rollback(folder: NodeFolder, new_origin: str, clock: Clock = system_clock) -> AcceptedRollback:
    """Close the audit log of a stopped node under its name and go on under ``new_origin``.

    Interrupted after the database was changed, it is finished by running it again.

    Raises:
        AlreadyRunningError: the node runs.
        CallerError: no peer holds a head that the store does not continue: there is nothing to accept.
        ConfigError: ``node.toml`` cannot be changed.
        AuditLogError, StorageError: the log cannot be opened or written.
    """
    config = load_config(folder.root)
    old_origin = config.audit.origin
    with node_lock(folder):
        contradiction = None
        stored, closed = _stored_names(folder, config.database.url)
        if stored == old_origin:
            contradiction = _find(folder, clock)
            new_origin = new_origin or _next_name(old_origin)
            _rename(folder, old_origin, new_origin, contradiction, clock)
        elif old_origin in closed:
            new_origin = stored
        else:
            raise ConfigError(
                f"{folder.root / CONFIG_FILE}: [audit] origin is {old_origin!r}, the database's log is "
                f"{stored!r}.",
                remedy="Correct it; this has nothing to do with a rollback.",
            )
        _rewrite_config(folder, old_origin, new_origin)
        config = load_config(folder.root)
        _, _, scheme = load_policy(folder, config)
        card = present_card(folder, config, load_keys(folder, config), scheme.reference, clock())
    return AcceptedRollback(contradiction, new_origin, card)


def _find(folder: NodeFolder, clock: Clock) -> Contradiction:
    node = assemble(folder, clock)
    try:
        found, answered = ask_witnesses(list(node.snapshot.roster.peers.values()), node.channels, node.log)
    finally:
        node.close()
    if not found:
        seen = ", ".join(answered) or "none could be reached"
        raise CallerError(
            f"no peer holds a checkpoint that this log does not continue (asked: {seen}).",
            remedy="There is nothing to accept; start the node with `credit-gateway serve`.",
        )
    return found[0]


def _rename(folder: NodeFolder, old: str, new: str, found: Contradiction, clock: Clock) -> None:
    config = load_config(folder.root)
    lost = max(0, found.checkpoint.size - found.size)
    entry = management_entry("restore", reason="rollback-accepted", count=lost, peer=found.holder)
    engine = open_engine(folder.database_url(config.database.url))
    try:
        with served_by_nobody(engine):
            rename_log(engine, old, new, load_keys(folder, config).log.private, clock, entry)
    finally:
        engine.dispose()


def _stored_names(folder: NodeFolder, url: str) -> tuple[str, list[str]]:
    """Return the name of the stored log, and those under which it was closed."""
    engine = open_engine(folder.database_url(url))
    try:
        with reading(engine) as connection:
            origins = audit_rows.list_origins(connection)
            closed = [origin for _, origin in audit_rows.read_closed_origins(connection)]
    finally:
        engine.dispose()
    return origins[0] if origins else "", closed


def _next_name(origin: str) -> str:
    """Return ``origin`` with its next suffix: ``…/restored-1``, ``…/restored-2`` and so on."""
    base, mark, number = origin.rpartition("/restored-")
    return f"{base}{mark}{int(number) + 1}" if mark and number.isdigit() else f"{origin}/restored-1"


def _rewrite_config(folder: NodeFolder, old: str, new: str) -> None:
    path = folder.root / CONFIG_FILE
    text = path.read_text(encoding="utf-8")
    if text.count(f'"{old}"') != 1:
        raise ConfigError(
            f"{path}: [audit] origin could not be changed by itself; the log's name is {new!r} now.",
            remedy=f'Write origin = "{new}" there, then run `credit-gateway audit accept-rollback` again.',
        )
    fresh = path.with_suffix(".new")
    fresh.write_text(text.replace(f'"{old}"', f'"{new}"'), encoding="utf-8")
    fresh.replace(path)
