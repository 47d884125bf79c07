"""What a local caller asks, and what it gets back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from creditexchange.v1.envelope_pb2 import SignedMessage
from creditexchange.v1.exchange_pb2 import CertificateAnswerBody, CertificateReference
from creditexchange.v1.record_pb2 import LearningRecord, LocalView
from gateway.exchange.messages import LOCATE_RECORDS, QUERY_RECORDS, VERIFY_CERTIFICATE
from gateway.peers.roster import Peer

OK = "OK"


@dataclass(frozen=True, slots=True)
class Question:
    """One learner, one purpose, some kinds, some peers."""

    identifier_type: str
    learner_identifier: str = field(repr=False)
    purpose: int
    kinds: tuple[int, ...]
    peers: tuple[Peer, ...]
    legal_basis: int
    deadline_s: float | None
    """How long to wait for each peer, seconds; ``None`` = as node.toml says for that peer."""
    certificate: CertificateReference | None = field(repr=False, default=None)
    """Ask only whether this certificate of the learner is valid."""
    is_locating: bool = False
    """Ask only of which kinds there is something."""
    consent: SignedMessage | None = field(repr=False, default=None)
    """The learner's consent to show; without one, the basis consent looks for one that this node issued."""
    is_narrowed: bool = False
    """Whether to ask only for those of ``kinds`` that the consent covers, instead of not asking."""
    subject_token: bytes = field(repr=False, default=b"")
    """Whose records, instead of ``learner_identifier``: a consent from elsewhere names its learner so."""
    federation_epoch: str = ""
    """Of the federation secret under which ``subject_token`` was made."""
    is_even_in_maintenance: bool = False
    """Whether to ask peers that announced maintenance for now."""

    @property
    def method(self) -> str:
        """Full name of the RPC that asks this."""
        if self.certificate is not None:
            return VERIFY_CERTIFICATE
        return LOCATE_RECORDS if self.is_locating else QUERY_RECORDS


@dataclass(frozen=True, slots=True)
class PeerResult:
    """What one peer gave, or why it gave nothing."""

    node_id: str
    outcome: str
    explanation: str
    exchange_id: bytes
    elapsed_s: float
    records: Sequence[LearningRecord] = ()
    signed_by: str = ""
    leaf_index: int = 0
    receipt_verified: bool = False
    certificate: CertificateAnswerBody | None = None
    """VerifyCertificate only: what the peer says of the certificate."""
    held_kinds: Sequence[int] = ()
    """LocateRecords only: of which kinds the peer holds something."""

    @property
    def count(self) -> int:
        """Records that came, kinds that are held, or 1 for a certificate that is known."""
        is_known = self.certificate is not None and self.certificate.is_known
        return len(self.records) + len(self.held_kinds) + is_known


ProgressState = Literal["asking", "waiting", "asking again"]
"""``waiting``: for the next try. ``asking again``: a further message of the same exchange is under way."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where asking one peer stands, before its result."""

    node_id: str
    state: ProgressState
    attempt: int
    """How many messages were sent to it, the present one included."""
    remark: str = ""
    """Why it is waited for, or asked again."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who gave a record, in which exchange, and whose signature covers it."""

    node_id: str
    signed_by: str
    exchange_id: bytes


@dataclass(frozen=True, slots=True)
class ArchiveEntry:
    """One record of the merged archive, in the shared model and in the asker's own scheme."""

    record: LearningRecord
    local: LocalView
    provenance: tuple[Provenance, ...]


@dataclass(frozen=True, slots=True)
class Archive:
    """The answer to a question: every peer's result and the merged records."""

    peers: Sequence[PeerResult]
    records: Sequence[ArchiveEntry]
