"""The typed stages of one exchange. Each proves more than the one before and is built in one step only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from google.protobuf.message import Message

from creditexchange.v1.envelope_pb2 import Header, Opening, Receipt, SignedMessage
from creditexchange.v1.exchange_pb2 import CertificateReference, RecordQuery, RecordQueryBody
from gateway.audit import EntryDraft, erasure
from gateway.learners.subject_token import FederationSecret
from gateway.peers.roster import Peer, Roster
from gateway.peers.versions import SPOKEN, Versions
from gateway.policy.consent import VerifiedConsent
from gateway.policy.grants import Access
from gateway.records.source import StoredRecord
from gateway.schemes import Scheme
from gateway.signing.envelope import payload_type
from gateway.signing.suites import SigningKey

P = TypeVar("P", bound=Message)

SERVICE = "/creditexchange.v1.RecordExchangeService"
QUERY_RECORDS = f"{SERVICE}/QueryRecords"
VERIFY_CERTIFICATE = f"{SERVICE}/VerifyCertificate"
LOCATE_RECORDS = f"{SERVICE}/LocateRecords"
QUERY_IN_BULK = f"{SERVICE}/QueryRecordsInBulk"
ECHO = f"{SERVICE}/Echo"
AUDIT_SERVICE = "/creditexchange.v1.AuditLogService"
GET_CHECKPOINT = f"{AUDIT_SERVICE}/GetCheckpoint"
GET_CONSISTENCY_PROOF = f"{AUDIT_SERVICE}/GetConsistencyProof"
ADD_CHECKPOINT = f"{AUDIT_SERVICE}/AddCheckpoint"
GET_WITNESSED_CHECKPOINT = f"{AUDIT_SERVICE}/GetWitnessedCheckpoint"
LIST_SHARED_ENTRIES = f"{AUDIT_SERVICE}/ListSharedEntries"
NOTIFY_ERASURE = erasure.NOTIFY_ERASURE
NOTIFY_CHANGE = "/creditexchange.v1.ChangeNoticeService/NotifyChange"
CONSENT_SERVICE = "/creditexchange.v1.ConsentService"
REVOKE_CONSENT = f"{CONSENT_SERVICE}/RevokeConsent"
LIST_REVOCATIONS = f"{CONSENT_SERVICE}/ListRevocations"
REDEEM_CODE = "/creditexchange.v1.LearningCodeService/RedeemCode"

GET_CARD = "/creditexchange.v1.NodeService/GetCard"

RECORD_QUERY_TYPE = payload_type("record-query")
RECORD_ANSWER_TYPE = payload_type("record-answer")
RECORD_ANSWER_CHUNK_TYPE = payload_type("record-answer-chunk")
CERTIFICATE_ANSWER_TYPE = payload_type("certificate-answer")
LOCATION_ANSWER_TYPE = payload_type("location-answer")
ECHO_QUERY_TYPE = payload_type("echo-query")
ECHO_ANSWER_TYPE = payload_type("echo-answer")
REFUSAL_TYPE = payload_type("refusal")
ERASURE_NOTICE_TYPE = payload_type("erasure-notice")
ERASURE_CONFIRMATION_TYPE = payload_type("erasure-confirmation")
CHANGE_NOTICE_TYPE = payload_type("change-notice")
CHANGE_CONFIRMATION_TYPE = payload_type("change-confirmation")
CONSENT_REVOCATION_TYPE = payload_type("consent-revocation")
CONSENT_REVOCATION_RECEIPT_TYPE = payload_type("consent-revocation-receipt")
CODE_REDEMPTION_TYPE = payload_type("code-redemption")
CODE_REDEMPTION_ANSWER_TYPE = payload_type("code-redemption-answer")

ID_BYTES = 16
DIGEST_BYTES = 32
WINDOW_S_MAX = 120
SEQUENCE_MAX = 2**53 - 1
"""Largest integer that an RFC 8785 leaf can hold."""
BULK_SUBJECTS_MAX = 1_000
"""Most learners of one query in bulk."""
KINDS_MAX = 64
"""More kinds than the list will ever have: a bound on work, not on meaning."""


@dataclass(frozen=True, slots=True)
class ExchangeSettings:
    """What both sides measure a message by."""

    window_s: int = 60
    """From issue to expiry of our own messages, seconds."""
    skew_s: int = 30
    """Tolerated difference of clocks, seconds."""
    message_bytes_max: int = 256 * 1024
    """Largest message, bytes."""
    deadline_s: float = 5.0
    """How long to wait for each peer, seconds."""
    versions: Versions = SPOKEN
    """Versions of the protocol that this node speaks."""


@dataclass(frozen=True)
class Snapshot:
    """Everything a node knows about itself and its peers at one moment; swapped as a whole."""

    node_id: str
    message_keys: tuple[SigningKey, ...]
    roster: Roster
    access: Access
    scheme: Scheme
    secrets: Mapping[str, FederationSecret]
    """Live federation secrets by epoch, the newest first."""
    settings: ExchangeSettings
    card_serial: int
    card: SignedMessage | None = None
    """This node's present card, for peers that fetch it."""
    peer_epochs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Epochs of the federation secret that each peer said are live there, by node id."""
    past_secrets: tuple[FederationSecret, ...] = ()
    """Secrets of epochs that are over: they only find what this node itself holds about a learner."""

    def secret_for(self, node_id: str) -> FederationSecret | None:
        """Return the newest federation secret that the peer knows too; ``None`` when there is none here.

        Of a peer that has not said which it knows, the oldest is taken: everybody has that.
        """
        said = self.peer_epochs.get(node_id)
        if said is None:
            return next(reversed(list(self.secrets.values())), None)
        return next((s for epoch, s in self.secrets.items() if epoch in said), None) or next(
            iter(self.secrets.values()), None
        )


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A call that arrived over mutual TLS: ``peer`` is who the TLS leaf proves."""

    method: str
    peer: Peer
    received_at: datetime
    deadline_at_s: float
    """On the monotonic clock, seconds."""


