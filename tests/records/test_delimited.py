"""What a CSV file can be like, and what is said about it: exact line, column and reason."""

from __future__ import annotations

import gzip
from contextlib import closing
from pathlib import Path

import pytest

from gateway.errors import CallerError, IntakeError
from gateway.records.intake.delimited import RECORD_LINES_MAX, read_rows
from gateway.records.intake.lines import LINE_BYTES_MAX, SourceFile
from gateway.records.intake.rows import FIELD_CHARACTERS_MAX, Row
from gateway.records.refusal import RefusedRow
from tests.records import synthetic

HEADER = "learner_id,record_id,kind,title\n"
QUOTES = "Put fields that hold commas, quotes or line ends in quotes, and double the quotes inside."
LONG = FIELD_CHARACTERS_MAX + 1


def read(folder: Path, data: str | bytes) -> list[Row | RefusedRow]:
    path = folder / "rows.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    with closing(SourceFile(path)) as source:
        return list(read_rows(source, synthetic.reading()))


def titles(rows: list[Row | RefusedRow]) -> list[str]:
    return [row.record.title for row in rows if isinstance(row, Row)]


def refusals(rows: list[Row | RefusedRow]) -> list[tuple[int, str, str]]:
    return [
        (refusal.line, refusal.column, refusal.reason)
        for row in rows
        if isinstance(row, RefusedRow)
        for refusal in row.refusals
    ]


@pytest.mark.parametrize(
    "data",
    [
        HEADER + "1,a,课程,高数\n",
        HEADER + "1,a,课程,高数",
        (HEADER + "1,a,课程,高数\n").replace("\n", "\r\n"),
        "\ufeff" + HEADER + "1,a,课程,高数\n",
        HEADER + '"1","a","课程","高数"\n',
        HEADER + "\n1,a,课程,高数\n\r\n",
    ],
    ids=["plain", "no last line end", "CRLF", "byte order mark", "all quoted", "empty lines"],
)
def test_forms_of_one_row(tmp_path: Path, data: str) -> None:
    (row,) = read(tmp_path, data)
    assert isinstance(row, Row)
    assert (row.identifier_type, row.identifier) == ("resident-id", "1")
    assert (row.record.record_id, row.record.kind, row.record.title) == ("a", "课程", "高数")


def test_a_field_may_hold_anything_in_quotes(tmp_path: Path) -> None:
    rows = read(tmp_path, HEADER + '1,a,k,"x, ""y""\r\nz"\n2,b,k,""\n')
    assert titles(rows) == ['x, "y"\r\nz', ""]
    assert [row.line for row in rows if isinstance(row, Row)] == [2, 4]


def test_originals_are_carried_in_the_order_of_the_columns(tmp_path: Path) -> None:
    header = "original.z,learner_id,record_id,original.a b,kind,title,original.empty\n"
    (row,) = read(tmp_path, header + " 1 ,1,a,二,k,t,\n")
    assert isinstance(row, Row)
    assert row.record.originals == (("z", " 1 "), ("a b", "二"))


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        ("learner_id,record_id,kind,titel", "unknown column 'titel'; did you mean title?"),
        (
            "learner_id,record_id,kind,title,Kredits",
            "unknown column 'Kredits'; did you mean credits? To carry it as it is, call it original.NAME",
        ),
        ("learner_id,kind", "missing column record_id, title"),
        ("learner_id,record_id,kind,title,title", "column 'title' stands twice"),
        ("learner_id,record_id,kind,title,", "column 5 has no name"),
        ("learner_id,record_id,kind,title,original.", "unknown column 'original.'"),
        ("learner_id;record_id;kind;title", "the columns are separated by semicolons"),
        ("learner_id\trecord_id\tkind\ttitle", "the columns are separated by tabs"),
        ("990001199003071231,a,课程,林思雨", "the first line is no header"),
        ("990001199003071231,record_id,kind,title", "unknown column '…'"),
        ('learner_id,"record_id', "line 1: the quotes of the header do not match."),
        ("learner_id,record_id,kind,title\x00", "character 32 of line 1 is a NUL"),
        (
            ",".join(["learner_id,record_id,kind,title"] + [f"original.{n}" for n in range(197)]),
            "201 columns",
        ),
    ],
)
def test_a_wrong_header_refuses_the_file(tmp_path: Path, header: str, complaint: str) -> None:
    with pytest.raises(IntakeError) as caught:
        read(tmp_path, header + "\nx,x,x,x\n")
    assert complaint in caught.value.message
    assert caught.value.message.startswith("rows.csv: line 1: ")
    assert "990001199003071231" not in str(caught.value)
    assert "林思雨" not in str(caught.value)


def test_everything_wrong_in_a_header_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(IntakeError) as caught:
        read(tmp_path, "learner_id,kynd,kynd,foo\n")
    assert caught.value.message.count(";") >= 3
    for part in (
        "'kynd'; did you mean kind",
        "'kynd' stands twice",
        "'foo'",
        "missing column record_id, kind",
    ):
        assert part in caught.value.message


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "rows.csv: the file is empty."),
        (b"\xef\xbb\xbf", "rows.csv: the file is empty."),
        (b"\n\n", "rows.csv: the file is empty."),
        (HEADER.encode(), "rows.csv: there are no rows below the header."),
        ((HEADER + "1,a,k,t\n").encode("utf-16"), "rows.csv: it is UTF-16."),
        ((HEADER + "1,a,k,t\n").encode("utf-16-be"), "rows.csv: it is UTF-16 or no text."),
        ((HEADER + "1,a,k,t\n").encode("utf-16-le"), "rows.csv: it is UTF-16 or no text."),
        (gzip.compress(HEADER.encode(), mtime=0), "rows.csv: it is compressed (gzip)."),
        (b"PK\x03\x04rest", "rows.csv: it is a ZIP archive or an Excel workbook."),
        (b"\xd0\xcf\x11\xe0rest", "rows.csv: it is an old Excel workbook."),
        ((HEADER + "1,a,k,t\n").replace("\n", "\r").encode(), "rows.csv: its lines end in CR alone."),
    ],
)
def test_what_is_no_such_file_is_refused_as_a_whole(tmp_path: Path, data: bytes, complaint: str) -> None:
    with pytest.raises(IntakeError) as caught:
        read(tmp_path, data)
    assert caught.value.message == complaint


