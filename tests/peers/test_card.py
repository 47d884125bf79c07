from datetime import timedelta

import pytest

from creditexchange.v1.node_pb2 import NodeCard
from gateway.errors import CardError, EnvelopeError
from gateway.peers.card import (
    CARD_PAYLOAD_TYPE,
    fingerprint_for_people,
    read_card_file,
    verify_card,
    verify_card_json,
)
from gateway.peers.fingerprint import require_fingerprint
from gateway.signing import dsse
from gateway.signing.envelope import seal
from gateway.signing.suites import SigningKey
from tests.federation.provinces import NOW, Province

ANHUI = Province("anhui")


def resigned(change) -> object:
    """Return Anhui's card after ``change``, signed again by its own key."""
    draft = NodeCard.FromString(ANHUI.card_message().payload)
    change(draft)
    return seal(draft.SerializeToString(), CARD_PAYLOAD_TYPE, [ANHUI.message_key])


def test_a_card_tells_who_where_and_by_which_keys() -> None:
    card = ANHUI.card()
    assert (card.node_id, card.endpoints, card.serial) == ("anhui", ("127.0.0.1:17000",), 1)
    assert set(card.keys) == {ANHUI.message_key.key_id, ANHUI.log_key.key_id, ANHUI.witness_key.key_id}
    assert card.expires == NOW + timedelta(days=365)


def test_a_card_signed_by_another_key_is_refused() -> None:
    message = ANHUI.card_message()
    with pytest.raises(EnvelopeError) as error:
        verify_card(seal(message.payload, CARD_PAYLOAD_TYPE, [SigningKey.generate()]))
    assert error.value.reason == "UNKNOWN_KEY"


def test_a_log_key_cannot_sign_a_card() -> None:
    message = ANHUI.card_message()
    with pytest.raises(EnvelopeError) as error:
        verify_card(seal(message.payload, CARD_PAYLOAD_TYPE, [ANHUI.log_key]))
    assert error.value.reason == "UNKNOWN_KEY"


def test_a_changed_card_is_refused() -> None:
    message = ANHUI.card_message()
    message.payload = message.payload.replace(b"Anhui", b"Henan")
    with pytest.raises(EnvelopeError) as error:
        verify_card(message)
    assert error.value.reason == "INVALID_SIGNATURE"


def swap_key_id(draft: NodeCard) -> None:
    draft.keys[0].key_id = "sha256:" + "0" * 64


def leaf_as_ca(draft: NodeCard) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    draft.tls_ca_certificates[0] = ANHUI.leaf().public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda d: setattr(d, "node_id", "Anhui"), "node_id"),
        (lambda d: setattr(d, "node_id", "../etc"), "node_id"),
        (lambda d: setattr(d, "node_id", "anhuі"), "node_id"),  # a Cyrillic letter that looks like i
        (lambda d: setattr(d, "serial", 0), "serial"),
        (lambda d: setattr(d, "oldest_version_accepted", 2), "protocol_version"),
        (
            lambda d: (setattr(d, "protocol_version", 3), setattr(d, "oldest_version_accepted", 2)),
            "Upgrade this node",
        ),
        (lambda d: d.ClearField("expire_time"), "expire_time"),
        (lambda d: d.expire_time.CopyFrom(d.issue_time), "expire_time"),
        (lambda d: d.ClearField("endpoints"), "endpoints"),
        (lambda d: d.endpoints.extend(["a:1"] * 8), "endpoints"),
        (lambda d: d.endpoints.append("no port"), "host:port"),
        (lambda d: d.endpoints.append("host:99999"), "host:port"),
        (lambda d: d.ClearField("tls_ca_certificates"), "tls_ca_certificates"),
        (lambda d: d.tls_ca_certificates.append(b"x"), "tls_ca_certificates"),
        (leaf_as_ca, "not a CA"),
        (swap_key_id, "key id is wrong"),
        (lambda d: d.keys.append(d.keys[0]), "stands twice"),
        (lambda d: setattr(d.keys[1], "role", 0), "no known role"),
        (lambda d: setattr(d.keys[1], "role", 99), "no known role"),
        (lambda d: d.ClearField("log"), "log"),
    ],
)
def test_a_member_out_of_range_is_named(change, complaint: str) -> None:
    with pytest.raises(CardError) as error:
        verify_card(resigned(change))
    assert complaint in str(error.value)


def test_an_unknown_field_is_refused() -> None:
    message = ANHUI.card_message()
    payload = message.payload + b"\xf8\x3f\x01"
    with pytest.raises(EnvelopeError, match="unknown field"):
        verify_card(seal(payload, CARD_PAYLOAD_TYPE, [ANHUI.message_key]))


def test_a_card_file_survives_the_journey_and_names_its_faults(tmp_path) -> None:
    path = tmp_path / "anhui.json"
    path.write_text(dsse.to_json(ANHUI.card_message()))
    assert read_card_file(path).node_id == "anhui"
    path.write_text("hello")
    with pytest.raises(CardError, match=r"anhui\.json"):
        read_card_file(path)
    with pytest.raises(CardError, match="No such file"):
        read_card_file(tmp_path / "none.json")
    with pytest.raises(CardError, match="by mail"):
        verify_card_json("{}", "by mail")


def test_only_the_cards_own_fingerprint_is_accepted() -> None:
    card, other = ANHUI.card(), Province("anhui").card()
    require_fingerprint(card, fingerprint_for_people(card.fingerprint))
    require_fingerprint(card, card.fingerprint[:32].upper())
    with pytest.raises(CardError, match="has 31 digits"):
        require_fingerprint(card, card.fingerprint[:31])
    with pytest.raises(CardError, match="Do not accept it"):
        require_fingerprint(card, other.fingerprint)


def test_keys_count_only_while_they_are_live() -> None:
    message = ANHUI.card_message()
    draft = NodeCard.FromString(message.payload)
    draft.keys[0].end_time.FromDatetime(NOW + timedelta(days=1))
    draft.keys[1].start_time.FromDatetime(NOW + timedelta(days=1))
    card = verify_card(seal(draft.SerializeToString(), CARD_PAYLOAD_TYPE, [ANHUI.message_key]))
    key, log_key = card.keys[ANHUI.message_key.key_id], card.keys[ANHUI.log_key.key_id]
    assert key.is_live(NOW)
    assert not key.is_live(NOW + timedelta(days=1))
    assert not log_key.is_live(NOW)
    assert log_key.is_live(NOW + timedelta(days=1))
