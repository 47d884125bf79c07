import dilithium_py.ml_dsa
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import EnvelopeError
from gateway.signing.key_files import read_signing_key, write_private_key
from gateway.signing.suites import P256_ORDER, SUITES, SigningKey, VerifyingKey, key_id

# RFC 8032, section 7.1: secret key, public key, message, signature
RFC_8032 = {
    "test 1": (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    "test 2": (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    "test 3": (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
}


@pytest.mark.parametrize("name", RFC_8032)
def test_ed25519_signs_and_verifies_as_in_rfc_8032(name: str) -> None:
    secret, public, message, signature = map(bytes.fromhex, RFC_8032[name])
    key = SigningKey.from_private(Ed25519PrivateKey.from_private_bytes(secret))
    assert key.verifying.public.public_bytes_raw() == public
    assert key.sign(message) == signature
    key.verifying.verify(signature, message)


# RFC 6979, annex A.2.5, SHA-256: message, r, s
RFC_6979 = {
    b"sample": (
        0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716,
        0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8,
    ),
    b"test": (
        0xF1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367,
        0x019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083,
    ),
}
RFC_6979_KEY = ec.derive_private_key(
    0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721, ec.SECP256R1()
)


@pytest.mark.parametrize("message", RFC_6979)
def test_p_256_verifies_as_in_rfc_6979_and_takes_one_encoding(message: bytes) -> None:
    key = SigningKey.from_private(RFC_6979_KEY).verifying
    r, s = RFC_6979[message]
    key.verify(encode_dss_signature(r, s), message)
    for wrong in ((r + P256_ORDER, s), (r, s + P256_ORDER), (0, s), (r, 0), (s, r)):
        with pytest.raises(EnvelopeError):
            key.verify(encode_dss_signature(*wrong), message)
    with pytest.raises(EnvelopeError):
        key.verify(b"\x30\x81" + encode_dss_signature(r, s)[1:], message)


@settings(max_examples=5, deadline=None)
@given(st.binary(min_size=1, max_size=400))
def test_another_implementation_verifies_our_ml_dsa_and_we_its(message: bytes) -> None:
    seed = b"\5" * 32
    public, secret = dilithium_py.ml_dsa.ML_DSA_65.key_derive(seed)
    key = SigningKey.from_private(MLDSA65PrivateKey.from_seed_bytes(seed))
    assert key.verifying.public.public_bytes_raw() == public
    assert dilithium_py.ml_dsa.ML_DSA_65.verify(public, message, key.sign(message))
    key.verifying.verify(dilithium_py.ml_dsa.ML_DSA_65.sign(secret, message), message)


def test_a_compressed_point_would_be_a_second_id_of_one_key() -> None:
    point = RFC_6979_KEY.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    prefix = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    with pytest.raises(EnvelopeError, match="canonical"):
        VerifyingKey.from_spki(prefix + point)


KEYS = {suite.name: SigningKey.generate(suite) for suite in SUITES}
OTHERS = {suite.name: SigningKey.generate(suite) for suite in SUITES}


@pytest.mark.parametrize("name", KEYS)
def test_a_key_survives_its_file(name: str, tmp_path) -> None:
    for passphrase in (None, b"open sesame"):
        path = tmp_path / f"{passphrase}.pem"
        write_private_key(path, KEYS[name].private, passphrase)
        again = read_signing_key(path, passphrase)
        assert (again.suite.name, again.key_id) == (name, KEYS[name].key_id)
        VerifyingKey.from_spki(KEYS[name].verifying.spki).verify(again.sign(b"data"), b"data")


@pytest.mark.parametrize("signer", KEYS)
@pytest.mark.parametrize("verifier", KEYS)
def test_only_the_key_itself_verifies_and_no_algorithm_passes_for_another(signer: str, verifier: str) -> None:
    KEYS[signer].verifying.verify(KEYS[signer].sign(b"data"), b"data")
    stranger = OTHERS if signer == verifier else KEYS
    with pytest.raises(EnvelopeError) as error:
        stranger[verifier].verifying.verify(KEYS[signer].sign(b"data"), b"data")
    assert error.value.reason == "INVALID_SIGNATURE"


def test_a_signature_over_other_bytes_is_refused() -> None:
    key = SigningKey.generate()
    with pytest.raises(EnvelopeError) as error:
        key.verifying.verify(key.sign(b"one"), b"two")
    assert error.value.reason == "INVALID_SIGNATURE"


@pytest.mark.parametrize("change", [lambda s: s[:-1], lambda s: s + b"\x00", lambda s: b""])
def test_a_signature_of_another_length_is_refused(change) -> None:
    key = SigningKey.generate()
    with pytest.raises(EnvelopeError) as error:
        key.verifying.verify(change(key.sign(b"data")), b"data")
    assert error.value.reason == "INVALID_SIGNATURE"


@pytest.mark.parametrize(
    "private", [ec.generate_private_key(ec.SECP384R1()), ed448.Ed448PrivateKey.generate()]
)
def test_a_key_of_an_unknown_suite_is_refused(private) -> None:
    spki = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(EnvelopeError, match="unsupported type"):
        VerifyingKey.from_spki(spki)
    with pytest.raises(EnvelopeError, match="unsupported type"):
        SigningKey.from_private(private)


def test_garbage_is_no_key() -> None:
    with pytest.raises(EnvelopeError) as error:
        VerifyingKey.from_spki(b"garbage")
    assert error.value.reason == "MALFORMED_MESSAGE"


def test_the_key_id_is_the_digest_of_the_public_key_info() -> None:
    key = SigningKey.generate().verifying
    assert key.key_id == key_id(key.spki)
    assert key.key_id.startswith("sha256:")
    assert len(key.key_id) == len("sha256:") + 64
