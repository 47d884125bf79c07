"""Translates stored records again after the scheme has changed: in small transactions, resumable.

Every transaction holds whole records, each with the digest of the scheme that translated it; so a
record is always wholly of one version, a killed run goes on where it stopped, and two runs at once do
work twice but never harm. A record that was replaced or ruled about meanwhile is left to that writer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.records.registry import Registry
from gateway.records.ruling import translate_again
from gateway.records.source import read_original
from gateway.schemes import Scheme, UntranslatableError
from gateway.storage import registry_rows
from gateway.storage.driver_sql import Row
from gateway.storage.engine import reading

BATCH_RECORDS = 100
"""Records of one transaction; it holds the write lock for some milliseconds."""


class Progress(NamedTuple):
    """How far a run is."""

    done: int
    unfit: int
    """Records that do not fit the new scheme; they stay in their old version."""


@dataclass(slots=True)
class Retranslation:
    """What a run did."""

    done: int = 0
    unfit: int = 0
    is_complete: bool = False
    reasons: Counter[str] = field(default_factory=Counter)
    """Why records do not fit, by column and reason; no value of a record."""


def count_outdated(registry: Registry, scheme: Scheme) -> int:
    """Return how many records another version of the scheme translated. Raises ``StorageError``."""
    with reading(registry.database) as transaction:
        return registry_rows.count_outdated(transaction, scheme.reference.digest)


def retranslate(
    registry: Registry,
    scheme: Scheme,
    node_id: str,
    goes_on: Callable[[], bool] = lambda: True,
    progress: Callable[[Progress], None] = lambda _progress: None,
) -> Retranslation:
    """Translate all records that another version of the scheme translated.

    Args:
        registry: holds the records.
        scheme: the version to translate by.
        node_id: this node, the source of the records.
        goes_on: asked between transactions; ``False`` ends the run, and the next one continues.
        progress: called after each transaction.

    Raises:
        StorageError: the database cannot be read or written; what was done stays.
    """
    result, after = Retranslation(), 0
    while goes_on():
        with reading(registry.database) as transaction:
            rows = registry_rows.outdated_rows(transaction, scheme.reference.digest, after, BATCH_RECORDS)
        if not rows:
            result.is_complete = True
            break
        after = rows[-1][0]
        changes = [change for row in rows if (change := _changed(row, scheme, node_id, result)) is not None]
        registry_rows.replace_translations(registry.database, changes)
        result.done += len(changes)
        progress(Progress(result.done, result.unfit))
    return result


def _changed(row: Row, scheme: Scheme, node_id: str, result: Retranslation) -> registry_rows.Change | None:
    """Return what is to be written of a record; ``None``, noted in ``result``, when it does not fit."""
    _, record_id, original, translated, old_digest, content_digest = row
    try:
        shared = translate_again(read_original(original), translated, scheme, node_id)
    except UntranslatableError as error:
        result.unfit += 1
        result.reasons[f"{error.column}: {error.reason}"] += 1
        return None
    new = shared.SerializeToString()
    return new, scheme.reference.digest, record_id, old_digest, content_digest, translated
