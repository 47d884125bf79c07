"""Step 4, find: records by subject token; or, for a retry, the answer that was given before.

Queries that are answered together are looked up together: one statement tells which exchanges are
known, and one for each choice of kinds brings the records.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from gateway.audit import AuditLog, EvidenceError
from gateway.errors import RefusedError, StorageError
from gateway.exchange.messages import Authorised, EarlierAnswer, Found
from gateway.records.source import RecordSource
from gateway.storage.quota_rows import Charge


class Wanted(NamedTuple):
    """A query that may be looked up, and what its answer would take off the peer's quota."""

    authorised: Authorised
    charge: Charge | None


def find(wanted: Sequence[Wanted], source: RecordSource, log: AuditLog) -> list[Found | Exception]:
    """Return what the record source holds for each query's subjects, the asked kinds only.

    A learner about whom nothing is held is an empty list, by the same path. In the place of a query
    that is refused stands the ``RefusedError``: ``EXCHANGE_CONFLICT`` when the exchange id was used for
    another query, ``SOURCE_UNAVAILABLE``, ``AUDIT_UNAVAILABLE``; ``QUOTA_EXCEEDED`` when it is known
    that nothing is left for its charge. A retry of what was answered takes nothing.

    Raises:
        RefusedError: ``AUDIT_UNAVAILABLE``, for all of them.
    """
    known = log.known_exchanges([_exchange_id(each.authorised) for each in wanted])
    outcomes: dict[int, Found | Exception] = {}
    new: list[int] = []
    for at, each in enumerate(wanted):
        try:
            earlier = _earlier(each.authorised, log) if _exchange_id(each.authorised) in known else None
            if earlier is not None:
                outcomes[at] = Found(each.authorised, (), earlier)
                continue
            if each.charge is not None:
                received_at = each.authorised.admitted.opened.call.received_at
                log.quota_use.require_left(each.charge, received_at)
            new.append(at)
        except Exception as error:  # noqa: BLE001 - a defect, too, is only this query's
            outcomes[at] = error
    for places in _by_kinds(new, wanted):
        found = _look_up([wanted[at].authorised for at in places], source)
        outcomes.update(zip(places, found, strict=True))
    return [outcomes[at] for at in range(len(wanted))]


def _exchange_id(authorised: Authorised) -> bytes:
    return authorised.admitted.opened.header.exchange_id


def _earlier(authorised: Authorised, log: AuditLog) -> EarlierAnswer | None:
    """Return the answer that the exchange got before. Raises as :func:`find` says."""
    opened = authorised.admitted.opened
    try:
        earlier = log.find_exchange(opened.signer.node_id, opened.header.exchange_id)
    except EvidenceError as error:
        raise RefusedError(
            "AUDIT_UNAVAILABLE", "the earlier answer cannot be read.", retry_after_s=60
        ) from error
    if earlier is None:
        return None
    if earlier.query_body != opened.payload.body:
        raise RefusedError("EXCHANGE_CONFLICT", "the exchange id was used for another query.")
    return EarlierAnswer(earlier.answer_body, earlier.openings, earlier.record_count)


def _by_kinds(places: Iterable[int], wanted: Sequence[Wanted]) -> Iterable[list[int]]:
    groups: dict[tuple[int, ...], list[int]] = {}
    for at in places:
        groups.setdefault(tuple(sorted(wanted[at].authorised.body.kinds)), []).append(at)
    return groups.values()


def _look_up(authorised: Sequence[Authorised], source: RecordSource) -> list[Found | Exception]:
    """Look up queries about the same kinds; if the source fails, each has a refusal of its own."""
    tokens = [token for each in authorised for token in each.subject_tokens]
    try:
        lists = iter(source.find(tokens, frozenset(authorised[0].body.kinds)))
    except StorageError as error:
        return [_unavailable(error) for _ in authorised]
    except Exception as error:  # noqa: BLE001 - a defect is these queries' own, not that of others beside them
        return [error for _ in authorised]
    return [Found(each, list(islice(lists, len(each.subject_tokens)))) for each in authorised]


def _unavailable(error: StorageError) -> RefusedError:
    refused = RefusedError("SOURCE_UNAVAILABLE", "the record source does not answer.", retry_after_s=5)
    refused.__cause__ = error
    return refused
