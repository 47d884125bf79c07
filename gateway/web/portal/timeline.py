"""An archive as people read it: years, newest first; sums of credits by kind; words instead of codes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from creditexchange.v1 import archive_pb2
from creditexchange.v1.record_pb2 import (
    ISSUER_ROLE_AWARDED,
    RECORD_STATE_UNSPECIFIED,
    LearningRecord,
    RecordState,
)
from gateway.exchange.record_json import date_text, word
from gateway.policy.purposes import kind_word

UNITS: Mapping[str, Mapping[str, str]] = {
    "credit": {"en": "credits", "zh": "学分"},
    "point": {"en": "points", "zh": "积分"},
    "practice-credit": {"en": "practice credits", "zh": "实践学分"},
    "pe-credit": {"en": "physical education credits", "zh": "体育学分"},
    "hour": {"en": "hours", "zh": "学时"},
}
"""What common units of schemes are called; another is shown by its own name."""

Names = Mapping[str, Mapping[str, str]]
"""Names of nodes for people, by node id and language tag."""


@dataclass(frozen=True, slots=True)
class Item:
    """One record on the timeline."""

    source: str
    record_id: str
    kind: str
    title: str
    institution: str
    date: str
    original: str
    """Credits, grade and level as they were issued."""
    local: str
    """The same in the scheme of this node."""
    state: str
    is_certificate: bool
    number: str
    entry: archive_pb2.ArchiveRecord

    @property
    def is_good(self) -> bool:
        """Whether it holds now."""
        return self.state == "valid"


@dataclass(frozen=True, slots=True)
class Sum:
    """Credits of one kind, in one unit of this node's scheme; ``originals`` are sums as issued, by unit."""

    kind: str
    amount: str
    unit: str
    originals: Sequence[tuple[str, str]]
    untranslated: int
    """Records of the kind whose credits have no equivalent here."""


def items(records: Sequence[archive_pb2.ArchiveRecord], language: str, own: str) -> list[Item]:
    """Return the records for people, the newest first; ``own`` is the node that holds what nobody gave."""
    shown = [_item(each, language, own) for each in records]
    return sorted(shown, key=lambda item: (item.date or "0", item.title), reverse=True)


def years(shown: Sequence[Item]) -> list[tuple[str, list[Item]]]:
    """Return items by year; those without a date last, under an empty year."""
    grouped: dict[str, list[Item]] = defaultdict(list)
    for item in shown:
        grouped[item.date[:4]].append(item)
    return sorted(grouped.items(), reverse=True)


def sums(shown: Sequence[Item]) -> list[Sum]:
    """Return the credits of what holds, by kind and unit of this node's scheme."""
    totals: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    originals: dict[tuple[str, str], dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    missing: dict[str, int] = defaultdict(int)
    for item in shown:
        if not item.is_good or not item.entry.record.credits:
            continue
        amount, unit = _local_credit(item.entry)
        if amount is None:
            missing[item.kind] += 1
            continue
        totals[item.kind, unit] += amount
        for credit in item.entry.record.credits:
            value = _decimal(credit.as_issued)
            if value is not None:
                originals[item.kind, unit][_short(credit.unit)] += value
    kinds = sorted({kind for kind, _ in totals} | set(missing))
    found = [
        Sum(kind, _plain(total), unit, _originals(originals[of, unit], total, unit), missing[kind])
        for kind in kinds
        for (of, unit), total in totals.items()
        if of == kind
    ]
    return found + [Sum(k, "", "", (), missing[k]) for k in kinds if k not in {s.kind for s in found}]


def _item(entry: archive_pb2.ArchiveRecord, language: str, own: str) -> Item:
    record = entry.record
    state = record.status.state
    return Item(
        source=record.source_node or own,
        record_id=record.record_id,
        kind=kind_word(record.kind),
        title=in_language(record.titles, language) or record.record_id,
        institution=_institution(record, language),
        date=date_text(record.award_date) or date_text(record.end_date),
        original=_original(record, language),
        local=_local(entry, language),
        state="valid" if state == RECORD_STATE_UNSPECIFIED else word(RecordState, state, "RECORD_STATE_"),
        is_certificate=record.HasField("certificate"),
        number=record.certificate.number,
        entry=entry,
    )


def in_language(texts: Any, language: str) -> str:
    """Return a text in the reader's language, else in the first that there is."""
    known = [(text.language, text.text) for text in texts]
    fitting = [text for tag, text in known if tag.split("-")[0] == language]
    return str((fitting or [text for _, text in known] or [""])[0])


def name_of(node_id: str, names: Names, language: str) -> str:
    """Return what people call a node."""
    known = names.get(node_id, {})
    fitting = [text for tag, text in known.items() if tag.split("-")[0] == language]
    return (fitting or list(known.values()) or [node_id])[0]


def _institution(record: LearningRecord, language: str) -> str:
    awarding = [issuer for issuer in record.issuers if issuer.role == ISSUER_ROLE_AWARDED]
    chosen = (awarding or list(record.issuers))[:1]
    return in_language(chosen[0].names, language) if chosen else ""


def _original(record: LearningRecord, language: str) -> str:
    parts = [_amount(c.as_issued, c.unit, language) for c in record.credits if c.as_issued]
    if record.HasField("grade") and record.grade.as_issued:
        parts.append(record.grade.as_issued)
    parts += [level.as_issued for level in record.levels if level.as_issued]
    return " · ".join(parts)


def _local(entry: archive_pb2.ArchiveRecord, language: str) -> str:
    local = entry.local
    parts = [_amount(c.value, c.unit, language) for c in local.credits if c.value]
    if local.HasField("grade") and local.grade.value:
        parts.append(local.grade.value)
    parts += [level.value for level in local.levels if level.value]
    return " · ".join(parts)


def _local_credit(entry: archive_pb2.ArchiveRecord) -> tuple[Decimal | None, str]:
    for credit in entry.local.credits:
        amount = _decimal(credit.value)
        if amount is not None:
            return amount, _short(credit.unit)
    return None, ""


def _decimal(text: str) -> Decimal | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _originals(found: Mapping[str, Decimal], total: Decimal, unit: str) -> list[tuple[str, str]]:
    """Return the sums as issued; nothing where they are the same as here."""
    if dict(found) == {unit: total}:
        return []
    return [(_plain(value), unit) for unit, value in found.items()]


def _amount(value: str, unit: str, language: str) -> str:
    """Return an amount with its unit, unless it was written with one."""
    is_bare = _decimal(value) is not None
    return f"{value} {unit_in(language, _short(unit))}".strip() if is_bare else value


def unit_in(language: str, unit: str) -> str:
    """Return what a unit is called."""
    return UNITS.get(unit, {}).get(language, unit.replace("-", " "))


def _short(unit: str) -> str:
    return unit.rsplit("/", 1)[-1]
