"""Step 5, translate: every record in the shared model, with the trace of every rule used.

Records are translated when they are imported; only what another version of the scheme
translated is translated again here.
"""

from __future__ import annotations

from gateway.errors import RefusedError
from gateway.exchange.messages import Found, Snapshot, Translated
from gateway.records.ruling import translate_again
from gateway.records.source import StoredRecord, local_record_of
from gateway.schemes import UntranslatableError


def translate(found: Found, snapshot: Snapshot) -> Translated:
    """Return the records in the shared model, serialised, by the scheme of ``snapshot``.

    Raises:
        RefusedError: ``SOURCE_UNAVAILABLE`` when a stored record no longer fits the scheme.
    """
    return Translated(
        found, [[translated(record, snapshot) for record in records] for records in found.records]
    )


def translated(record: StoredRecord, snapshot: Snapshot) -> bytes:
    """Return one record in the shared model, serialised; raises as :func:`translate`."""
    if record.scheme_digest == snapshot.scheme.reference.digest:
        return record.translated
    try:
        shared = translate_again(
            local_record_of(record), record.translated, snapshot.scheme, snapshot.node_id
        )
    except UntranslatableError as error:
        raise RefusedError(
            "SOURCE_UNAVAILABLE", "a record does not fit the present scheme.", retry_after_s=60
        ) from error
    return shared.SerializeToString()
