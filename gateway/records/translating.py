"""A stored record in the shared model: by the node's scheme, and, of foreign transcripts, without it.

The scheme's scales are the province's own. A grade on a foreign scale is carried as it stands, never
read by them; what the foreign format itself defines (passed or not, languages) needs no scheme.
"""

from __future__ import annotations

from creditexchange.v1 import record_pb2 as pb
from gateway.records.transcripts.draft import (
    FORMAT,
    GRADE,
    GRADE_STATUS,
    ISSUER_LANGUAGE,
    TEACHING_LANGUAGE,
    TITLE_LANGUAGE,
)
from gateway.schemes import LocalRecord, Scheme, translate_record

UNDETERMINED = "und"
"""BCP 47: the source does not say which language."""

_STATUSES = {
    "passed": pb.GRADE_STATUS_PASSED,
    "failed": pb.GRADE_STATUS_FAILED,
    "in-progress": pb.GRADE_STATUS_IN_PROGRESS,
}


def translate_stored(record: LocalRecord, scheme: Scheme, node_id: str) -> pb.LearningRecord:
    """Return ``record`` in the shared model; the same record and scheme give the same answer always.

    Raises:
        UntranslatableError: a value can only be a mistake, or no longer fits the scheme.
    """
    shared = translate_record(record, scheme, node_id)
    if record.originals and record.originals[0][0] == FORMAT:
        _add_foreign(shared, dict(record.originals), scheme)
    return shared


def _add_foreign(shared: pb.LearningRecord, foreign: dict[str, str], scheme: Scheme) -> None:
    if shared.titles:
        shared.titles[0].language = foreign.get(TITLE_LANGUAGE) or UNDETERMINED
    for issuer in shared.issuers:
        for name in issuer.names:
            name.language = foreign.get(ISSUER_LANGUAGE) or UNDETERMINED
    if TEACHING_LANGUAGE in foreign:
        shared.specification.teaching_language = foreign[TEACHING_LANGUAGE]
    word, status = foreign.get(GRADE, ""), foreign.get(GRADE_STATUS, "")
    if not word and not status:
        return
    shared.grade.as_issued = word
    shared.grade.state = pb.VALUE_STATE_UNTRANSLATED if word else pb.VALUE_STATE_UNKNOWN
    shared.grade.status = _STATUSES.get(status, pb.GRADE_STATUS_UNSPECIFIED)
    if word:
        note = f"a grade of {foreign[FORMAT]} on a scale of its own; no scale of the scheme is taken for it"
        shared.trace.append(
            scheme.applied("grade", word, "", ("grade_scale", ""), loss=pb.LOSS_NO_RULE, note=note)
        )
