"""Node cards: build, sign, verify, compare. A card is the whole of what a peer is trusted by."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from creditexchange.v1.envelope_pb2 import SignedMessage
from creditexchange.v1.node_pb2 import (
    KEY_ROLE_LOG,
    KEY_ROLE_MESSAGE,
    KEY_ROLE_WITNESS,
    KeyRole,
    LogDescription,
    NodeCard,
    NodeKey,
    WitnessDescription,
)
from creditexchange.v1.record_pb2 import LocalizedText, SchemeReference
from gateway.errors import CardError, EnvelopeError
from gateway.peers.node_ca import UNREADABLE
from gateway.signing import dsse
from gateway.signing.cosignature import CosignatureVerifier
from gateway.signing.envelope import instant, open_envelope, parse_strictly, payload_type, seal
from gateway.signing.signed_note import NoteError, NoteVerifier
from gateway.signing.suites import SigningKey, VerifyingKey, suites_of

PROTOCOL_VERSION = 1
"""Newest version of the protocol that this program speaks."""
OLDEST_VERSION_ACCEPTED = 1
CARD_PAYLOAD_TYPE = payload_type("node-card")
CARD_DAYS = 365
ENDPOINTS_MAX = 8
KEYS_MAX = 16
CAS_MAX = 2
MAINTENANCE_MAX = 16
NAME_CHARACTERS_MAX = 500
"""Longest name of a node, or note about its maintenance."""

NODE_ID_PATTERN = re.compile(r"[a-z](?:[a-z0-9-]{0,30}[a-z0-9])", re.ASCII)
KEY_ID_PATTERN = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
ENDPOINT_PATTERN = re.compile(r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:.]{2,45}\]):[0-9]{1,5}", re.ASCII)


@dataclass(frozen=True)
class CardKey:
    """One public key of a card."""

    key: VerifyingKey
    role: KeyRole.ValueType
    start: datetime | None
    end: datetime | None

    def is_live(self, now: datetime) -> bool:
        """Whether the key may be used at ``now``."""
        return (self.start is None or self.start <= now) and (self.end is None or now < self.end)


@dataclass(frozen=True, slots=True)
class Maintenance:
    """A span of time in which the node announced not to answer."""

    start: datetime
    end: datetime
    notes: Mapping[str, str]
    """What is done, for people, by language."""


@dataclass(frozen=True)
class Card:
    """A card whose own signature and form were verified. Expiry is a matter of *now*: see ``expires``."""

    node_id: str
    serial: int
    names: Mapping[str, str]
    issued: datetime
    expires: datetime
    endpoints: tuple[str, ...]
    keys: Mapping[str, CardKey]
    cas: tuple[x509.Certificate, ...]
    log_origin: str
    log_verifier_key: str
    witness_verifier_key: str
    """C2SP verifier key under which the node cosigns other logs; empty when it is no witness."""
    scheme: str
    protocol_version: int
    oldest_version_accepted: int
    fingerprint: str
    """SHA-256 over the signed bytes, 64 hexadecimal digits: what operators compare by telephone."""
    message: SignedMessage
    maintenance: tuple[Maintenance, ...] = ()

    def live_keys(self, role: KeyRole.ValueType, now: datetime) -> dict[str, VerifyingKey]:
        """Return the keys that may be used in ``role`` at ``now``, by key id."""
        return {i: k.key for i, k in self.keys.items() if k.role == role and k.is_live(now)}

    def message_suites(self, now: datetime) -> frozenset[str]:
        """Suites of the message keys that are live at ``now``: what its messages bear a signature of."""
        return suites_of(list(self.live_keys(KEY_ROLE_MESSAGE, now).values()))

    @property
    def offered_suites(self) -> frozenset[str]:
        """Suites of all its message keys, live or not."""
        return suites_of([entry.key for entry in self.keys.values() if entry.role == KEY_ROLE_MESSAGE])

    @property
    def lasting_suites(self) -> frozenset[str]:
        """Suites of those message keys that have no end: what its messages will go on to be signed with."""
        lasting = [k.key for k in self.keys.values() if k.role == KEY_ROLE_MESSAGE and k.end is None]
        return suites_of(lasting)

    @property
    def log_verifier(self) -> NoteVerifier:
        """What verifies the node's checkpoints; while the key is being replaced, one of several."""
        return NoteVerifier.from_vkey(self.log_verifier_key)

    @cached_property
    def log_verifiers(self) -> tuple[NoteVerifier, ...]:
        """What verifies the node's checkpoints: every key of its log, also one that has ended."""
        first = self.log_verifier
        others = [NoteVerifier(self.log_origin, key.public) for key in self._keys_of(KEY_ROLE_LOG)]
        return (first, *(v for v in others if v.key_id != first.key_id))

    def live_log_verifiers(self, now: datetime) -> tuple[NoteVerifier, ...]:
        """Those of ``log_verifiers`` whose key has not ended at ``now``: they vouch for new checkpoints."""
        ended = {i for i, k in self.keys.items() if k.end is not None and k.end <= now}
        return tuple(v for v in self.log_verifiers if v.key.key_id not in ended)

    @property
    def witness_verifier(self) -> CosignatureVerifier | None:
        """What verifies the node's cosignatures, if it is a witness."""
        key = self.witness_verifier_key
        return CosignatureVerifier.from_vkey(key) if key else None

    @cached_property
    def witness_verifiers(self) -> tuple[CosignatureVerifier, ...]:
        """What verifies the node's cosignatures: every witness key; none when it is no witness."""
        first = self.witness_verifier
        if first is None:
            return ()
        others = [CosignatureVerifier(first.name, key.public) for key in self._keys_of(KEY_ROLE_WITNESS)]
        return (first, *(v for v in others if v.key_id != first.key_id))

    def _keys_of(self, role: KeyRole.ValueType) -> list[VerifyingKey]:
        entries = self.keys.values()
        return [entry.key for entry in entries if entry.role == role and entry.key.suite.is_compact]

    @property
    def ca_pem(self) -> bytes:
        """The node's CA certificates as PEM."""
        return b"".join(ca.public_bytes(Encoding.PEM) for ca in self.cas)