@dataclass(frozen=True, slots=True)
class Opened(Generic[P]):
    """The signature verified over the exact bytes; the payload is parsed."""

    call: IncomingCall
    message: SignedMessage
    payload: P
    header: Header
    signer: Peer
    """Owner of the key that verified."""
    digest: bytes

    def entry(
        self, answerer: str, purpose: str, outcome: str, count: int, answer_digest: bytes, chunk: int = 0
    ) -> EntryDraft:
        """Return the audit entry about this query on the answering side; ``chunk`` counts in bulk."""
        return EntryDraft(
            kind="exchange",
            role="answerer",
            asker=self.signer.node_id,
            answerer=answerer,
            exchange_id=self.header.exchange_id,
            peer_seq=self.header.pair_sequence,
            method=self.call.method,
            purpose=purpose,
            outcome=outcome,
            count=count,
            request_digest=self.digest,
            answer_digest=answer_digest,
            chunk=chunk,
        )

    @property
    def authenticated(self) -> bool:
        """Whether TLS, signature and header agree on who sent this."""
        return self.call.peer.node_id == self.signer.node_id == self.header.sender


@dataclass(frozen=True, slots=True)
class Admitted(Generic[P]):
    """The message is for this node and method, from who it says, in time and new."""

    opened: Opened[P]
    expires_at: datetime
    """When the replay guard may forget the message id."""


@dataclass(frozen=True, slots=True)
class Authorised:
    """The peer may ask this, for this purpose, about these kinds."""

    admitted: Admitted[RecordQuery]
    body: RecordQueryBody
    subject_tokens: tuple[bytes, ...] = field(repr=False)
    certificate: CertificateReference | None = field(repr=False, default=None)
    """VerifyCertificate only: which certificate is meant."""
    consent: VerifiedConsent | None = None
    """The learner's consent, if one was sent."""

    @property
    def subject_count(self) -> int:
        """How many learners are asked about: what a quota counts."""
        return len(self.subject_tokens)


@dataclass(frozen=True, slots=True)
class Found:
    """The stored records, one list a subject; or the answer that this exchange got before."""

    authorised: Authorised
    records: Sequence[Sequence[StoredRecord]]
    earlier: EarlierAnswer | None = None


@dataclass(frozen=True, slots=True)
class EarlierAnswer:
    """What an earlier message of the same exchange was answered; a retry gets the same."""

    body: bytes
    openings: Sequence[Opening]
    record_count: int


@dataclass(frozen=True, slots=True)
class Translated:
    """Every record in the shared model, serialised."""

    found: Found
    records: Sequence[Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class Logged:
    """The exchange stands durably in the audit log."""

    translated: Translated
    body: bytes
    openings: bytes
    """Serialised, as the response holds them: they are written once, for the evidence and for the peer."""
    record_count: int
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Sealed:
    """The signed answer, ready to leave."""

    logged: Logged
    response: bytes
