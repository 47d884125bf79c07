"""A node put together in a folder of its own, without listening."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509

from gateway.errors import AlreadyRunningError, ConfigError, KeyFileError, OperatorError, RefusedError
from gateway.node import serve
from gateway.node.assemble import assemble
from gateway.node.checks import run_checks
from gateway.node.folder import NodeFolder
from gateway.node.lock import find_running, node_lock
from gateway.node.serve import keep_up_or_say
from tests.processes.provinces import make_node

NOW = datetime.now(UTC)


@pytest.fixture
def folder(tmp_path: Path) -> NodeFolder:
    return make_node(tmp_path, "anhui", records=False).folder


def test_a_leaf_that_cannot_be_written_is_renewed_later_and_stops_nothing(folder: NodeFolder) -> None:
    now = [NOW]
    node = assemble(folder, lambda: now[0])
    in_the_way = folder.key("tls-leaf.pem.new")
    try:
        first = node.tls
        now[0] += timedelta(days=61)
        in_the_way.mkdir()  # as root too, nothing can be written there
        with pytest.raises(OperatorError, match=r"tls-leaf\.pem\.new cannot be written"):
            node.renew_leaf_if_due()
        keep_up_or_say(node)
        assert node.tls is first
        in_the_way.rmdir()
        keep_up_or_say(node)
        assert leaf_days(node.tls[0].certificate, now[0]) >= 89
    finally:
        node.close()


def leaf_days(pem: bytes, now: datetime) -> int:
    return (x509.load_pem_x509_certificate(pem).not_valid_after_utc - now).days


def test_a_leaf_is_renewed_while_the_node_runs(folder: NodeFolder) -> None:
    now = [NOW]
    node = assemble(folder, lambda: now[0])
    try:
        first, card = node.tls, node.card.fingerprint
        assert not node.renew_leaf_if_due()
        assert node.tls is first
        now[0] += timedelta(days=61)
        assert node.renew_leaf_if_due()
        assert leaf_days(node.tls[0].certificate, now[0]) >= 89
        assert node.tls[0].certificate == folder.key("tls-leaf.crt").read_bytes()
        assert folder.key("tls-leaf.pem").stat().st_mode & 0o777 == 0o600
    finally:
        node.close()
    again = assemble(folder, lambda: now[0])
    again.close()
    assert again.card.fingerprint == card  # a new leaf needs no new card


def test_a_card_is_made_anew_before_it_expires_and_when_it_would_lie(folder: NodeFolder) -> None:
    def card(now: datetime):
        node = assemble(folder, lambda: now)
        node.close()
        return node.card

    first = card(NOW)
    assert card(NOW + timedelta(days=100)).fingerprint == first.fingerprint
    later = card(NOW + timedelta(days=310))
    assert later.serial > first.serial
    text = folder.config.read_text(encoding="utf-8")
    folder.config.write_text(
        text.replace('endpoints = ["127.0.0.1', 'endpoints = ["gateway.example:7443", "127.0.0.1')
    )
    assert card(NOW + timedelta(days=310)).serial > later.serial


def test_a_missing_secret_is_named(folder: NodeFolder) -> None:
    folder.key("federation-2026.secret").unlink()
    with pytest.raises(KeyFileError, match=r"federation-2026\.secret is missing"):
        assemble(folder)


def test_a_grant_to_oneself_is_a_mistake(folder: NodeFolder) -> None:
    folder.access.write_text('[[rate]]\npeer = "anhui"\ncalls_per_second = 5\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="this node itself"):
        assemble(folder)


def test_one_process_a_node(folder: NodeFolder) -> None:
    assert find_running(folder) is None
    with node_lock(folder), pytest.raises(AlreadyRunningError, match="another process"), node_lock(folder):
        pass


def test_check_names_everything_that_is_wrong_in_one_run(folder: NodeFolder) -> None:
    folder.scheme.write_text("[scheme]\n", encoding="utf-8")
    folder.access.write_text("[[grant]]\n", encoding="utf-8")
    folder.key("log.pem").unlink()
    (folder.peers / "mars.toml").write_text("", encoding="utf-8")
    findings = {f.what: f for f in run_checks(folder, lambda: NOW) if f.state == "problem"}
    assert set(findings) == {"keys", "scheme.toml", "peers", "access.toml"}
    assert "log.pem is missing" in findings["keys"].seen
    assert "mars.toml" in findings["peers"].seen


def test_a_node_whose_upkeep_fails_lives_on(folder: NodeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    node = assemble(folder)
    said: list[str] = []
    # A logger of its own: the module's keeps writing where an earlier test of this process sent it.
    monkeypatch.setattr(serve, "_log", SimpleNamespace(error=lambda event, **_: said.append(event)))

    def full_disk() -> int:
        raise RefusedError("AUDIT_UNAVAILABLE", "the exchange could not be logged durably.")

    try:
        monkeypatch.setattr(node.steadiness, "is_proved", lambda: True)
        monkeypatch.setattr(node.log, "purge_seen", full_disk)
        keep_up_or_say(node)
    finally:
        node.close()
    assert said == ["upkeep failed and is tried again"]
