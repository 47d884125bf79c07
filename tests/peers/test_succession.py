"""Which newer card of a peer is taken up by itself, which waits for a telephone, and which is refused."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from creditexchange.v1.node_pb2 import KEY_ROLE_LOG, KEY_ROLE_MESSAGE
from gateway.errors import CardError
from gateway.peers.card import CardKey, verify_card
from gateway.peers.onboarding import accept, keep_pending, pending_card, renew
from gateway.peers.roster import Peer, Roster, load_peer
from gateway.peers.succession import UntrustedCardError, judge_successor
from gateway.signing.suites import ECDSA_P256, SigningKey
from tests.federation.provinces import NOW, Province

LATER = NOW + timedelta(days=1)


@pytest.fixture
def province() -> Province:
    return Province("shanghai")


def judge(province: Province, message, peer: Peer | None = None, others: tuple[Peer, ...] = (), now=LATER):
    peer = peer or province.peer()
    return judge_successor(message, peer, Roster.of([peer, *others]), now)


def test_a_newer_card_by_the_same_key_is_taken_up(province: Province) -> None:
    message = province.card_message(serial=2, endpoints=("127.0.0.1:17001",))
    assert judge(province, message).endpoints == ("127.0.0.1:17001",)


def test_the_announced_key_signs_the_next_card_once_it_is_live(province: Province) -> None:
    fresh = SigningKey.generate()
    start = NOW + timedelta(hours=12)
    announced = province.card(
        serial=2, overlapping_keys=[CardKey(fresh.verifying, KEY_ROLE_MESSAGE, start, None)]
    )
    peer = replace(province.peer(), card=announced)
    old = CardKey(province.message_key.verifying, KEY_ROLE_MESSAGE, None, LATER + timedelta(days=1))
    message = province.card_message(serial=3, message_key=fresh, overlapping_keys=[old])
    assert judge(province, message, peer).serial == 3
    with pytest.raises(UntrustedCardError, match="not signed by the keys"):
        judge(province, message, peer, now=start - timedelta(seconds=1))


def test_a_card_by_an_untrusted_key_waits(province: Province) -> None:
    message = province.card_message(serial=2, message_key=SigningKey.generate())
    with pytest.raises(UntrustedCardError, match="not signed by the keys of the accepted card") as waiting:
        judge(province, message)
    assert waiting.value.card.serial == 2
    assert "telephone" in str(waiting.value)


def test_a_retired_key_vouches_for_nothing(province: Province) -> None:
    fresh = SigningKey.generate()
    old = CardKey(province.message_key.verifying, KEY_ROLE_MESSAGE, None, LATER)
    peer = replace(province.peer(), card=province.card(serial=2, message_key=fresh, overlapping_keys=[old]))
    stolen = province.card_message(serial=3)
    assert judge(province, stolen, peer, now=LATER - timedelta(seconds=1)).serial == 3
    with pytest.raises(UntrustedCardError):
        judge(province, stolen, peer, now=LATER)


@pytest.mark.parametrize("serial", [1, 2])
def test_an_older_or_equal_serial_is_refused(province: Province, serial: int) -> None:
    peer = replace(province.peer(), card=province.card(serial=2))
    with pytest.raises(CardError, match="serial") as refused:
        judge(province, province.card_message(serial=serial), peer)
    assert not isinstance(refused.value, UntrustedCardError)


def test_another_nodes_card_is_refused(province: Province) -> None:
    with pytest.raises(CardError, match="sent the card of anhui"):
        judge(province, Province("anhui").card_message(serial=2))
    forged = province.card_message(serial=2, node_id="anhui")
    with pytest.raises(CardError, match="sent the card of anhui"):
        judge(province, forged)


def test_a_card_that_lists_another_peers_key_is_refused(province: Province) -> None:
    anhui = Province("anhui")
    taken = CardKey(anhui.log_key.verifying, KEY_ROLE_LOG, None, None)
    for message in (
        province.card_message(serial=2, overlapping_keys=[taken]),
        province.card_message(serial=2, cas=[province.ca, anhui.ca]),
    ):
        with pytest.raises(CardError, match="list the same") as refused:
            judge(province, message, others=(anhui.peer(),))
        assert not isinstance(refused.value, UntrustedCardError)


def test_a_card_that_drops_a_suite_waits() -> None:
    second = SigningKey.generate(ECDSA_P256)
    province = Province("shanghai", further_message_keys=(second,))
    with pytest.raises(UntrustedCardError, match="missing"):  # the accepted card's rule: both must sign
        judge(province, province.card_message(serial=2, further_message_keys=()))
    ending = CardKey(second.verifying, KEY_ROLE_MESSAGE, None, LATER + timedelta(days=1))
    message = province.card_message(serial=2, further_message_keys=(), overlapping_keys=[ending])
    for key in (second,):  # signed by both, and yet it takes away what was compared
        from gateway.signing.dsse import pre_authentication_encoding

        signed = pre_authentication_encoding(message.payload_type, message.payload)
        message.signatures.add(key_id=key.key_id, signature=key.sign(signed))
    with pytest.raises(UntrustedCardError, match="signs no longer with ecdsa-p256"):
        judge(province, message)


def test_a_renamed_log_waits(province: Province) -> None:
    from gateway.signing.signed_note import NoteSigner

    origin = "audit.shanghai.example/2026/restored-1"
    vkey = NoteSigner(origin, province.log_key.private).verifier.vkey
    with pytest.raises(UntrustedCardError, match="another name"):
        judge(province, province.card_message(serial=2, log_origin=origin, log_verifier_key=vkey))


def test_an_expired_card_vouches_for_nothing(province: Province) -> None:
    far = NOW + timedelta(days=366)
    message = province.card_message(serial=2, expires=far + timedelta(days=30))
    with pytest.raises(UntrustedCardError, match="has expired"):
        judge(province, message, now=far)
    with pytest.raises(CardError, match="expired on"):
        judge(province, province.card_message(serial=2), now=far)


def test_a_fetched_card_changes_nothing_else_in_the_peers_file(province: Province, tmp_path: Path) -> None:
    accept(province.card(), tmp_path, NOW)
    path = tmp_path / "shanghai.toml"
    text = path.read_text(encoding="utf-8").replace('state = "active"', 'state = "suspended"')
    path.write_text('endpoints = ["10.0.0.1:7443"]\n' + text, encoding="utf-8")
    renew(province.card(serial=2), tmp_path)
    peer = load_peer(path, "zhejiang")
    assert (peer.card.serial, peer.state, peer.endpoints) == (2, "suspended", ("10.0.0.1:7443",))
    assert peer.accepted_at == NOW


def test_a_pending_card_is_kept_once_and_goes_when_one_is_accepted(
    province: Province, tmp_path: Path
) -> None:
    accept(province.card(), tmp_path, NOW)
    waiting = province.card(serial=2, message_key=SigningKey.generate())
    assert keep_pending(waiting, tmp_path)
    assert not keep_pending(waiting, tmp_path)
    assert verify_card(waiting.message).serial == 2
    assert load_peer(tmp_path / "shanghai.toml", "zhejiang").card.serial == 1
    accept(waiting, tmp_path, NOW)
    assert not pending_card("shanghai", tmp_path).exists()
