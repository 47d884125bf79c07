"""What the header of a table says its rows are: the record layout, or an upload of a university."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.errors import IntakeError
from gateway.records.intake.rows import Reading, RowShape, Shape, find_column_problems
from gateway.records.intake.uploads import UploadShape, find_layout, find_upload_problems


def shape_of(names: Sequence[str], reading: Reading | None, fail: Callable[[str, str], IntakeError]) -> Shape:
    """Return how the rows below a header are read.

    Raises:
        IntakeError: the header is wrong; everything that is wrong with it is named.
    """
    layout = find_layout(names)
    if layout is None or reading is None:
        problems = find_column_problems(names)
    else:
        problems = find_upload_problems(layout, names, reading)
    if problems:
        raise fail(f"line 1: {'; '.join(problems)}.", "See docs/records.md for the columns.")
    return RowShape(names) if layout is None or reading is None else UploadShape(layout, names, reading)
