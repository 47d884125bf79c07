"""``scheme compare``: where two provinces' schemes differ, and what a learner gets who moves."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from gateway.cli.output import Output, OutputOption, console, print_json, say, table
from gateway.cli.scheme_language import LANGUAGES, LanguageOption, SchemeLanguage
from gateway.schemes import Moved, Scheme, find_differences, load_scheme, move
from gateway.schemes.wording import loss_in_words, note_in_words


def compare(
    first: Annotated[Path, typer.Argument(help="Scheme of one province.")],
    second: Annotated[Path, typer.Argument(help="Scheme of the other.")],
    everything: Annotated[
        bool, typer.Option("--all", help="Also what moves without loss, not only what changes.")
    ] = False,
    language: LanguageOption = SchemeLanguage.en,
    output: OutputOption = Output.table,
) -> None:
    """Show where two schemes differ, and what a learner who moves gets for the same work.

    The first table lists every rule that is not the same. The others show, for each way, units,
    grades, kinds, levels and states of one province as the other shows them, with what is lost;
    without --all only those that change or have no equivalent.

    Example: credit-gateway scheme compare node_config/shanghai/scheme.toml
    node_config/jiangsu/scheme.toml
    """
    here, there = load_scheme(first), load_scheme(second)
    differences = find_differences(here, there)
    ways = [(here, there, move(here, there)), (there, here, move(there, here))]
    if output is Output.json:
        moving = [
            {"from": source.scheme_id, "to": target.scheme_id, "samples": [asdict(m) for m in moved]}
            for source, target, moved in ways
        ]
        first_name, second_name = (f"{s.scheme_id} {s.reference.version}" for s in (here, there))
        listed = [asdict(difference) for difference in differences]
        print_json({"first": first_name, "second": second_name, "differences": listed, "moving": moving})
        return
    words = LANGUAGES[language]
    rows = table(words["table"], words["rule"], here.scheme_id, there.scheme_id)
    for difference in differences:
        cells = (difference.table, difference.key, difference.first, difference.second)
        rows.add_row(*(Text(cell) for cell in cells))
    console.print(rows)
    for source, target, moved in ways:
        _print_way(source, target, moved if everything else _changed(moved), len(moved), language)


def _changed(moved: list[Moved]) -> list[Moved]:
    return [sample for sample in moved if sample.loss or sample.shown != sample.issued]


def _print_way(
    source: Scheme, target: Scheme, moved: list[Moved], total: int, language: SchemeLanguage
) -> None:
    words = LANGUAGES[language]
    say()
    say(words["way"].format(source.scheme_id, target.scheme_id, len(moved), total))
    rows = table(
        words["what"], source.scheme_id, target.scheme_id, words["exact"], words["lost"], words["why"]
    )
    for sample in moved:
        cells = (
            sample.what,
            sample.issued,
            f"{sample.shown}  {sample.unit}".rstrip() if sample.shown else words["untranslated"],
            sample.exact,
            loss_in_words(sample.loss, language.value),
            note_in_words(sample.note, language.value),
        )
        rows.add_row(*(Text(cell) for cell in cells))
    console.print(rows)