def build_card(
    *,
    node_id: str,
    names: Mapping[str, str],
    serial: int,
    issued: datetime,
    expires: datetime,
    endpoints: Sequence[str],
    message_key: SigningKey,
    log_key: SigningKey,
    cas: Sequence[x509.Certificate],
    log_origin: str,
    log_verifier_key: str,
    witness_key: SigningKey,
    witness_verifier_key: str,
    scheme: SchemeReference | None,
    maintenance: Sequence[Maintenance] = (),
    further_message_keys: Sequence[SigningKey] = (),
    overlapping_keys: Sequence[CardKey] = (),
) -> SignedMessage:
    """Return this node's card, signed by each of its message keys.

    ``overlapping_keys`` are listed beside those that are in use: the next ones, and the last ones.
    """
    message_keys = (message_key, *further_message_keys)
    keys = [
        *(CardKey(key.verifying, KEY_ROLE_MESSAGE, None, None) for key in message_keys),
        CardKey(log_key.verifying, KEY_ROLE_LOG, None, None),
        CardKey(witness_key.verifying, KEY_ROLE_WITNESS, None, None),
        *overlapping_keys,
    ]
    witness_name = witness_verifier_key.split("+", 1)[0]
    card = NodeCard(
        protocol_version=PROTOCOL_VERSION,
        oldest_version_accepted=OLDEST_VERSION_ACCEPTED,
        node_id=node_id,
        names=[LocalizedText(language=k, text=v) for k, v in sorted(names.items())],
        serial=serial,
        endpoints=list(endpoints),
        keys=[_node_key(entry) for entry in keys],
        tls_ca_certificates=[ca.public_bytes(Encoding.DER) for ca in cas],
        log=LogDescription(origin=log_origin, verifier_key=log_verifier_key),
        scheme=scheme,
        witness=WitnessDescription(name=witness_name, verifier_key=witness_verifier_key),
    )
    card.issue_time.FromDatetime(issued)
    card.expire_time.FromDatetime(expires)
    for window in maintenance:
        notes = [LocalizedText(language=k, text=v) for k, v in sorted(window.notes.items())]
        added = card.maintenance.add(notes=notes)
        added.start_time.FromDatetime(window.start)
        added.end_time.FromDatetime(window.end)
    return seal(card.SerializeToString(), CARD_PAYLOAD_TYPE, message_keys)


def _node_key(entry: CardKey) -> NodeKey:
    made = NodeKey(key_id=entry.key.key_id, spki=entry.key.spki, role=entry.role)
    if entry.start is not None:
        made.start_time.FromDatetime(entry.start)
    if entry.end is not None:
        made.end_time.FromDatetime(entry.end)
    return made


