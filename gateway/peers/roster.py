"""Known peers as one immutable snapshot, read from ``peers/*.toml`` and swapped as a whole.

A peer file holds the accepted card itself, so that a node needs nobody else to start. No file,
no peer: an empty folder means that nobody is trusted.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import BaseModel, ConfigDict, ValidationError

from creditexchange.v1.node_pb2 import KEY_ROLE_LOG, KEY_ROLE_MESSAGE
from gateway.errors import CardError, ConfigError
from gateway.peers.card import Card, fingerprint_for_people, verify_card_json
from gateway.signing.suites import VerifyingKey
from gateway.signing.suites import key_id as key_id_of

PeerState = Literal["active", "suspended"]

ACTIVE: PeerState = "active"
SUSPENDED: PeerState = "suspended"


class PeerFile(BaseModel):
    """``peers/ID.toml``: one accepted peer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    node_id: str
    """The peer's node id; the same as in the card and in the file's name."""
    state: PeerState = ACTIVE
    """``suspended`` refuses every call of the peer and asks it nothing."""
    fingerprint: str
    """Fingerprint of the card that the operator compared."""
    accepted_at: datetime
    """When the operator accepted it."""
    endpoints: tuple[str, ...] = ()
    """Instead of the card's endpoints, for a peer behind a local proxy; empty = the card's."""
    required_suites: tuple[Literal["ed25519", "ecdsa-p256", "sm2", "ml-dsa-65"], ...] = ()
    """Suites of which a signature must verify on each message of the peer; empty = node.toml's, and
    where that is empty too, every suite of the message keys that the card lists."""
    card: str
    """The card, DSSE JSON."""


@dataclass(frozen=True)
class Peer:
    """One known peer."""

    card: Card
    state: PeerState
    accepted_at: datetime
    endpoints: tuple[str, ...]
    required_suites: frozenset[str] = frozenset()
    """Instead of the suites that the card lists, which hold when this is empty."""

    @property
    def node_id(self) -> str:
        """The peer's node id."""
        return self.card.node_id

    def message_key(self, key_id: str, now: datetime) -> VerifyingKey | None:
        """Return the peer's key for messages under ``key_id`` if it is live at ``now``.

        It states the suites of which a signature must verify beside it.
        """
        found = self.card.keys.get(key_id)
        if found is None or found.role != KEY_ROLE_MESSAGE or not found.is_live(now):
            return None
        return replace(found.key, required_suites=self.required_suites or self.card.message_suites(now))

    def log_keys(self, now: datetime) -> dict[str, VerifyingKey]:
        """Return the peer's live keys for its audit log."""
        return self.card.live_keys(KEY_ROLE_LOG, now)


@dataclass(frozen=True)
class Roster:
    """All known peers at one moment."""

    peers: Mapping[str, Peer]
    key_owners: Mapping[str, str]
    """Node id by key id."""

    @classmethod
    def of(cls, peers: list[Peer]) -> Roster:
        """Build a snapshot.

        Raises:
            CardError: two cards list one key, or one TLS authority.
        """
        owners: dict[str, str] = {}
        authorities: dict[str, str] = {}
        for peer in peers:
            for key_id in peer.card.keys:
                _claim(owners, key_id, peer.node_id, "key")
            for ca in peer.card.cas:
                spki = ca.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
                _claim(authorities, key_id_of(spki), peer.node_id, "TLS authority")
        return cls(MappingProxyType({p.node_id: p for p in peers}), MappingProxyType(owners))

    @property
    def active(self) -> list[Peer]:
        """The peers that are not suspended."""
        return [peer for peer in self.peers.values() if peer.state != SUSPENDED]

    def get(self, node_id: str) -> Peer | None:
        """Return the peer, or ``None``."""
        return self.peers.get(node_id)

    def owner_of(self, key_id: str) -> Peer | None:
        """Return the peer whose card lists ``key_id``, or ``None``."""
        owner = self.key_owners.get(key_id)
        return self.peers[owner] if owner is not None else None

    @property
    def ca_pem(self) -> bytes:
        """Every peer's CA certificates as PEM: whom a TLS handshake lets in at all."""
        return b"".join(peer.card.ca_pem for peer in self.peers.values())


