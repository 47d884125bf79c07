"""Which private key is in use, and which one comes next or was in use last.

A key that is being replaced may lie in any of three files; which of them is which is told by the key
ids in the plan (``rotation_plan.py``), never by a file's name. So files may be renamed in any order,
and be half renamed when the machine stops.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.errors import KeyFileError
from gateway.node.rotation_plan import ANNOUNCED, Plan, Role, Step
from gateway.signing.key_files import read_private_key
from gateway.signing.key_uri import is_key_uri
from gateway.signing.suites import SigningKey
from gateway.signing.suites import key_id as key_id_of

CA_SLOT = "tls-ca.pem"

Load = Callable[[str], SigningKey]
"""Returns the key that a file's name or a URI stands for; raises ``KeyFileError``."""


@dataclass(frozen=True)
class Slot:
    """The key of one place in ``[keys]``, and the other one while it is being replaced."""

    active: SigningKey
    step: Step | None = None
    other: SigningKey | None = None
    """While announced the next key; once switched the last one, if it is still there."""


@dataclass(frozen=True)
class CaSlot:
    """The node's TLS authority: the one that issues, its key, and all that stand in the card."""

    active: x509.Certificate
    key: Any
    listed: tuple[x509.Certificate, ...]


def next_file(slot: str) -> str:
    """Return the file in which the next key waits."""
    return f"{slot.removesuffix('.pem')}-next.pem"


def last_file(slot: str) -> str:
    """Return the file in which the last key is kept until it is retired."""
    return f"{slot.removesuffix('.pem')}-previous.pem"


def places_of(slot: str, step: Step) -> list[str]:
    """Return where the two keys of a step may be."""
    named = [slot] if is_key_uri(slot) else [slot, next_file(slot), last_file(slot)]
    return list(dict.fromkeys([*named, step.to]))


def load_slot(role: Role, slot: str, plan: Plan, keys: Path, load: Load) -> Slot:
    """Return the keys of ``slot`` as the plan has them.

    Raises:
        KeyFileError: the key in use is missing or refused.
        HsmError: a key in a hardware module cannot be used.
    """
    step = plan.step_of(role, slot)
    if step is None:
        return Slot(load(plan.place_of(slot)))
    found: dict[str, SigningKey] = {}
    for place in places_of(plan.place_of(slot), step):
        if is_key_uri(place) or (keys / place).exists():
            key = load(place)
            found[key.key_id] = key
    wanted, other = (step.old, step.new) if step.phase == ANNOUNCED else (step.new, step.old)
    if wanted not in found:
        raise KeyFileError(
            f"keys/: the key {wanted} of {slot} is missing.",
            remedy="Restore the folder keys/ from your backup.",
        )
    if step.phase == ANNOUNCED and other not in found:
        raise KeyFileError(
            f"keys/{step.to}: the next key of {slot} is missing, which the card has announced.",
            remedy="Restore it from your backup, or give the change up with `keys rotate --cancel`.",
        )
    return Slot(found[wanted], step, found.get(other))


def load_ca(plan: Plan, keys: Path, passphrase: bytes | None) -> CaSlot:
    """Return the node's TLS authority as the plan has it. Raises ``KeyFileError``."""
    step = plan.step_of("tls-ca")
    if step is None:
        active = read_certificate(keys / "tls-ca.crt")
        return CaSlot(active, read_private_key(keys / "tls-ca.pem", passphrase), (active,))
    stems = [stem for stem in ("tls-ca", "tls-ca-next", "tls-ca-previous") if (keys / f"{stem}.crt").exists()]
    certificates = {ca_key_id(ca): ca for ca in (read_certificate(keys / f"{stem}.crt") for stem in stems)}
    privates = [
        read_private_key(keys / f"{stem}.pem", passphrase)
        for stem in ("tls-ca", "tls-ca-next", "tls-ca-previous")
        if (keys / f"{stem}.pem").exists()
    ]
    wanted, other = (step.old, step.new) if step.phase == ANNOUNCED else (step.new, step.old)
    key = next((key for key in privates if _public_id(key.public_key()) == wanted), None)
    if wanted not in certificates or key is None:
        raise KeyFileError(
            f"keys/: the TLS authority {wanted} is missing.",
            remedy="Restore the folder keys/ from your backup.",
        )
    listed = [certificates[i] for i in (wanted, other) if i in certificates]
    return CaSlot(certificates[wanted], key, tuple(listed))


def ca_key_id(certificate: x509.Certificate) -> str:
    """Return the key id of a certificate's public key."""
    return _public_id(certificate.public_key())


def read_certificate(path: Path) -> x509.Certificate:
    """Return the PEM certificate in ``path``. Raises ``KeyFileError``."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except FileNotFoundError as error:
        raise KeyFileError(
            f"{path} is missing.", remedy="Restore it from your backup, or run `credit-gateway init` again."
        ) from error
    except (OSError, ValueError) as error:
        raise KeyFileError(f"{path} is no PEM certificate.", remedy="Restore it from your backup.") from error


def _public_id(public: Any) -> str:
    return key_id_of(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
