"""``scheme new|coverage``: a scheme for a province that has none yet, and how far one reaches."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from gateway.cli.output import EXIT_NO, Output, OutputOption, complain, console, print_json, say, table
from gateway.cli.scheme_language import LANGUAGES, LanguageOption, SchemeLanguage
from gateway.errors import CallerError
from gateway.schemes import Scheme, load_scheme
from gateway.schemes.drafting import (
    Coverage,
    ProvinceFile,
    Question,
    ask_all,
    measure_coverage,
    named_columns,
    survey,
    write_draft,
)
from gateway.schemes.drafting.columns import LAYOUT, LEARNER, ORIGINAL, SKIP, check_column
from gateway.schemes.drafting.province_file import ENCODINGS
from gateway.schemes.wording import note_in_words, place_in_words

UNMAPPED_SHOWN = 30
"""Words without a rule that are printed; JSON has all of them."""
ANSWERS_BYTES_MAX = 1024 * 1024

ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="NAME=COLUMN",
        help="What a column of the file is in docs/records.md, `original` or `skip`; may be given again.",
    ),
]


class Asker:
    """Answers questions from a file, from the defaults or from the person at the terminal."""

    def __init__(
        self, given: Mapping[tuple[str, ...], str], language: SchemeLanguage, *, defaults: bool
    ) -> None:
        self._given = given
        self._used: set[tuple[str, ...]] = set()
        self._language = language
        self._defaults = defaults

    def __call__(self, question: Question) -> str:
        """Return an accepted answer.

        Raises:
            CallerError: the file or the default gives one that is not accepted.
        """
        if question.key in self._given:
            self._used.add(question.key)
            return question.accept(self._given[question.key])
        if self._defaults:
            return question.accept(question.default)
        text = question.text if self._language is SchemeLanguage.en else question.text_zh
        if question.choices:
            say(f"  {', '.join(question.choices)}")
        while True:
            answer = typer.prompt(text, default=question.default, err=False)
            try:
                return question.accept(str(answer))
            except CallerError as error:
                complain(error.message)

    def refuse_unused(self) -> None:
        """Raise ``CallerError`` when the file answers what was never asked: it may be misspelt."""
        unused = sorted(".".join(key) for key in self._given if key not in self._used)
        if unused:
            raise CallerError(
                f"the answers hold what was not asked: {', '.join(unused)}.",
                remedy="Correct or remove it; nothing was written.",
            )


def new(
    file: Annotated[Path, typer.Argument(help="CSV of the province's records; UTF-8 or GB 18030.")],
    out: Annotated[Path, typer.Option("--out", help="Scheme file to write; must not be there.")] = Path(
        "scheme.toml"
    ),
    column: ColumnOption = None,
    answers: Annotated[
        Path | None, typer.Option(help="TOML file with answers by question, for example [kinds].")
    ] = None,
    defaults: Annotated[
        bool, typer.Option("--defaults", help="Take the default of whatever is not answered; asks nothing.")
    ] = False,
    language: LanguageOption = SchemeLanguage.en,
) -> None:
    """Draft a scheme from a file of the province's records, by questions with sensible defaults.

    Asks which column is which, what a credit is worth, how results are rounded, and what each word
    means; whatever is skipped stays untranslated. The draft is checked before it is written, and
    how much of the file it covers is shown. No file is ever overwritten; Ctrl-C leaves nothing.

    Answers for scripts are keys of a TOML file, by the names that the questions have:
    [columns], [scheme], [study_hours], [rounding], [kinds], [status], [grade_words] and so on.

    Example: credit-gateway scheme new records.csv --out scheme.toml --answers answers.toml --defaults
    """
    _refuse_existing(out)
    source = ProvinceFile(file)
    given = _read_answers(answers) if answers is not None else {}
    given |= {("columns", name): what for name, what in _columns(column).items()}
    _tell_encoding(source)
    asker = Asker(given, language, defaults=defaults or answers is not None)
    columns = _ask_columns(source, asker, given)
    found = survey(source, columns)
    if not found.rows:
        raise CallerError(f"{file.name}: there are no rows below the header.")
    said = ask_all(found, file.stem, asker)
    asker.refuse_unused()
    text = write_draft(found, said, columns, file.name)
    _write_new(out, text)
    say(f"{out}: written, a draft. Check it, then: credit-gateway scheme check {out}")
    _print_coverage(measure_coverage(source, columns, load_scheme(out), said.get(("kind",), "")), language)


def coverage(
    scheme_file: Annotated[Path, typer.Argument(metavar="SCHEME", help="Scheme file.")],
    file: Annotated[Path, typer.Argument(help="CSV of the province's records; UTF-8 or GB 18030.")],
    column: ColumnOption = None,
    kind: Annotated[str, typer.Option(help="Kind of all records, when no column holds it.")] = "",
    language: LanguageOption = SchemeLanguage.en,
    output: OutputOption = Output.table,
) -> None:
    """Show what share of a file's records translates fully, and which words have no rule yet.

    Reads every record as an import would, and keeps nothing. Words without a rule are listed by the
    number of records that have them. Exit status 1 when an import would refuse a record.

    Example: credit-gateway scheme coverage node_config/zhejiang/scheme.toml
    node_config/zhejiang/records/education.csv
    """
    scheme: Scheme = load_scheme(scheme_file)
    source = ProvinceFile(file)
    columns = named_columns(_columns(column), source.columns)
    if output is Output.table:
        _tell_encoding(source)
    measured = measure_coverage(source, columns, scheme, kind)
    if output is Output.json:
        shares = {"full_share": _share(measured.full, measured.records)}
        print_json({"encoding": source.encoding, "columns": columns, **asdict(measured), **shares})
    else:
        _print_coverage(measured, language)
    if measured.refused:
        raise typer.Exit(EXIT_NO)


def _tell_encoding(source: ProvinceFile) -> None:
    """Say so when a file is no UTF-8: one with a broken character may look like another encoding."""
    if source.encoding != ENCODINGS[0]:
        say(f"{source.path.name}: read as GB 18030")


def _ask_columns(source: ProvinceFile, asker: Asker, given: Mapping[tuple[str, ...], str]) -> dict[str, str]:
    stated = {key[1]: what for key, what in given.items() if key[0] == "columns" and len(key) == 2}
    usual = named_columns(stated, source.columns)
    choices = (*LEARNER, *LAYOUT, ORIGINAL, SKIP)
    answered = {
        name: asker(
            Question(
                ("columns", name),
                f"Column {name!r} is (a column of docs/records.md, {ORIGINAL} or {SKIP})",
                f"“{name}”列对应（docs/records.md 的列名、{ORIGINAL} 或 {SKIP}）",
                usual[name],
                check=_checked(choices),
            )
        )
        for name in source.columns
    }
    return named_columns(answered, source.columns)


def _checked(choices: tuple[str, ...]) -> Any:
    def check(answer: str) -> None:
        if answer not in choices:
            try:
                check_column(answer)
            except CallerError as error:
                raise ValueError(str(error).rstrip(".")) from error

    return check


def _columns(stated: list[str] | None) -> dict[str, str]:
    columns: dict[str, str] = {}
    for text in stated or ():
        name, equals, what = text.rpartition("=")
        if not equals or not name:
            raise CallerError(f"--column {text!r}: write NAME=COLUMN, for example 学分=credits.")
        columns[name] = what
    return columns


def _read_answers(path: Path) -> dict[tuple[str, ...], str]:
    try:
        with path.open("rb") as file:
            content = file.read(ANSWERS_BYTES_MAX + 1)
        if len(content) > ANSWERS_BYTES_MAX:
            raise CallerError(f"{path}: larger than 1 MiB: these are no answers.")
        return dict(_leaves(tomllib.loads(content.decode()), (), path))
    except OSError as error:
        raise CallerError(f"{path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, no TOML
        raise CallerError(f"{path}: {str(error) or 'no TOML'}.", remedy="Write TOML, UTF-8.") from error


def _leaves(data: Any, place: tuple[str, ...], path: Path) -> Iterator[tuple[tuple[str, ...], str]]:
    for key, value in data.items():
        here = (*place, key)
        if here[0] == "levels" and isinstance(value, dict) and len(here) == 2:
            here = (f"levels.{key}",)  # questions name the table of the scheme
        if isinstance(value, dict):
            yield from _leaves(value, here, path)
        elif isinstance(value, str):
            yield here, value
        else:
            raise CallerError(f"{path}: {'.'.join(here)}: write the answer as text in quotes.")


def _refuse_existing(out: Path) -> None:
    if out.exists() or out.is_symlink():
        raise CallerError(
            f"{out} is there already and is not overwritten.", remedy="Name another with --out."
        )


def _write_new(out: Path, text: str) -> None:
    """Write a file that was not there, whole or not at all."""
    try:
        with out.open("x", encoding="utf-8") as file:
            try:
                file.write(text)
            except BaseException:
                with suppress(OSError):
                    out.unlink()
                raise
    except FileExistsError:
        _refuse_existing(out)
    except OSError as error:
        raise CallerError(f"{out}: {error.strerror}.", remedy="Name another with --out.") from error


def _share(part: int, whole: int) -> str:
    """Return a share in percent with one decimal, rounded down: 100 only when nothing is missing."""
    tenths = part * 1000 // whole if whole else 0
    return f"{tenths // 10}.{tenths % 10}"


def _print_coverage(measured: Coverage, language: SchemeLanguage) -> None:
    words = LANGUAGES[language]
    say(
        words["coverage"].format(
            *(f"{n:,}" for n in (measured.records, measured.full)),
            _share(measured.full, measured.records),
            *(f"{n:,}" for n in (measured.partial, measured.refused)),
        )
    )
    if not measured.unmapped:
        return
    rows = table(words["records"], words["what"], words["value"], words["why"])
    for entry in measured.unmapped[:UNMAPPED_SHOWN]:
        why = note_in_words(entry.why, language.value)
        what = place_in_words(entry.what, language.value)
        rows.add_row(f"{entry.records:,}", *(Text(cell) for cell in (what, entry.value, why)))
    console.print(rows)
    if len(measured.unmapped) > UNMAPPED_SHOWN:
        say(f"… {len(measured.unmapped) - UNMAPPED_SHOWN:,}")
