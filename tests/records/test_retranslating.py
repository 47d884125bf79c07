"""After a corrected scheme every record is translated again: whole, resumable, past every other writer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from creditexchange.v1.record_pb2 import RECORD_STATE_REVOKED, LearningRecord
from gateway.node.assemble import assemble
from gateway.node.retranslate import Retranslator
from gateway.node.state import load_policy
from gateway.records.registry import Registry
from gateway.records.retranslating import BATCH_RECORDS, count_outdated, retranslate
from gateway.records.ruling import Ruling
from gateway.schemes import Scheme, parse_scheme
from gateway.storage import registry_rows
from gateway.storage.engine import open_engine, reading
from tests.processes.provinces import make_node
from tests.records.conftest import Desk, run
from tests.records.synthetic import NODE, SCHEME_FILE, make_row, make_rows, write_csv

CORRECTED = SCHEME_FILE.read_text(encoding="utf-8").replace('version = "2026.1"', 'version = "2026.2"')


@pytest.fixture
def newer() -> Scheme:
    return parse_scheme(CORRECTED, "scheme.toml")


def versions(registry: Registry) -> list[str]:
    """The version that each stored record names; each is whole and of the digest beside it."""
    found, after = [], ""
    while page := registry.list_(after=after, limit=1000):
        for record in page:
            shared = LearningRecord.FromString(record.translated)
            assert shared.scheme.digest == record.scheme_digest
            assert {step.scheme.version for step in shared.trace if step.scheme.version} == {
                shared.scheme.version
            }
            found.append(shared.scheme.version)
        after = page[-1].record_id
    return found


def test_records_become_what_an_import_would_make_of_them(any_desk: Desk, newer: Scheme) -> None:
    any_desk.take_rows(list(make_rows(250)))
    any_desk.registry.rule("ZJ-00000007", Ruling("revoked", "withdrawn", "2026-01-01"), any_desk.scheme, NODE)
    seen = []
    result = retranslate(any_desk.registry, newer, NODE, progress=seen.append)
    assert (result.done, result.unfit, result.is_complete) == (250, 0, True)
    assert [each.done for each in seen] == [100, 200, 250]
    assert set(versions(any_desk.registry)) == {"2026.2"}
    before = {record.record_id: record.translated for record in any_desk.registry.list_(limit=1000)}
    assert LearningRecord.FromString(before["ZJ-00000007"]).status.state == RECORD_STATE_REVOKED
    assert any_desk.take_rows(list(make_rows(250)), scheme=newer).unchanged == 250
    assert {r.record_id: r.translated for r in any_desk.registry.list_(limit=1000)} == before
    assert retranslate(any_desk.registry, newer, NODE).done == 0


def test_a_run_that_ended_goes_on_where_it_was(any_desk: Desk, newer: Scheme) -> None:
    any_desk.take_rows(list(make_rows(250)))
    answers = iter([True, False])
    first = retranslate(any_desk.registry, newer, NODE, goes_on=lambda: next(answers))
    assert (first.done, first.is_complete) == (BATCH_RECORDS, False)
    found = versions(any_desk.registry)
    assert (found.count("2026.1"), found.count("2026.2")) == (150, 100)
    assert count_outdated(any_desk.registry, newer) == 150
    assert retranslate(any_desk.registry, newer, NODE).done == 150
    assert set(versions(any_desk.registry)) == {"2026.2"}


def test_what_another_writer_changed_meanwhile_is_left_to_it(any_desk: Desk, newer: Scheme) -> None:
    """The import's content and the ruling win over a translation of what was there before."""
    registry = any_desk.registry
    any_desk.take_rows(list(make_rows(3)))
    with reading(any_desk.database) as transaction:
        rows = registry_rows.outdated_rows(transaction, newer.reference.digest, 0, 10)
    any_desk.take_rows([make_row(1) | {"grade": "77"}], replace=True)
    registry.rule("ZJ-00000002", Ruling("revoked", "withdrawn", "2026-01-01"), any_desk.scheme, NODE)
    stale = [(b"stale", newer.reference.digest, row[1], row[4], row[5], row[3]) for row in rows]
    registry_rows.replace_translations(any_desk.database, stale)
    stored = {record.record_id: record.translated for record in registry.list_()}
    assert stored["ZJ-00000000"] == b"stale"
    assert LearningRecord.FromString(stored["ZJ-00000001"]).grade.as_issued == "77"
    assert LearningRecord.FromString(stored["ZJ-00000002"]).status.state == RECORD_STATE_REVOKED


