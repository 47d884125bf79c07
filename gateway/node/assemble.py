"""The only place that picks concrete parts and puts a node together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

from cryptography import x509

from creditexchange.v1.reason_pb2 import Reason
from gateway.audit import AuditLog, Witness
from gateway.clock import Clock, system_clock
from gateway.errors import GatewayError, RefusedError
from gateway.exchange.answering.answer import Answering
from gateway.exchange.asking.ask_peer import Asking
from gateway.exchange.asking.question import OK
from gateway.exchange.asking.retrying import AskingSettings
from gateway.exchange.messages import Snapshot
from gateway.exports.exporting import Exporting
from gateway.exports.issuing import Credentials
from gateway.node.card_file import RENEWAL_DAYS
from gateway.node.config import NodeConfig, load_config
from gateway.node.credential_status import CredentialStatus
from gateway.node.folder import CREDENTIAL_KEY, NodeFolder, NodeKeys, is_leaf_due
from gateway.node.issuing_keys import load_document_signer, load_issuer
from gateway.node.loaded import LoadedFiles
from gateway.node.observing import Observing
from gateway.node.sources import sources_of
from gateway.node.state import NodeState, load_state
from gateway.node.steadiness import Steadiness
from gateway.node.stores import audit_log_of, registry_of
from gateway.peers.card import Card
from gateway.peers.reach import Reaches
from gateway.peers.roster import Roster
from gateway.policy.grants import Access
from gateway.records import RecordSource, Registry
from gateway.rpc.archive import archive_of
from gateway.rpc.channels import Channels, TlsLeaf
from gateway.rpc.exports import Exports
from gateway.rpc.methods import METHODS
from gateway.rpc.operator import Operating
from gateway.schemes import Scheme
from gateway.signing import dsse
from gateway.signing.cosignature import CosignatureSigner, CosignatureVerifier
from gateway.storage.leadership import SERVING
from gateway.storage.node_tables import Transaction
from gateway.storage.shared_rates import SharedRates, shared_rates_of
from gateway.storage.witness_rows import put_card
from gateway.telemetry.events import logger
from gateway.telemetry.metrics import Metrics
from gateway.upkeep.consent_revocations import ConsentRevocations
from gateway.upkeep.notices import Notices
from gateway.upkeep.peer_cards import PeerCards
from gateway.upkeep.probing import Probing
from gateway.upkeep.record_changes import RecordChanges
from gateway.upkeep.witnessing import Witnessing
from gateway.web.http_witness import HttpWitness

_log = logger("node")

ASKING_OUTCOMES = (
    "NO_ANSWER",
    "UNREACHABLE",
    "BAD_STATUS",
    "ANSWER_MALFORMED",
    "ANSWER_NOT_SIGNED",
    "ANSWER_NOT_BOUND",
    "ANSWER_STALE",
    "ANSWER_INCOMPLETE",
    "RECEIPT_INVALID",
    "PEER_SUSPENDED_HERE",
    "CARD_EXPIRED_HERE",
    "VERSION_NOT_SHARED_HERE",
    "CONSENT_MISSING_HERE",
    "NOT_ASKED",
    "AUDIT_UNAVAILABLE_HERE",
    "PEER_IN_MAINTENANCE",
    "PEER_LEFT_ALONE",
)
"""Why a peer gave nothing, as this side sees it; docs/protocol.md explains each."""

OUTCOMES = (
    OK,
    *(name.removeprefix("REASON_") for name in Reason.keys() if name != "REASON_UNSPECIFIED"),  # noqa: SIM118
    *ASKING_OUTCOMES,
)
"""Every outcome of an exchange, on either side."""


@dataclass
class Node:
    """One node put together. Swap its state with :meth:`adopt`; everything else stays."""

    folder: NodeFolder
    config: NodeConfig
    keys: NodeKeys
    card: Card
    registry: Registry
    source: RecordSource
    """The registry and whatever else node.toml declares, as one."""
    log: AuditLog
    witness: Witness
    metrics: Metrics
    channels: Channels
    reaches: Reaches
    shared_rates: SharedRates | None
    """Counts peers' calls for all processes of the node; ``None`` where there is only this one."""
    clock: Clock
    _snapshot: Snapshot
    _tls: tuple[TlsLeaf, bytes]
    _closing: ExitStack
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Prepare what remembers: the rounds of witnessing, and who can be reached."""
        self.loaded = LoadedFiles(self.folder, self.clock)
        self.observing = Observing(self.log, self.registry.database, self.clock, self.metrics)
        self.asking = Asking(
            self.channels,
            self.log,
            self.metrics,
            self.clock,
            _asking_settings(self.config),
            self.reaches,
        )
        self.cards = PeerCards(self.folder.peers, lambda: self.asking)
        self.upkeep = self.log.leadership("upkeep")
        """Of the workers of this node, on all its hosts, one does what is to be done once."""
        self.presence = self.log.leadership(SERVING, shared=True)
        """Held while this process serves: who must work on the database alone is refused meanwhile."""
        self.steadiness = Steadiness(self.clock)
        """Says when the clock may be believed that something is over."""
        self.credential_status = CredentialStatus(self._credentials, lambda: self.asking)
        self.witnessing = Witnessing(
            log=self.log,
            witness=self.witness,
            roster=lambda: self.snapshot.roster,
            caller=self.channels,
            metrics=self.metrics,
            foreign=[
                HttpWitness(CosignatureVerifier.from_vkey(witness.verifier_key), witness.url)
                for witness in self.config.audit.witnesses
            ],
        )

    @property
    def snapshot(self) -> Snapshot:
        """What holds now; read it once an exchange."""
        return self._snapshot

    @property
    def tls(self) -> tuple[TlsLeaf, bytes]:
        """The present leaf and all peers' CAs; the same object until something changes."""
        return self._tls

    @property
    def answering(self) -> Answering:
        """The answering side."""
        is_at_hand = isinstance(self.source, Registry)
        return Answering(self.source, self.log, self.metrics, self.clock, is_source_at_hand=is_at_hand)

    @property
    def exporting(self) -> Exporting:
        """What learners take away, and what became of it."""
        return Exporting(
            self.log,
            self.clock,
            lambda: load_issuer(self.folder, self.config),
            lambda: load_document_signer(self.folder, self.config, self.clock()),
            lambda: (self.config.node.id, *self.snapshot.roster.peers),
            self.folder.root / "fonts",
        )

    def _credentials(self) -> Credentials | None:
        if not self.folder.key(CREDENTIAL_KEY).exists():
            return None
        return self.exporting.credentials()

    @property
    def record_changes(self) -> RecordChanges:
        """What tells peers of records that have changed since they were given."""
        return RecordChanges(self.log, self.registry, self.clock, self.credential_status.note_own)

    @property
    def probing(self) -> Probing:
        """What asks silent peers for a sign of life."""
        return Probing(self.log.origin, self.channels, self.observing.last_heard_s, self.clock)

    @property
    def operating(self) -> Operating:
        """The operator's acts."""
        return Operating(
            log=self.log,
            witness=self.witness,
            witnessing=self.witnessing,
            notices=Notices(self.log, self.channels, self.metrics, self.clock),
            revocations=ConsentRevocations(self.log, self.channels, self.metrics, self.clock),
            caller=self.channels,
            reaches=self.reaches,
            metrics=self.metrics,
            clock=self.clock,
            leaf=lambda: (self.tls[0].certificate, self.tls[0].key),
            loaded=lambda: self.loaded.now,
        )

    def heard_from(self, node_id: str) -> None:
        """A peer gave a sign of life."""
        self.reaches.heard_from(node_id)
        self.observing.heard_from(node_id)

    def adopt(self, roster: Roster, access: Access, scheme: Scheme) -> None:
        """Swap in changed peers, grants and scheme as one; calls in flight keep what they began with."""
        with self._lock:
            self._snapshot = replace(self._snapshot, roster=roster, access=access, scheme=scheme)
            if roster.ca_pem != self._tls[1]:
                self._tls = (self._tls[0], roster.ca_pem)
            self.channels.forget(list(roster.peers.values()))
            self._describe()
        self._keep_cards([self.card, *(peer.card for peer in roster.peers.values())])

    def take_up(self, state: NodeState) -> None:
        """Swap in everything that can change while the node runs, keys first, as one.

        Connections that are open live on; new ones, in both directions, show the present leaf.
        """
        self._take_up_keys(state.keys)
        with self._lock:
            leaf = TlsLeaf(state.keys.tls_leaf_pem, state.keys.tls_leaf_key_pem)
            is_new_leaf = leaf != self._tls[0]
            self.config, self.keys, self.card = state.config, state.keys, state.card
            self.asking = replace(self.asking, settings=_asking_settings(state.config))
            self._snapshot = replace(
                state.snapshot(self.cards.epochs()),
                roster=self._snapshot.roster,
                access=self._snapshot.access,
                scheme=self._snapshot.scheme,
            )
            if is_new_leaf:
                self._tls = (leaf, self._tls[1])
                self.channels.forget(())
        self.adopt(state.roster, state.access, state.scheme)

    def _take_up_keys(self, keys: NodeKeys) -> None:
        log_ids = [key.key_id for key in keys.log_keys]
        if log_ids != [key.key_id for key in self.keys.log_keys]:
            past = [self.log.verifier, *keys.past_log_verifiers(self.log.origin)]
            self.log.sign_with([key.private for key in keys.log_keys], past)
        if [k.key_id for k in keys.witness_keys] != [k.key_id for k in self.keys.witness_keys]:
            self.witness.sign_with(_cosigners(self.config, keys))
        if (keys.evidence, keys.previous_evidence) != (self.keys.evidence, self.keys.previous_evidence):
            self.log.encrypt_with(keys.evidence, keys.previous_evidence)

    def renew_leaf_if_due(self) -> bool:
        """Swap in a new TLS leaf, and a new card, when the present one is about to expire."""
        now = self.clock()
        if not is_leaf_due(self.keys, now) and self.card.expires - now > timedelta(days=RENEWAL_DAYS):
            return False
        self.take_up(load_state(self.folder, self.config, now))
        return True

    def hear_epochs(self) -> None:
        """Take note of which epochs of the federation secret the peers have."""
        epochs = dict(self.cards.epochs())
        with self._lock:
            if epochs != self._snapshot.peer_epochs:
                self._snapshot = replace(self._snapshot, peer_epochs=epochs)

    def on_close(self, end: Callable[[], None]) -> None:
        """Have ``end`` called when the node is closed."""
        self._closing.callback(end)

    def close(self) -> None:
        """Close channels and databases, after the last message that is under way was logged."""
        self.asking.stragglers.wait()
        self.upkeep.release()
        self.presence.release()
        self.channels.close()
        self._closing.close()

    def _keep_cards(self, cards: Sequence[Card]) -> None:
        """Keep every card for good: what verifies old signatures after keys have changed."""

        def keep(transaction: Transaction) -> None:
            for card in cards:
                text = dsse.to_json(card.message)
                put_card(transaction, bytes.fromhex(card.fingerprint), card.node_id, card.serial, text)

        try:
            self.log.transact(keep)
        except RefusedError as error:
            _log.error("the peers' cards could not be kept", problem=str(error.__cause__ or error))

    def _describe(self) -> None:
        """Set the gauges that follow from the snapshot."""
        metrics, roster = self.metrics, self._snapshot.roster
        metrics.know_peers(roster.peers)
        metrics.left_alone.clear()
        for node_id in roster.peers:
            metrics.left_alone.labels(node_id).set_function(partial(self.reaches.rest_s, node_id))
        self.observing.describe(roster)
        metrics.card_expiry.clear()
        metrics.certificate_expiry.clear()
        own = self._snapshot.node_id
        leaf = x509.load_pem_x509_certificate(self._tls[0].certificate)
        metrics.card_expiry.labels(own).set(self.card.expires.timestamp())
        metrics.certificate_expiry.labels(own, "leaf").set(leaf.not_valid_after_utc.timestamp())
        metrics.certificate_expiry.labels(own, "ca").set(self.keys.tls_ca.not_valid_after_utc.timestamp())
        for peer in roster.peers.values():
            metrics.card_expiry.labels(peer.node_id).set(peer.card.expires.timestamp())
            soonest = min(ca.not_valid_after_utc for ca in peer.card.cas)
            metrics.certificate_expiry.labels(peer.node_id, "ca").set(soonest.timestamp())


