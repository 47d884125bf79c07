"""``audit show`` and ``audit verify``: what people and programs see, and the exit status."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.audit import management_entry
from gateway.cli import audit_commands
from gateway.cli.audit_commands import audit_app
from gateway.cli.audit_store import EXCHANGE_DIGITS, AuditStore
from gateway.clock import new_exchange_id, system_clock
from gateway.errors import AuditLogError, CallerError
from gateway.node.folder import NodeFolder
from tests.audit.drafts import answered, as_attacker, new_log, sqlite_at

RUNNER = CliRunner()
EXCHANGE = b"\xab" * 16


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A log with four entries, opened in place of a node's."""
    path = tmp_path / "node.db"
    engine = sqlite_at(path)
    log = new_log(engine)
    log.append(answered())
    log.append(answered(asker="anhui", exchange_id=EXCHANGE, outcome="PURPOSE_NOT_GRANTED", count=0))
    log.append(
        answered(
            kind="no-answer", role="asker", asker="shanghai", answerer="anhui", answer_digest=b"", count=0
        )
    )
    log.append(management_entry("erasure", reason="request-of-learner", count=3))
    (tmp_path / "held.note").write_text(log.latest_checkpoint())
    log.close()

    @contextmanager
    def open_store(_node: Path) -> Iterator[AuditStore]:
        yield AuditStore(NodeFolder(tmp_path), None, engine, log.verifier)
        engine.dispose()

    monkeypatch.setattr(audit_commands, "audit_store", open_store)
    monkeypatch.setenv("COLUMNS", "200")
    yield path
    engine.dispose()


def test_show_for_people(store: Path) -> None:
    result = RUNNER.invoke(audit_app, ["show"])
    assert result.exit_code == 0
    for word in (
        "answered",
        "PURPOSE_NOT_GRANTED",
        "no-answer",
        "erasure",
        "request-of-learner",
        EXCHANGE.hex()[:16],
    ):
        assert word in result.output


def shown(*arguments: str) -> list[int]:
    result = RUNNER.invoke(audit_app, ["show", "--output", "json", *arguments])
    assert result.exit_code == 0
    return [entry["index"] for entry in json.loads(result.output)]


def test_show_for_programs(store: Path) -> None:
    assert shown() == [0, 1, 2, 3]
    assert shown("--last", "2") == [2, 3]
    assert shown("--peer", "anhui") == [1, 2]
    assert shown("--peer", "anhui", "--last", "1") == [2]
    assert shown("--peer", "nobody") == []
    assert shown("--exchange", EXCHANGE.hex()) == [1]
    assert shown("--exchange", EXCHANGE.hex()[:6]) == [1]
    assert shown("--exchange", "00" * 16) == []


def test_a_leaf_is_shown_whole(store: Path) -> None:
    result = RUNNER.invoke(audit_app, ["show", "--output", "json", "--exchange", EXCHANGE.hex()])
    entry = json.loads(result.output)[0]
    assert entry["asker"] == "anhui"
    assert entry["kind"] == "exchange"
    assert entry["logged_at"] == 1788249600000


def test_a_malformed_exchange_id_is_the_callers_fault(store: Path) -> None:
    assert isinstance(RUNNER.invoke(audit_app, ["show", "--exchange", "xyz"]).exception, CallerError)


def test_an_intact_log(store: Path) -> None:
    result = RUNNER.invoke(audit_app, ["verify", "--held", str(store.parent / "held.note")])
    assert result.exit_code == 0
    assert "intact: 4 entries, 4 signed checkpoints and 1 that others hold." in result.output
    report = json.loads(RUNNER.invoke(audit_app, ["verify", "--output", "json"]).output)
    assert report == {
        "intact": True,
        "entries": 4,
        "verified_from": 0,
        "checkpoints": 4,
        "signatures": 4,
        "first_bad": None,
        "findings": [],
    }


def test_an_altered_log(store: Path) -> None:
    with as_attacker(store) as connection:
        connection.execute("UPDATE audit_entry SET leaf = replace(leaf, 'anhui', 'henan') WHERE idx = 1")
    connection.close()
    result = RUNNER.invoke(audit_app, ["verify"])
    assert result.exit_code == 1
    assert "NOT INTACT" in result.output
    assert "entry 1" in result.output
    result = RUNNER.invoke(audit_app, ["verify", "--output", "json"])
    assert (result.exit_code, json.loads(result.output)["first_bad"]) == (1, 1)


def test_an_entry_that_cannot_be_read(store: Path) -> None:
    with as_attacker(store) as connection:
        connection.execute("UPDATE audit_entry SET leaf = x'7b7d' WHERE idx = 1")
    connection.close()
    error = RUNNER.invoke(audit_app, ["show"]).exception
    assert isinstance(error, AuditLogError)
    assert "audit verify" in error.remedy


def test_a_held_checkpoint_that_cannot_be_read(store: Path) -> None:
    error = RUNNER.invoke(audit_app, ["verify", "--held", str(store.parent / "nothing")]).exception
    assert isinstance(error, CallerError)


def test_exchanges_of_one_instant_are_told_apart_by_what_people_are_shown() -> None:
    """One question to several peers makes exchanges of one millisecond."""
    now = system_clock()
    shown_ids = {new_exchange_id(now).hex()[:EXCHANGE_DIGITS] for _ in range(4)}
    assert len(shown_ids) > 1
