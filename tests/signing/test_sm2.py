"""SM2 with SM3: the standard's example, two other implementations, OpenSSL's command line, and attacks."""

import gc
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gmalg
import gmssl_pyx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import EnvelopeError, KeyFileError, SuiteUnavailableError
from gateway.signing import libcrypto as libcrypto_module
from gateway.signing import sm2
from gateway.signing.key_files import read_signing_key, write_private_file, write_private_key
from gateway.signing.sm2 import DISTINGUISHING_ID, ORDER, SPKI_PREFIX, Sm2PrivateKey, Sm2PublicKey
from gateway.signing.suites import SM2, SigningKey, VerifyingKey

# GB/T 32918.5-2017, annex A.2: private key, public key, signature (r, s) of "message digest"
EXAMPLE_PRIVATE = bytes.fromhex("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8")
EXAMPLE_POINT = bytes.fromhex(
    "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
EXAMPLE_R = 0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3
EXAMPLE_S = 0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA
# RFC 5958 around RFC 5915 without the public key
PKCS8_PREFIX = bytes.fromhex("3041020100301306072a8648ce3d020106082a811ccf5501822d042730250201010420")

KEY = Sm2PrivateKey.generate()
SPKI = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
POINT = SPKI[len(SPKI_PREFIX) :]
MESSAGE = b"a record query"
SIGNATURE = KEY.sign(MESSAGE)


def pem_of_scalar(scalar: bytes) -> bytes:
    from gateway.signing.pem import pem_of

    return pem_of("PRIVATE KEY", PKCS8_PREFIX + scalar)


def plain_pem(key: Sm2PrivateKey = KEY) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def scalar_of(key: Sm2PrivateKey) -> bytes:
    from gateway.signing.pem import der_of

    der = der_of("PRIVATE KEY", plain_pem(key))
    return der[der.index(bytes.fromhex("0201010420")) + 5 :][:32]


def openssl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=60, check=False)


def refused(signature: bytes, message: bytes = MESSAGE) -> bool:
    try:
        KEY.public_key().verify(signature, message)
    except InvalidSignature:
        return True
    return False


def test_the_example_of_the_standard() -> None:
    public = Sm2PublicKey.from_spki(SPKI_PREFIX + EXAMPLE_POINT)
    public.verify(encode_dss_signature(EXAMPLE_R, EXAMPLE_S), b"message digest")
    with pytest.raises(InvalidSignature):
        public.verify(encode_dss_signature(EXAMPLE_R, EXAMPLE_S - 1), b"message digest")
    private = Sm2PrivateKey.from_pem(pem_of_scalar(EXAMPLE_PRIVATE))
    spki = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert spki == SPKI_PREFIX + EXAMPLE_POINT
    public.verify(private.sign(b"message digest"), b"message digest")


@settings(max_examples=10, deadline=None)
@given(st.binary(min_size=1, max_size=300))
def test_gmalg_verifies_what_we_sign_and_we_what_it_signs(message: bytes) -> None:
    other = gmalg.SM2(sk=scalar_of(KEY), uid=DISTINGUISHING_ID, pk=b"\x04" + POINT)
    r, s = decode_dss_signature(KEY.sign(message))
    assert other.verify(message, r.to_bytes(32), s.to_bytes(32))
    r_theirs, s_theirs = other.sign(message)
    theirs = encode_dss_signature(int.from_bytes(r_theirs), int.from_bytes(s_theirs))
    KEY.public_key().verify(theirs, message)


@settings(max_examples=25, deadline=None)
@given(st.binary(min_size=1, max_size=5_000))
def test_gmssl_verifies_what_we_sign_and_we_what_it_signs(message: bytes) -> None:
    assert gmssl_pyx.sm2_verify(POINT, message, KEY.sign(message), signer_id=DISTINGUISHING_ID)
    theirs = gmssl_pyx.sm2_sign(scalar_of(KEY), POINT, message, signer_id=DISTINGUISHING_ID)
    KEY.public_key().verify(theirs, message)


ID_OPTION = ("-sigopt", f"distid:{DISTINGUISHING_ID.decode()}")


def test_openssl_verifies_what_we_sign_and_we_what_it_signs(tmp_path: Path) -> None:
    made = openssl("genpkey", "-algorithm", "SM2", "-out", str(tmp_path / "k.pem"))
    assert made.returncode == 0, made.stderr
    (tmp_path / "k.pem").chmod(0o600)
    openssl("pkey", "-in", str(tmp_path / "k.pem"), "-pubout", "-out", str(tmp_path / "k.pub"))
    key = read_signing_key(tmp_path / "k.pem")
    assert key.suite is SM2
    (tmp_path / "message").write_bytes(MESSAGE)
    (tmp_path / "ours").write_bytes(key.sign(MESSAGE))
    files = [str(tmp_path / name) for name in ("k.pub", "ours", "message")]
    verified = openssl("dgst", "-sm3", *ID_OPTION, "-verify", files[0], "-signature", files[1], files[2])
    assert verified.stdout.strip() == "Verified OK", verified.stderr
    theirs = tmp_path / "theirs"
    openssl("dgst", "-sm3", *ID_OPTION, "-sign", str(tmp_path / "k.pem"), "-out", str(theirs), files[2])
    key.verifying.verify(theirs.read_bytes(), MESSAGE)


