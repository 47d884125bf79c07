"""What a running node takes up, what it leaves, and that what is broken changes nothing."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.node import reload
from gateway.node.assemble import Node, assemble
from gateway.node.reload import Reloader
from gateway.node.rotating import begin
from gateway.node.rotation import begin_evidence
from gateway.node.rotator import Rotator
from gateway.storage import audit_rows
from tests.processes.provinces import make_node

NOW = datetime.now(UTC)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = assemble(make_node(tmp_path, "anhui", records=False).folder)
    made.folder.run.mkdir(exist_ok=True)
    yield made
    made.close()


@pytest.fixture
def reloader(node: Node) -> Reloader:
    return Reloader(node)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The log lines of the reloader, as text."""
    lines: list[str] = []

    class Log:
        def note(self, event: str, **facts: object) -> None:
            lines.append(f"{event} {facts}")

        info = warning = error = note

    monkeypatch.setattr(reload, "_log", Log())
    return lines


def edit(node: Node, old: str, new: str) -> None:
    text = node.folder.config.read_text(encoding="utf-8")
    assert old in text
    node.folder.config.write_text(text.replace(old, new), encoding="utf-8")


def refused(node: Node) -> float:
    return node.metrics.reloads.labels("refused")._value.get()


def test_what_the_card_says_changes_while_the_node_runs(node: Node, reloader: Reloader) -> None:
    serial = node.card.serial
    edit(node, "[card]\nendpoints = [", '[card]\nendpoints = ["gateway.example:7443", ')
    assert reloader.reload_if_changed()
    assert node.card.endpoints[0] == "gateway.example:7443"
    assert node.snapshot.card_serial == node.card.serial > serial
    assert not reloader.reload_if_changed()


def test_windows_and_attempts_change_and_ports_stay(node: Node, reloader: Reloader, told: list[str]) -> None:
    listen, snapshot = node.config.listen, node.snapshot
    edit(node, "[listen]", "[asking]\nattempts_max = 1\n[exchange]\nwindow_s = 20\n[listen]")
    edit(node, f'metrics = "{listen.metrics}"', 'metrics = "127.0.0.1:1"')
    assert reloader.reload_if_changed()
    assert (node.asking.settings.attempts_max, node.snapshot.settings.window_s) == (1, 20)
    assert node.config.listen == listen
    assert snapshot.settings.window_s == 60  # an exchange that had begun keeps what it began with
    assert "need a restart" in told[-1]
    assert "listen" in told[-1]


def test_where_spans_go_is_said_to_need_a_restart(node: Node, reloader: Reloader, told: list[str]) -> None:
    edit(node, "[listen]", "[telemetry]\nsample_ratio = 0.5\n[listen]")
    assert reloader.reload_if_changed()
    assert node.config.telemetry.sample_ratio == 0.1
    assert "need a restart" in told[-1]
    assert "telemetry" in told[-1]


@pytest.mark.parametrize("name", ["node.toml", "keys/message.pem", "keys/tls-leaf.crt", "keys/rotation.toml"])
def test_a_broken_file_changes_nothing_at_all(
    node: Node, reloader: Reloader, name: str, told: list[str]
) -> None:
    before = (node.snapshot, node.keys, node.card, node.tls)
    path = node.folder.root / name
    good = path.read_bytes() if path.exists() else None
    edit(node, "[listen]", "[asking]\nattempts_max = 1\n[listen]")
    path.write_text("broken", encoding="utf-8")
    path.chmod(0o600)
    assert not reloader.reload_if_changed()
    assert (node.snapshot, node.keys, node.card, node.tls) == before
    assert refused(node) == 1
    assert path.name in told[-1]
    assert not reloader.reload_if_changed()  # told once
    assert refused(node) == 1
    if name == "node.toml":
        return
    if good is None:
        path.unlink()
    else:
        path.write_bytes(good)
    assert reloader.reload_if_changed()
    assert node.asking.settings.attempts_max == 1


def test_a_node_without_peers_changes_its_keys_alone(node: Node, reloader: Reloader) -> None:
    edit(node, "[listen]", "[rotation]\nannounce_s = 0\noverlap_s = 0\nsettle_s = 0\n[listen]")
    assert reloader.reload_if_changed()
    first = node.keys
    for role in ("signing", "log", "witness", "tls-ca"):
        begin(node.folder, role, NOW)
    begin_evidence(node.folder)
    assert reloader.reload_if_changed()
    rotator = Rotator(node, reloader.reload_if_changed)
    for _ in range(5):
        rotator.round()
    assert node.keys.plan.step == ()
    for key in ("message", "log", "witness"):
        assert getattr(node.keys, key).key_id != getattr(first, key).key_id
    assert node.keys.tls_ca != first.tls_ca
    assert node.keys.previous_evidence is None
    assert node.keys.evidence != first.evidence
    assert [past.verifier_key for past in node.keys.plan.past_log_key]
    with node.log.reading() as connection:
        rows = audit_rows.stream_entries(connection, 0, node.log.size)
        reasons = [json.loads(row[1])["reason"] for row in rows]
    assert {"signing-switched", "signing-retired", "log-retired", "tls-ca-switched", "evidence-key"} <= set(
        reasons
    )
    folder = node.folder
    node.close()
    again = assemble(folder)  # whose log was signed by a key that is gone by now
    assert again.log.size == len(reasons)
    again.close()
