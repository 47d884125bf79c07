"""A province's own database as a source: found by token, never written, never waited for in vain."""

from __future__ import annotations

import threading
import time
import tracemalloc
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from creditexchange.v1 import record_pb2 as pb
from gateway.errors import StorageError
from gateway.exchange.asking.ask import ask
from gateway.learners.subject_token import FederationSecret
from gateway.records.records_key import RecordsKey
from gateway.records.ruling import Ruling
from gateway.records.source import local_record_of
from gateway.records.sources import Sources
from gateway.records.sql_source import SqlSource, build_index
from gateway.storage import foreign_database
from gateway.storage.engine import reading
from gateway.storage.foreign_database import QueryError, check_select, check_url
from tests.federation.simulator import Federation, make_federation
from tests.records import synthetic
from tests.records.conftest import Desk
from tests.sources.conftest import QUERY, School, token_of
from tests.sources.silenced_proxy import SilencedProxy


def test_records_are_found_by_token_and_in_order(school: School) -> None:
    assert school.build() == (3, 3, 0)
    second, nobody, first = school.find(2, 9, 1)
    assert [record.record_id for record in second] == ["S-2-1", "S-2-2"]
    assert nobody == []
    assert [record.record_id for record in first] == ["S-1-1", "S-1-2"]
    shared = pb.LearningRecord.FromString(first[0].translated)
    assert shared.titles[0].text == "高等数学"
    assert shared.credits[0].amount == "2.5"
    assert shared.grade.percent_min == "89"
    assert (shared.award_date.year, shared.award_date.month, shared.award_date.day) == (2024, 1, 15)
    assert [(each.name, each.value) for each in shared.originals] == [("room", "B1")]


def test_a_row_of_the_source_is_translated_exactly_like_an_imported_one(school: School, desk: Desk) -> None:
    school.build()
    (records,) = school.find(1)
    row = {
        "learner_id": synthetic.learner_id(1),
        "record_id": "S-1-1",
        "kind": "课程",
        "title": "高等数学",
        "holder_name": "林思雨",
        "credits": "2.5",
        "grade": "89",
        "grade_scale": "percentage",
        "award_date": "2024-01-15",
        "status": "有效",
        "original.room": "B1",
    }
    desk.take_text(",".join(row) + "\n" + ",".join(row.values()) + "\n")
    (imported,) = desk.registry.list_()
    assert records[0] == imported


def test_a_changed_row_is_seen_at_once_and_other_kinds_are_not_asked_for(school: School) -> None:
    school.build()
    school.run("UPDATE results SET mark = '100' WHERE id = 'S-1-1'")
    (records,) = school.find(1)
    assert local_record_of(records[0]).grade == "100"
    assert school.source().find([token_of(1)], [pb.RECORD_KIND_DEGREE]) == [[]]


def test_the_index_holds_no_identifier_and_no_key_in_clear(school: School, tmp_path: Path) -> None:
    school.run("UPDATE results SET student_no = 31415926 WHERE student_no = 1")
    school.run("UPDATE students SET student_no = 31415926 WHERE student_no = 1")
    school.build()
    assert len(school.find(1)[0]) == 2
    with reading(school.index) as connection:
        rows = connection.execute(text("SELECT * FROM source_learner")).all()
    stored = b"".join(
        bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
        for row in rows
        for value in row
    )
    stored += b"".join(path.read_bytes() for path in tmp_path.glob("records.db*"))
    assert token_of(1) in stored
    assert b"31415926" not in stored
    for number in (1, 2, 3):
        assert synthetic.learner_id(number).encode() not in stored
    other = SqlSource(
        school.mapping, school.foreign(), school.index, RecordsKey(bytes(32)), "zhejiang", synthetic.scheme
    )
    with pytest.raises(StorageError, match="records index"):
        other.find([token_of(1)], [pb.RECORD_KIND_COURSE])


def test_the_index_is_refreshed_as_a_whole(school: School) -> None:
    school.build()
    school.fill_more()
    assert school.find(4) == [[]], "not yet in the index"
    school.run(
        "DELETE FROM students WHERE student_no = 1", "UPDATE students SET id_card = 'x' WHERE student_no = 2"
    )
    assert school.build() == (3, 2, 1)
    assert [len(records) for records in school.find(4, 1, 2, 3)] == [2, 0, 0, 2]
    assert school.build() == (3, 2, 1)
    school.run("DROP TABLE students")
    with pytest.raises(StorageError):
        school.build()
    assert (
        len(
            school.source(
                query=QUERY.replace("JOIN students s ON s.student_no = r.student_no ", "").replace(
                    ", s.name", ", 'x' AS name"
                )
            ).find([token_of(3)], [pb.RECORD_KIND_COURSE])[0]
        )
        == 2
    )


