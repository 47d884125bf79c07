"""A learner's records at this node itself, as an archive like that of the federation."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from creditexchange.v1.record_pb2 import LearningRecord
from gateway.exchange.asking.question import OK, Archive, ArchiveEntry, PeerResult
from gateway.records.source import RecordSource
from gateway.schemes import Scheme, present_record


def own_archive(
    source: RecordSource,
    subject_tokens: Sequence[bytes],
    kinds: Collection[int],
    scheme: Scheme,
    node_id: str,
) -> Archive:
    """Return what the node's own sources hold of one learner; ``subject_tokens`` are one a live epoch.

    Raises:
        StorageError: a source does not answer.
    """
    found: dict[str, LearningRecord] = {}
    for records in source.find(subject_tokens, kinds):
        for stored in records:
            found.setdefault(stored.record_id, LearningRecord.FromString(stored.translated))
    entries = [ArchiveEntry(record, present_record(record, scheme), ()) for record in found.values()]
    entries.sort(key=lambda each: _order(each.record))
    own = PeerResult(node_id, OK, "", exchange_id=b"", elapsed_s=0.0, records=list(found.values()))
    return Archive([own], entries)


def _order(record: LearningRecord) -> tuple[object, ...]:
    date = record.award_date
    return (date.year, date.month, date.day, record.record_id)