def test_openssl_without_the_id_or_with_another_one_is_refused(tmp_path: Path) -> None:
    write_private_file(tmp_path / "k.pem", plain_pem())
    (tmp_path / "message").write_bytes(MESSAGE)
    for name, options in {"none": (), "other": ("-sigopt", "distid:ALICE123@YAHOO.COM")}.items():
        signature = tmp_path / name
        command = ("dgst", "-sm3", *options, "-sign", str(tmp_path / "k.pem"), "-out", str(signature))
        assert openssl(*command, str(tmp_path / "message")).returncode == 0
        assert refused(signature.read_bytes()), name
    KEY.public_key().verify((tmp_path / "other").read_bytes(), MESSAGE, signer_id=b"ALICE123@YAHOO.COM")


def test_openssl_reads_our_encrypted_key_and_we_read_its(tmp_path: Path) -> None:
    write_private_key(tmp_path / "ours.pem", KEY, b"open sesame")
    text = (tmp_path / "ours.pem").read_text()
    assert text.startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    read = openssl(
        "pkey", "-in", str(tmp_path / "ours.pem"), "-passin", "pass:open sesame", "-pubout", "-outform", "PEM"
    )
    assert read.returncode == 0, read.stderr
    write_private_file(tmp_path / "plain.pem", plain_pem())
    theirs = tmp_path / "theirs.pem"
    openssl("pkcs8", "-topk8", "-in", str(tmp_path / "plain.pem"), "-passout", "pass:x", "-out", str(theirs))
    theirs.chmod(0o600)
    expected = SigningKey.from_private(KEY).key_id
    assert read_signing_key(theirs, b"x").key_id == expected
    assert read_signing_key(tmp_path / "ours.pem", b"open sesame").key_id == expected
    for wrong in (b"open sesame ", b"", None):
        with pytest.raises(KeyFileError):
            read_signing_key(tmp_path / "ours.pem", wrong)


def length_of_two_bytes(signature: bytes) -> bytes:
    return b"\x30\x81" + signature[1:]


def padded(signature: bytes) -> bytes:
    r_length = signature[3]
    r = b"\x00" + signature[4 : 4 + r_length]
    body = bytes([2, r_length + 1]) + r + signature[4 + r_length :]
    return bytes([0x30, len(body)]) + body