def test_a_file_that_is_not_there_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="No such file"):
        SourceFile(tmp_path / "none.csv")
    with pytest.raises(CallerError, match="Is a directory"):
        list(read_rows(SourceFile(tmp_path), synthetic.reading()))


def test_wrong_encoding_is_named_by_byte_and_the_rest_is_read(tmp_path: Path) -> None:
    good, bad = "1,a,k,高数\n".encode(), "2,b,k,高数\n".encode("gb18030")
    offset = len(HEADER) + len(good) + len("2,b,k,")
    rows = read(tmp_path, HEADER.encode() + good + bad + good)
    assert refusals(rows) == [
        (3, "", f"byte {offset} of the file is not UTF-8; spreadsheets often write GB 18030")
    ]
    assert titles(rows) == ["高数", "高数"]


def test_the_byte_of_wrong_encoding_counts_the_byte_order_mark(tmp_path: Path) -> None:
    with pytest.raises(IntakeError, match="byte 9 of the file is not UTF-8"):
        read(tmp_path, b"\xef\xbb\xbflearne\xff\n")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("1,a,k\n", (2, "", "3 fields, the header has 4")),
        ("1,a,k,t,\n", (2, "", "5 fields, the header has 4")),
        ("x\n", (2, "", "1 field, the header has 4")),
        ("1,a,k,t\x00u\n", (2, "", "character 8 of line 2 is a NUL; no text has one")),
        ('1,a,"k"x,t\n', (2, "kind", f"text follows the end of a quoted field. {QUOTES}")),
        ('1,a,k,t "u" v\n', (2, "", f"a quote stands inside a field. {QUOTES}")),
        ('1,a,k,5"\n', (2, "", f"a quote stands inside a field. {QUOTES}")),
        ("1,a,k\r,t\n", (2, "kind", "a carriage return (CR) stands outside quotes")),
        (f"1,a,k,{'t' * LONG}\n", (2, "title", "the field is longer than 64 Ki characters")),
        (f"1,a,k,{'t' * LONG * 3}\n", (2, "", "a field is longer than 64 Ki characters")),
        (f"1,a,k,{'t' * LINE_BYTES_MAX}\n", (2, "", "line 2 is longer than 256 KiB")),
    ],
)
def test_one_broken_row_is_named_and_the_others_are_read(
    tmp_path: Path, body: str, expected: tuple[int, str, str]
) -> None:
    rows = read(tmp_path, HEADER + body + "2,b,k,good\n")
    assert refusals(rows) == [expected]
    assert titles(rows) == ["good"]


def test_a_quote_that_is_never_closed_is_named_where_it_opens(tmp_path: Path) -> None:
    rows = read(tmp_path, HEADER + '1,a,k,t\n2,b,"k,t\n3,c,k,t3\n4,d,k,t4\n')
    assert refusals(rows) == [
        (3, "kind", f"a quote is opened here and never closed (looked up to line 5). {QUOTES}")
    ]
    assert titles(rows) == ["t", "t3", "t4"]


def test_the_line_of_a_stray_quote_is_not_that_of_the_row(tmp_path: Path) -> None:
    rows = read(tmp_path, HEADER + '1,a,"k\nk","t\n2,b,k,t2\n')
    assert refusals(rows) == [
        (3, "title", f"a quote is opened here and never closed (looked up to line 4). {QUOTES}")
    ]
    assert titles(rows) == ["t2"]


def test_a_stray_quote_that_meets_another_swallows_nothing(tmp_path: Path) -> None:
    rows = read(tmp_path, HEADER + '1,a,k,"t\n2,b,k,t2\n3,c,"k3",t3\n')
    assert refusals(rows) == [(2, "title", f"text follows the end of a quoted field. {QUOTES}")]
    assert titles(rows) == ["t2", "t3"]


def test_a_stray_quote_is_given_up_after_so_many_lines(tmp_path: Path) -> None:
    rows = read(tmp_path, HEADER + '1,a,k,"t\n' + "2,b,k,t2\n" * (RECORD_LINES_MAX * 2))
    end = RECORD_LINES_MAX + 2
    assert refusals(rows) == [
        (2, "title", f"a quote is opened here and never closed (looked up to line {end}). {QUOTES}")
    ]
    assert len(titles(rows)) == RECORD_LINES_MAX * 2


def test_broken_quotes_everywhere_end_in_a_refusal_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.records.intake.delimited.QUOTE_FAULTS_MAX", 10)
    with pytest.raises(IntakeError, match="more than 10 rows have broken quotes"):
        read(tmp_path, HEADER + '1,a,"k"x,t\n' * 11)


def test_nobody_but_the_gateway_says_how_a_transcript_is_read(tmp_path: Path) -> None:
    with pytest.raises(IntakeError, match="only the gateway says how a foreign transcript is read"):
        read(tmp_path, HEADER.strip() + ",original.transcript.signature\n1,a,课程,高数,unaltered\n")
