"""Step 4, find: records by subject token; or, for a retry, the answer that was given before."""

from __future__ import annotations

from gateway.audit import AuditLog, EvidenceError
from gateway.errors import RefusedError, StorageError
from gateway.exchange.messages import Authorised, EarlierAnswer, Found
from gateway.records.source import RecordSource
from gateway.storage.quota_rows import Charge


def find(authorised: Authorised, source: RecordSource, log: AuditLog, charge: Charge | None = None) -> Found:
    """Return what the record source holds for the subjects, the asked kinds only.

    A learner about whom nothing is held is an empty list, by the same path.

    Raises:
        RefusedError: ``EXCHANGE_CONFLICT`` when the exchange id was used for another query,
            ``SOURCE_UNAVAILABLE``, ``AUDIT_UNAVAILABLE``; ``QUOTA_EXCEEDED`` when it is known that
            nothing is left for ``charge``. A retry of what was answered takes nothing.
    """
    opened = authorised.admitted.opened
    try:
        earlier = log.find_exchange(opened.signer.node_id, opened.header.exchange_id)
        if earlier is not None:
            if earlier.query_body != opened.payload.body:
                raise RefusedError("EXCHANGE_CONFLICT", "the exchange id was used for another query.")
            answer = EarlierAnswer(earlier.answer_body, earlier.openings, earlier.record_count)
            return Found(authorised, (), answer)
        if charge is not None:
            log.quota_use.require_left(charge, opened.call.received_at)
        records = source.find(authorised.subject_tokens, frozenset(authorised.body.kinds))
    except EvidenceError as error:
        raise RefusedError(
            "AUDIT_UNAVAILABLE", "the earlier answer cannot be read.", retry_after_s=60
        ) from error
    except StorageError as error:
        raise RefusedError(
            "SOURCE_UNAVAILABLE", "the record source does not answer.", retry_after_s=5
        ) from error
    return Found(authorised, records)
