"""What the records of one learner count together in a scheme: each once, within every cap.

This is a suggestion with its reasons, for the institution that decides. Records are taken in the
order of their award, then of source and id, so that the same records always give the same answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from creditexchange.v1.record_pb2 import (
    GRADE_STATUS_EXEMPT,
    GRADE_STATUS_PASSED,
    GRADE_STATUS_UNSPECIFIED,
    RECORD_STATE_UNSPECIFIED,
    RECORD_STATE_VALID,
    RELATION_ROLE_PART_OF,
    VALUE_STATE_TRANSLATED,
    LearningRecord,
    LocalView,
)
from gateway.schemes.counting_rules import CapRule
from gateway.schemes.present import present_record
from gateway.schemes.ratio import AmountError, read_exact
from gateway.schemes.replacing import Replacing
from gateway.schemes.scheme import Scheme
from gateway.schemes.shared_words import GRADE_STATUSES, LOSSES, STATES
from gateway.schemes.similar_titles import find_similar_titles

COUNTING_GRADES = (GRADE_STATUS_UNSPECIFIED, GRADE_STATUS_PASSED, GRADE_STATUS_EXEMPT)
COUNTING_STATES = (RECORD_STATE_UNSPECIFIED, RECORD_STATE_VALID)


@dataclass(frozen=True, slots=True)
class CountedRecord:
    """What became of one record."""

    sources: tuple[str, ...]
    """Nodes that reported it: more than one for an achievement that two provinces keep."""
    record_id: str
    title: str
    unit: str
    """Unit of the amounts; empty when nothing can count."""
    exact: Fraction
    """What it is worth before rounding and caps."""
    counted: Fraction
    reason: str
    """Why it does not count, or why less: a state, an outcome, a loss, or a word of this module."""
    caps: tuple[str, ...] = ()
    """Caps that it hit."""
    remainder: Fraction = Fraction(0)
    """What the caps cut off."""
    courses: tuple[tuple[str, str], ...] = ()
    """Courses for which a certificate stands, each with the reason if it may not."""


@dataclass(frozen=True, slots=True)
class Count:
    """All of them, the sums by unit, and records that may be one and the same."""

    records: tuple[CountedRecord, ...]
    sums: Mapping[str, Fraction]
    """Before the sum is rounded."""
    totals: Mapping[str, Fraction]
    similar: tuple[tuple[str, str], ...]
    """Pairs of record ids with nearly equal titles: to be looked at, never merged."""


@dataclass(slots=True)
class _Candidate:
    record: LearningRecord
    view: LocalView
    sources: list[str]
    reason: str = ""
    unit: str = ""
    exact: Fraction = field(default_factory=Fraction)
    courses: tuple[tuple[str, str], ...] = ()


def count_records(records: Iterable[LearningRecord], scheme: Scheme) -> Count:
    """Return what ``records``, all of one learner, count together in ``scheme``. Never fails."""
    candidates = _merged(sorted(records, key=_order), scheme)
    for candidate in candidates:
        _weigh(candidate)
    _leave_out_wholes(candidates)
    _leave_out_repeats(candidates, scheme)
    _replace_courses(candidates, scheme)
    counted = _capped(candidates, scheme)
    sums: dict[str, Fraction] = defaultdict(Fraction)
    for item in counted:
        if item.counted:
            sums[item.unit] += item.counted
    totals = {
        unit: amount if scheme.rounds_items else scheme.rounding.round(amount)
        for unit, amount in sums.items()
    }
    similar = find_similar_titles([candidate.record for candidate in candidates])
    return Count(tuple(counted), dict(sums), totals, similar)


def _order(record: LearningRecord) -> tuple[int, int, int, str, str]:
    awarded = record.award_date
    return awarded.year, awarded.month, awarded.day, record.source_node, record.record_id


def _merged(records: Sequence[LearningRecord], scheme: Scheme) -> list[_Candidate]:
    """Take an achievement that several nodes report only once: same institution, same id."""
    found: dict[tuple[str, ...], _Candidate] = {}
    for record in records:
        identifiers = [(i.scheme, i.value) for issuer in record.issuers for i in issuer.identifiers]
        key = (*identifiers[0], record.record_id) if identifiers else (record.source_node, record.record_id)
        if key in found:
            found[key].sources.append(record.source_node)
        else:
            found[key] = _Candidate(record, present_record(record, scheme), [record.source_node])
    return list(found.values())


def _weigh(candidate: _Candidate) -> None:
    """Find unit and exact worth of a record, or the reason why it has none."""
    record, view = candidate.record, candidate.view
    if record.status.state not in COUNTING_STATES:
        candidate.reason = STATES.word(record.status.state)
    elif record.grade.status not in COUNTING_GRADES:
        candidate.reason = GRADE_STATUSES.word(record.grade.status)
    elif not view.credits:
        candidate.reason = "no-credits"
    else:
        value = view.credits[0]
        step = next((step for step in view.trace if step.path == "credits[0]"), None)
        if value.state != VALUE_STATE_TRANSLATED:
            candidate.reason = LOSSES.word(step.loss) if step else "no-credits"
            return
        try:
            candidate.exact = read_exact(step.unrounded if step and step.unrounded else value.value)
        except AmountError:  # never written by ourselves
            candidate.reason = "no-credits"
        candidate.unit = value.unit.rpartition("/")[2]


def _leave_out_wholes(candidates: Sequence[_Candidate]) -> None:
    """Count the parts of a programme, or the programme: never both."""
    wholes = {
        (candidate.record.source_node, relation.record_id)
        for candidate in candidates
        if not candidate.reason
        for relation in candidate.record.relations
        if relation.role == RELATION_ROLE_PART_OF
    }
    for candidate in candidates:
        if not candidate.reason and (candidate.record.source_node, candidate.record.record_id) in wholes:
            candidate.reason = "parts-count"


def _leave_out_repeats(candidates: Sequence[_Candidate], scheme: Scheme) -> None:
    """Of several passed attempts at a course, count the one that the scheme declares."""
    courses: dict[tuple[str, str], list[_Candidate]] = defaultdict(list)
    for candidate in candidates:
        code = candidate.record.specification.code
        if code and not candidate.reason:
            courses[candidate.record.scheme.scheme_id, code].append(candidate)
    for attempts in courses.values():
        if len(attempts) == 1:
            continue
        policy = scheme.counting.repeats
        kept = {"best": max(attempts, key=_grade), "latest": attempts[-1], "first": attempts[0], None: None}[
            policy
        ]
        for attempt in attempts:
            if attempt is not kept:
                attempt.reason = "repeated" if kept is not None else "repeats-undecided"


def _grade(candidate: _Candidate) -> Fraction:
    """Return the grade by which attempts are compared; without one it is the worst."""
    try:
        return read_exact(candidate.record.grade.percent_min)
    except AmountError:
        return Fraction(-1)


def _replace_courses(candidates: Sequence[_Candidate], scheme: Scheme) -> None:
    """Let certificates stand for courses; each course is replaced once."""
    own = {
        candidate.record.specification.code
        for candidate in candidates
        if not candidate.reason and candidate.record.scheme.scheme_id == scheme.scheme_id
    }
    replacing = Replacing(scheme, own)
    for candidate in candidates:
        if candidate.reason not in ("", "no-credits"):
            continue
        granted = replacing.grant(candidate.record, candidate.view)
        if granted is not None:
            candidate.unit, candidate.exact, candidate.courses = (
                granted.unit,
                granted.credits,
                granted.courses,
            )
            candidate.reason = "" if granted.credits else "no-course-replaced"


def _capped(candidates: Sequence[_Candidate], scheme: Scheme) -> list[CountedRecord]:
    used: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    return [_count(candidate, scheme, used) for candidate in candidates]


def _count(candidate: _Candidate, scheme: Scheme, used: dict[tuple[str, str], Fraction]) -> CountedRecord:
    """Count one record within every cap, and take up the room that it uses."""
    record = candidate.record
    item = CountedRecord(
        sources=tuple(candidate.sources),
        record_id=record.record_id,
        title=record.titles[0].text if record.titles else "",
        unit=candidate.unit,
        exact=candidate.exact,
        counted=Fraction(0),
        reason=candidate.reason,
        courses=candidate.courses,
    )
    if candidate.reason:
        return item
    worth = scheme.rounding.round(candidate.exact) if scheme.rounds_items else candidate.exact
    counted, hit, places = worth, [], []
    for cap in scheme.counting.caps:
        if cap.unit != candidate.unit or (cap.kinds and record.kind not in cap.kinds):
            continue
        within = _within(cap, record, scheme.counting.term_starts)
        if within is None:
            return replace(item, reason="undated", caps=(cap.cap_id,))
        place = (cap.cap_id, within)
        room = cap.amount - used[place]
        if counted > room:
            hit.append(cap.cap_id)
        counted = min(counted, room)
        places.append(place)
    for place in places:
        used[place] += counted
    reason = "capped" if hit else ("below-minimum" if candidate.exact and not worth else "")
    return replace(item, counted=counted, reason=reason, caps=tuple(hit), remainder=worth - counted)


def _within(cap: CapRule, record: LearningRecord, term_starts: tuple[int, ...]) -> str | None:
    """Return the group of ``record`` within the cap's scope; ``None`` when its date does not tell."""
    awarded = record.award_date
    if cap.scope == "record":
        return f"{record.source_node}/{record.record_id}"
    if cap.scope == "issuer":
        identifiers = [f"{i.scheme}/{i.value}" for issuer in record.issuers for i in issuer.identifiers]
        names = [name.text for issuer in record.issuers for name in issuer.names]
        return next(iter([*identifiers, *names]), record.source_node)
    if cap.scope == "year":
        return str(awarded.year) if awarded.year else None
    if cap.scope == "term":
        if not (awarded.year and awarded.month):
            return None
        begun = [place for place, month in enumerate(term_starts) if month <= awarded.month]
        return f"{awarded.year}/{begun[-1]}" if begun else f"{awarded.year - 1}/{len(term_starts) - 1}"
    return ""
