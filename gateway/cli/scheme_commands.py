"""``scheme check|explain|compare|count|new|coverage``: a province's credit scheme."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from gateway.cli.output import EXIT_WRONG, Output, OutputOption, complain, console, print_json, say, table
from gateway.cli.scheme_compare_commands import compare
from gateway.cli.scheme_count_commands import count
from gateway.cli.scheme_draft_commands import coverage, new
from gateway.cli.scheme_language import LANGUAGES, LanguageOption, SchemeLanguage
from gateway.errors import CallerError, SchemeError
from gateway.schemes import LocalRecord, Step, UntranslatableError, explain, load_scheme
from gateway.schemes.wording import (
    loss_in_words,
    note_in_words,
    place_in_words,
    rounding_in_words,
    value_in_words,
)

scheme_app = typer.Typer(
    help="Credit schemes: check, compare or draft one, or see how one value translates.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@scheme_app.command("check")
def check(
    files: Annotated[list[Path], typer.Argument(help="Scheme files.")],
    output: OutputOption = Output.table,
) -> None:
    """Find everything that is wrong in scheme files, each with line, table and key.

    Bands that overlap or leave gaps, words mapped twice, ratios that are not positive, dates with
    holes, unknown keys (with the nearest known one), rounding that is not declared. Each line reads
    FILE:LINE: [table] key: what is wrong. Exit status 2 when anything is wrong.
    """
    results = []
    for file in files:
        try:
            scheme = load_scheme(file)
        except SchemeError as error:
            problems = [
                {"table": p.table, "key": p.key, "line": p.line, "text": p.text} for p in error.problems
            ]
            results.append({"file": str(file), "ok": False, "problems": problems})
            if output is Output.table:
                complain(error.message)
        else:
            results.append({"file": str(file), "ok": True, "problems": []})
            if output is Output.table:
                reference = scheme.reference
                remark = "" if reference.official else f" ({scheme.note or 'not official'})"
                say(f"{file}: ok, {reference.scheme_id} {reference.version}{remark}")
    if output is Output.json:
        print_json(results)
    if not all(result["ok"] for result in results):
        raise typer.Exit(EXIT_WRONG)


@scheme_app.command("explain")
def explain_value(
    file: Annotated[Path, typer.Argument(help="Scheme of the province that issued the record.")],
    kind: Annotated[str, typer.Option(help="The province's word for the kind, for example 课程.")],
    to: Annotated[Path | None, typer.Option(help="Scheme of the province that reads it.")] = None,
    credit: Annotated[str, typer.Option("--credits", help="Credits as issued.")] = "",
    credit_unit: Annotated[str, typer.Option(help="Unit of the credits, if not the kind's own.")] = "",
    hours: Annotated[str, typer.Option(help="Hours as issued.")] = "",
    hour_kind: Annotated[str, typer.Option(help="The province's word for the kind of hour.")] = "",
    grade: Annotated[str, typer.Option(help="Grade as issued.")] = "",
    grade_scale: Annotated[str, typer.Option(help="Scale of the grade, if more than one fits.")] = "",
    education_level: Annotated[str, typer.Option(help="Education level as issued.")] = "",
    degree_level: Annotated[str, typer.Option(help="Degree as issued.")] = "",
    skill_level: Annotated[str, typer.Option(help="Skill level as issued.")] = "",
    x_level: Annotated[str, typer.Option(help="Level of a 1+X certificate as issued.")] = "",
    framework_level: Annotated[str, typer.Option(help="Level of a qualifications framework as issued.")] = "",
    certificate_code: Annotated[str, typer.Option(help="Code of the certificate in its catalogue.")] = "",
    issuer_code: Annotated[str, typer.Option(help="Code of the institution.")] = "",
    issuer_code_scheme: Annotated[str, typer.Option(help="List in which that code stands.")] = "",
    field_code: Annotated[str, typer.Option(help="Code of the major or discipline.")] = "",
    field_scheme: Annotated[str, typer.Option(help="List in which that code stands.")] = "",
    status: Annotated[str, typer.Option(help="The province's word for the record's state.")] = "",
    award_date: Annotated[str, typer.Option(help="Date of the award; rules may depend on it.")] = "",
    language: LanguageOption = SchemeLanguage.en,
    output: OutputOption = Output.table,
) -> None:
    """Show step by step how values translate: into the shared model and into another scheme.

    Each row is one rule: what it was given, what it made of it, the exact result before rounding
    and what was lost. A value without a rule is shown as untranslated; it is never guessed.

    Example: credit-gateway scheme explain node_config/shanghai/scheme.toml
    --to node_config/zhejiang/scheme.toml --kind 课程 --credits 3 --grade 89
    """
    record = LocalRecord(
        record_id="example",
        kind=kind,
        title="example",
        credits=credit,
        credit_unit=credit_unit,
        hours=hours,
        hour_kind=hour_kind,
        grade=grade,
        grade_scale=grade_scale,
        education_level=education_level,
        degree_level=degree_level,
        skill_level=skill_level,
        x_level=x_level,
        framework_level=framework_level,
        certificate_code=certificate_code,
        issuer_code=issuer_code,
        issuer_code_scheme=issuer_code_scheme,
        field_code=field_code,
        field_scheme=field_scheme,
        status=status,
        award_date=award_date,
    )
    source, target = load_scheme(file), load_scheme(to) if to is not None else None
    try:
        steps = explain(record, source, target)
    except UntranslatableError as error:
        raise CallerError(f"--{error.column.replace('_', '-')}: {error.reason}.") from error
    if output is Output.json:
        print_json([{name: getattr(step, name) for name in step.__slots__} for step in steps])
        return
    _print_steps(steps, language)


def _print_steps(steps: list[Step], language: SchemeLanguage) -> None:
    """Print a row for each rule: number, from what to what, how it was rounded and what was lost."""
    words, spoken = LANGUAGES[language], language.value
    columns = ("step", "scheme", "what", "from", "to", "exact", "rounding", "lost", "rule")
    rows = table(*(words[column] for column in columns))
    for number, step in enumerate(steps, 1):
        note = note_in_words(step.note, spoken)
        cells = (
            str(number),
            step.scheme,
            place_in_words(step.path, spoken),
            value_in_words(step.original, spoken),
            value_in_words(step.result, spoken),
            step.unrounded,
            rounding_in_words(step.rounding, spoken),
            loss_in_words(step.loss, spoken),
            f"{step.rule}\n{note}" if note else step.rule,
        )
        rows.add_row(*(Text(cell) for cell in cells))
    console.print(rows)


scheme_app.command("compare")(compare)
scheme_app.command("count")(count)
scheme_app.command("new")(new)
scheme_app.command("coverage")(coverage)