def test_records_that_do_not_fit_stay_whole_in_their_old_version(opened: Desk) -> None:
    opened.take_rows([*make_rows(3), make_row(3) | {"kind": "学位", "credits": "", "credit_unit": ""}])
    without = "\n".join(line for line in CORRECTED.splitlines() if not line.startswith('"学位" ='))
    opened.scheme = parse_scheme(without, "scheme.toml")
    result = run("retranslate")
    assert result.exit_code == 1
    assert "3 records translated again by scheme 2026.2" in result.stdout
    assert "1 records do not fit the scheme: kind: unknown kind" in result.stderr
    found = versions(opened.registry)
    assert (found.count("2026.1"), found.count("2026.2")) == (1, 3)


def test_a_running_node_follows_its_scheme(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_node(tmp_path, "zhejiang", records=True).folder
    node = assemble(folder)
    thread = Retranslator(node, poll_s=0.01)
    outdated = node.metrics.records_outdated._value
    try:
        held = node.registry.count()
        assert held > BATCH_RECORDS / 10
        thread.catch_up()
        assert outdated.get() == 0
        text = folder.scheme.read_text(encoding="utf-8")
        folder.scheme.write_text(text.replace('version = "2026.1"', 'version = "2026.2"'), encoding="utf-8")
        node.adopt(*load_policy(folder, node.config))
        with node.registry.importing("held.csv", 0, epoch="2026", scheme_digest=b""):
            thread.catch_up()  # an import holds the database: tried again later
            assert set(versions(node.registry)) == {"2026.1"}
            assert outdated.get() == held
        thread.start()
        deadline = time.monotonic() + 30
        while set(versions(node.registry)) != {"2026.2"}:
            assert time.monotonic() < deadline
        thread.stop()
        assert not thread.is_alive()
        assert outdated.get() == 0
    finally:
        node.close()


def test_a_killed_run_leaves_every_record_whole_and_is_resumed(tmp_path: Path) -> None:
    folder = make_node(tmp_path, "zhejiang", records=False).folder
    command = [sys.executable, "-m", "gateway.cli.main", "records"]
    path = write_csv(tmp_path / "rows.csv", make_rows(4_000))
    subprocess.run(
        [*command, "import", str(path), "--node", str(folder.root)], check=True, capture_output=True
    )
    folder.scheme.write_text(
        folder.scheme.read_text(encoding="utf-8").replace('version = "2026.1"', 'version = "2026.2"'),
        encoding="utf-8",
    )
    engine = open_engine(f"sqlite:///{folder.root / 'data' / 'records.db'}")
    registry = Registry(engine)
    newer = parse_scheme(folder.scheme.read_text(encoding="utf-8"), "scheme.toml")
    killed = subprocess.Popen([*command, "retranslate", "--node", str(folder.root)], stdout=subprocess.PIPE)
    while count_outdated(registry, newer) == 4_000:
        assert killed.poll() is None
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert killed.stdout is not None
    killed.stdout.close()
    found = versions(registry)
    assert len(found) == 4_000
    assert 0 < found.count("2026.2") < 4_000
    done = subprocess.run(
        [*command, "retranslate", "--node", str(folder.root)], check=True, capture_output=True, text=True
    )
    assert f"{found.count('2026.1'):,} records translated again" in done.stdout
    assert set(versions(registry)) == {"2026.2"}
    registry.close()
    engine.dispose()
