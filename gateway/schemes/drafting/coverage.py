"""How much of a province's file a scheme translates, and which words it does not know yet."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from creditexchange.v1.record_pb2 import LearningRecord
from gateway.schemes.drafting.columns import local_record
from gateway.schemes.drafting.province_file import ProvinceFile
from gateway.schemes.drafting.survey import CODE_COLUMNS
from gateway.schemes.local_record import LocalRecord
from gateway.schemes.scheme import Scheme
from gateway.schemes.shared_words import LOSSES
from gateway.schemes.translate import translate_record
from gateway.schemes.untranslatable import UntranslatableError

UNMAPPED_MAX = 10_000
"""Different words that are counted; more are no words."""
WORD_CHARACTERS_MAX = 40

_IDENTIFIER = re.compile(r"[0-9A-Za-z]{12,}")


@dataclass(frozen=True, slots=True)
class Unmapped:
    """One word or value without a rule, and how many records have it."""

    what: str
    """Place in the shared model, or column of a refused record."""
    value: str
    records: int
    why: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """What would become of the records of a file."""

    records: int
    full: int
    """Every value translates."""
    partial: int
    """Some values stay untranslated, with their originals."""
    refused: int
    """Import would refuse the row."""
    unmapped: tuple[Unmapped, ...]
    """By falling number of records."""


def measure_coverage(
    file: ProvinceFile, columns: Mapping[str, str], scheme: Scheme, kind: str = ""
) -> Coverage:
    """Translate every row of ``file`` and count; nothing is kept.

    ``kind`` is the word for the kind where the file has no column for it.
    """
    full = partial = refused = 0
    counts: Counter[tuple[str, str, str]] = Counter()
    for line, row in file.rows():
        record = local_record(row, columns, line, kind)
        try:
            shared = translate_record(record, scheme, scheme.scheme_id)
        except UntranslatableError as error:
            refused += 1
            missing = {(error.column, _shown(getattr(record, error.column, "")), error.reason)}
        else:
            missing = {*_untranslated(shared), *_unlisted(record, shared)}
            full, partial = full + (not missing), partial + bool(missing)
        for entry in missing:
            if entry in counts or len(counts) < UNMAPPED_MAX:
                counts[entry] += 1
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    unmapped = tuple(Unmapped(what, value, number, why) for (what, value, why), number in ordered)
    return Coverage(full + partial + refused, full, partial, refused, unmapped)


def _untranslated(shared: LearningRecord) -> Iterable[tuple[str, str, str]]:
    for step in shared.trace:
        if step.loss and not step.result:
            value = step.original
            if step.path == "credits[0].study_hours" and shared.credits[0].unit:
                value = f"{shared.credits[0].unit}"
            yield re.sub(r"\[\d+\]", "", step.path), _shown(value), step.note or LOSSES.word(step.loss)


def _unlisted(record: LocalRecord, shared: LearningRecord) -> Iterator[tuple[str, str, str]]:
    """Yield codes of the province's own for which the scheme declares no list."""
    listed = {code.as_issued for code in shared.codes}
    for column, (of, list_column) in CODE_COLUMNS.items():
        code = getattr(record, column)
        if code and code not in listed and not (list_column and getattr(record, list_column)):
            yield column, _shown(code), f"no code_list of {of} codes is declared for it"


def _shown(value: str) -> str:
    """Return a value so that no identifier of a person is shown, whatever column was taken for which."""
    if len(value) > WORD_CHARACTERS_MAX:
        return f"(text of {len(value)} characters)"
    return "(looks like an identifier)" if _IDENTIFIER.fullmatch(value) else value