def test_two_epochs_at_once(school: School) -> None:
    newer = FederationSecret("2027", bytes(range(1, 33)))
    assert school.build([newer, FederationSecret("2026", bytes(range(32)))]) == (3, 3, 0)
    tokens = [token_of(1), token_of(1, newer)]
    assert [len(records) for records in school.source().find(tokens, [pb.RECORD_KIND_COURSE])] == [2, 2]


def test_the_index_is_built_in_constant_memory(school: School) -> None:
    peaks = []
    for rows in (3_000, 15_000):
        numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) SELECT"
        mapping = school.mapping.__class__(
            **{name: getattr(school.mapping, name) for name in school.mapping.__slots__}
            | {"learners": f"{numbers} '{synthetic.learner_id(1)}' AS learner_id, i AS learner_key FROM n"}
        )
        foreign = school.foreign()
        tracemalloc.start()
        report = build_index(mapping, foreign, school.index, synthetic.RECORDS_KEY, [synthetic.SECRET])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert (report.rows, report.learners) == (rows, 1)
    assert peaks[1] < 1.5 * peaks[0], peaks


# Never written


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM results WHERE student_no = :learner",
        "SELECT 1 WHERE 1 = :learner; DELETE FROM results",
        "UPDATE results SET mark = '100' WHERE student_no = :learner",
        "WITH gone AS (SELECT 1) DELETE FROM results WHERE student_no = :learner",
        "PRAGMA query_only = OFF",
        "SELECT * FROM results",
        "SELECT :learner, :other",
        "",
        "SELECT " + "x," * 20_000 + ":learner",
    ],
)
def test_only_one_select_of_one_learner_is_taken(query: str) -> None:
    with pytest.raises(QueryError):
        check_select(query, has_parameter=True)


def test_selects_that_are_taken() -> None:
    for query in (QUERY, f"{QUERY};", "WITH a AS (SELECT 1 AS x) SELECT x FROM a WHERE x = :learner"):
        assert check_select(query, has_parameter=True) == query
    assert check_select("SELECT a::text FROM t -- all", has_parameter=False)