R, S = decode_dss_signature(SIGNATURE)
BROKEN = {
    "empty": b"",
    "truncated": SIGNATURE[:-1],
    "a byte too many": SIGNATURE + b"\0",
    "length in long form": length_of_two_bytes(SIGNATURE),
    "leading zero": padded(SIGNATURE),
    "raw r and s": R.to_bytes(32) + S.to_bytes(32),
    "r zero": encode_dss_signature(0, S),
    "s zero": encode_dss_signature(R, 0),
    "r the order": encode_dss_signature(ORDER, S),
    "s above the order": encode_dss_signature(R, S + ORDER),
    "r above the order": encode_dss_signature(R + ORDER, S),
    "s negated": encode_dss_signature(R, ORDER - S),
    "r negative": b"\x30\x06\x02\x01\xff\x02\x01\x01",
    "r and s swapped": encode_dss_signature(S, R),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_signature_is_refused(name: str) -> None:
    assert refused(BROKEN[name])
    with pytest.raises(EnvelopeError) as error:
        VerifyingKey.from_spki(SPKI).verify(BROKEN[name], MESSAGE)
    assert error.value.reason == "INVALID_SIGNATURE"


@given(st.integers(0, len(SIGNATURE) * 8 - 1))
def test_every_flipped_bit_is_refused(bit: int) -> None:
    flipped = bytearray(SIGNATURE)
    flipped[bit // 8] ^= 1 << bit % 8
    assert refused(bytes(flipped))


def test_another_message_or_another_id_is_refused() -> None:
    assert refused(SIGNATURE, MESSAGE + b"s")
    for signer_id in (b"", b"1234567812345679", b"ALICE123@YAHOO.COM"):
        with pytest.raises(InvalidSignature):
            KEY.public_key().verify(SIGNATURE, MESSAGE, signer_id=signer_id)
        assert refused(KEY.sign(MESSAGE, signer_id=signer_id))


P256_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
BAD_KEYS = {
    "not on the curve": SPKI_PREFIX + POINT[:-1] + bytes([POINT[-1] ^ 1]),
    "the origin": SPKI_PREFIX + bytes(64),
    "a coordinate above the field": SPKI_PREFIX + b"\xff" * 64,
    "truncated": SPKI[:-1],
    "a byte too many": SPKI + b"\0",
    "compressed": bytes.fromhex("3039301306072a8648ce3d020106082a811ccf5501822d032200")
    + bytes([2 + (POINT[-1] & 1)])
    + POINT[:32],
    "hybrid form": SPKI[: len(SPKI_PREFIX) - 1] + bytes([6 + (POINT[-1] & 1)]) + POINT,
    "under the id of P-256": P256_PREFIX + POINT,
}


@pytest.mark.parametrize("name", BAD_KEYS)
def test_a_malformed_public_key_is_refused(name: str) -> None:
    with pytest.raises(EnvelopeError) as error:
        VerifyingKey.from_spki(BAD_KEYS[name])
    assert error.value.reason == "MALFORMED_MESSAGE"


@pytest.mark.parametrize("scalar", [0, ORDER, ORDER - 1 + 5, 2**256 - 1], ids=hex)
def test_a_private_key_out_of_range_is_refused(scalar: int, tmp_path: Path) -> None:
    write_private_file(tmp_path / "k.pem", pem_of_scalar(scalar.to_bytes(32)))
    with pytest.raises(KeyFileError):
        read_signing_key(tmp_path / "k.pem")


def test_the_key_of_the_standard_s_example_is_refused(tmp_path: Path) -> None:
    write_private_file(tmp_path / "k.pem", pem_of_scalar(EXAMPLE_PRIVATE))
    with pytest.raises(KeyFileError, match="published"):
        read_signing_key(tmp_path / "k.pem")


def test_a_key_is_never_shown() -> None:
    assert scalar_of(KEY).hex() not in repr(KEY) + repr(SigningKey.from_private(KEY))


def test_threads_share_a_key() -> None:
    public = KEY.public_key()

    def sign_and_verify(number: int) -> None:
        message = str(number).encode()
        public.verify(KEY.sign(message), message)
        assert refused(SIGNATURE, message)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(sign_and_verify, range(800)))


def resident_kib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def test_nothing_leaks() -> None:
    pem, encrypted = (
        plain_pem(),
        KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")),
    )

    def work(times: int) -> None:
        for _ in range(times):
            key = Sm2PrivateKey.from_pem(pem)
            key.public_key().verify(key.sign(MESSAGE), MESSAGE)
            plain_pem(key)
            assert refused(BROKEN["s negated"])
            for broken in (encrypted, b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"):
                with pytest.raises(ValueError, match=r"PRIVATE KEY|private key"):
                    Sm2PrivateKey.from_pem(broken)
            with pytest.raises(EnvelopeError):
                VerifyingKey.from_spki(BAD_KEYS["not on the curve"])

    work(300)
    gc.collect()
    before = resident_kib()
    work(800)
    gc.collect()
    assert resident_kib() - before < 800  # one lost key each time would be 1 MiB and more


def test_a_failure_leaves_no_error_behind_for_tls() -> None:
    assert refused(BROKEN["s negated"])
    with pytest.raises(EnvelopeError):
        VerifyingKey.from_spki(BAD_KEYS["the origin"])
    library = libcrypto_module.libcrypto()
    assert library.ERR_peek_error() == 0


def test_without_openssl_3_the_operator_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for cached in (libcrypto_module.libcrypto, sm2.require_sm2):
        cached.cache_clear()
    try:
        monkeypatch.setattr(libcrypto_module, "NAMES", ("libcrypto.so.none",))
        for act in (Sm2PrivateKey.generate, lambda: VerifyingKey.from_spki(SPKI)):
            with pytest.raises(SuiteUnavailableError, match=r"not installed.*libssl3"):
                act()
        monkeypatch.setattr(libcrypto_module, "NAMES", ("libc.so.6",))
        with pytest.raises(SuiteUnavailableError, match="has no ERR_clear_error"):
            Sm2PrivateKey.generate()
    finally:
        monkeypatch.undo()
        libcrypto_module.libcrypto.cache_clear()


WITHOUT_SM2 = """
from gateway.errors import SuiteUnavailableError
from gateway.signing.sm2 import Sm2PrivateKey
try:
    Sm2PrivateKey.generate()
except SuiteUnavailableError as error:
    print(error)
"""


def test_an_openssl_without_sm2_is_told(tmp_path: Path) -> None:
    # The base provider alone reads and writes keys and computes nothing, as a restricted build does.
    (tmp_path / "openssl.cnf").write_text(
        "openssl_conf = main\n[main]\nproviders = list\n[list]\nbase = on\n[on]\nactivate = 1\n"
    )
    environment = os.environ | {"OPENSSL_CONF": str(tmp_path / "openssl.cnf")}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_SM2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert "cannot sign and verify with SM2" in done.stdout, done.stderr


def test_equal_points_are_equal_keys() -> None:
    again, other = Sm2PublicKey.from_spki(SPKI), Sm2PrivateKey.generate().public_key()
    assert again == KEY.public_key() != other
    assert {again, KEY.public_key(), other} == {again, other}
    assert VerifyingKey.from_spki(SPKI) == SigningKey.from_private(KEY).verifying
