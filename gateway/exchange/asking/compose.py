"""Build and sign one query for one peer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from creditexchange.v1.envelope_pb2 import Header, Opening, SignedMessage
from creditexchange.v1.exchange_pb2 import RecordQuery, RecordQueryBody
from gateway.audit import EntryDraft, PeerCheckpoint, PeerReceipt
from gateway.audit.commitment import (
    CERTIFICATE,
    CONSENT,
    SUBJECT_TOKEN,
    commitment,
    commitments_root,
    open_items,
)
from gateway.clock import new_exchange_id, new_id
from gateway.errors import OperatorError
from gateway.exchange.asking.question import Question
from gateway.exchange.forms import QUERY_FORMS
from gateway.exchange.messages import RECORD_QUERY_TYPE, Snapshot
from gateway.learners.subject_token import FederationSecret, subject_token
from gateway.peers.roster import Peer
from gateway.peers.versions import versions_of
from gateway.policy.purposes import purpose_word
from gateway.signing.envelope import seal, signed_digest


@dataclass(frozen=True, slots=True)
class Composed:
    """A signed query and what its answer must be bound to."""

    peer: Peer
    method: str
    purpose: int
    header: Header
    body: bytes
    message: SignedMessage
    openings: tuple[Opening, ...] = field(repr=False)
    digest: bytes
    subject_tokens: tuple[bytes, ...] = field(repr=False)

    def entry(
        self,
        kind: Literal["exchange", "no-answer"],
        role: Literal["asker", "answerer"],
        outcome: str,
        *,
        count: int = 0,
        answer_digest: bytes = b"",
        peer_receipt: PeerReceipt | None = None,
        peer_checkpoint: PeerCheckpoint | None = None,
        chunk: int = 0,
    ) -> EntryDraft:
        """Return the audit entry about this query on either side: the asker knows both."""
        return EntryDraft(
            kind=kind,
            role=role,
            asker=self.header.sender,
            answerer=self.peer.node_id,
            exchange_id=self.header.exchange_id,
            peer_seq=self.header.pair_sequence,
            method=self.method,
            purpose=purpose_word(self.purpose),
            outcome=outcome,
            count=count,
            request_digest=self.digest,
            answer_digest=answer_digest,
            peer_receipt=peer_receipt,
            peer_checkpoint=peer_checkpoint,
            chunk=chunk,
        )

    @property
    def request(self) -> bytes:
        """The bytes that are sent."""
        request = QUERY_FORMS[self.method].request
        return request(message=self.message, openings=self.openings).SerializeToString()


def token_for(question: Question, snapshot: Snapshot) -> bytes:
    """Return the learner's subject token under the newest federation secret; raises as :func:`tokens_for`."""
    return next(iter(tokens_for(question, snapshot).values()))


def tokens_for(question: Question, snapshot: Snapshot) -> dict[str, bytes]:
    """Return the learner's subject token under each live federation secret, by epoch, the newest first.

    Raises:
        gateway.learners.identifier.IdentifierError: the identifier is malformed.
        OperatorError: the node has no federation secret.
    """
    if question.subject_token:
        return {question.federation_epoch: question.subject_token}
    if not snapshot.secrets:
        raise _no_secret()
    return {
        epoch: subject_token(secret, question.identifier_type, question.learner_identifier)
        for epoch, secret in snapshot.secrets.items()
    }


def secret_for(peer: Peer, snapshot: Snapshot) -> FederationSecret:
    """Return the federation secret by which ``peer`` is asked. Raises ``OperatorError`` if there is none."""
    secret = snapshot.secret_for(peer.node_id)
    if secret is None:
        raise _no_secret()
    return secret


def _no_secret() -> OperatorError:
    return OperatorError(
        "this node has no federation secret.",
        remedy="Get it from your federation and name it in node.toml, [federation].",
    )


def compose(
    question: Question,
    peer: Peer,
    token: bytes,
    sequence: int,
    snapshot: Snapshot,
    *,
    checkpoint: str,
    now: datetime,
    consent: SignedMessage | None = None,
    epoch: str = "",
) -> Composed:
    """Return the signed query to ``peer``; ``sequence`` is the pair's next number.

    ``token`` is the learner's under the federation secret of ``epoch``, which is the newest when not given.
    """
    openings = open_items(SUBJECT_TOKEN, [token])
    certificate = question.certificate
    opened = open_items(CERTIFICATE, [certificate.SerializeToString()]) if certificate is not None else []
    shown = open_items(CONSENT, [consent.SerializeToString()]) if consent is not None else []
    body = RecordQueryBody(
        purpose=question.purpose,  # type: ignore[arg-type]
        kinds=question.kinds,  # type: ignore[arg-type]
        subjects_root=commitments_root(openings),
        subject_count=1,
        federation_epoch=epoch or next(iter(snapshot.secrets)),
        legal_basis=question.legal_basis,  # type: ignore[arg-type]
        certificate_commitment=commitment(opened[0]) if opened else b"",
        consent_commitment=commitment(shown[0]) if shown else b"",
    ).SerializeToString()
    header = query_header(peer, question.method, sequence, snapshot, checkpoint=checkpoint, now=now)
    message = sign_query(header, body, snapshot)
    return Composed(
        peer=peer,
        method=question.method,
        purpose=question.purpose,
        header=header,
        body=body,
        message=message,
        openings=(*openings, *shown, *opened),
        digest=signed_digest(message),
        subject_tokens=(token,),
    )


def compose_again(
    composed: Composed, peer: Peer, sequence: int, snapshot: Snapshot, *, checkpoint: str, now: datetime
) -> Composed:
    """Return a new message of the same exchange: fresh id, times, sequence number and signature.

    ``peer`` is the same one, perhaps with its endpoints in another order.
    """
    header = query_header(peer, composed.method, sequence, snapshot, checkpoint=checkpoint, now=now)
    header.exchange_id = composed.header.exchange_id
    message = sign_query(header, composed.body, snapshot)
    return replace(composed, peer=peer, header=header, message=message, digest=signed_digest(message))


def sign_query(header: Header, body: bytes, snapshot: Snapshot) -> SignedMessage:
    """Return the signed ``RecordQuery`` of ``header`` and the exact bytes ``body``."""
    payload = RecordQuery(header=header, body=body).SerializeToString()
    return seal(payload, RECORD_QUERY_TYPE, snapshot.message_keys)


def query_header(
    peer: Peer, method: str, sequence: int, snapshot: Snapshot, *, checkpoint: str, now: datetime
) -> Header:
    """Return the header of a new message to ``peer``, with fresh ids.

    It is of the newest version that both speak; where there is none, of our newest, which the peer refuses.
    """
    spoken = snapshot.settings.versions
    header = Header(
        protocol_version=spoken.shared_with(versions_of(peer.card)) or spoken.newest,
        message_id=new_id(),
        exchange_id=new_exchange_id(now),
        pair_sequence=sequence,
        sender=snapshot.node_id,
        audience=peer.node_id,
        method=method,
        checkpoint=checkpoint,
    )
    header.issue_time.FromDatetime(now)
    header.expire_time.FromDatetime(now + timedelta(seconds=snapshot.settings.window_s))
    return header