def test_the_session_cannot_write_even_if_the_query_could(school: School) -> None:
    school.build()
    for query in (
        "INSERT INTO results (id, student_no) VALUES ('new', :learner)",
        "DELETE FROM results WHERE student_no = :learner",
        "WITH gone AS (DELETE FROM results WHERE student_no = :learner RETURNING id) SELECT id FROM gone",
    ):
        with pytest.raises(StorageError, match="cannot be read"):
            school.find(1, query=query)
    engine = create_engine(school.url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM results")).scalar_one() == 6
    engine.dispose()


@pytest.mark.parametrize(
    "url", ["oracle://scott@host/db", "postgresql://a:secret@host/db", "nonsense", "mssql+pyodbc://host/db"]
)
def test_urls_that_are_not_taken(url: str) -> None:
    with pytest.raises(QueryError) as caught:
        check_url(url)
    assert "secret" not in str(caught.value)


# Broken and slow


def test_a_slow_source_is_given_up_in_time(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    school.build()
    school.timeout_s = 0.5
    slow = {
        "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS id FROM n WHERE i > :learner",
        "postgresql": "SELECT pg_sleep(60)::text AS id, :learner AS x",
    }[create_engine(school.url).dialect.name]
    source = school.source(query=slow)
    begun = time.monotonic()
    with pytest.raises(StorageError, match=r"did not answer|cannot be read"):
        source.find([token_of(1)], [pb.RECORD_KIND_COURSE])
    assert time.monotonic() - begun < 2
    begun = time.monotonic()
    with pytest.raises(StorageError, match="a moment ago"):
        source.find([token_of(1)], [pb.RECORD_KIND_COURSE])
    assert time.monotonic() - begun < 0.2, "a failed source holds nobody up"
    assert len(school.failures) == 2
    monkeypatch.setattr(foreign_database, "PAUSE_S", 0.0)
    again = school.source()
    assert len(again.find([token_of(1)], [pb.RECORD_KIND_COURSE])[0]) == 2


def test_a_server_that_falls_silent_is_cut_off(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the server's own limit nor a closed connection helps then: the waiting side gives up."""
    url = make_url(school.url)
    if url.get_backend_name() != "postgresql":
        return
    school.build()
    monkeypatch.setattr(foreign_database, "PAUSE_S", 0.0)
    with SilencedProxy(url) as proxy:
        school.url, school.timeout_s = proxy.url, 1.0
        source = school.source()
        assert len(source.find([token_of(1)], [pb.RECORD_KIND_COURSE])[0]) == 2
        proxy.is_silent.set()
        for _ in range(6):  # three times as many as there are connections
            begun = time.monotonic()
            with pytest.raises(StorageError):
                source.find([token_of(1)], [pb.RECORD_KIND_COURSE])
            assert time.monotonic() - begun < 2
        workers = [thread for thread in threading.enumerate() if thread.name.startswith("source")]
        assert len(workers) <= 2
        proxy.is_silent.clear()
        deadline = time.monotonic() + 20
        while True:
            try:
                assert len(source.find([token_of(1)], [pb.RECORD_KIND_COURSE])[0]) == 2
                break
            except StorageError:
                assert time.monotonic() < deadline


@pytest.mark.parametrize("url", ["mysql://reader@127.0.0.1:9/school", "mariadb://reader@127.0.0.1:9/school"])
def test_the_driver_for_mysql_is_found_and_an_absent_server_is_a_reason(url: str) -> None:
    foreign = foreign_database.ForeignDatabase(url, "password", timeout_s=1, connections_max=1)
    with pytest.raises(StorageError, match="cannot be read"):
        foreign.look_up("SELECT :learner", [1], 1)
    foreign.close()


def test_a_source_that_is_gone_or_lacks_a_table_is_a_reason_without_its_text(school: School) -> None:
    school.build()
    school.run("DROP TABLE results")
    with pytest.raises(StorageError, match=r"the source cannot be read \(\w+\)") as caught:
        school.find(1)
    assert "results" not in str(caught.value)
    school.url = "sqlite:////nowhere/school.db" if "sqlite" in school.url else "postgresql://x@127.0.0.1:9/x"
    with pytest.raises(StorageError, match="cannot be read"):
        school.find(1)


def test_somebody_unknown_costs_a_look_up_and_a_refusal_too(school: School) -> None:
    """Neither that the source is down nor how long it takes tells whether it knows a learner."""
    school.build()
    school.run("DROP TABLE results")
    with pytest.raises(StorageError):
        school.find(9)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE results SET room = '990001199003071231' WHERE id = 'S-1-1'", "identity number"),
        ("UPDATE results SET id = '' WHERE id = 'S-1-1'", "no record_id"),
        ("UPDATE results SET points = -1 WHERE id = 'S-1-1'", "does not fit the scheme: credits: "),
    ],
)
def test_records_that_may_not_leave(school: School, statement: str, reason: str) -> None:
    school.build()
    school.run(statement)
    with pytest.raises(StorageError, match=reason):
        school.find(1)
    assert len(school.find(2)[0]) == 2


# Several sources


def test_the_registry_comes_first(school: School, desk: Desk) -> None:
    school.build()
    row = synthetic.make_row(1, 1) | {"record_id": "S-1-2", "learner_id": synthetic.learner_id(1)}
    desk.take_rows([row, row | {"record_id": "A-1"}])
    desk.registry.rule("S-1-2", Ruling("revoked", "withdrawn", "2026-01-01"), desk.scheme, synthetic.NODE)
    (found,) = Sources([desk.registry, school.source()]).find([token_of(1)], [pb.RECORD_KIND_COURSE])
    assert [record.record_id for record in found] == ["A-1", "S-1-1", "S-1-2"]
    assert pb.LearningRecord.FromString(found[2].translated).status.state == pb.RECORD_STATE_REVOKED


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    return make_federation(tmp_path, "zhejiang", "shanghai", "anhui")


def test_peers_get_the_sources_records_and_a_reason_when_it_is_down(
    school: School, federation: Federation
) -> None:
    school.build()
    asker, shanghai, anhui = (federation[name] for name in ("zhejiang", "shanghai", "anhui"))
    learner = synthetic.learner_id(1)
    anhui.put(learner, "history")
    school.node_id, school.scheme = "shanghai", lambda: shanghai.snapshot.scheme
    shanghai.shelf = Sources([school.registry, school.source()])  # type: ignore[assignment]
    question = asker.question(learner_identifier=learner)
    archive = ask(question, asker.snapshot, asker.asking)
    assert {entry.record.record_id for entry in archive.records} == {"S-1-1", "S-1-2", "history"}
    of_school = next(entry.record for entry in archive.records if entry.record.record_id == "S-1-1")
    assert of_school.scheme.scheme_id == "shanghai", "translated by the node's scheme of that moment"

    school.run("DROP TABLE results")
    archive = ask(asker.question(learner_identifier=learner), asker.snapshot, asker.asking)
    assert {peer.node_id: peer.outcome for peer in archive.peers} == {
        "shanghai": "SOURCE_UNAVAILABLE",
        "anhui": "OK",
    }
    assert {entry.record.record_id for entry in archive.records} == {"history"}
    others = asker.question(learner_identifier=learner, kinds=(pb.RECORD_KIND_SKILL_LEVEL,))
    archive = ask(others, asker.snapshot, asker.asking)
    assert {peer.outcome for peer in archive.peers} == {"OK"}, (
        "kinds that the source never holds are answered"
    )
    for node in federation.nodes.values():
        node.log.close()
        node.log._database.dispose()
