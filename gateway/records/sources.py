"""Several sources as one: asked in order, an earlier one's record stands before a later one's."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gateway.records.source import RecordSource, StoredRecord


class Sources:
    """The node's sources. If one that may hold an asked kind fails, all do: no answer is silently short."""

    def __init__(self, sources: Sequence[RecordSource]) -> None:
        self._sources = tuple(sources)

    def find(self, subject_tokens: Sequence[bytes], kinds: Collection[int]) -> list[list[StoredRecord]]:
        """Return the records of all sources, one list a token, ordered by ``record_id``.

        Where two sources have a record of one ``record_id``, the earlier source's is returned: the
        registry comes first, so that what is ruled there holds.

        Raises:
            StorageError: a source that may hold one of ``kinds`` does not answer.
        """
        answers = [source.find(subject_tokens, kinds) for source in self._sources]
        found = []
        for lists in zip(*answers, strict=True):
            records: dict[str, StoredRecord] = {}
            for each in lists:
                for record in each:
                    records.setdefault(record.record_id, record)
            found.append([records[record_id] for record_id in sorted(records)])
        return found
