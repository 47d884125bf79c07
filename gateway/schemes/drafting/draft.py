"""A scheme file from the answers about a province's records: complete, checked, and marked as a draft."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from fractions import Fraction

from gateway.schemes.drafting.columns import SKIP
from gateway.schemes.drafting.known_words import CONVERTIBILITY_OF, GRADE_WORDS
from gateway.schemes.drafting.questions import MARKS, NO_HOURS, Answers, suffixes_of
from gateway.schemes.drafting.survey import AMOUNT_COLUMNS, CODE_COLUMNS, Survey
from gateway.schemes.load import parse_scheme
from gateway.schemes.ratio import exact_text, parse_amount

_BANDS = ("excellent", "good", "medium", "pass")
_PERCENT_OF = {
    "excellent": ("90", "100"),
    "good": ("80", "90"),
    "medium": ("70", "80"),
    "pass": ("60", "70"),
    "fail": ("0", "60"),
}
CODES_SHOWN = 100
"""Codes of one list that a draft names, the commonest first."""
_UNCOUNTED = ("degree", "graduation", "leisure")
"""Kinds that usually have no credits of their own."""


def write_draft(found: Survey, answers: Answers, columns: Mapping[str, str], source: str) -> str:
    """Return the text of a scheme file, checked.

    Raises:
        SchemeError: the answers contradict one another.
    """
    text = "\n".join(
        [
            *_head(found, answers, columns, source),
            *_credits(found, answers),
            *_tables(found, answers),
            *_code_lists(found, columns),
        ]
    )
    parse_scheme(text + "\n", "the draft")
    return text + "\n"


def quoted(text: str) -> str:
    """Return ``text`` as a TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _head(found: Survey, answers: Answers, columns: Mapping[str, str], source: str) -> Iterator[str]:
    yield f"# Draft of a credit scheme, made from {found.rows:,} records of {quoted(source)}. Not official."
    yield "# Confirm every line; docs/schemes.md explains the keys. What was skipped stays untranslated."
    yield "#"
    yield "# Columns of that file = columns of the record layout (docs/records.md):"
    yield from (f"#   {quoted(name)} = {column}" for name, column in columns.items())
    yield "\n[scheme]"
    yield f"id = {quoted(answers['scheme', 'id'])}"
    yield f"version = {quoted(answers['scheme', 'version'])}"
    yield f"names = {{ zh-Hans = {quoted(answers['scheme', 'name'])} }}"
    if answers.get(("scheme", "hour_kind"), SKIP) != SKIP:
        yield f"hour_kind = {quoted(answers['scheme', 'hour_kind'])}"
    yield "official = false"
    yield 'note = "draft, not official"'
    yield 'source = "" # the regulation that declares this scheme'
    yield f"effective_from = {answers['scheme', 'effective_from']}"
    yield "\n[rounding]"
    yield from (f"{key} = {quoted(answers['rounding', key])}" for key in ("step", "mode", "stage"))
    blanks = any(word != word.strip(" ") for column in AMOUNT_COLUMNS for word in found.of(column))
    if blanks or suffixes_of(found):
        yield "\n[number_format]"
        yield f"surrounding_blanks = {str(blanks).lower()}"
        yield f"suffixes = [{', '.join(map(quoted, suffixes_of(found)))}]"


def _credits(found: Survey, answers: Answers) -> Iterator[str]:
    kinds = {answers[key] for key in answers if key[0] == "kinds"} - {SKIP}
    counted = sorted(kinds - set(_UNCOUNTED))
    for unit in (key[1] for key in answers if key[0] == "study_hours"):
        hours = answers["study_hours", unit]
        words = [
            key[1] for key in answers if key[0] == "credit_units" and answers[key] == unit and key[1] != unit
        ]
        yield "\n[[credit_unit]]"
        yield f"id = {quoted(unit)}"
        yield f"names = {{ en = {quoted(unit)} }}"
        if words:
            yield f"words = [{', '.join(map(quoted, words))}]"
        mine = counted if unit == "credit" else ["leisure"] if unit == "point" and "leisure" in kinds else []
        yield f"kinds = [{', '.join(map(quoted, mine))}]"
        if hours == NO_HOURS:
            yield 'no_ratio = "it measures no study time"'
        else:
            agreed = found.ratios.most_common(1)
            share = f" # so {agreed[0][1]:,} of {found.ratios.total():,} records" if agreed else " # confirm"
            yield f"study_hours = {quoted(hours)}{share}"


