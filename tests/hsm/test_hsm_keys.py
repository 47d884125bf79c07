"""Keys that never leave their module, with SoftHSM as the module."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.errors import HsmError, KeyFileError
from gateway.signing import hsm_keys
from gateway.signing.hsm_keys import PIN_VARIABLE, open_hsm_key
from gateway.signing.key_files import write_private_file
from gateway.signing.key_uri import parse_key_uri
from gateway.signing.suites import SigningKey, VerifyingKey
from tests.softhsm import PIN, TOKEN, SoftHsm


@pytest.fixture(autouse=True)
def pin(tmp_path: Path) -> None:
    write_private_file(tmp_path / "pin", f"{PIN}\n".encode())


def opened(hsm: SoftHsm, label: str, folder: Path) -> SigningKey:
    return open_hsm_key(parse_key_uri(hsm.uri(label, "file:pin")), folder)


@pytest.mark.parametrize(("label", "suite"), [("message", "ed25519"), ("log", "ecdsa-p256")])
def test_it_signs_what_the_suite_verifies(hsm: SoftHsm, label: str, suite: str, tmp_path: Path) -> None:
    key = opened(hsm, label, tmp_path)
    assert key.suite.name == suite
    for number in range(20):
        message = str(number).encode()
        VerifyingKey.from_spki(key.verifying.spki).verify(key.sign(message), message)
    assert opened(hsm, label, tmp_path).key_id == key.key_id


def test_openssl_verifies_what_it_signs(hsm: SoftHsm, tmp_path: Path) -> None:
    key = opened(hsm, "log", tmp_path)
    (tmp_path / "key.der").write_bytes(key.verifying.spki)
    (tmp_path / "signature").write_bytes(key.sign(b"message"))
    (tmp_path / "message").write_bytes(b"message")
    pem = subprocess.run(
        ["openssl", "pkey", "-pubin", "-inform", "DER", "-in", tmp_path / "key.der"],
        capture_output=True,
        check=True,
    )
    (tmp_path / "key.pem").write_bytes(pem.stdout)
    files = ["-verify", tmp_path / "key.pem", "-signature", tmp_path / "signature", tmp_path / "message"]
    subprocess.run(["openssl", "dgst", "-sha256", *files], check=True, capture_output=True)


def test_threads_share_a_session(hsm: SoftHsm, tmp_path: Path) -> None:
    keys = [opened(hsm, label, tmp_path) for label in ("message", "log")]

    def sign(number: int) -> None:
        key, message = keys[number % 2], str(number).encode()
        key.verifying.verify(key.sign(message), message)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(sign, range(200)))


def test_a_lost_session_is_opened_again(hsm: SoftHsm, tmp_path: Path) -> None:
    key = opened(hsm, "message", tmp_path)
    key.private._token.session.close()
    key.verifying.verify(key.sign(b"after"), b"after")


def missing(hsm: SoftHsm, tmp_path: Path) -> dict[str, tuple[str, str]]:
    elsewhere = hsm.uri("message", "file:pin").replace(f"token={TOKEN}", "token=none")
    no_library = SoftHsm(str(tmp_path / "none.so")).uri("message", "file:pin")
    no_module = SoftHsm("libc.so.6").uri("message", "file:pin")
    return {
        "no such key": (hsm.uri("none", "file:pin"), "no such private key.*Make the key pair"),
        "no such token": (elsewhere, "NoSuchToken.*label"),
        "two keys of one label": (hsm.uri("twins", "file:pin"), "2 such private keys.*Add id"),
        "the curve of SM2": (hsm.uri("sm2", "file:pin"), "another type than ed25519 and ecdsa-p256"),
        "no such library": (no_library, "no PKCS#11 library.*module-path"),
        "another library": (no_module, "no PKCS#11 library.*module-path"),
    }


@pytest.mark.parametrize(
    "case",
    [
        "no such key",
        "no such token",
        "two keys of one label",
        "the curve of SM2",
        "no such library",
        "another library",
    ],
)
def test_the_operator_is_told_what_is_wrong(hsm: SoftHsm, case: str, tmp_path: Path) -> None:
    uri, told = missing(hsm, tmp_path)[case]
    with pytest.raises(HsmError, match=told) as error:
        open_hsm_key(parse_key_uri(uri), tmp_path)
    assert PIN not in str(error.value)


def test_the_pin_comes_from_a_private_file_or_the_environment(
    hsm: SoftHsm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = parse_key_uri(hsm.uri("message"))
    expected = opened(hsm, "message", tmp_path).key_id
    close_tokens(monkeypatch)
    with pytest.raises(HsmError, match=f"no PIN.*{PIN_VARIABLE}"):
        open_hsm_key(uri, tmp_path)
    monkeypatch.setenv(PIN_VARIABLE, PIN)
    assert open_hsm_key(uri, tmp_path).key_id == expected
    close_tokens(monkeypatch)
    (tmp_path / "pin").chmod(0o644)
    with pytest.raises(KeyFileError, match="others can read it"):
        opened(hsm, "message", tmp_path)


def test_a_wrong_pin_is_tried_once(hsm: SoftHsm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close_tokens(monkeypatch)
    monkeypatch.setenv(PIN_VARIABLE, "000000")
    uri = parse_key_uri(hsm.uri("message"))
    tries = []
    real = hsm_keys._log_in
    monkeypatch.setattr(hsm_keys, "_log_in", lambda *a: tries.append(1) or real(*a))
    for _ in range(3):
        with pytest.raises(HsmError, match="PinIncorrect") as error:
            open_hsm_key(uri, tmp_path)
        assert "000000" not in str(error.value)
    assert len(tries) == 1
    hsm_keys._tokens.clear()


def close_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    for token in hsm_keys._tokens.values():
        if token.session is not None:
            token.close()
    hsm_keys._tokens.clear()


def test_without_the_library_the_extra_is_named(
    hsm: SoftHsm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    with pytest.raises(HsmError, match=r"gateway\[hsm\]"):
        opened(hsm, "message", tmp_path)


AWAY = """
import sys
from pathlib import Path
from gateway.errors import HsmError
from gateway.signing.hsm_keys import open_hsm_key
from gateway.signing.key_uri import parse_key_uri
key = open_hsm_key(parse_key_uri(sys.argv[1]), Path(sys.argv[2]))
tokens = Path(sys.argv[3])
tokens.rename(tokens.with_name("away"))
try:
    key.sign(b"away")
except HsmError as error:
    print(error)
finally:
    tokens.with_name("away").rename(tokens)
"""


def test_a_module_that_is_gone_while_the_node_runs(hsm: SoftHsm, tmp_path: Path) -> None:
    """In a process of its own: SoftHSM itself does not recover from it."""
    tokens = Path(os.environ["SOFTHSM2_CONF"]).with_name("tokens")
    arguments = [hsm.uri("log", "file:pin"), str(tmp_path), str(tokens)]
    done = subprocess.run(
        [sys.executable, "-c", AWAY, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("token province: the module answers")
    assert "restart the node" in done.stdout
