"""The list of applicants, and the job: what is read, what is kept, what the results hold."""

from __future__ import annotations

import csv
import json
import tracemalloc
from pathlib import Path

import pytest

from bench.records_file import learner_id
from creditexchange.v1 import archive_pb2
from gateway.cli.bulk_input import read_applicants
from gateway.cli.bulk_job import Job, open_job, packed
from gateway.cli.bulk_run import BulkRun
from gateway.errors import CallerError, StorageError
from gateway.storage.bulk_job_rows import ANSWERED, FAILED, JobRow

GOOD, OTHER = learner_id(1), learner_id(2)


def written(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "list.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (f"{GOOD}\n{OTHER}\n", "utf-8"),
        (f"A1,{GOOD}\nA2,{OTHER}\n", "utf-8"),
        (f"A1,resident-id,{GOOD}\nA2,,{OTHER}\n", "utf-8"),
        (f"identifier,name,reference\n{GOOD},Nobody,A1\n{OTHER},Nobody,A2\n", "utf-8-sig"),
        (f"报名号,姓名,身份证号\nA1,无名氏,{GOOD}\nA2,无名氏,{OTHER}\n", "gb18030"),
        (f"reference,identifier\r\n\r\nA1,{GOOD}\r\n,\r\nA2,{OTHER}\r\n", "utf-8"),
        (f'reference,identifier\n"A,1",{GOOD}\n"A""2",{OTHER}\n', "utf-8"),
    ],
    ids=["plain", "two", "three", "named", "chinese", "blank-lines", "quoted"],
)
def test_lists_as_offices_write_them(tmp_path: Path, text: str, encoding: str) -> None:
    found = list(read_applicants(written(tmp_path, text, encoding)))
    assert [(a.identifier, a.identifier_type, a.problem) for a in found] == [
        (GOOD, "resident-id", ""),
        (OTHER, "resident-id", ""),
    ]


def test_bad_rows_are_named_by_line_and_do_not_stop_the_others(tmp_path: Path) -> None:
    bad = GOOD[:-1] + ("0" if GOOD[-1] != "0" else "1")
    lines = ["reference,identifier_type,identifier", f"A1,,{bad}", f"A2,,{OTHER}", "A3", f"A4,tattoo,{GOOD}"]
    found = list(read_applicants(written(tmp_path, "\n".join(lines))))
    assert [(a.line, bool(a.problem)) for a in found] == [(2, True), (3, False), (4, True), (5, True)]
    assert all(bad not in a.problem and GOOD not in a.problem for a in found)
    assert all(not a.identifier for a in found if a.problem)


def test_a_table_without_an_identifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="identifier"):
        read_applicants(written(tmp_path, "a,b,c,d\n1,2,3,4\n"))
    with pytest.raises(CallerError):
        read_applicants(tmp_path / "missing.csv")


def begin(folder: Path, text: str, peers: tuple[str, ...] = ("anhui", "shanghai"), terms: str = "t"):
    return open_job(folder / "out", read_applicants(written(folder, text)), peers, terms)


TEXT = f"reference,identifier\n=A1,{GOOD}\n@A2,{OTHER}\n"


def row(line: int, peer: str, state: int = ANSWERED, title: str = "Welding") -> JobRow:
    content = packed([{"title": {"en": title}}])
    return JobRow(line, peer, state, "OK" if state == ANSWERED else "UNREACHABLE", "", 1, bytes(16), content)


def lines_of(job: Job, peer: str) -> list[int]:
    return [applicant.line for applicant in job.pending(peer)]