def _tables(found: Survey, answers: Answers) -> Iterator[str]:
    yield from _numeric_scale(answers)
    yield from _word_scales(found, answers)
    yield from _mapped("grade_marks", _grade_marks(answers))
    marks = _chosen(answers, "value_marks") | {
        word: meaning for word, meaning in _chosen(answers, "grade_words").items() if meaning in MARKS
    }
    yield from _mapped("value_marks", marks)
    yield "\n[kinds]"
    for word, kind in _chosen(answers, "kinds").items():
        entry = f"{{ kind = {quoted(kind)}, convertibility = {quoted(CONVERTIBILITY_OF[kind])} }}"
        yield f"{quoted(word)} = {entry}"
    tables = ["status", "hour_kinds", "issuer_roles"]
    tables += [
        f"levels.{name}" for name in ("education", "degree", "skill", "x-certificate", "qualification")
    ]
    for table in tables:
        yield from _mapped(table, _chosen(answers, table))


def _code_lists(found: Survey, columns: Mapping[str, str]) -> Iterator[str]:
    """Yield the codes that need a list, as comments: nobody but the province knows what they mean."""
    for column, (of, list_column) in CODE_COLUMNS.items():
        codes = found.of(column)
        if not codes or list_column in columns.values():
            continue
        yield f"\n# {len(codes):,} codes of kind {of} have no list. Fill in the shared ones and uncomment:"
        yield f'# [[code_list]]\n# of = "{of}"'
        if list_column:
            yield '# local = "local"'
        yield '# shared = "name-of-the-shared-list"\n#\n# [code_list.codes]'
        for code, count in codes.most_common(CODES_SHOWN):
            yield f'# {quoted(code)} = "" # {count:,} records'


def _chosen(answers: Answers, table: str) -> dict[str, str]:
    return {key[1]: answer for key, answer in answers.items() if key[0] == table and answer != SKIP}


def _mapped(table: str, words: Mapping[str, str]) -> Iterator[str]:
    if words:
        yield f"\n[{table}]"
        yield from (f"{quoted(word)} = {quoted(meaning)}" for word, meaning in words.items())


def _grade_marks(answers: Answers) -> dict[str, str]:
    words = _chosen(answers, "grade_words")
    marks = {
        word: "absent" if meaning == "absent-from-examination" else meaning for word, meaning in words.items()
    }
    return {word: mark for word, mark in marks.items() if words[word] not in (*MARKS, "passed", "failed")}


def _numeric_scale(answers: Answers) -> Iterator[str]:
    if answers.get(("grade", "numbers")) != "percentage":
        return
    passing = parse_amount(answers["grade", "pass"])
    yield "\n[[grade_scale]]"
    yield 'id = "percentage"\nnames = { zh-Hans = "百分制" }\ntype = "numeric"\nmin = "0"\nmax = "100"'
    yield f"step = {quoted(answers['grade', 'step'])}\npass = {quoted(answers['grade', 'pass'])}"
    yield "is_percentage = true\nbands = ["
    above = Fraction(100)
    for band in _BANDS:
        low = passing if band == "pass" else parse_amount(_PERCENT_OF[band][0])
        if passing <= low < above:
            yield _band(low, above, band)
            above = low
    if above != passing:
        yield _band(passing, above, "pass")
    yield _band(Fraction(0), passing, "fail")
    yield "]"


def _band(low: Fraction, high: Fraction, band: str) -> str:
    return f'    {{ from = "{exact_text(low)}", to = "{exact_text(high)}", band = "{band}" }},'


def _word_scales(found: Survey, answers: Answers) -> Iterator[str]:
    """Yield the usual scales whose words stand in the file; a word stands on one scale only."""
    graded, taken = set(found.of("grade")), set[str]()
    for scale_id, words in GRADE_WORDS:
        own = tuple((word, meaning) for word, meaning in words if word not in taken)
        if graded & {word for word, _ in own}:
            yield from _word_scale(scale_id, own)
            taken |= {word for word, _ in own}
    others = {
        word: status
        for word, status in _chosen(answers, "grade_words").items()
        if status in ("passed", "failed")
    }
    if others:
        yield from _word_scale("words", tuple(others.items()))


def _word_scale(scale_id: str, words: tuple[tuple[str, str], ...]) -> Iterator[str]:
    yield f'\n[[grade_scale]]\nid = "{scale_id}"\nnames = {{ en = "{scale_id}" }}'
    yield 'type = "labels"\nlabels = ['
    for word, meaning in words:
        if meaning in ("passed", "failed"):
            yield f'    {{ word = {quoted(word)}, status = "{meaning}" }},'
        else:
            status = "failed" if meaning == "fail" else "passed"
            low, high = _PERCENT_OF[meaning]
            interval = f'percent_min = "{low}", percent_max = "{high}"'
            yield f'    {{ word = {quoted(word)}, status = "{status}", band = "{meaning}", {interval} }},'
    yield "]"
