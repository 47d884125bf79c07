"""A row that is written comes back verbatim, and is canonical JSON on the way."""

from __future__ import annotations

import csv
import io
import json
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.records.intake import delimited, json_lines
from gateway.records.intake.lines import SourceFile
from gateway.records.intake.rows import Row
from gateway.records.source import TEXT_FIELDS, StoredRecord, local_record_of, original_of
from gateway.schemes import LocalRecord
from tests.records import synthetic

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
AWKWARD = st.text(st.sampled_from("\",\n\r 中𠮷é\ue000'=;\t\u2028\x85\x1c"), max_size=12)
TEXT = st.one_of(ANY_TEXT, AWKWARD)
NEEDED = ("record_id", "kind", "title")
NAMES = st.lists(TEXT.filter(bool), unique=True, max_size=3)


@st.composite
def local_records(draw: st.DrawFn) -> LocalRecord:
    originals = tuple((name, draw(TEXT.filter(bool))) for name in draw(NAMES))
    texts = {name: draw(TEXT.filter(bool) if name in NEEDED else TEXT) for name in TEXT_FIELDS}
    return LocalRecord(**texts, originals=originals)


def columns_of(record: LocalRecord) -> dict[str, str]:
    texts = {name: getattr(record, name) for name in TEXT_FIELDS}
    return {"learner_id": "1", **texts, **{f"original.{name}": value for name, value in record.originals}}


def read_back(name: str, data: str) -> LocalRecord:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data.encode())
        reader = delimited.read_rows if name.endswith(".csv") else json_lines.read_rows
        with closing(SourceFile(path)) as source:
            (row,) = reader(source, synthetic.reading())
    assert isinstance(row, Row), row
    return row.record


@settings(max_examples=150, deadline=None)
@given(local_records())
def test_through_csv(record: LocalRecord) -> None:
    file = io.StringIO(newline="")
    columns = columns_of(record)
    writer = csv.writer(file, quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    writer.writerow(columns.values())
    assert read_back("rows.csv", file.getvalue()) == record


@settings(max_examples=150, deadline=None)
@given(local_records(), st.booleans())
def test_through_json_lines(record: LocalRecord, ascii_only: bool) -> None:
    assert read_back("rows.jsonl", json.dumps(columns_of(record), ensure_ascii=ascii_only)) == record


@settings(max_examples=150, deadline=None)
@given(local_records())
def test_through_the_registrys_own_form(record: LocalRecord) -> None:
    original = original_of(record)
    assert local_record_of(StoredRecord("", 0, b"", b"", original)) == record
    assert rfc8785.dumps(json.loads(original)) == original
