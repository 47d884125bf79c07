import pytest
from hypothesis import given
from hypothesis import strategies as st

from creditexchange.v1.envelope_pb2 import Header, SignedMessage
from creditexchange.v1.exchange_pb2 import RecordQueryBody
from gateway.errors import EnvelopeError
from gateway.signing.envelope import open_envelope, parse, parse_strictly, payload_type, seal, signed_digest
from gateway.signing.suites import SigningKey

TYPE = payload_type("test")
KEY, OTHER = SigningKey.generate(), SigningKey.generate()
KEYS = {KEY.key_id: KEY.verifying}


def refusal(message: SignedMessage, type_: str = TYPE) -> str:
    with pytest.raises(EnvelopeError) as error:
        open_envelope(message, type_, KEYS.get)
    return error.value.reason


def test_what_was_sealed_opens_to_the_same_bytes() -> None:
    message = seal(b"payload", TYPE, [KEY])
    opened = open_envelope(message, TYPE, KEYS.get)
    assert (opened.payload, opened.key_ids) == (b"payload", (KEY.key_id,))
    assert opened.digest == signed_digest(message)


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=7))
def test_no_single_flipped_bit_passes(position: int, bit: int) -> None:
    whole = bytearray(seal(b"payload of some length", TYPE, [KEY]).SerializeToString())
    whole[position % len(whole)] ^= 1 << bit
    try:
        message = parse(SignedMessage, bytes(whole), "message")
        opened = open_envelope(message, TYPE, KEYS.get)
    except EnvelopeError:
        return
    # A flip may land in the wire form without changing what is signed; then nothing has changed.
    assert opened.payload == b"payload of some length"


def test_another_type_is_refused() -> None:
    assert refusal(seal(b"p", payload_type("other"), [KEY])) == "WRONG_PAYLOAD_TYPE"


def test_a_signature_for_another_type_does_not_serve() -> None:
    message = seal(b"p", payload_type("other"), [KEY])
    message.payload_type = TYPE
    assert refusal(message) == "INVALID_SIGNATURE"


def test_an_unknown_key_is_refused() -> None:
    assert refusal(seal(b"p", TYPE, [OTHER])) == "UNKNOWN_KEY"


def test_a_key_id_with_another_keys_signature_is_refused() -> None:
    message = seal(b"p", TYPE, [OTHER])
    message.signatures[0].key_id = KEY.key_id
    assert refusal(message) == "INVALID_SIGNATURE"


def test_one_good_signature_does_not_excuse_a_bad_one_by_a_known_key() -> None:
    keys = {KEY.key_id: KEY.verifying, OTHER.key_id: OTHER.verifying}
    message = seal(b"p", TYPE, [KEY, OTHER])
    message.signatures[1].signature = bytes(64)
    with pytest.raises(EnvelopeError) as error:
        open_envelope(message, TYPE, keys.get)
    assert error.value.reason == "INVALID_SIGNATURE"


def test_a_signature_by_an_unknown_key_beside_a_good_one_is_ignored() -> None:
    assert open_envelope(seal(b"p", TYPE, [OTHER, KEY]), TYPE, KEYS.get).key_ids == (KEY.key_id,)


@pytest.mark.parametrize(
    "message",
    [
        SignedMessage(payload=b"p", payload_type=TYPE),
        SignedMessage(payload=b"", payload_type=TYPE, signatures=seal(b"", TYPE, [KEY]).signatures),
        seal(b"p", "学", [KEY]),
        seal(b"p", "t" * 200, [KEY]),
        seal(b"p", TYPE, [KEY, KEY]),
        seal(b"p", TYPE, [SigningKey.generate() for _ in range(5)]),
    ],
    ids=["no signature", "no payload", "type not ascii", "type too long", "one key twice", "five signatures"],
)
def test_a_malformed_envelope_is_refused(message: SignedMessage) -> None:
    assert refusal(message, message.payload_type) == "MALFORMED_MESSAGE"


def test_strict_parsing_refuses_unknown_fields_at_any_depth() -> None:
    known = RecordQueryBody(purpose=1, kinds=[1])
    parse_strictly(RecordQueryBody, known.SerializeToString(), "body")
    with pytest.raises(EnvelopeError, match="unknown field"):
        parse_strictly(RecordQueryBody, known.SerializeToString() + b"\xf8\x01\x01", "body")
    nested = Header(issue_time={"seconds": 1})  # the time's own bytes get an unknown field
    inner = nested.issue_time.SerializeToString() + b"\xf8\x01\x01"
    data = b"\x42" + bytes([len(inner)]) + inner
    with pytest.raises(EnvelopeError, match="unknown field"):
        parse_strictly(Header, data, "header")


def test_parser_text_never_leaves() -> None:
    with pytest.raises(EnvelopeError) as error:
        parse(RecordQueryBody, b"\xff\xff\xff", "body")
    assert str(error.value) == "body does not parse."
