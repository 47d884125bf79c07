"""All peers' records as one archive: the same record is shown once, with everyone who gave it."""

from __future__ import annotations

from collections.abc import Iterable

from creditexchange.v1.record_pb2 import LearningRecord
from gateway.exchange.asking.question import PeerResult, Provenance


def merge(results: Iterable[PeerResult]) -> list[tuple[LearningRecord, tuple[Provenance, ...]]]:
    """Return each record once, ordered by award date, then source and id.

    Two records are the same when their bytes are the same, or when one names the other's issuer
    and certificate or record id. Near-equal ones are not merged: nobody guesses here.
    """
    found: dict[tuple[object, ...], tuple[LearningRecord, list[Provenance]]] = {}
    for result in results:
        provenance = Provenance(result.node_id, result.signed_by, result.exchange_id)
        for record in result.records:
            _, sources = found.setdefault(_identity(record), (record, []))
            if provenance not in sources:
                sources.append(provenance)
    merged = [(record, tuple(sources)) for record, sources in found.values()]
    return sorted(merged, key=lambda entry: _order(entry[0]))


def _identity(record: LearningRecord) -> tuple[object, ...]:
    """What makes a record the same one at two provinces: awarding institution and certificate number."""
    issuers = sorted(f"{i.scheme}:{i.value}" for issuer in record.issuers for i in issuer.identifiers)
    if record.certificate.number and issuers:
        return (record.kind, tuple(issuers), record.certificate.number)
    return (record.source_node, record.record_id)


def _order(record: LearningRecord) -> tuple[object, ...]:
    date = record.award_date
    return (date.year, date.month, date.day, record.source_node, record.record_id)
