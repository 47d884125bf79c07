"""The questions whose answers make a draft: few, each with a sensible default and what it accepts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from gateway.errors import CallerError
from gateway.schemes.declared import LEVEL_CODES
from gateway.schemes.drafting.columns import SKIP
from gateway.schemes.drafting.known_words import GRADE_WORDS, MEANING_OF
from gateway.schemes.drafting.survey import AMOUNT_COLUMNS, WORD_COLUMNS, Survey, number_in, split_number
from gateway.schemes.ratio import AmountError, exact_text, parse_amount, parse_ratio
from gateway.schemes.shared_words import HOUR_KINDS, KINDS, ROLES, STATES

Key = tuple[str, ...]
Answers = Mapping[Key, str]

STEPS = ("1", "0.5", "0.1", "0.01")
"""Steps that numbers are tried on, the coarsest first."""
NO_HOURS = "none"
MARKS = ("absent", "unknown", "withheld")
GRADE_MARKS = ("exempt", "deferred", "misconduct", "in-progress")
WORD_CHOICES: Mapping[str, tuple[str, ...]] = {
    "kinds": KINDS.words,
    "status": STATES.words,
    "hour_kinds": HOUR_KINDS.words,
    "issuer_roles": ROLES.words,
    **{f"levels.{name}": codes for name, codes in LEVEL_CODES.items()},
}
"""What the words of each table may mean."""
GRADE_CHOICES = ("passed", "failed", *GRADE_MARKS, "absent-from-examination", *MARKS)
PERCENTAGE_FROM = 5
"""A highest number above this is no grade point."""

_ID = re.compile(r"[a-z][a-z0-9-]{0,40}")
_VERSION = re.compile(r"[A-Za-z0-9._-]{1,32}")


@dataclass(frozen=True, slots=True)
class Question:
    """One question."""

    key: Key
    text: str
    text_zh: str
    default: str
    choices: tuple[str, ...] = ()
    """Answers that are accepted; none = whatever ``check`` accepts."""
    check: Callable[[str], None] = lambda _: None
    """Raises ``ValueError`` with what is wrong."""

    def accept(self, answer: str) -> str:
        """Return the answer.

        Raises:
            CallerError: it is not accepted; says what is.
        """
        answer = answer.strip()
        place = ".".join(self.key)
        if self.choices and answer not in self.choices:
            raise CallerError(f"{place}: {answer!r} is not one of: {', '.join(self.choices)}.")
        try:
            self.check(answer)
        except ValueError as error:
            raise CallerError(f"{place}: {error}.") from error
        return answer


Ask = Callable[[Question], str]


def ask_all(found: Survey, name: str, ask: Ask) -> dict[Key, str]:
    """Ask everything that a draft of ``found`` needs; ``name`` is that of the file."""
    answers: dict[Key, str] = {}
    for question in _questions(found, name, answers):
        answers[question.key] = ask(question)
    return answers


def _questions(found: Survey, name: str, answers: Mapping[Key, str]) -> Iterator[Question]:
    """Yield the questions; later ones depend on earlier answers."""
    yield from _about_the_scheme(found, name)
    yield from _about_credits(found, answers)
    if found.of("hours") and "hour_kind" not in found.words:
        text, text_zh = "Kind of the hours", "学时是哪种"
        yield Question(("scheme", "hour_kind"), text, text_zh, "class", (*HOUR_KINDS.words, SKIP))
    if "kind" not in found.words:
        text = "No column holds the kind. Which word shall all records have?"
        yield Question(("kind",), text, "没有类别列，全部记录用哪个词？", "课程")
        word = answers["kind",]
        yield _word("kinds", word, found.rows, KINDS.words)
    for column, table in WORD_COLUMNS.items():
        for word, count in found.of(column).most_common():
            if word == word.strip() and word not in MEANING_OF["value_marks"]:
                yield _word(table, word, count, WORD_CHOICES[table])
    yield from _about_grades(found)
    for word, count in _other_words(found):
        yield _word("value_marks", word, count, MARKS)


def _about_the_scheme(found: Survey, name: str) -> Iterator[Question]:
    stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    scheme_id = stem if _ID.fullmatch(stem) else "province"
    yield Question(("scheme", "id"), "Id of the scheme", "制度代号", scheme_id, check=_is_id)
    yield Question(("scheme", "name"), "Its name in Chinese", "中文名称", "学分制度（草案）", check=_is_there)
    yield Question(("scheme", "version"), "Its version", "版本", "1", check=_is_version)
    day = f"{found.first_year or 2020}-01-01"
    yield Question(("scheme", "effective_from"), "First day in force", "生效日期", day, check=_is_day)


def _about_credits(found: Survey, answers: Mapping[Key, str]) -> Iterator[Question]:
    for word, count in found.of("credit_unit").most_common():
        default = "point" if "积分" in word else word if _ID.fullmatch(word) else "credit"
        text = f"Which unit is {word!r} ({count:,} records)?"
        yield Question(
            ("credit_units", word), text, f"“{word}”是哪种单位（{count:,} 条）？", default, check=_is_id
        )
    likely = exact_text(found.ratios.most_common(1)[0][0]) if found.ratios else "16"
    for unit in dict.fromkeys(("credit", *(answers[key] for key in answers if key[0] == "credit_units"))):
        default = NO_HOURS if unit == "point" else likely
        text = f"Study hours of one {unit} ({NO_HOURS} = it measures no study time)"
        text_zh = f"1 个 {unit} 折合多少学习时数（{NO_HOURS} 表示不折合）"
        yield Question(("study_hours", unit), text, text_zh, default, check=_is_ratio_or_none)
    step = _step_of(found, "credits") if found.of("credits") else "0.5"
    yield Question(("rounding", "step"), "Credits are multiples of", "学分最小单位", step, check=_is_ratio)
    modes = ("floor", "half_up", "half_even")
    yield Question(("rounding", "mode"), "How they are rounded", "舍入方式", "half_up", modes)
    stages = ("item", "sum")
    yield Question(("rounding", "stage"), "What is rounded", "逐项舍入还是合计舍入", "item", stages)


def _about_grades(found: Survey) -> Iterator[Question]:
    numbers = [value for word in found.of("grade") if (value := _plain_number(word)) is not None]
    if numbers:
        default = "percentage" if max(numbers) > PERCENTAGE_FROM else SKIP
        text = "Numbers as grades are (grade points need a scale by hand)"
        choices = ("percentage", SKIP)
        yield Question(("grade", "numbers"), text, "数字成绩是（绩点须手工声明）", default, choices)
        step = _step_of(found, "grade")
        yield Question(
            ("grade", "step"), "Such grades are multiples of", "成绩最小单位", step, check=_is_ratio
        )
        yield Question(("grade", "pass"), "The lowest that passes", "及格线", "60", check=_is_percent)
    known = {word for _, words in GRADE_WORDS for word, _ in words}
    for word, count in found.of("grade").most_common():
        if _plain_number(word) is None and word not in known and word == word.strip():
            yield _word("grade_words", word, count, GRADE_CHOICES)


def _other_words(found: Survey) -> Iterator[tuple[str, int]]:
    """Yield what stands for an amount and is none, and known marks of the columns of words."""
    counts: dict[str, int] = {}
    for column in AMOUNT_COLUMNS:
        for word, count in found.of(column).items():
            if number_in(word) is None and word == word.strip():
                counts[word] = counts.get(word, 0) + count
    for column in WORD_COLUMNS:
        for word, count in found.of(column).items():
            if word in MEANING_OF["value_marks"] and column != "kind":
                counts[word] = counts.get(word, 0) + count
    yield from sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))


def _word(table: str, word: str, count: int, choices: tuple[str, ...]) -> Question:
    default = MEANING_OF.get(table, {}).get(word, SKIP)
    if table == "grade_words":
        mark = MEANING_OF["grade_marks"].get(word)
        default = (
            "absent-from-examination"
            if mark == "absent"
            else mark or MEANING_OF["value_marks"].get(word, SKIP)
        )
    text = f"What does {word!r} mean in {table} ({count:,} records)?"
    return Question(
        (table, word), text, f"{table}：“{word}”是什么意思（{count:,} 条）？", default, (*choices, SKIP)
    )


def _plain_number(word: str) -> Fraction | None:
    try:
        return parse_amount(word)
    except AmountError:
        return None


def _step_of(found: Survey, column: str) -> str:
    """Return the coarsest usual step on which the numbers of a column lie."""
    numbers = [value for word in found.of(column) if (value := number_in(word)) is not None]
    for step in STEPS:
        if all((value / Fraction(step)).denominator == 1 for value in numbers):
            return step
    return STEPS[-1]


def suffixes_of(found: Survey) -> tuple[str, ...]:
    """Return the words that follow numbers in the amounts of a file."""
    suffixes = {
        split_number(word.strip(" "))[1]: None
        for column in AMOUNT_COLUMNS
        for word in found.of(column)
        if number_in(word) is not None
    }
    return tuple(suffix for suffix in suffixes if suffix and suffix == suffix.strip())


def _is_id(answer: str) -> None:
    if not _ID.fullmatch(answer):
        raise ValueError("write lower-case letters, digits and hyphens, a letter first")


def _is_version(answer: str) -> None:
    if not _VERSION.fullmatch(answer):
        raise ValueError("write letters, digits, points, hyphens and underscores")


def _is_there(answer: str) -> None:
    if not answer:
        raise ValueError("it is empty")


def _is_day(answer: str) -> None:
    try:
        date.fromisoformat(answer)
    except ValueError as error:
        raise ValueError("write a day as YYYY-MM-DD") from error


def _is_ratio(answer: str) -> None:
    parse_ratio(answer)


def _is_ratio_or_none(answer: str) -> None:
    if answer != NO_HOURS:
        parse_ratio(answer)


def _is_percent(answer: str) -> None:
    if not 0 < parse_amount(answer) < 100:
        raise ValueError("write a number between 0 and 100")
