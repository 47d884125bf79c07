"""``scheme new`` and ``scheme coverage``: from a province's own file to a draft, and how far it reaches."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.schemes import load_scheme, parse_scheme
from gateway.schemes.drafting import (
    ProvinceFile,
    ask_all,
    find_columns,
    measure_coverage,
    survey,
    write_draft,
)
from tests.schemes.conftest import Command
from tests.schemes.samples import NODE_CONFIG, many_cases

LEARNER = "990099199604121228"
RECORDS = f"""姓名,身份证号,专业名称,课程名称,类别,教育层次代码,学分,学时,成绩,获得时间,毕业季,备注,学分单位
林思雨,{LEARNER},物流,高等数学,必修课,本科,4学分,64,89.5,2023-06,50,,学分
林思雨,{LEARNER},物流,英语,必修课,本科,3学分,48,良好,2023-06,50,,学分
林思雨,{LEARNER},物流,合唱,社区教育,本科,20,20,合格,2023-06,50,,积分
林思雨,{LEARNER},物流,实训,集中实践,大专,2学分,32,优,2023-06,50,,学分
林思雨,{LEARNER},物流,体育,必修课,本科,待补,32,缓考,2022-06,50,,学分
"""
ANSWERS = """
[scheme]
id = "hubei"
name = "湖北学分制度（草案）"
[columns]
"备注" = "skip"
[kinds]
"集中实践" = "experience"
[rounding]
step = "0.5"
mode = "floor"
[study_hours]
credit = "18"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "records.csv").write_text(RECORDS, encoding="utf-8")
    (tmp_path / "answers.toml").write_text(ANSWERS, encoding="utf-8")
    return tmp_path


def test_a_draft_by_defaults_is_a_sound_scheme(scheme: Command, folder: Path) -> None:
    ended = scheme("new", "records.csv", "--defaults")
    assert ended.status == 0
    assert "5 records: 3 translate fully (60.0 %), 1 in part, 1 would be refused" in ended.out
    drafted = load_scheme(folder / "scheme.toml")
    assert drafted.scheme_id == "records"
    assert not drafted.reference.official
    assert set(drafted.kinds) == {"必修课", "社区教育"}
    assert set(drafted.scales) == {"percentage", "five-level", "five-level-short", "two-level"}
    assert drafted.number_format.suffixes == ("学分",)
    assert str(drafted.units[0].study_hours) == "16"
    text = (folder / "scheme.toml").read_text(encoding="utf-8")
    assert "effective_from = 2022-01-01" in text
    assert LEARNER not in text + ended.out


def test_answers_decide_and_what_they_leave_open_is_the_default(scheme: Command, folder: Path) -> None:
    ended = scheme(
        "new", "records.csv", "--out", "hubei.toml", "--answers", "answers.toml", "--language", "zh"
    )
    assert ended.status == 0
    assert "4 条完全转换（80.0 %）" in ended.out
    drafted = load_scheme(folder / "hubei.toml")
    assert (drafted.scheme_id, drafted.rounding.text, drafted.title) == (
        "hubei",
        "0.5 floor",
        "湖北学分制度（草案）",
    )
    assert str(drafted.units[0].study_hours) == "18"


def test_no_file_is_overwritten(scheme: Command, folder: Path) -> None:
    (folder / "scheme.toml").write_text("mine", encoding="utf-8")
    ended = scheme("new", "records.csv", "--defaults")
    assert ended.status == 2
    assert "is there already" in ended.err
    assert (folder / "scheme.toml").read_text(encoding="utf-8") == "mine"
    (folder / "link.toml").symlink_to("nowhere.toml")
    assert scheme("new", "records.csv", "--defaults", "--out", "link.toml").status == 2
    assert not (folder / "nowhere.toml").exists()


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ('[kinds]\n"必修" = "course"', "not asked: kinds.必修"),
        ('[kinds]\n"必修课" = "lesson"', "kinds.必修课: 'lesson' is not one of: degree"),
        ('[rounding]\nstep = "0"', "rounding.step: a ratio must be positive"),
        ("[rounding]\nstep = 0.5", "rounding.step: write the answer as text"),
        ('[columns]\n"学分" = "credit"', "'credit' is no column of the record layout"),
        ('[columns]\n"学时" = "credits"\n"学分" = "credits"', "two columns are said to be 'credits'"),
        ('[columns]\n"分" = "credits"', "the file has no column '分'"),
        ('[scheme]\nid = "湖北"', "scheme.id: write lower-case letters"),
        ('[scheme]\neffective_from = "2020-02-30"', "write a day as YYYY-MM-DD"),
        ("[scheme", "answers.toml"),
        ('[study_hours]\ncredit = "none"\npoint = "none"', "draft"),
    ],
)
def test_a_wrong_answer_is_refused_and_nothing_is_written(
    scheme: Command, folder: Path, answers: str, complaint: str
) -> None:
    (folder / "answers.toml").write_text(answers, encoding="utf-8")
    ended = scheme("new", "records.csv", "--answers", "answers.toml")
    if complaint == "draft":  # a scheme without study hours is one that translates no credits
        assert ended.status == 0
        assert "3 in part" in ended.out
        return
    assert ended.status == 2
    assert complaint in ended.err
    assert sorted(path.name for path in folder.iterdir()) == ["answers.toml", "records.csv"]


