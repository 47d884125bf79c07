"""What an attacker can do to a message that bears an Ed25519 and an ML-DSA-65 signature, or an SM2 one."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from google.rpc import status_pb2

from creditexchange.v1.envelope_pb2 import SignedMessage
from creditexchange.v1.exchange_pb2 import QueryRecordsRequest, QueryRecordsResponse
from creditexchange.v1.node_pb2 import KEY_ROLE_MESSAGE
from gateway.errors import CardError, ConfigError, EnvelopeError
from gateway.exchange.answering.refuse import SignedRefusalError
from gateway.exchange.consent_keys import consent_keys
from gateway.exchange.messages import QUERY_RECORDS, REFUSAL_TYPE
from gateway.peers.caller import RefusedByPeerError
from gateway.peers.card import Card, verify_card
from gateway.peers.onboarding import accept
from gateway.peers.roster import Roster, load_roster, render_peer_file
from gateway.policy.consent import CONSENT_TYPE
from gateway.rpc.status import DETAILS_BYTES_MAX, status_of
from gateway.signing import dsse
from gateway.signing.dsse import pre_authentication_encoding
from gateway.signing.envelope import REFUSAL_TYPE as ENVELOPE_REFUSAL_TYPE
from gateway.signing.envelope import open_envelope, seal
from gateway.signing.suites import ECDSA_P256, ML_DSA_65, SM2, SUITES, SigningKey
from tests.federation.provinces import NOW, Province
from tests.federation.simulator import LEARNER, STRANGER, Federation, draft, make_federation

TYPE = "application/vnd.creditexchange.record-query.v1+protobuf"
QUANTUM_SAFE = SigningKey.generate(ML_DSA_65)
OTHER_QUANTUM_SAFE = SigningKey.generate(ML_DSA_65)


def hybrid(node_id: str, second: SigningKey = QUANTUM_SAFE) -> Province:
    return Province(node_id, further_message_keys=(second,))


@pytest.fixture
def federation(tmp_path) -> Iterator[Federation]:
    """Shanghai signs twice, Zhejiang and Anhui once, Zhejiang and its log with SM2."""
    sm2 = {f"{role}_key": SigningKey.generate(SM2) for role in ("message", "log", "witness")}
    made = make_federation(
        tmp_path,
        "shanghai",
        "zhejiang",
        "anhui",
        shanghai=hybrid("shanghai"),
        zhejiang=Province("zhejiang", **sm2),
    )
    for node in made.nodes.values():
        node.put(LEARNER, f"a course of {node.node_id}")
    yield made
    for node in made.nodes.values():
        node.log.close()


def outcomes(federation: Federation, asker: str, *peers: str) -> dict[str, str]:
    return {result.node_id: result.outcome for result in federation[asker].ask(*peers).peers}


def test_every_node_believes_every_other(federation: Federation) -> None:
    for asker in federation.nodes:
        assert set(outcomes(federation, asker).values()) == {"OK"}


Tampering = Callable[[SignedMessage], None]


def strip(suite_index: int) -> Tampering:
    def tamper(message: SignedMessage) -> None:
        del message.signatures[suite_index]

    return tamper


def rename(suite_index: int) -> Tampering:
    """Under a key id that nobody knows, a signature is passed over."""

    def tamper(message: SignedMessage) -> None:
        message.signatures[suite_index].key_id = "sha256:" + "0" * 64

    return tamper


def swap(message: SignedMessage) -> None:
    first, second = message.signatures
    first.signature, second.signature = second.signature, first.signature


def duplicate(message: SignedMessage) -> None:
    message.signatures[1].CopyFrom(message.signatures[0])


def by_wrong_key(message: SignedMessage) -> None:
    signed = pre_authentication_encoding(message.payload_type, message.payload)
    message.signatures[1].signature = OTHER_QUANTUM_SAFE.sign(signed)


def by_unlisted_key(message: SignedMessage) -> None:
    by_wrong_key(message)
    message.signatures[1].key_id = OTHER_QUANTUM_SAFE.key_id


def of_another_suite(message: SignedMessage) -> None:
    signed = pre_authentication_encoding(message.payload_type, message.payload)
    message.signatures[0].signature = SigningKey.generate(SM2).sign(signed)


ATTACKS: dict[str, tuple[Tampering, str]] = {
    "Ed25519 stripped": (strip(0), "INVALID_SIGNATURE"),
    "ML-DSA stripped": (strip(1), "INVALID_SIGNATURE"),
    "Ed25519 under an unknown id": (rename(0), "INVALID_SIGNATURE"),
    "ML-DSA under an unknown id": (rename(1), "INVALID_SIGNATURE"),
    "swapped": (swap, "INVALID_SIGNATURE"),
    "duplicated": (duplicate, "MALFORMED_MESSAGE"),
    "right algorithm, wrong key": (by_wrong_key, "INVALID_SIGNATURE"),
    "right algorithm, key that no card lists": (by_unlisted_key, "INVALID_SIGNATURE"),
    "SM2 under the id of Ed25519": (of_another_suite, "INVALID_SIGNATURE"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_question_is_refused(federation: Federation, name: str) -> None:
    tamper, reason = ATTACKS[name]

    def tampered(request: bytes) -> bytes:
        query = QueryRecordsRequest.FromString(request)
        tamper(query.message)
        return query.SerializeToString()

    federation["shanghai"].wire.request_tampering = tampered
    assert outcomes(federation, "shanghai", "anhui") == {"anhui": reason}
    assert federation["anhui"].shelf.asked == 0


@pytest.mark.parametrize("name", ATTACKS)
def test_an_answer_is_not_believed(federation: Federation, name: str) -> None:
    def tampered(response: bytes) -> bytes:
        answer = QueryRecordsResponse.FromString(response)
        ATTACKS[name][0](answer.message)
        return answer.SerializeToString()

    federation["anhui"].wire.response_tampering = tampered
    assert set(outcomes(federation, "anhui", "shanghai").values()) <= {
        "ANSWER_NOT_SIGNED",
        "ANSWER_MALFORMED",
    }


def test_a_second_signature_of_another_node_does_not_help(federation: Federation) -> None:
    """Both keys are known and both signatures verify, but they are of two nodes."""
    jiangsu = hybrid("jiangsu", OTHER_QUANTUM_SAFE)
    anhui = federation["anhui"]
    peers = [*anhui.snapshot.roster.peers.values(), jiangsu.peer()]
    anhui.adopt(roster=Roster.of(peers))

    def tampered(request: bytes) -> bytes:
        query = QueryRecordsRequest.FromString(request)
        by_unlisted_key(query.message)
        return query.SerializeToString()

    federation["shanghai"].wire.request_tampering = tampered
    assert outcomes(federation, "shanghai", "anhui") == {"anhui": "PEER_IDENTITY_MISMATCH"}


@pytest.mark.parametrize("role", ["log_key", "witness_key"])
def test_a_key_of_another_role_signs_no_message(federation: Federation, role: str) -> None:
    zhejiang = federation["zhejiang"]
    zhejiang.adopt(message_keys=(getattr(zhejiang.province, role),))
    assert outcomes(federation, "zhejiang", "anhui") == {"anhui": "UNKNOWN_KEY"}


def with_rule(federation: Federation, node: str, peer: str, *suites: str) -> None:
    peers = dict(federation[node].snapshot.roster.peers)
    peers[peer] = replace(peers[peer], required_suites=frozenset(suites))
    federation[node].adopt(roster=Roster.of(list(peers.values())))


def test_the_receiver_s_own_rule_goes_before_the_card(federation: Federation) -> None:
    shanghai = federation["shanghai"]
    shanghai.adopt(message_keys=shanghai.snapshot.message_keys[:1])
    assert outcomes(federation, "shanghai", "anhui") == {"anhui": "INVALID_SIGNATURE"}
    with_rule(federation, "anhui", "shanghai", "ed25519")
    assert outcomes(federation, "shanghai", "anhui") == {"anhui": "OK"}
    with_rule(federation, "anhui", "shanghai", "ml-dsa-65")
    assert outcomes(federation, "shanghai", "anhui") == {"anhui": "INVALID_SIGNATURE"}


def test_the_refusal_names_the_suite_that_is_missing(federation: Federation) -> None:
    message = seal(b"p", TYPE, [federation["shanghai"].province.message_key])
    peer = federation["anhui"].snapshot.roster.peers["shanghai"]
    with pytest.raises(EnvelopeError) as error:
        open_envelope(message, TYPE, lambda key_id: peer.message_key(key_id, NOW))
    assert error.value.details == {"missingSuites": "ml-dsa-65"}


def test_a_refusal_fits_status_details_and_is_believed(federation: Federation) -> None:
    """It bears no ML-DSA signature, which would not fit beside the rest."""
    shanghai = federation["shanghai"]
    shanghai.adopt(access=replace(shanghai.snapshot.access, grants={}))
    (result,) = federation["anhui"].ask("shanghai", learner_identifier=STRANGER).peers
    assert (result.outcome, result.receipt_verified) == ("PURPOSE_NOT_GRANTED", True)
    assert result.signed_by == shanghai.province.message_key.key_id
    query = draft("anhui", "shanghai", NOW).signed(federation["anhui"].province)
    wire, peer = federation["anhui"].wire, federation["anhui"].snapshot.roster.peers["shanghai"]
    with pytest.raises(RefusedByPeerError) as error:
        wire.call(peer, QUERY_RECORDS, query, 5)
    assert isinstance(error.value.__cause__, SignedRefusalError)
    status = status_pb2.Status()
    (trailer,) = status_of(error.value.__cause__).trailing_metadata
    status.ParseFromString(trailer[1])
    message = SignedMessage()
    assert any(detail.Unpack(message) for detail in status.details)
    assert message.payload_type == REFUSAL_TYPE == ENVELOPE_REFUSAL_TYPE
    assert status.ByteSize() < DETAILS_BYTES_MAX - 1024


def test_a_stripped_card_is_refused() -> None:
    province = hybrid("shanghai")
    for index in (0, 1):
        message = province.card_message()
        del message.signatures[index]
        with pytest.raises(EnvelopeError, match="missing"):
            verify_card(message)


def test_a_card_lists_its_keys_and_stays_small() -> None:
    card: Card = hybrid("shanghai").card()
    suites = {entry.key.suite.name for entry in card.keys.values() if entry.role == KEY_ROLE_MESSAGE}
    assert suites == {"ed25519", "ml-dsa-65"}
    assert len(dsse.to_json(card.message)) < 16 * 1024


def test_every_suite_but_the_long_one_signs_log_and_cosignatures() -> None:
    for suite in SUITES:
        key = SigningKey.generate(suite)
        if suite is ML_DSA_65:
            with pytest.raises(Exception, match="too long"):
                Province("anhui", log_key=key).card()
            continue
        card = Province("anhui", log_key=key, witness_key=SigningKey.generate(suite)).card()
        assert card.log_verifier.key.suite is card.witness_verifier.key.suite is suite


def test_a_verifier_key_of_another_suite_or_use_is_refused() -> None:
    sm2 = Province("anhui", log_key=SigningKey.generate(SM2), witness_key=SigningKey.generate(SM2))
    p256 = Province("anhui", log_key=SigningKey.generate(ECDSA_P256))
    with pytest.raises(CardError, match="log"):
        sm2.card(log_verifier_key=p256.card().log_verifier_key)
    with pytest.raises(CardError, match="log"):
        sm2.card(log_verifier_key=sm2.card().witness_verifier_key)
    with pytest.raises(CardError, match="witness"):
        sm2.card(witness_verifier_key=sm2.card().log_verifier_key)


def test_a_rule_that_no_key_of_the_card_can_meet_is_refused_at_start(tmp_path) -> None:
    card = Province("anhui").card()
    text = render_peer_file(card, dsse.to_json(card.message), NOW)
    file = tmp_path / "anhui.toml"
    file.write_text(text, encoding="utf-8")
    assert load_roster(tmp_path, "zhejiang", ["ed25519"]).peers["anhui"].required_suites == {"ed25519"}
    with pytest.raises(ConfigError, match="lists no message key of sm2"):
        load_roster(tmp_path, "zhejiang", ["sm2"])
    file.write_text('required_suites = ["ed25519"]\n' + text, encoding="utf-8")
    assert load_roster(tmp_path, "zhejiang", ["sm2"]).peers["anhui"].required_suites == {"ed25519"}
    file.write_text('required_suites = ["rsa"]\n' + text, encoding="utf-8")
    with pytest.raises(ConfigError, match="required_suites"):
        load_roster(tmp_path, "zhejiang")


def test_a_node_s_own_consent_is_not_believed_when_stripped(federation: Federation) -> None:
    shanghai = federation["shanghai"]
    find = consent_keys(shanghai.snapshot, NOW)

    def key_of(key_id: str):
        found = find(key_id)
        return found and found[1]

    message = seal(b"a consent", CONSENT_TYPE, shanghai.snapshot.message_keys)
    assert len(open_envelope(message, CONSENT_TYPE, key_of).key_ids) == 2
    for index in (0, 1):
        stripped = SignedMessage.FromString(message.SerializeToString())
        del stripped.signatures[index]
        with pytest.raises(EnvelopeError, match="missing"):
            open_envelope(stripped, CONSENT_TYPE, key_of)


def test_two_keys_of_one_suite_need_one_signature() -> None:
    """As while a key is rotated: the card lists the old one and the new one."""
    old, new = SigningKey.generate(), SigningKey.generate()
    peer = Province("shanghai", message_key=old, further_message_keys=(new,)).peer()
    for key in (old, new):
        message = seal(b"p", TYPE, [key])
        assert open_envelope(message, TYPE, lambda key_id: peer.message_key(key_id, NOW)).key_ids == (
            key.key_id,
        )


def test_a_new_card_neither_ends_the_rule_nor_slips_below_it(tmp_path) -> None:
    province = hybrid("shanghai")
    path = accept(province.card(), tmp_path, NOW)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("card = ", 'required_suites = ["ml-dsa-65"]\ncard = ', 1), encoding="utf-8")
    accept(province.card(serial=2), tmp_path, NOW)
    assert load_roster(tmp_path, "anhui").peers["shanghai"].required_suites == {"ml-dsa-65"}
    with pytest.raises(CardError, match="ml-dsa-65 any more"):
        accept(province.card(serial=3, further_message_keys=()), tmp_path, NOW)
    assert load_roster(tmp_path, "anhui").peers["shanghai"].card.serial == 2
