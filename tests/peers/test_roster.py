from datetime import timedelta
from pathlib import Path

import pytest

from gateway.errors import CallerError, CardError, ConfigError
from gateway.peers.onboarding import accept, remove, require_acceptable
from gateway.peers.roster import Roster, load_roster
from tests.federation.provinces import NOW, Province

SHANGHAI = Province("shanghai")


def test_an_accepted_peer_is_found_again(tmp_path: Path) -> None:
    card = SHANGHAI.card(names={"zh-Hans": "上海", "en": "Shanghai"})
    accept(card, tmp_path, NOW)
    roster = load_roster(tmp_path, "zhejiang")
    assert roster.get("shanghai").card.fingerprint == card.fingerprint
    assert roster.owner_of(SHANGHAI.message_key.key_id).node_id == "shanghai"
    assert roster.get("shanghai").message_key(SHANGHAI.log_key.key_id, NOW) is None


def test_an_empty_or_missing_folder_trusts_nobody(tmp_path: Path) -> None:
    assert not load_roster(tmp_path, "zhejiang").peers
    assert not load_roster(tmp_path / "none", "zhejiang").peers
    assert load_roster(tmp_path, "zhejiang").ca_pem == b""


def test_an_older_card_is_refused_and_a_newer_one_taken(tmp_path: Path) -> None:
    accept(SHANGHAI.card(serial=5), tmp_path, NOW)
    with pytest.raises(CardError, match="serial 4, the accepted one 5"):
        require_acceptable(SHANGHAI.card(serial=4), tmp_path, "zhejiang", NOW)
    assert require_acceptable(SHANGHAI.card(serial=6), tmp_path, "zhejiang", NOW).serial == 5


def test_an_expired_card_and_the_own_card_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CardError, match="expired"):
        require_acceptable(SHANGHAI.card(), tmp_path, "zhejiang", NOW + timedelta(days=366))
    with pytest.raises(CardError, match="own card"):
        require_acceptable(SHANGHAI.card(), tmp_path, "shanghai", NOW)


def test_two_peers_with_one_key_are_refused() -> None:
    twin = Province("jiangsu", message_key=SHANGHAI.message_key)
    with pytest.raises(CardError, match="list the same key"):
        Roster.of([SHANGHAI.peer(), twin.peer()])


def test_two_peers_with_one_tls_authority_are_refused() -> None:
    twin = Province("jiangsu", ca_key=SHANGHAI.ca_key)
    with pytest.raises(CardError, match="list the same TLS authority"):
        Roster.of([SHANGHAI.peer(), twin.peer()])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t: t.replace('node_id = "shanghai"', 'node_id = "jiangsu"'), "differ"),
        (lambda t: t.replace('state = "active"', 'state = "maybe"'), "state"),
        (lambda t: t.replace("state =", "stat ="), "stat"),
        (lambda t: t.replace('fingerprint = "', 'fingerprint = "0'), "fingerprint"),
        (lambda t: t.replace('"payload": "', '"payload": "AA'), "shanghai.toml"),
        (lambda t: t[:100], "TOML|node_id"),
        (lambda t: "", "needed|required"),
    ],
)
def test_a_broken_peer_file_names_file_and_key(tmp_path: Path, change, complaint: str) -> None:
    path = accept(SHANGHAI.card(), tmp_path, NOW)
    path.write_text(change(path.read_text()))
    with pytest.raises((ConfigError, CardError), match=complaint) as error:
        load_roster(tmp_path, "zhejiang")
    assert "shanghai.toml" in str(error.value)


def test_removing_a_peer_needs_a_known_name(tmp_path: Path) -> None:
    accept(SHANGHAI.card(), tmp_path, NOW)
    for name in ("jiangsu", "../shanghai", ""):
        with pytest.raises(CallerError, match="Known peers: shanghai"):
            remove(name, tmp_path)
    remove("shanghai", tmp_path)
    assert not load_roster(tmp_path, "zhejiang").peers