def start(folder: Path) -> subprocess.Popen[str]:
    code = "from gateway.cli.main import run; run()"
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", code, "scheme", "new", "records.csv"],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_questions_at_a_terminal(folder: Path) -> None:
    process = start(folder)
    # 13 columns, then the id: a wrong one is asked again.
    out, err = process.communicate("\n" * 13 + "Hubei\nhubei\n" + "\n" * 60, timeout=60)
    assert process.returncode == 0, err
    assert "write lower-case letters" in err
    assert "What does '集中实践' mean in kinds (1 records)?" in out
    assert load_scheme(folder / "scheme.toml").scheme_id == "hubei"


def test_an_interrupt_leaves_nothing(folder: Path) -> None:
    process = start(folder)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.read(6) == "Column"  # it asks
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode not in (0, 70)
    assert "Traceback" not in err
    assert not (folder / "scheme.toml").exists()


def test_an_end_of_the_input_leaves_nothing(folder: Path) -> None:
    process = start(folder)
    _, err = process.communicate("\n\n", timeout=60)
    assert process.returncode not in (0, 70)
    assert "Traceback" not in err
    assert not (folder / "scheme.toml").exists()


def test_coverage_counts_words_without_a_rule(scheme: Command, folder: Path) -> None:
    scheme("new", "records.csv", "--defaults")
    more = RECORDS + "".join(
        f"林思雨,{LEARNER},物流,历史,必修课,博士后,1学分,16,{g},2023-06,,,\n" for g in ("良上", "良上", "90")
    )
    (folder / "more.csv").write_bytes(more.encode("gb18030"))
    ended = scheme("coverage", "scheme.toml", "more.csv", "--output", "json")
    assert ended.status == 1  # 集中实践 would be refused
    measured = json.loads(ended.out)
    assert (measured["records"], measured["full"], measured["partial"], measured["refused"]) == (8, 3, 4, 1)
    assert measured["full_share"] == "37.5"
    counts = {(entry["what"], entry["value"]): entry["records"] for entry in measured["unmapped"]}
    assert counts["levels.code", "博士后"] == 3
    assert counts["grade", "良上"] == 2
    assert counts["kind", "集中实践"] == 1
    assert measured["unmapped"][0]["value"] == "博士后"
    assert LEARNER not in ended.out


@pytest.mark.parametrize("province", ["zhejiang", "shanghai"])
def test_shipped_schemes_cover_their_example_records(scheme: Command, province: str) -> None:
    folder = NODE_CONFIG / province
    ended = scheme("coverage", str(folder / "scheme.toml"), str(folder / "records" / "education.csv"))
    assert ended.status == 0
    assert "(100.0 %), 0 in part, 0 would be refused" in ended.out


def test_an_identifier_in_a_wrong_column_is_not_shown(scheme: Command, folder: Path) -> None:
    ended = scheme("coverage", str(NODE_CONFIG / "zhejiang" / "scheme.toml"), "records.csv",
                   "--kind", "课程", "--column", "身份证号=education_level", "--column", "教育层次代码=original",
                   "--column", "类别=original")  # fmt: skip
    assert "looks like an identifier" in ended.out
    assert LEARNER not in ended.out + ended.err


