"""What a node reads from its folder and may change while it runs: keys, peers, grants, scheme, card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from gateway.errors import ConfigError, OperatorError
from gateway.exchange.messages import ExchangeSettings, Snapshot
from gateway.learners.subject_token import FederationSecret
from gateway.node.card_file import present_card
from gateway.node.config import NodeConfig
from gateway.node.folder import NodeFolder, NodeKeys, is_leaf_due, load_keys, renew_leaf
from gateway.node.lock import file_lock
from gateway.node.rotation_plan import ANNOUNCED, live_epochs, read_plan
from gateway.peers.card import Card
from gateway.peers.roster import Roster, load_roster
from gateway.policy.grants import Access, load_access
from gateway.schemes import Scheme, load_scheme
from gateway.signing.key_files import read_secret


def load_policy(folder: NodeFolder, config: NodeConfig) -> tuple[Roster, Access, Scheme]:
    """Read peers, grants and scheme, as at start or reload.

    Raises:
        OperatorError: one of them is wrong; the text names file and key.
    """
    roster = load_roster(folder.peers, config.node.id, config.policy.required_suites)
    access = load_access(folder.access)
    if config.node.id in {*access.rates, *access.quotas} or any(
        peer == config.node.id for peer, _ in access.grants
    ):
        raise ConfigError(
            f"{folder.access}: peer: {config.node.id!r} is this node itself.", remedy="Name a peer."
        )
    return roster, access, load_scheme(folder.scheme)


def load_secrets(folder: NodeFolder, config: NodeConfig) -> dict[str, FederationSecret]:
    """Return the live federation secrets by epoch, the newest first. Raises ``KeyFileError``."""
    return {epoch: _secret(folder, epoch) for epoch in live_epochs(config, read_plan(folder.keys))}


def next_secret(folder: NodeFolder) -> FederationSecret | None:
    """Return the federation secret that is announced and not in use yet. Raises ``KeyFileError``."""
    step = read_plan(folder.keys).step_of("federation")
    return _secret(folder, step.to) if step is not None and step.phase == ANNOUNCED else None


def past_secrets(folder: NodeFolder) -> tuple[FederationSecret, ...]:
    """Return the secrets of epochs that are over and still kept. Raises ``KeyFileError``."""
    epochs = read_plan(folder.keys).retired_epochs
    return tuple(
        _secret(folder, epoch) for epoch in epochs if folder.key(f"federation-{epoch}.secret").exists()
    )


def _secret(folder: NodeFolder, epoch: str) -> FederationSecret:
    return FederationSecret(epoch, read_secret(folder.key(f"federation-{epoch}.secret")))


@dataclass(frozen=True)
class NodeState:
    """Everything that is read from the folder and may change while the node runs."""

    config: NodeConfig
    keys: NodeKeys
    secrets: Mapping[str, FederationSecret]
    past_secrets: tuple[FederationSecret, ...]
    roster: Roster
    access: Access
    scheme: Scheme
    card: Card

    def snapshot(self, peer_epochs: Mapping[str, tuple[str, ...]] = MappingProxyType({})) -> Snapshot:
        """Return what one exchange sees of it."""
        config = self.config
        return Snapshot(
            node_id=config.node.id,
            message_keys=self.keys.message_keys,
            roster=self.roster,
            access=self.access,
            scheme=self.scheme,
            secrets=self.secrets,
            settings=ExchangeSettings(
                window_s=config.exchange.window_s,
                skew_s=config.exchange.skew_s,
                message_bytes_max=config.limits.message_bytes_max,
                deadline_s=config.exchange.deadline_s,
            ),
            card_serial=self.card.serial,
            card=self.card.message,
            peer_epochs=peer_epochs,
            past_secrets=self.past_secrets,
        )


def load_state(folder: NodeFolder, config: NodeConfig, now: datetime) -> NodeState:
    """Read keys, secrets, peers, grants and scheme, and make the card that says so.

    Renews the TLS leaf when it is due.

    Raises:
        GatewayError: one of them is wrong; the text names file and key. Nothing was taken up.
    """
    roster, access, scheme = load_policy(folder, config)
    try:
        with file_lock(folder):  # other workers of the node write the same files
            keys = load_keys(folder, config)
            if is_leaf_due(keys, now):
                renew_leaf(folder, config, now)
                keys = load_keys(folder, config)
            card = present_card(folder, config, keys, scheme.reference, now)
    except OSError as error:  # a full disk; a container whose folder is read-only
        raise OperatorError(
            f"{error.filename or folder.root} cannot be written ({error.strerror}),"
            " and the node's card or its TLS leaf has to be made anew.",
            remedy="Make the folder writable to the node's user, and start it again.",
        ) from error
    secrets = load_secrets(folder, config)
    return NodeState(config, keys, secrets, past_secrets(folder), roster, access, scheme, card)
