"""Keys outside of their time, cards that nobody vouches for, and what holds while keys change."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from creditexchange.v1.node_pb2 import KEY_ROLE_LOG, KEY_ROLE_MESSAGE, GetCardRequest, GetCardResponse
from gateway.audit import verify_log
from gateway.errors import RefusedError
from gateway.exchange.answering.handlers import peer_handlers
from gateway.exchange.messages import GET_CARD
from gateway.learners.subject_token import FederationSecret
from gateway.peers.card import CardKey
from gateway.peers.onboarding import accept, pending_card
from gateway.peers.roster import Peer, Roster, load_peer
from gateway.signing.signed_note import NoteVerifier
from gateway.signing.suites import SigningKey
from gateway.upkeep.peer_cards import PeerCards
from tests.federation.provinces import NOW
from tests.federation.simulator import LEARNER, Federation, SimulatedNode, incoming, make_federation

HOUR = timedelta(hours=1)


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    made = make_federation(tmp_path, "zhejiang", "shanghai")
    made["shanghai"].put(LEARNER, "calculus", "welding")
    yield made
    for node in made.nodes.values():
        node.log.close()
        node.log._database.dispose()


def outcome(federation: Federation) -> str:
    (peer,) = federation["zhejiang"].ask("shanghai").peers
    return peer.outcome


def know(node: SimulatedNode, card) -> None:
    others = [peer for peer in node.snapshot.roster.peers.values() if peer.node_id != card.node_id]
    node.adopt(roster=Roster.of([*others, Peer(card, "active", NOW, card.endpoints)]))


def listed(key: SigningKey, start=None, end=None, role=KEY_ROLE_MESSAGE) -> CardKey:
    return CardKey(key.verifying, role, start, end)


def test_an_announced_key_is_refused_until_it_begins(federation: Federation) -> None:
    zhejiang, shanghai, fresh = federation["zhejiang"], federation["shanghai"], SigningKey.generate()
    know(shanghai, zhejiang.province.card(serial=2, overlapping_keys=[listed(fresh, NOW + HOUR)]))
    assert outcome(federation) == "OK"
    zhejiang.adopt(message_keys=(fresh,))
    assert outcome(federation) == "UNKNOWN_KEY"
    federation.pass_time(3600)
    assert outcome(federation) == "OK"


def test_a_stolen_key_is_worth_nothing_after_its_end(federation: Federation) -> None:
    zhejiang, shanghai, fresh = federation["zhejiang"], federation["shanghai"], SigningKey.generate()
    old = listed(zhejiang.province.message_key, end=NOW + HOUR)
    know(shanghai, zhejiang.province.card(serial=2, message_key=fresh, overlapping_keys=[old]))
    assert outcome(federation) == "OK"  # messages that were signed before the switch
    federation.pass_time(3600)
    assert outcome(federation) == "UNKNOWN_KEY"
    zhejiang.adopt(message_keys=(fresh,))
    assert outcome(federation) == "OK"


def test_answers_by_the_new_key_are_believed(federation: Federation) -> None:
    zhejiang, shanghai, fresh = federation["zhejiang"], federation["shanghai"], SigningKey.generate()
    know(zhejiang, shanghai.province.card(serial=2, overlapping_keys=[listed(fresh)]))
    shanghai.adopt(message_keys=(fresh,))
    assert outcome(federation) == "OK"
    shanghai.adopt(message_keys=(SigningKey.generate(),))
    assert outcome(federation) == "ANSWER_NOT_SIGNED"


def test_the_logs_key_changes_under_its_checkpoints(federation: Federation) -> None:
    zhejiang, shanghai, fresh = federation["zhejiang"], federation["shanghai"], SigningKey.generate()
    province, old_key = shanghai.province, shanghai.province.log_key
    assert outcome(federation) == "OK"
    shanghai.log.sign_with([fresh.private, old_key.private], [])
    assert outcome(federation) == "OK"  # the asker knows the old key only
    know(zhejiang, province.card(serial=2, overlapping_keys=[listed(fresh, role=KEY_ROLE_LOG)]))
    assert outcome(federation) == "OK"
    shanghai.log.sign_with([fresh.private], [NoteVerifier(shanghai.log.origin, old_key.verifying.public)])
    last_by_both = shanghai.log.size
    assert outcome(federation) == "OK"
    reopened = shanghai.log
    past = NoteVerifier(reopened.origin, old_key.verifying.public)
    vkey = NoteVerifier(reopened.origin, fresh.verifying.public).vkey
    assert verify_log(reopened._database, vkey, other_keys=[(last_by_both, past)], every_signature=True).ok
    # A head that the retired key signs later is none of this log's.
    assert not verify_log(reopened._database, past.vkey, every_signature=True).ok
    zhejiang.witnessing.round()
    assert not zhejiang.witness.conflicts()


def test_a_receipt_by_a_log_key_that_has_ended_is_no_receipt(federation: Federation) -> None:
    zhejiang, shanghai, fresh = federation["zhejiang"], federation["shanghai"], SigningKey.generate()
    province = shanghai.province
    from gateway.signing.signed_note import NoteSigner

    vkey = NoteSigner(province.log_origin, fresh.private).verifier.vkey
    ended = listed(province.log_key, end=NOW + HOUR, role=KEY_ROLE_LOG)
    know(zhejiang, province.card(serial=2, log_key=fresh, log_verifier_key=vkey, overlapping_keys=[ended]))
    assert outcome(federation) == "OK"
    federation.pass_time(3600)
    assert outcome(federation) == "RECEIPT_INVALID"


def test_a_witness_that_changes_its_key_signs_with_both(federation: Federation) -> None:
    zhejiang, shanghai, fresh = federation["zhejiang"], federation["shanghai"], SigningKey.generate()
    assert outcome(federation) == "OK"
    from gateway.signing.cosignature import CosignatureSigner, cosignatures_of

    name = zhejiang.province.witness.name
    both = [CosignatureSigner(name, fresh.private), zhejiang.province.witness]
    witness = zhejiang.witness
    witness.sign_with(both)
    note = shanghai.log.latest_checkpoint()
    lines = witness.add_checkpoint(shanghai.log.verifier, 0, [], note, source="shanghai")
    for signer in both:
        assert [c.name for c in cosignatures_of(note + lines, [signer.verifier])] == [name]


def test_each_peer_is_asked_under_the_newest_epoch_that_both_have(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    both = {"2027": FederationSecret("2027", bytes(range(9, 41)))} | dict(zhejiang.snapshot.secrets)
    zhejiang.adopt(secrets=both)
    assert outcome(federation) == "OK"  # the peer has not said what it has: the oldest
    zhejiang.adopt(peer_epochs={"shanghai": ("2026",)})
    assert outcome(federation) == "OK"
    zhejiang.adopt(peer_epochs={"shanghai": ("2027", "2026")})
    assert outcome(federation) == "UNKNOWN_EPOCH"  # it said so and does not keep to it
    shanghai.adopt(secrets=both)
    assert outcome(federation) == "OK"


@pytest.fixture
def cards(federation: Federation, tmp_path: Path) -> PeerCards:
    """Zhejiang's look at the cards of its peers."""
    folder = tmp_path / "peers"
    accept(federation["shanghai"].province.card(), folder, NOW)
    return PeerCards(folder, lambda: federation["zhejiang"].asking)


