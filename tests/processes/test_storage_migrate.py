"""A node that has outgrown SQLite moves to PostgreSQL; its peers see one unbroken log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.audit import management_entry
from gateway.clock import system_clock
from gateway.errors import GatewayError, StorageError
from gateway.node.folder import NodeFolder, load_keys
from gateway.node.move_storage import Urls, move_storage
from gateway.node.stores import audit_log_of
from gateway.storage import moving
from gateway.storage.engine import open_engine, reading
from gateway.storage.migrate import upgrade
from tests.postgres import fresh_database
from tests.processes.provinces import ProcessNode, cli, introduce, make_node


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[ProcessNode, ProcessNode]]:
    zhejiang = make_node(tmp_path, "zhejiang", records=False)
    shanghai = make_node(tmp_path, "shanghai", secret_from=zhejiang)
    introduce(zhejiang, shanghai)
    yield zhejiang, shanghai
    for node in (zhejiang, shanghai):
        node.close()


def node_of(node: ProcessNode) -> tuple[str, str]:
    return "--node", str(node.folder.root)


def interrupted_move(folder: NodeFolder, url: str) -> None:
    """Stop as Ctrl-C does when the table of entries is half done."""

    def stop(table: str, done: int, total: int) -> None:
        if table == "audit_entry" and 0 < done < total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        move_storage(folder, Urls("", ""), Urls(url, url), stop)


def test_a_node_moves_and_its_log_goes_on(
    pair: tuple[ProcessNode, ProcessNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    zhejiang, shanghai = pair
    shanghai.start()
    for _ in range(4):
        assert zhejiang.query()["records"]
    with fresh_database() as url:
        running = cli("storage", "migrate", *node_of(shanghai), "--to", url, check=2)
        assert "another process works on" in running.stderr
        shanghai.stop()
        monkeypatch.setattr(moving, "BATCH_ROWS", 2)
        interrupted_move(shanghai.folder, url)
        moved = json.loads(
            cli("storage", "migrate", *node_of(shanghai), "--to", url, "--output", "json").stdout
        )
        assert moved["entries"] == moved["rows"]["audit_entry"] >= 4
        again = cli("storage", "migrate", *node_of(shanghai), "--to", url, check=2)
        assert "is not empty" in again.stderr
        config = shanghai.folder.config.read_text(encoding="utf-8")
        shanghai.folder.config.write_text(
            f'{config}\n[database]\nurl = "{url}"\nrecords_url = "{url}"\n', encoding="utf-8"
        )
        shanghai.start("--workers", "2")
        assert zhejiang.query()["records"]
        compared = cli("audit", "reconcile", *node_of(zhejiang), "--peer", "shanghai", "--settle", "0")
        assert compared.stdout.startswith("no differences with shanghai")
        cli("audit", "verify", *node_of(shanghai))
        shanghai.stop()


def test_what_is_refused(pair: tuple[ProcessNode, ProcessNode]) -> None:
    _, shanghai = pair

    def refusal(to: str, from_: str = "") -> str:
        with pytest.raises(GatewayError) as refused:
            move_storage(shanghai.folder, Urls(from_, ""), Urls(to, to), lambda *_: None)
        return str(refused.value)

    with fresh_database() as url:
        engine = open_engine(url)
        upgrade(engine, "records")
        assert "is not empty" in refusal(url)
        with reading(engine) as connection:
            assert connection.execute(text("SELECT count(*) FROM learner_record")).scalar() == 0
        engine.dispose()
    assert "from SQLite to PostgreSQL" in refusal("sqlite:///other.db")
    assert "--from is not the database" in refusal(url, "sqlite:///x.db")
    assert "hush" not in refusal("postgresql://u:hush@127.0.0.1:9/x")


def test_a_node_that_ran_since_begins_anew(pair: tuple[ProcessNode, ProcessNode]) -> None:
    _, shanghai = pair
    with fresh_database() as url:

        def stop(table: str, *_: int) -> None:
            if table == "audit_tree":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            move_storage(shanghai.folder, Urls("", ""), Urls(url, url), stop)
        keys = load_keys(shanghai.folder, shanghai.config)
        with audit_log_of(shanghai.folder, shanghai.config, keys, system_clock) as log:
            log.append(management_entry("erasure", reason="retention", count=0))
        with pytest.raises(StorageError, match="the node has run since"):
            move_storage(shanghai.folder, Urls("", ""), Urls(url, url), lambda *_: None)
