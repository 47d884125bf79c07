"""Two invented provinces whose keys never change, so that a corpus that was signed once stays valid."""

from __future__ import annotations

import tempfile
from functools import cache
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.signing.suites import SigningKey
from tests.federation.provinces import Province
from tests.federation.simulator import LEARNER, Federation, make_federation

MEMORY = Path("/dev/shm")
"""Where logs and files of the fuzzer lie, when it is there: a disk would be what is measured."""


def seed(name: str) -> bytes:
    return sha256(f"fuzz {name}".encode()).digest()


def key(name: str) -> SigningKey:
    return SigningKey.from_private(Ed25519PrivateKey.from_private_bytes(seed(name)))


@cache
def province(node_id: str) -> Province:
    number = int.from_bytes(seed(f"{node_id} ca"), "big") >> 8
    return Province(
        node_id,
        message_key=key(f"{node_id} message"),
        log_key=key(f"{node_id} log"),
        witness_key=key(f"{node_id} witness"),
        ca_key=ec.derive_private_key(number, ec.SECP256R1()),
    )


@cache
def scratch() -> Path:
    return Path(tempfile.mkdtemp(prefix="credit-fuzz-", dir=MEMORY if MEMORY.is_dir() else None))


@cache
def federation() -> Federation:
    """Zhejiang asks, Shanghai answers; the clock stands."""
    made = make_federation(
        scratch(), "zhejiang", "shanghai", zhejiang=province("zhejiang"), shanghai=province("shanghai")
    )
    made["shanghai"].put(LEARNER, "Algebra", "Statistics")
    return made