def serve_card(node: SimulatedNode, **changes) -> None:
    message = node.province.card_message(**changes)
    node.adopt(card=message, card_serial=changes["serial"])


def count(federation: Federation, what: str) -> float:
    return federation["zhejiang"].metrics.peer_cards.labels("shanghai", what)._value.get()


def test_a_newer_card_is_fetched_and_logged(federation: Federation, cards: PeerCards) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    serve_card(shanghai, serial=2)
    assert cards.round(zhejiang.snapshot)
    assert load_peer(cards.folder / "shanghai.toml", "zhejiang").card.serial == 2
    assert (cards.heard["shanghai"].accepted_serial, cards.epochs()["shanghai"]) == (1, ("2026",))
    assert count(federation, "accepted") == 1
    with zhejiang.log.reading() as connection:
        from gateway.storage import audit_rows

        leaves = [row[1] for row in audit_rows.stream_entries(connection, 0, zhejiang.log.size)]
    assert b'"action":"card-change"' in leaves[-1]
    assert b'"peer":"shanghai"' in leaves[-1]


def test_a_card_by_a_strange_key_waits_and_changes_nothing(federation: Federation, cards: PeerCards) -> None:
    serve_card(federation["shanghai"], serial=2, message_key=SigningKey.generate())
    for _ in range(2):
        assert not cards.round(federation["zhejiang"].snapshot)
    assert pending_card("shanghai", cards.folder).exists()
    assert load_peer(cards.folder / "shanghai.toml", "zhejiang").card.serial == 1
    assert (count(federation, "pending"), count(federation, "accepted")) == (1, 0)


@pytest.mark.parametrize("changes", [{"serial": 1}, {"serial": 2, "node_id": "anhui"}])
def test_a_replayed_or_foreign_card_is_refused(
    federation: Federation, cards: PeerCards, changes: dict
) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    message = shanghai.province.card_message(**changes)
    zhejiang.wire.response_tampering = lambda _response: GetCardResponse(card=message).SerializeToString()
    assert not cards.round(zhejiang.snapshot)
    assert not pending_card("shanghai", cards.folder).exists()
    assert load_peer(cards.folder / "shanghai.toml", "zhejiang").card.serial == 1
    assert count(federation, "refused") == 1


def test_a_card_is_given_only_to_whom_it_is_news(federation: Federation) -> None:
    shanghai = federation["shanghai"]
    serve_card(shanghai, serial=5)
    handler = peer_handlers(shanghai.answering, shanghai.witness)[GET_CARD]
    call = incoming(shanghai, "zhejiang", method=GET_CARD)
    for known, is_given in ((0, True), (4, True), (5, False), (6, False)):
        request = GetCardRequest(known_serial=known).SerializeToString()
        assert (
            GetCardResponse.FromString(handler(request, call, shanghai.snapshot)).HasField("card") is is_given
        )
    with pytest.raises(RefusedError, match="unknown field") as refused:
        handler(b"\x9a\x06\x01x", call, shanghai.snapshot)
    assert refused.value.reason == "MALFORMED_MESSAGE"