def test_a_file_without_a_column_for_the_kind(scheme: Command, folder: Path) -> None:
    (folder / "courses.csv").write_text("课程名称,学分\n高等数学,4\n英语,3\n", encoding="utf-8")
    ended = scheme("new", "courses.csv", "--defaults")
    assert "2 records: 2 translate fully (100.0 %)" in ended.out
    assert set(load_scheme(folder / "scheme.toml").kinds) == {"课程"}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "first line is empty"),
        (b"\n\n", "first line is empty"),
        (b"x" * 10_000_000, "longer than any header"),
        ('"学分,学时\n1,2\n'.encode(), "line 1: unexpected end of data"),
        ("课程名称,学分\n".encode(), "no rows"),
        ("课程名称,学分\n高等数学\n".encode(), "line 2: 1 fields, the header has 2"),
        ('课程名称,学分\n"高等数学,4\n'.encode(), "line 2"),
        ("学分,学分\n1,2\n".encode(), "two columns are named '学分'"),
        ("学分,\n1,2\n".encode(), "a column has no name"),
        (b",".join([b"a%d" % n for n in range(300)]) + b"\n", "more than 200 columns"),
        (b"PK\x03\x04rest", "an Excel workbook"),
        ("学分\n".encode("utf-16"), "UTF-16"),
        (b'{"kind": "x"}\n', "it is JSON"),
        (b"a,b\n\xff\xff\xff,1\n", "neither UTF-8 nor GB 18030"),
        (b"a,b\n\x00,1\n", "neither UTF-8 nor GB 18030"),
        (b"a,b\n" + b"x" * 200_000 + b",1\n", "line 2: field larger"),
    ],
)  # fmt: skip
def test_files_that_are_none(scheme: Command, folder: Path, content: bytes, complaint: str) -> None:
    (folder / "records.csv").write_bytes(content)
    ended = scheme("new", "records.csv", "--defaults")
    assert ended.status == 2
    assert complaint in ended.err
    assert not (folder / "scheme.toml").exists()


def test_codes_without_a_list_are_named_in_the_draft_and_counted(scheme: Command, folder: Path) -> None:
    rows = (
        "课程名称,证书代码,院校代码,专业代码,field_scheme\n"
        + "证书甲,A1,S1,080901,majors\n" * 2
        + "证书乙,A2,S1,,\n丙,,,,\n"
    )
    (folder / "codes.csv").write_text(rows, encoding="utf-8")
    ended = scheme("new", "codes.csv", "--defaults")
    assert "4 records: 1 translate fully (25.0 %), 3 in part" in ended.out
    assert "no code_list of certificate codes is declared for it" in ended.out
    path = folder / "scheme.toml"
    text = path.read_text(encoding="utf-8")
    assert '# "A1" = "" # 2 records' in text
    assert "080901" not in text  # its list has a name of its own
    head, _, lists = text.partition("# 1 codes of kind institution")
    filled = "\n".join(
        line.removeprefix("# ") for line in lists.split("\n")[1:] if not line.startswith("# 2 codes")
    )
    for code in ("S1", "A1", "A2"):
        filled = filled.replace(f'"{code}" = ""', f'"{code}" = "shared-{code}"')
    path.write_text(head + filled.replace("\n#\n", "\n"), encoding="utf-8")
    assert (
        "4 records: 4 translate fully" in scheme("coverage", "scheme.toml", "codes.csv", "--kind", "课程").out
    )


def test_another_encoding_is_read_and_told(scheme: Command, folder: Path) -> None:
    (folder / "records.csv").write_bytes(RECORDS.encode("gb18030"))
    ended = scheme("new", "records.csv", "--defaults")
    assert "records.csv: read as GB 18030" in ended.out
    assert "3 translate fully" in ended.out


def test_missing_files(scheme: Command, folder: Path) -> None:
    assert "No such file" in scheme("new", "none.csv", "--defaults").err
    assert "No such file" in scheme("new", "records.csv", "--answers", "none.toml").err
    assert "No such file" in scheme("new", "records.csv", "--defaults", "--out", "no/where.toml").err


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), max_size=6)
cells = st.one_of(words, st.sampled_from(["3", "2.5学分", " 3", "优", "89.5", "无", "课程", "本科", "1e3"]))
HEADER = ("类别", "教育层次", "学分", "学时", "学时类型", "成绩", "状态", "学分单位", "证书等级", "获得时间")


@many_cases
@given(st.lists(st.tuples(*[cells] * len(HEADER)), min_size=1, max_size=6))
def test_whatever_stands_in_a_file_a_draft_by_defaults_is_sound(rows: list[tuple[str, ...]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerows([HEADER, *rows])
    with TemporaryDirectory() as name:
        path = Path(name) / "记录.csv"
        path.write_bytes(text.getvalue().encode())
        file = ProvinceFile(path)
        columns = find_columns(file.columns)
        found = survey(file, columns)
        answers = ask_all(found, path.stem, lambda question: question.accept(question.default))
        draft = parse_scheme(write_draft(found, answers, columns, path.name), "draft")
        measured = measure_coverage(file, columns, draft)
        assert measured.records == found.rows == len(rows)
        assert measured.records == measured.full + measured.partial + measured.refused
