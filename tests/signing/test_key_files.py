from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.errors import KeyFileError
from gateway.signing.key_files import (
    PASSPHRASE_VARIABLE,
    find_passphrase,
    read_secret,
    read_signing_key,
    write_private_file,
    write_private_key,
    write_secret,
)
from gateway.signing.suites import SigningKey


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "message.pem"
    write_private_key(path, SigningKey.generate().private)
    return path


def test_a_key_comes_back_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    key = SigningKey.generate()
    write_private_key(tmp_path / "k.pem", key.private)
    assert read_signing_key(tmp_path / "k.pem").key_id == key.key_id
    assert (tmp_path / "k.pem").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o620])
def test_a_key_that_others_can_touch_is_refused(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    with pytest.raises(KeyFileError, match=f"mode {mode:04o}.*chmod 600"):
        read_signing_key(key_file)


def test_an_encrypted_key_needs_its_passphrase(tmp_path: Path) -> None:
    key, path = SigningKey.generate(), tmp_path / "k.pem"
    write_private_key(path, key.private, b"open sesame")
    assert read_signing_key(path, b"open sesame").key_id == key.key_id
    with pytest.raises(KeyFileError, match="no passphrase is set"):
        read_signing_key(path)
    with pytest.raises(KeyFileError, match="Is the passphrase right"):
        read_signing_key(path, b"wrong")


def test_the_passphrase_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "from the environment")
    assert find_passphrase(None) == b"from the environment"
    write_private_file(tmp_path / "p", b"from a file\n")
    assert find_passphrase(tmp_path / "p") == b"from a file"
    (tmp_path / "p").chmod(0o644)
    with pytest.raises(KeyFileError, match="mode 0644"):
        find_passphrase(tmp_path / "p")
    monkeypatch.delenv(PASSPHRASE_VARIABLE)
    assert find_passphrase(None) is None


def test_a_missing_key_says_so(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="is missing"):
        read_signing_key(tmp_path / "none.pem")


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    write_private_file(tmp_path / "k.pem", content)
    with pytest.raises(KeyFileError, match="no PKCS#8 PEM"):
        read_signing_key(tmp_path / "k.pem")


def test_a_key_no_suite_knows_is_refused(tmp_path: Path) -> None:
    write_private_key(tmp_path / "k.pem", rsa.generate_private_key(65537, 2048))
    with pytest.raises(KeyFileError, match="no signature suite"):
        read_signing_key(tmp_path / "k.pem")


def test_a_key_printed_in_a_standard_is_refused(tmp_path: Path) -> None:
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")  # RFC 8032
    write_private_key(tmp_path / "k.pem", Ed25519PrivateKey.from_private_bytes(seed))
    with pytest.raises(KeyFileError, match="published"):
        read_signing_key(tmp_path / "k.pem")


def test_an_existing_file_is_never_overwritten(key_file: Path) -> None:
    before = key_file.read_bytes()
    with pytest.raises(KeyFileError, match="exists already"):
        write_private_key(key_file, SigningKey.generate().private)
    assert key_file.read_bytes() == before


def test_a_secret_has_its_length(tmp_path: Path) -> None:
    write_secret(tmp_path / "s", bytes(range(32)))
    assert read_secret(tmp_path / "s") == bytes(range(32))
    with pytest.raises(KeyFileError, match="32 bytes, 16 are needed"):
        read_secret(tmp_path / "s", 16)
    write_private_file(tmp_path / "t", b"not base64!")
    with pytest.raises(KeyFileError, match="not base64"):
        read_secret(tmp_path / "t")