def read_card_file(path: Path) -> Card:
    """Read and verify the card in ``path``.

    Raises:
        CardError: it cannot be read or is refused; see :func:`verify_card`.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise CardError(f"card {path}: {error.strerror}.", remedy="Check the path.") from error
    return verify_card_json(text, str(path))


def verify_card_json(text: str | bytes, place: str) -> Card:
    """Verify a card in DSSE JSON form; ``place`` names it in errors. Raises ``CardError``."""
    try:
        return verify_card(dsse.from_json(text))
    except EnvelopeError as error:
        raise CardError(
            f"card {place}: {error.message}", remedy="Ask the peer's operator to send the card again."
        ) from error
    except CardError as error:
        raise CardError(f"card {place}: {error.message}", remedy=error.remedy) from error


def verify_card(message: SignedMessage) -> Card:
    """Verify that ``message`` is a well-formed card signed by its own message key.

    This proves that whoever made it holds the key, not who that is: that is what the fingerprint
    is compared for. Expiry is not judged here.

    Raises:
        EnvelopeError: not a card, or the signature does not verify.
        CardError: a member is missing or out of range; the text names it.
    """
    # The keys stand inside the payload. Reading them first is safe: nothing is believed until
    # the signature over the same bytes has verified under one of them.
    draft = parse_strictly(NodeCard, message.payload, "the card")
    keys = _read_keys(draft)
    if any(not KEY_ID_PATTERN.fullmatch(signature.key_id) for signature in message.signatures):
        raise CardError("signatures: a key id is none.")  # the fingerprint does not cover what stands there
    opened = open_envelope(message, CARD_PAYLOAD_TYPE, _signers(draft, keys).get)
    _require_form(draft)
    return Card(
        node_id=draft.node_id,
        serial=draft.serial,
        names={text.language: text.text for text in draft.names},
        issued=instant(draft.issue_time, "issue_time"),
        expires=instant(draft.expire_time, "expire_time"),
        endpoints=tuple(draft.endpoints),
        keys=keys,
        cas=_read_cas(draft),
        log_origin=draft.log.origin,
        log_verifier_key=draft.log.verifier_key,
        witness_verifier_key=draft.witness.verifier_key,
        scheme=draft.scheme.scheme_id,
        protocol_version=draft.protocol_version,
        oldest_version_accepted=draft.oldest_version_accepted,
        fingerprint=opened.digest.hex(),
        message=message,
        maintenance=_read_maintenance(draft),
    )


def fingerprint_for_people(fingerprint: str) -> str:
    """Return a fingerprint in groups of four, to be read aloud."""
    return " ".join(fingerprint[i : i + 4] for i in range(0, len(fingerprint), 4))


def _read_keys(draft: NodeCard) -> dict[str, CardKey]:
    if not 1 <= len(draft.keys) <= KEYS_MAX:
        raise CardError(f"keys: one to {KEYS_MAX} are needed, not {len(draft.keys)}.")
    keys: dict[str, CardKey] = {}
    for entry in draft.keys:
        key = VerifyingKey.from_spki(entry.spki)
        if key.key_id != entry.key_id or key.key_id in keys:
            raise CardError("keys: a key id is wrong or stands twice.")
        if entry.role not in KeyRole.values() or entry.role == 0:
            raise CardError("keys: a key has no known role.")
        keys[key.key_id] = CardKey(
            key=key,
            role=entry.role,
            start=instant(entry.start_time, "keys.start_time") if entry.HasField("start_time") else None,
            end=instant(entry.end_time, "keys.end_time") if entry.HasField("end_time") else None,
        )
    return keys


def _read_maintenance(draft: NodeCard) -> tuple[Maintenance, ...]:
    windows = []
    for window in draft.maintenance:
        if not (window.HasField("start_time") and window.HasField("end_time")):
            raise CardError("maintenance: start_time and end_time are needed.")
        start = instant(window.start_time, "maintenance.start_time")
        end = instant(window.end_time, "maintenance.end_time")
        if end <= start:
            raise CardError("maintenance: end_time must come after start_time.")
        windows.append(Maintenance(start, end, {note.language: note.text for note in window.notes}))
    return tuple(windows)


def _signers(draft: NodeCard, keys: Mapping[str, CardKey]) -> dict[str, VerifyingKey]:
    """Return the message keys; a card bears a signature of each suite that is live when it is issued."""
    issued = instant(draft.issue_time, "issue_time")
    signers = {i: k for i, k in keys.items() if k.role == KEY_ROLE_MESSAGE}
    required = suites_of([k.key for k in signers.values() if k.is_live(issued)])
    return {i: replace(k.key, required_suites=required) for i, k in signers.items()}


def _read_cas(draft: NodeCard) -> tuple[x509.Certificate, ...]:
    if not 1 <= len(draft.tls_ca_certificates) <= CAS_MAX:
        raise CardError(f"tls_ca_certificates: one to {CAS_MAX} are needed.")
    cas = []
    for der in draft.tls_ca_certificates:
        try:
            ca = x509.load_der_x509_certificate(der)
            constraints = ca.extensions.get_extension_for_class(x509.BasicConstraints).value
            ca.public_key()  # is read only now: a certificate parses around a key that is none
        except UNREADABLE as error:
            raise CardError("tls_ca_certificates: one is no X.509 CA certificate.") from error
        if not constraints.ca:
            raise CardError("tls_ca_certificates: one is not a CA.")
        cas.append(ca)
    return tuple(cas)


def _require_form(draft: NodeCard) -> None:
    """Check what the signature cannot: every member within its range."""
    if not NODE_ID_PATTERN.fullmatch(draft.node_id):
        raise CardError("node_id: 2 to 32 characters of a-z, 0-9 and inner hyphens are needed.")
    if draft.serial < 1:
        raise CardError("serial: it counts from 1.")
    if not 1 <= draft.oldest_version_accepted <= draft.protocol_version:
        raise CardError("protocol_version: it must not be below oldest_version_accepted.")
    if draft.oldest_version_accepted > PROTOCOL_VERSION:
        raise CardError(
            f"the peer accepts protocol version {draft.oldest_version_accepted} and newer, this node "
            f"speaks {PROTOCOL_VERSION}.",
            remedy="Upgrade this node.",
        )
    if not (draft.HasField("issue_time") and draft.HasField("expire_time")):
        raise CardError("issue_time and expire_time are needed.")
    if instant(draft.expire_time, "expire_time") <= instant(draft.issue_time, "issue_time"):
        raise CardError("expire_time: it must come after issue_time.")
    if not 1 <= len(draft.endpoints) <= ENDPOINTS_MAX:
        raise CardError(f"endpoints: one to {ENDPOINTS_MAX} are needed.")
    for endpoint in draft.endpoints:
        if not is_endpoint(endpoint):
            raise CardError("endpoints: one is not of the form host:port.")
    if len(draft.maintenance) > MAINTENANCE_MAX:
        raise CardError(f"maintenance: at most {MAINTENANCE_MAX} windows.")
    texts = [*draft.names, *(note for window in draft.maintenance for note in window.notes)]
    if any(not _is_shown_as_it_is(text) for text in texts):
        raise CardError(f"names: one is longer than {NAME_CHARACTERS_MAX} characters or not printable.")
    _require_log_key(draft)
    if draft.HasField("witness"):
        _require_witness_key(draft)


def _is_shown_as_it_is(text: LocalizedText) -> bool:
    """Whether a name looks like what it is: no control characters, no marks of direction, no novel."""
    return all(part.isprintable() and len(part) <= NAME_CHARACTERS_MAX for part in (text.language, text.text))


def _require_log_key(draft: NodeCard) -> None:
    """The log's verifier key must be one of the card's own log keys, under the log's name."""
    try:
        verifier = NoteVerifier.from_vkey(draft.log.verifier_key)
    except NoteError as error:
        raise CardError(f"log: {error.message}") from error
    spki = verifier.key.spki
    log_keys = {entry.spki for entry in draft.keys if entry.role == KEY_ROLE_LOG}
    if verifier.name != draft.log.origin or spki not in log_keys:
        raise CardError("log: the verifier key is not a log key of this card under the log's name.")


def _require_witness_key(draft: NodeCard) -> None:
    """The witness's verifier key must be one of the card's own witness keys, under the witness's name."""
    try:
        verifier = CosignatureVerifier.from_vkey(draft.witness.verifier_key)
    except NoteError as error:
        raise CardError(f"witness: {error.message}") from error
    spki = verifier.key.spki
    witness_keys = {entry.spki for entry in draft.keys if entry.role == KEY_ROLE_WITNESS}
    if verifier.name != draft.witness.name or spki not in witness_keys:
        raise CardError("witness: the verifier key is not a witness key of this card under its name.")


def is_endpoint(text: str) -> bool:
    """Whether ``text`` is ``host:port`` with a port from 1 to 65535."""
    return bool(ENDPOINT_PATTERN.fullmatch(text)) and 1 <= int(text.rsplit(":", 1)[1]) <= 65535
