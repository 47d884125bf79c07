"""``scheme count``: what the records of one learner count together in a scheme."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from creditexchange.v1.record_pb2 import LearningRecord
from gateway.cli.output import Output, OutputOption, console, print_json, say, table
from gateway.cli.scheme_language import LANGUAGES, LanguageOption, SchemeLanguage
from gateway.errors import CallerError
from gateway.schemes import (
    Count,
    CountedRecord,
    Scheme,
    UntranslatableError,
    count_records,
    load_scheme,
    translate_record,
)
from gateway.schemes.drafting import ProvinceFile, find_columns
from gateway.schemes.drafting.columns import local_record
from gateway.schemes.ratio import exact_text
from gateway.schemes.wording import reason_in_words

RECORDS_MAX = 10_000
"""Records of one learner."""


def count(
    scheme_file: Annotated[Path, typer.Argument(metavar="SCHEME", help="Scheme in which they count.")],
    files: Annotated[list[Path], typer.Argument(help="CSV files with records of one learner.")],
    issuers: Annotated[
        list[Path] | None,
        typer.Option("--issuer", help="Scheme that issued the records: one for all files, or one a file."),
    ] = None,
    language: LanguageOption = SchemeLanguage.en,
    output: OutputOption = Output.table,
) -> None:
    """Show what the records of one learner count together: each once, within every cap.

    Each record is named with what it is worth, what counts of it, and why it counts less or not at
    all: failed, repeated, superseded, cut off by a cap. A suggestion for whoever decides.

    Example: credit-gateway scheme count node_config/jiangsu/scheme.toml learner.csv
    --issuer node_config/zhejiang/scheme.toml
    """
    reader = load_scheme(scheme_file)
    schemes = [load_scheme(path) for path in issuers or [scheme_file]]
    if len(schemes) not in (1, len(files)):
        raise CallerError("give --issuer once for all files, or once for each.")
    issued = schemes if len(schemes) == len(files) else schemes * len(files)
    records: list[LearningRecord] = []
    learners: set[str] = set()
    for file, issuer in zip(files, issued, strict=True):
        for learner, record in _read(file, issuer):
            learners.add(learner)
            records.append(record)
        if len(learners - {""}) > 1 or len(records) > RECORDS_MAX:
            raise CallerError(
                f"{file.name}: it holds more than one learner.", remedy="Give the records of one."
            )
    counted = count_records(records, reader)
    if output is Output.json:
        print_json(_as_json(counted, reader))
    else:
        _print(counted, reader, language)


def _read(file: Path, issuer: Scheme) -> Iterator[tuple[str, LearningRecord]]:
    source = ProvinceFile(file)
    columns = find_columns(source.columns)
    learner = next((name for name, column in columns.items() if column == "learner_id"), "")
    for line, row in source.rows():
        try:
            shared = translate_record(local_record(row, columns, line, ""), issuer, issuer.scheme_id)
        except UntranslatableError as error:
            raise CallerError(f"{file.name}: line {line}: {error}.") from error
        yield row.get(learner, "").strip().upper(), shared


def _as_json(counted: Count, reader: Scheme) -> dict[str, object]:
    return {
        "scheme": f"{reader.scheme_id} {reader.reference.version}",
        "records": [
            {
                "record_id": r.record_id,
                "sources": list(r.sources),
                "unit": r.unit,
                "exact": exact_text(r.exact),
                "counted": exact_text(r.counted),
                "remainder": exact_text(r.remainder),
                "reason": r.reason,
                "caps": list(r.caps),
                "courses": dict(r.courses),
            }
            for r in counted.records
        ],
        "sums": {unit: exact_text(amount) for unit, amount in counted.sums.items()},
        "totals": {unit: exact_text(amount) for unit, amount in counted.totals.items()},
        "similar": [list(pair) for pair in counted.similar],
    }


def _print(counted: Count, reader: Scheme, language: SchemeLanguage) -> None:
    words = LANGUAGES[language]
    columns = ("record", "title", "unit", "exact", "counts", "remainder", "why")
    rows = table(*(words[column] for column in columns))
    for record in counted.records:
        cells = (
            record.record_id,
            record.title,
            record.unit,
            exact_text(record.exact) if record.unit else "",
            exact_text(record.counted),
            exact_text(record.remainder) if record.remainder else "",
            _why(record, language),
        )
        rows.add_row(*(Text(cell) for cell in cells))
    console.print(rows)
    for unit, amount in counted.totals.items():
        exact = counted.sums[unit]
        note = "" if exact == amount else f" ({exact_text(exact)}, {reader.rounding.text})"
        say(f"{words['total']}: {exact_text(amount)} {reader.scheme_id}/{unit}{note}")
    for first, second in counted.similar:
        say(words["similar"].format(first, second))


def _why(record: CountedRecord, language: SchemeLanguage) -> str:
    parts = [reason_in_words(record.reason, language.value), *record.caps]
    parts += [
        f"{code}: {reason_in_words(reason, language.value)}" if reason else code
        for code, reason in record.courses
    ]
    if len(record.sources) > 1:
        parts.append(f"({', '.join(record.sources)})")
    return " ".join(part for part in parts if part)
