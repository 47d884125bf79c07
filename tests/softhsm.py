"""SoftHSM: a hardware module in software, for tests. One for a whole run: it reads its file once."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LIBRARIES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
TOKEN, PIN = "province", "493271"
P256 = bytes.fromhex("06082a8648ce3d030107")
SM2_CURVE = bytes.fromhex("06082a811ccf5501822d")
EDWARDS25519 = b"\x13\x0cedwards25519"


@dataclass(frozen=True)
class SoftHsm:
    """The module with its one token."""

    library: str

    def uri(self, label: str, pin_source: str = "", **query: str) -> str:
        parts = {"module-path": self.library} | ({"pin-source": pin_source} if pin_source else {}) | query
        return f"pkcs11:token={TOKEN};object={label}?" + "&".join(f"{k}={v}" for k, v in parts.items())

    def make_pair(self, label: str, parameters: bytes) -> None:
        """Make a key pair, as the operator does with the module's own tool."""
        import pkcs11

        kind = pkcs11.KeyType.EC_EDWARDS if parameters == EDWARDS25519 else pkcs11.KeyType.EC
        mechanism = (
            pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN
            if parameters == EDWARDS25519
            else pkcs11.Mechanism.EC_KEY_PAIR_GEN
        )
        token = pkcs11.lib(self.library).get_token(token_label=TOKEN)
        with token.open(rw=True, user_pin=PIN) as session:
            domain = session.create_domain_parameters(
                kind, {pkcs11.Attribute.EC_PARAMS: parameters}, local=True
            )
            domain.generate_keypair(mechanism=mechanism, label=label, store=True)


@contextmanager
def soft_hsm(folder: Path) -> Iterator[SoftHsm]:
    """Yield the module with a new token; also processes that are started meanwhile see it."""
    library = next((path for path in LIBRARIES if Path(path).is_file()), "")
    if not (library and shutil.which("softhsm2-util")):
        raise AssertionError("SoftHSM is missing: apt-get install softhsm2, or brew install softhsm")
    tokens = folder / "tokens"
    tokens.mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    command = [
        "softhsm2-util",
        "--init-token",
        "--free",
        "--label",
        TOKEN,
        "--pin",
        PIN,
        "--so-pin",
        "88888888",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    try:
        yield SoftHsm(library)
    finally:
        del os.environ["SOFTHSM2_CONF"]
