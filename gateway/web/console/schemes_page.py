"""*Schemes*: where two provinces differ, and how one value translates, rule by rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.responses import Response

from gateway.errors import CallerError, SchemeError
from gateway.schemes import (
    LocalRecord,
    Scheme,
    UntranslatableError,
    explain,
    find_differences,
    load_scheme,
    move,
)
from gateway.schemes.wording import (
    loss_in_words,
    note_in_words,
    place_in_words,
    rounding_in_words,
    value_in_words,
)
from gateway.web.console.sources import Sources
from gateway.web.console.visits import Visit
from gateway.web.site.words import Language

VALUES = ("kind", "credits", "hours", "grade", "education_level", "degree_level", "skill_level", "award_date")
"""Columns of a record that the form offers."""


@dataclass(frozen=True)
class SchemesPage:
    """Compare and explain."""

    sources: Sources

    def show(self, visit: Visit) -> Response:
        """Differences of two schemes, and one value if one was asked for."""
        files = self.sources.scheme_files()
        first, second = self._chosen(visit, files)
        language = visit.pages.preferences(visit.request).language
        here, problem = _load(files[first])
        there, other_problem = _load(files[second]) if second else (None, "")
        values = {name: visit.asked(name) for name in VALUES}
        steps, unknown = [], ""
        if here is not None and values["kind"]:
            try:
                record = LocalRecord(record_id="example", title="example", **values)  # type: ignore[arg-type]
                steps = [_step(step, language) for step in explain(record, here, there)]
            except UntranslatableError as error:
                unknown = f"{error.column}: {error.reason}"
        return visit.render(
            "schemes.html",
            names=list(files),
            first=first,
            second=second,
            problem=problem or other_problem,
            differences=find_differences(here, there) if here and there else [],
            moved=self._moved(here, there, language) if here and there else [],
            kinds=list(here.kinds) if here else [],
            values=values,
            steps=steps,
            unknown=unknown,
            official=[s.reference for s in (here, there) if s is not None],
        )

    def _chosen(self, visit: Visit, files: Mapping[str, Path]) -> tuple[str, str]:
        names = list(files)
        first = visit.asked("first") or names[0]
        others = [name for name in names if name != first]
        second = visit.asked("second") or (others[0] if others else "")
        if first not in files or (second and second not in files):
            raise CallerError("there is no such scheme.")
        return first, second

    def _moved(self, here: Scheme, there: Scheme, language: Language) -> list[dict[str, str]]:
        """Return what changes or is lost on the way from one scheme to the other."""
        return [
            {
                "what": sample.what,
                "issued": sample.issued,
                "shown": f"{sample.shown} {sample.unit}".strip(),
                "exact": sample.exact,
                "loss": loss_in_words(sample.loss, language),
                "note": note_in_words(sample.note, language),
            }
            for sample in move(here, there)
            if sample.loss or sample.shown != sample.issued
        ]


def _load(path: Path) -> tuple[Scheme | None, str]:
    try:
        return load_scheme(path), ""
    except SchemeError as error:
        return None, error.message


def _step(step: object, language: Language) -> dict[str, str]:
    def text(name: str) -> str:
        return str(getattr(step, name))

    return {
        "scheme": text("scheme"),
        "what": place_in_words(text("path"), language),
        "from": value_in_words(text("original"), language),
        "to": value_in_words(text("result"), language),
        "is_lost": "yes" if text("result") == "untranslated" else "",
        "exact": text("unrounded"),
        "rounding": rounding_in_words(text("rounding"), language),
        "loss": loss_in_words(text("loss"), language),
        "rule": text("rule"),
        "note": note_in_words(text("note"), language),
    }
