"""A province's own database, on SQLite and on a real PostgreSQL, and the node's index beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from creditexchange.v1 import record_pb2 as pb
from gateway.learners.subject_token import FederationSecret, subject_token
from gateway.records import Registry
from gateway.records.source import StoredRecord
from gateway.records.sql_source import IndexReport, SqlMapping, SqlSource, build_index
from gateway.schemes import Scheme
from gateway.storage.engine import open_engine
from gateway.storage.foreign_database import ForeignDatabase
from gateway.storage.migrate import upgrade
from gateway.storage.node_tables import Database
from tests.postgres import fresh_database
from tests.records import synthetic
from tests.records.conftest import Desk

SECRET = FederationSecret("2026", bytes(range(32)))
STUDENTS = "CREATE TABLE students (student_no INTEGER PRIMARY KEY, id_card TEXT, name TEXT)"
RESULTS = (
    "CREATE TABLE results (id TEXT PRIMARY KEY, student_no INTEGER, course TEXT, points NUMERIC(4,1), "
    "mark TEXT, passed_on DATE, room TEXT)"
)
QUERY = (
    "SELECT r.id, r.course, r.points, r.mark, r.passed_on, r.room, s.name FROM results r "
    "JOIN students s ON s.student_no = r.student_no WHERE r.student_no = :learner"
)
MAPPING = SqlMapping(
    name="school",
    query=QUERY,
    learners="SELECT id_card AS learner_id, student_no AS learner_key FROM students ORDER BY student_no",
    columns={
        "record_id": "id",
        "title": "course",
        "credits": "points",
        "grade": "mark",
        "award_date": "passed_on",
        "holder_name": "name",
    },
    values={"kind": "课程", "grade_scale": "percentage", "status": "有效"},
    kinds=frozenset({pb.RECORD_KIND_COURSE}),
    learner_id_type="resident-id",
)


def token_of(number: int, secret: FederationSecret = SECRET) -> bytes:
    return subject_token(secret, "resident-id", synthetic.learner_id(number))


@dataclass
class School:
    """The school's database with its students' results, and a source over it."""

    url: str
    index: Database
    registry: Registry
    mapping: SqlMapping = MAPPING
    timeout_s: float = 5.0
    node_id: str = synthetic.NODE
    scheme: Callable[[], Scheme] = synthetic.scheme
    failures: list[str] = field(default_factory=list)
    opened: list[ForeignDatabase] = field(default_factory=list)

    def run(self, *statements: str) -> None:
        engine = create_engine(self.url)
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()

    def fill_more(self) -> None:
        """One student more."""
        self.fill(4, 4)

    def fill(self, last: int, first: int = 1) -> None:
        for number in range(first, last + 1):
            self.run(
                f"INSERT INTO students VALUES ({number}, '{synthetic.learner_id(number)}', '林思雨')",
                f"INSERT INTO results VALUES ('S-{number}-1', {number}, '高等数学', 2.5, '89', '2024-01-15', 'B{number}')",
                f"INSERT INTO results VALUES ('S-{number}-2', {number}, '大学物理', 3, '75', '2024-07-01', NULL)",
            )

    def foreign(self, **changes: object) -> ForeignDatabase:
        facts: dict[str, object] = {"timeout_s": self.timeout_s, "connections_max": 2}
        self.opened.append(ForeignDatabase(self.url, "", **(facts | changes)))  # type: ignore[arg-type]
        return self.opened[-1]

    def source(self, **changes: object) -> SqlSource:
        mapping = replace(self.mapping, **changes)  # type: ignore[arg-type]
        return SqlSource(
            mapping,
            self.foreign(),
            self.index,
            synthetic.RECORDS_KEY,
            self.node_id,
            self.scheme,
            lambda _name, error: self.failures.append(str(error)),
        )

    def build(self, secrets: Sequence[FederationSecret] = (SECRET,)) -> IndexReport:
        return build_index(self.mapping, self.foreign(), self.index, synthetic.RECORDS_KEY, secrets)

    def find(self, *numbers: int, **changes: object) -> list[list[StoredRecord]]:
        return self.source(**changes).find([token_of(number) for number in numbers], [pb.RECORD_KIND_COURSE])


@pytest.fixture(params=["sqlite", "postgresql"])
def school(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[School]:
    """Three students with two results each; the index is not built yet."""
    if request.param == "sqlite":
        yield from _school(f"sqlite:///{tmp_path / 'school.db'}", f"sqlite:///{tmp_path / 'records.db'}")
        return
    with fresh_database() as url, fresh_database() as index_url:
        yield from _school(url, index_url)


def _school(url: str, index_url: str) -> Iterator[School]:
    index = open_engine(index_url)
    upgrade(index, "records")
    registry = Registry(index)
    made = School(make_url(url).render_as_string(hide_password=False), index, registry)
    made.run(STUDENTS, RESULTS)
    made.fill(3)
    yield made
    for foreign in made.opened:
        foreign.close()
    registry.close()
    index.dispose()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A registry beside the school."""
    engine = open_engine(f"sqlite:///{tmp_path / 'registry.db'}")
    upgrade(engine, "records")
    registry = Registry(engine)
    yield Desk(registry, engine, tmp_path)
    registry.close()
    engine.dispose()
