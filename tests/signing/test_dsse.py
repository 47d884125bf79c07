import json
from base64 import b64decode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from gateway.errors import EnvelopeError
from gateway.signing import dsse
from gateway.signing.envelope import seal
from gateway.signing.suites import SigningKey

TYPE = "application/vnd.creditexchange.test.v1+protobuf"


def test_encoding_equals_the_published_one() -> None:
    encoded = dsse.pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_the_published_p256_signature_verifies_over_our_encoding() -> None:
    # protocol.md: public key X, Y (decimal), signature r || s in base64
    x = 46950820868899156662930047687818585632848591499744589407958293238635476079160
    y = 5640078356564379163099075877009565129882514886557779369047442380624545832820
    signature = b64decode(
        "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="
    )
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    der = encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
    encoded = dsse.pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    key.verify(der, encoded, ec.ECDSA(SHA256()))


def test_lengths_count_bytes_not_characters() -> None:
    assert dsse.pre_authentication_encoding("学", b"") == "DSSEv1 3 学 0 ".encode()


@given(st.text(max_size=40), st.binary(max_size=200), st.text(max_size=40), st.binary(max_size=200))
def test_two_messages_never_share_an_encoding(type_a: str, a: bytes, type_b: str, b: bytes) -> None:
    same = dsse.pre_authentication_encoding(type_a, a) == dsse.pre_authentication_encoding(type_b, b)
    assert same == ((type_a, a) == (type_b, b))


@given(st.binary(min_size=1, max_size=500))
def test_json_brings_every_message_back(payload: bytes) -> None:
    message = seal(payload, TYPE, [SigningKey.generate()])
    assert dsse.from_json(dsse.to_json(message)) == message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"payload": 1}',
        '{"payload": "!", "payloadType": "t", "signatures": []}',
        "1" * 2_000_000,
        "[" * 100_000,
    ],
)
def test_what_is_no_envelope_is_refused(text: str) -> None:
    with pytest.raises(EnvelopeError) as error:
        dsse.from_json(text)
    assert error.value.reason == "MALFORMED_MESSAGE"


def test_other_peoples_verifier_accepts_an_exported_envelope_and_refuses_a_changed_one() -> None:
    key = SigningKey.generate()
    exported = json.loads(dsse.to_json(seal(b"records", TYPE, [key])))
    raw = key.verifying.public.public_bytes_raw().hex()
    theirs = SSlibKey(key.key_id, "ed25519", "ed25519", {"public": raw})

    accepted = Envelope.from_dict(json.loads(json.dumps(exported))).verify([theirs], 1)
    assert set(accepted) == {key.key_id}

    exported["payloadType"] += "x"
    with pytest.raises(VerificationError):
        Envelope.from_dict(exported).verify([theirs], 1)