def exports_of(node: Node) -> Exports:
    """Return what exports work with."""
    return Exports(
        node.exporting, node.source, lambda request: archive_of(request, node.snapshot, node.asking)
    )


def _note_failure(error: GatewayError, metrics: Metrics) -> None:
    metrics.log_failures.inc()
    _log.error("the audit log failed; nothing is answered meanwhile", problem=str(error))


def _note_source_failure(name: str, error: GatewayError, metrics: Metrics) -> None:
    metrics.source_failures.labels(name).inc()
    _log.error("a record source failed", source=name, problem=str(error))


def _asking_settings(config: NodeConfig) -> AskingSettings:
    asking = config.asking
    return AskingSettings(asking.attempts_max, asking.hedge, dict(asking.deadlines_s))


def _cosigners(config: NodeConfig, keys: NodeKeys) -> list[CosignatureSigner]:
    return [CosignatureSigner(config.audit.witness_name, key.private) for key in keys.witness_keys]


def assemble(folder: NodeFolder, clock: Clock = system_clock) -> Node:
    """Put together the node of ``folder``. Renews the TLS leaf when it is about to expire.

    Raises:
        OperatorError: something in the folder is wrong; the text names it and says what to do.
    """
    config = load_config(folder.root)
    state = load_state(folder, config, clock())
    keys = state.keys
    tls = (TlsLeaf(keys.tls_leaf_pem, keys.tls_leaf_key_pem), state.roster.ca_pem)
    metrics = Metrics(OUTCOMES, (method.name for method in METHODS))
    reaches = Reaches()
    closing = ExitStack()
    try:
        registry = closing.enter_context(registry_of(folder, config))
        source = closing.enter_context(
            sources_of(
                folder,
                config,
                registry,
                lambda: node.snapshot.scheme,
                lambda name, error: _note_source_failure(name, error, metrics),
            )
        )
        log = closing.enter_context(
            audit_log_of(folder, config, keys, clock, lambda error: _note_failure(error, metrics))
        )
        shared_rates = closing.enter_context(shared_rates_of(folder.database_url(config.database.url)))
    except BaseException:
        closing.close()
        raise
    node = Node(
        folder=folder,
        config=config,
        keys=keys,
        card=state.card,
        registry=registry,
        source=source,
        log=log,
        witness=Witness(log, _cosigners(config, keys), clock),
        metrics=metrics,
        channels=Channels(
            lambda: node.tls[0],
            config.limits.message_bytes_max,
            lambda peer: node.heard_from(peer),  # noqa: PLW0108 - the node is made after this
        ),
        reaches=reaches,
        shared_rates=shared_rates,
        clock=clock,
        _snapshot=state.snapshot(),
        _tls=tls,
        _closing=closing,
    )
    node.adopt(state.roster, state.access, state.scheme)
    node.observing.watch(config.limits.threads)
    return node
