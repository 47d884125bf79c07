"""Puts the figures of a run into the pages of ``docs/``, between two comments that name them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown has it."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def put(page: str, name: str, text: str) -> None:
    """Replace what stands between ``<!-- NAME -->`` and ``<!-- end of NAME -->`` of a page.

    Raises:
        RuntimeError: the page has no such place.
    """
    path = DOCS / page
    place = re.compile(f"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    found, count = place.subn(lambda match: f"{match[1]}{text}\n{match[2]}", path.read_text(encoding="utf-8"))
    if count != 1:
        raise RuntimeError(f"{path} has no place for {name}")
    path.write_text(found, encoding="utf-8")


def told(results: dict[str, Any]) -> str:
    """Say when, and on what machine, ``results`` were measured."""
    machine = results["machine"]
    load = machine["load_average_1_5_15"][1]
    lookup = (
        f", a look-up in memory {machine['random_lookup_ns']} ns" if "random_lookup_ns" in machine else ""
    )
    return (
        f"Measured {results['at'][:10]} on {machine['cores']} cores of {machine['processor']}, "
        f"{machine['memory_gib']} GiB, {machine['system']}, Python {machine['python']}; "
        f"load average {load}{lookup}."
    )


def of_file(path: Path) -> dict[str, Any]:
    """Return results that were written earlier."""
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read