def test_a_job_goes_on_where_it_was_and_keeps_the_first_answer(tmp_path: Path) -> None:
    with begin(tmp_path, TEXT) as (job, _):
        assert lines_of(job, "anhui") == lines_of(job, "shanghai") == [2, 3]
        job.keep([row(2, "anhui"), row(3, "anhui", FAILED)])
    with begin(tmp_path, TEXT) as (job, is_written):
        assert not is_written
        assert lines_of(job, "anhui") == [3]  # what failed is asked again, what is answered is not
        job.keep([row(2, "anhui", title="=another"), row(3, "anhui"), row(2, "shanghai"), row(3, "shanghai")])
        job.write_results()
        job.forget_contents()
    with begin(tmp_path, TEXT) as (job, is_written):
        assert is_written
        assert lines_of(job, "anhui") == []
    with (tmp_path / "out" / "results.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["reference"], r["peer"], r["titles"]) for r in rows] == [
        ("'=A1", "anhui", "Welding"),
        ("'=A1", "shanghai", "Welding"),
        ("'@A2", "anhui", "Welding"),
        ("'@A2", "shanghai", "Welding"),
    ]
    with (tmp_path / "out" / "results.jsonl").open(encoding="utf-8") as file:
        assert [json.loads(line)["reference"] for line in file] == ["=A1", "=A1", "@A2", "@A2"]
    for path in (tmp_path / "out").iterdir():
        assert GOOD.encode() not in path.read_bytes(), path.name
        if path.name != "job.sqlite.lock":
            assert path.stat().st_mode & 0o077 == 0, path.name
    assert b"Welding" not in (tmp_path / "out" / "job.sqlite").read_bytes()


def test_another_list_or_other_terms_need_another_folder(tmp_path: Path) -> None:
    with begin(tmp_path, TEXT):
        pass
    for changed in ({"text": TEXT + f"A3,{learner_id(3)}\n"}, {"peers": ("anhui",)}, {"terms": "other"}):
        with pytest.raises(CallerError, match="another"), begin(tmp_path, **({"text": TEXT} | changed)):
            pass


def test_two_runs_do_not_work_on_one_job(tmp_path: Path) -> None:
    with (
        begin(tmp_path, TEXT),
        pytest.raises(StorageError, match="another run"),
        begin(tmp_path, TEXT),
    ):
        pass


def test_a_long_list_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    """Read, worked off and written: what is held does not grow with the list."""
    held = []
    for count in (2_000, 20_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        text = "identifier\n" + "".join(f"{learner_id(number)}\n" for number in range(count))
        path = written(folder, text)
        del text
        tracemalloc.start()
        with open_job(folder / "out", read_applicants(path), ["anhui"], "t") as (job, _):
            for applicant in job.pending("anhui"):
                if applicant.line % 500 == 0:
                    job.keep([row(applicant.line, "anhui")])
            job.give_up("anhui", "UNREACHABLE", "away")
            job.write_results()
        held.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert held[1] < held[0] * 1.5 + 500_000


class UsedUp:
    """A node whose peer answers about the first learner of each query, and then has no quota left."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def get(self) -> UsedUp:
        return self

    def search_in_bulk(self, request: archive_pb2.SearchRecordsInBulkRequest):
        self.asked.append(len(request.learners))
        results = [archive_pb2.BulkResult(position=0, outcome="OK")]
        yield archive_pb2.SearchRecordsInBulkResponse(results=results)
        ending = archive_pb2.PeerResult(outcome="QUOTA_EXCEEDED", explanation="used up")
        yield archive_pb2.SearchRecordsInBulkResponse(peer=ending)


def test_a_quota_that_is_used_up_ends_the_run_at_once_and_the_next_run_goes_on(tmp_path: Path) -> None:
    applicants = read_applicants(
        written(tmp_path, "".join(f"{learner_id(n)}\n" for n in range(5))), "resident-id"
    )
    node = UsedUp()
    for day, answered in enumerate((1, 2, 3), 1):
        with open_job(tmp_path / "job", applicants, ["shanghai"], "terms") as (job, _):
            BulkRun(job, archive_pb2.SearchRecordsInBulkRequest(), node, patience_s=300).run()
            assert job.done_and_total("shanghai") == (answered, 5)
        assert len(node.asked) == day
    assert node.asked == [5, 4, 3]
