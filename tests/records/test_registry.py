"""The registry on both engines: what is found, in which order, and how much of it."""

from __future__ import annotations

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from gateway.errors import StorageError
from gateway.learners.subject_token import subject_token
from gateway.records import Registry, StoredRecord, local_record_of
from gateway.storage.engine import open_engine, reading
from gateway.storage.migrate import require_current, upgrade, version_table
from gateway.storage.node_tables import Database
from gateway.storage.record_tables import RECORD_METADATA
from tests.records.conftest import Desk
from tests.records.synthetic import SECRET, learner_id, make_row, make_rows

COURSE, DEGREE = 3, 1
KINDS = range(1, 13)


def token(number: int) -> bytes:
    return subject_token(SECRET, "resident-id", learner_id(number))


def test_one_list_a_token_in_the_order_asked(any_desk: Desk) -> None:
    any_desk.take_rows(list(make_rows(40)))
    found = any_desk.registry.find([token(3), token(99), token(0), token(3)], KINDS)
    ids = [[record.record_id for record in records] for records in found]
    expected = [f"ZJ-{n:08d}" for n in range(40)]
    assert ids == [expected[30:], [], expected[:10], expected[30:]]


def test_only_the_kinds_asked(any_desk: Desk) -> None:
    any_desk.take_rows([make_row(0), make_row(1) | {"kind": "学位", "credits": "", "hours": ""}])
    registry = any_desk.registry
    assert [r.kind for r in registry.find([token(0)], [COURSE])[0]] == [COURSE]
    assert [r.kind for r in registry.find([token(0)], {DEGREE, 99})[0]] == [DEGREE]
    assert sorted(r.kind for r in registry.find([token(0)], frozenset(KINDS))[0]) == [DEGREE, COURSE]
    assert registry.find([token(0)], []) == [[]]
    assert registry.find([], KINDS) == []


def test_ids_are_ordered_by_code_point_on_every_engine(any_desk: Desk) -> None:
    ids = ["a", "B", "_", "é", "Z", "中", "𠮷", "\uffee", "1", "10", "2"]
    any_desk.take_rows([make_row(0) | {"record_id": one} for one in ids])
    (found,) = any_desk.registry.find([token(0)], KINDS)
    assert [record.record_id for record in found] == sorted(ids)
    assert [record.record_id for record in any_desk.registry.list_()] == sorted(ids)


def test_a_thousand_learners_in_one_call(any_desk: Desk) -> None:
    any_desk.take_rows(list(make_rows(3000)))
    tokens = [token(number) for number in range(1000)]
    found = any_desk.registry.find(tokens, KINDS)
    assert [len(records) for records in found] == [10] * 300 + [0] * 700


def test_pages_cover_everything_once(any_desk: Desk) -> None:
    any_desk.take_rows(list(make_rows(25)))
    seen: list[str] = []
    while page := any_desk.registry.list_(after=seen[-1] if seen else "", limit=10):
        assert len(page) <= 10
        seen += [record.record_id for record in page]
    assert seen == [f"ZJ-{n:08d}" for n in range(25)]


def test_totals_by_kind_scheme_and_learner(any_desk: Desk) -> None:
    degree = make_row(30) | {"kind": "学位", "credits": "", "hours": ""}
    any_desk.take_rows([*make_rows(30), degree])
    digest = any_desk.scheme.reference.digest
    totals = [(t.kind, t.scheme_digest, t.records, t.learners) for t in any_desk.registry.totals()]
    assert totals == [(DEGREE, digest, 1, 1), (COURSE, digest, 30, 3)]
    assert [(t.kind, t.records) for t in any_desk.registry.totals([token(0), b"x" * 32])] == [(COURSE, 10)]
    assert any_desk.registry.totals([token(77)]) == []
    assert any_desk.registry.count() == 31


def test_look_ups_go_on_while_an_import_writes(any_desk: Desk) -> None:
    any_desk.take_rows(list(make_rows(10)))

    def look(_done: int, _total: int, _rows: int) -> None:
        assert len(any_desk.registry.find([token(0)], KINDS)[0]) == 10

    assert any_desk.take_rows(list(make_rows(20)), progress=look).added == 10


def test_many_threads_look_up_at_once(any_desk: Desk) -> None:
    any_desk.take_rows(list(make_rows(100)))
    wrong: list[object] = []

    def look(number: int) -> None:
        for _ in range(50):
            (found,) = any_desk.registry.find([token(number)], KINDS)
            if [r.record_id for r in found] != [f"ZJ-{number * 10 + n:08d}" for n in range(10)]:
                wrong.append(found)

    threads = [threading.Thread(target=look, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_database_without_tables_is_a_storage_error() -> None:
    engine = open_engine("sqlite://")
    registry = Registry(engine)
    for ask in (registry.count, registry.totals, registry.list_, lambda: registry.find([b"x" * 32], KINDS)):
        with pytest.raises(StorageError, match="no tables"):
            ask()
    registry.close()
    engine.dispose()


def test_the_migration_makes_what_is_declared(database: Database) -> None:
    with reading(database) as connection:
        context = MigrationContext.configure(connection, opts={"version_table": version_table("records")})
        assert compare_metadata(context, RECORD_METADATA) == []
    upgrade(database, "records")
    require_current(database, "records")


def test_an_altered_record_is_a_storage_error() -> None:
    for original in (b"{", b"[]", b'{"x":"y"}', b'{"record_id":"a"}'):
        with pytest.raises(StorageError, match="not readable"):
            local_record_of(StoredRecord("a", COURSE, b"", b"", original))