def _claim(owners: dict[str, str], thing: str, node_id: str, what: str) -> None:
    owner = owners.setdefault(thing, node_id)
    if owner != node_id:
        raise CardError(
            f"the cards of {owner} and {node_id} list the same {what}.",
            remedy="One of them is not who it says: remove the peer you did not verify.",
        )


def load_roster(folder: Path, own_id: str, required_suites: Collection[str] = ()) -> Roster:
    """Read every ``*.toml`` in ``folder``; ``required_suites`` hold for peers whose file states none.

    Raises:
        ConfigError: a file is malformed; the text names file and key.
        CardError: a card does not verify or two peers contradict one another.
    """
    if not folder.is_dir():
        return Roster.of([])
    return Roster.of([load_peer(path, own_id, required_suites) for path in sorted(folder.glob("*.toml"))])


def load_peer(path: Path, own_id: str, required_suites: Collection[str] = ()) -> Peer:
    """Read one peer file; same errors as :func:`load_roster`."""
    file = read_peer_file(path)
    card = verify_card_json(file.card, str(path))
    if not path.stem == file.node_id == card.node_id:
        raise ConfigError(
            f"{path}: node_id {file.node_id!r}, the card's {card.node_id!r} and the file's name differ.",
            remedy="Add the peer again with `credit-gateway peers add`.",
        )
    if card.fingerprint != file.fingerprint:
        raise ConfigError(
            f"{path}: fingerprint is not that of the card in the file.",
            remedy="The file was edited by hand; add the peer again with `credit-gateway peers add`.",
        )
    if card.node_id == own_id:
        raise ConfigError(f"{path}: this is the node's own card.", remedy="Remove the file.")
    required = frozenset(file.required_suites or required_suites)
    if missing := sorted(required - card.offered_suites):
        raise ConfigError(
            f"{path}: required_suites: the peer's card lists no message key of {', '.join(missing)}.",
            remedy="Its messages would all be refused: ask for a card with such a key, or change the rule.",
        )
    return Peer(card, file.state, file.accepted_at, file.endpoints or card.endpoints, required)


def stated_suites(path: Path) -> tuple[str, ...]:
    """Return ``required_suites`` of a peer file; empty when it states none, is missing or broken."""
    try:
        return read_peer_file(path).required_suites if path.exists() else ()
    except ConfigError:
        return ()


def render_peer_file(
    card: Card,
    card_json: str,
    accepted_at: datetime,
    state: PeerState = ACTIVE,
    required_suites: Collection[str] = (),
    endpoints: Collection[str] = (),
    how: str = "accepted after its fingerprint was compared",
) -> str:
    """Return the text of ``peers/ID.toml`` for an accepted card; ``how`` it was accepted is a comment."""
    suites = ", ".join(f'"{suite}"' for suite in required_suites)
    rule = f"required_suites = [{suites}]\n" if suites else ""
    places = ", ".join(f'"{endpoint}"' for endpoint in endpoints)
    rule += f"endpoints = [{places}]\n" if places else ""
    names = ", ".join(f"{language}: {name}" for language, name in card.names.items())
    return (
        f"# Peer {card.node_id} ({_one_line(names)}), {how}:\n"
        f"# {fingerprint_for_people(card.fingerprint)}\n"
        f'node_id = "{card.node_id}"\n'
        f'state = "{state}" # "suspended" refuses every call of this peer and asks it nothing\n'
        f'fingerprint = "{card.fingerprint}"\n'
        f"accepted_at = {accepted_at.isoformat(timespec='seconds')}\n"
        f"{rule}"
        f"card = '''\n{card_json}\n'''\n"
    )


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def read_peer_file(path: Path) -> PeerFile:
    """Read one peer file without verifying the card in it. Raises ``ConfigError``."""
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return PeerFile.model_validate(data)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: no TOML: {error}.", remedy="Correct it or add the peer again.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text.") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"{path}: {key}: {first['msg']}.", remedy="Add the peer again with `credit-gateway peers add`."
        ) from error
