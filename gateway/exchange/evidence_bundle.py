"""Evidence bundles: one exchange with everything that proves it, for a machine that knows neither node.

A bundle is one RFC 8785 JSON object (docs/audit.md, "Evidence bundle"); it holds commitments only,
unless one record is disclosed with it. It never brings its own trust: the cards inside sign
themselves, and whoever verifies compares their fingerprints by another channel.

Every byte counts: what is read is rendered again and must be the same, every signature line must be
by a key of one of the cards, and nothing may be in it that nothing proves.
"""

from __future__ import annotations

import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import rfc8785

from creditexchange.v1.envelope_pb2 import Header, Opening, Receipt, Refusal, SignedMessage
from creditexchange.v1.exchange_pb2 import (
    RecordAnswerBody,
    RecordAnswerChunkBody,
    RecordQuery,
)
from creditexchange.v1.record_pb2 import LearningRecord
from gateway.audit import EntryDraft, PeerReceipt, parse_leaf, verify_inclusion, verify_receipt
from gateway.audit.commitment import RECORD, commitment
from gateway.audit.merkle import leaf_hash
from gateway.audit.proof_file import parse_proof_file, verify_proof_file
from gateway.errors import GatewayError
from gateway.exchange.forms import QUERY_FORMS, Answer
from gateway.exchange.messages import (
    QUERY_IN_BULK,
    QUERY_RECORDS,
    RECORD_QUERY_TYPE,
    REFUSAL_TYPE,
)
from gateway.peers.card import Card, verify_card
from gateway.peers.roster import Peer
from gateway.signing import dsse
from gateway.signing.cosignature import CosignatureVerifier, cosignatures_of
from gateway.signing.envelope import OpenedEnvelope, instant, open_envelope, parse, parse_strictly
from gateway.signing.signed_note import open_note, parse_note

FORMAT = "credit-exchange/evidence/v1"
BUNDLE_BYTES_MAX = 4 * 1024 * 1024


class BundleError(GatewayError):
    """An evidence bundle is malformed, altered, or proves nothing."""


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One record of the answer, opened: its place, its own key, its bytes, and the way to the signed root.

    In bulk the answer is one chunk; its commitments themselves are signed, so there is no way to go.
    """

    index: int
    count: int
    key: bytes
    record: bytes
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class EvidenceBundle:
    """What a bundle holds. Nothing of it is verified yet."""

    cards: tuple[SignedMessage, ...]
    """Of both nodes and of every witness that is a node, by node id."""
    witnesses: tuple[str, ...]
    """Verifier keys of the other witnesses."""
    request: SignedMessage
    answer: SignedMessage | None
    """The signed answer or refusal; the asker's side has it."""
    answer_body: bytes
    """What the leaf's ``answer_digest`` is over; empty when none came, or when it is in ``answer``."""
    leaf: bytes
    proof: str
    """A ``.tlog-proof``: that the leaf stands in the log of the node that made the bundle."""
    disclosed: Disclosure | None = None

    def render(self) -> bytes:
        """Return the bundle's bytes: RFC 8785 JSON and a line feed."""
        members: dict[str, Any] = {
            "format": FORMAT,
            "cards": [_envelope(card) for card in self.cards],
            "witnesses": list(self.witnesses),
            "request": _envelope(self.request),
            "leaf": self.leaf.decode(),
            "proof": self.proof,
        }
        if self.answer is not None:
            members["answer"] = _envelope(self.answer)
        if self.answer_body:
            members["answer_body"] = b64encode(self.answer_body).decode()
        if self.disclosed is not None:
            members["disclosed"] = {
                "index": self.disclosed.index,
                "count": self.disclosed.count,
                "key": b64encode(self.disclosed.key).decode(),
                "record": b64encode(self.disclosed.record).decode(),
                "path": [b64encode(part).decode() for part in self.disclosed.path],
            }
        return rfc8785.dumps(members) + b"\n"


@dataclass(frozen=True, slots=True)
class BundleReport:
    """What a verified bundle proves, provided that the cards are those of the real nodes."""

    cards: Mapping[str, Card]
    entry: EntryDraft
    logged_at_ms: int
    log_origin: str
    index: int
    size: int
    """Size of the checkpoint to which the proof leads."""
    cosigned_by: Mapping[str, datetime]
    """When each witness says that it saw this checkpoint."""
    peer_log: PeerReceipt | None
    """Where the other side logged the exchange, by its own receipt in the answer."""
    record: LearningRecord | None
    """The disclosed record."""


def parse_bundle(content: bytes) -> EvidenceBundle:
    """Read a bundle; what is accepted has exactly one form.

    Raises:
        BundleError: it is anything else.
    """
    if len(content) > BUNDLE_BYTES_MAX:
        raise BundleError("the bundle is larger than 4 MiB.")
    try:
        members = json.loads(content)
        if members["format"] != FORMAT:
            raise BundleError(f"the bundle is not of the format {FORMAT!r}.")
        bundle = EvidenceBundle(
            cards=tuple(_message(card) for card in members["cards"]),
            witnesses=tuple(str(vkey) for vkey in members["witnesses"]),
            request=_message(members["request"]),
            answer=_message(members["answer"]) if "answer" in members else None,
            answer_body=b64decode(members.get("answer_body", "")),
            leaf=members["leaf"].encode(),
            proof=str(members["proof"]),
            disclosed=_disclosure(members["disclosed"]) if "disclosed" in members else None,
        )
        rendered = bundle.render()
    except BundleError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, GatewayError) as error:
        raise BundleError("this is not an evidence bundle.") from error
    if rendered != content:
        raise BundleError("the bundle is not in the one form that it can have: it was altered.")
    return bundle


def verify_bundle(bundle: EvidenceBundle) -> BundleReport:
    """Return what ``bundle`` proves, offline.

    Raises:
        BundleError: it proves nothing; the text says which part fails.
    """
    try:
        return _verify(bundle)
    except BundleError:
        raise
    except GatewayError as error:
        raise BundleError(f"the bundle does not verify: {error.message}") from error


def _verify(bundle: EvidenceBundle) -> BundleReport:
    entry = parse_leaf(bundle.leaf)
    draft = entry.draft
    if draft.kind == "management" or draft.method not in QUERY_FORMS:
        raise BundleError("the entry is about no exchange of records.")
    cards = _cards(bundle, draft)
    own, other = cards[_own_node(draft)], cards[draft.other_node]
    asker = own if draft.role == "asker" else other
    header = _verify_request(bundle.request, draft, asker)
    answered = _verify_answer(bundle, draft, header, cards[draft.answerer])
    checkpoint = verify_proof_file(bundle.proof, bundle.leaf, own.log_verifiers)
    proof = parse_proof_file(bundle.proof)
    if proof.extra is not None:
        raise BundleError("the proof holds an extra line, which nothing proves.")
    return BundleReport(
        cards=cards,
        entry=draft,
        logged_at_ms=entry.logged_at_ms,
        log_origin=checkpoint.origin,
        index=proof.index,
        size=checkpoint.size,
        cosigned_by=_cosigned(proof.note, bundle, cards, own),
        peer_log=draft.peer_receipt,
        record=_verify_disclosure(bundle.disclosed, answered),
    )


def _own_node(draft: EntryDraft) -> str:
    return draft.asker if draft.role == "asker" else draft.answerer


def _cards(bundle: EvidenceBundle, draft: EntryDraft) -> dict[str, Card]:
    found = [verify_card(message) for message in bundle.cards]
    cards = {card.node_id: card for card in found}
    if len(cards) != len(found) or list(cards) != sorted(cards):
        raise BundleError("the cards are not one for each node, in the order of their ids.")
    if not {draft.asker, draft.answerer} <= set(cards):
        raise BundleError("the card of one of the two nodes is missing.")
    for card, message in zip(found, bundle.cards, strict=True):
        if len(message.signatures) != 1:
            raise BundleError(f"the card of {card.node_id} has a signature that nothing proves.")
    return cards


def _verify_request(message: SignedMessage, draft: EntryDraft, asker: Card) -> Header:
    opened = _open(message, RECORD_QUERY_TYPE, asker)
    query = parse_strictly(RecordQuery, opened.payload, "the request")
    header = query.header
    stated = (header.sender, header.audience, header.method, header.exchange_id, header.pair_sequence)
    logged = (draft.asker, draft.answerer, draft.method, draft.exchange_id, draft.peer_seq)
    if not hmac.compare_digest(opened.digest, draft.request_digest) or stated != logged:
        raise BundleError("the request is not the one that was logged.")
    return header


def _verify_answer(
    bundle: EvidenceBundle, draft: EntryDraft, asked: Header, answerer: Card
) -> RecordAnswerBody | RecordAnswerChunkBody | None:
    """Return the body of a positive answer, after it was held against the leaf and the signatures."""
    body = bundle.answer_body
    if bundle.answer is not None:
        if body:
            raise BundleError("the answer's body stands beside the answer.")
        body = _verify_signed_answer(bundle.answer, draft, asked, answerer)
    elif draft.kind == "exchange" and draft.role == "asker":
        raise BundleError("the signed answer is missing.")
    if draft.kind == "no-answer":
        if body:
            raise BundleError("there is an answer where none was logged.")
        return None
    if not hmac.compare_digest(sha256(body).digest(), draft.answer_digest):
        raise BundleError("the answer is not the one that was logged.")
    if draft.outcome != "OK" or draft.method not in (QUERY_RECORDS, QUERY_IN_BULK):
        return None
    if draft.method == QUERY_RECORDS:
        return parse(RecordAnswerBody, body, "the answer")
    chunk = parse(RecordAnswerChunkBody, body, "the chunk")
    if chunk.number != draft.chunk:
        raise BundleError("the chunk is not the one that was logged.")
    return chunk


def _verify_signed_answer(message: SignedMessage, draft: EntryDraft, asked: Header, answerer: Card) -> bytes:
    if draft.role != "asker":
        raise BundleError("only the asker's side holds the signed answer.")
    answer: Answer | Refusal
    if draft.outcome == "OK":
        form = QUERY_FORMS[draft.method]
        answer = parse(form.answer, _open(message, form.answer_type, answerer).payload, "the answer")
    else:
        answer = parse(Refusal, _open(message, REFUSAL_TYPE, answerer).payload, "the refusal")
    header = answer.header
    bound = (header.sender, header.audience, header.exchange_id, header.in_reply_to) == (
        draft.answerer,
        draft.asker,
        draft.exchange_id,
        asked.message_id,
    ) and header.request_digest == draft.request_digest
    if not bound:
        raise BundleError("the answer belongs to another request.")
    _verify_receipt(answer.receipt, draft, answerer)
    return answer.body


def _verify_receipt(receipt: Receipt, draft: EntryDraft, answerer: Card) -> None:
    """Hold the answerer's own receipt against its log's key and against what the asker logged of it."""
    answered = replace(draft, role="answerer", peer_receipt=None, peer_checkpoint=None)
    checkpoint = verify_receipt(answered, receipt, answerer.log_verifiers)
    if draft.peer_receipt != PeerReceipt(receipt.log_origin, receipt.leaf_index) or (
        draft.peer_checkpoint != checkpoint
    ):
        raise BundleError("the receipt in the answer is not the one that was logged.")


def _open(message: SignedMessage, type_: str, card: Card) -> OpenedEnvelope:
    """Verify a message by the card's keys as they were when it was signed."""
    if len(message.signatures) > 1:
        raise BundleError("a message has a signature that nothing proves.")
    payload = parse(RecordQuery, message.payload, "the message")  # the header is field 1 of every payload
    issued = instant(payload.header.issue_time, "header.issue_time")
    peer = Peer(card, "active", issued, ())
    return open_envelope(message, type_, lambda key_id: peer.message_key(key_id, issued))


def _cosigned(note: str, bundle: EvidenceBundle, cards: Mapping[str, Card], own: Card) -> dict[str, datetime]:
    verifiers = [verifier for card in cards.values() for verifier in card.witness_verifiers]
    foreign = [CosignatureVerifier.from_vkey(vkey) for vkey in bundle.witnesses]
    found = cosignatures_of(note, [*verifiers, *foreign])
    names = {cosignature.name for cosignature in found}
    _, signed = open_note(note, own.log_verifiers)
    if len(parse_note(note).signatures) != len(found) + len(signed) or not {v.name for v in foreign} <= names:
        raise BundleError("the checkpoint and the witnesses in the bundle do not fit each other.")
    return {c.name: datetime.fromtimestamp(c.time_s, UTC) for c in found}


def _verify_disclosure(
    disclosed: Disclosure | None, answered: RecordAnswerBody | RecordAnswerChunkBody | None
) -> LearningRecord | None:
    if disclosed is None:
        return None
    if isinstance(answered, RecordAnswerChunkBody):
        return _verify_disclosure_of_chunk(disclosed, answered)
    if answered is None or disclosed.count != sum(answered.record_counts):
        raise BundleError("the disclosed record is none of this answer's.")
    opening = Opening(item_type=RECORD, key=disclosed.key, item=disclosed.record)
    leaf = leaf_hash(commitment(opening))
    verify_inclusion(leaf, disclosed.index, disclosed.count, disclosed.path, answered.records_root)
    return parse(LearningRecord, disclosed.record, "the record")


def _verify_disclosure_of_chunk(disclosed: Disclosure, chunk: RecordAnswerChunkBody) -> LearningRecord:
    commitments = list(chunk.record_commitments)
    opening = Opening(item_type=RECORD, key=disclosed.key, item=disclosed.record)
    fits = (
        disclosed.count == len(commitments)
        and 0 <= disclosed.index < len(commitments)
        and not disclosed.path
        and hmac.compare_digest(commitment(opening), commitments[disclosed.index])
    )
    if not fits:
        raise BundleError("the disclosed record is none of this answer's.")
    return parse(LearningRecord, disclosed.record, "the record")


def _envelope(message: SignedMessage) -> dict[str, Any]:
    envelope: dict[str, Any] = json.loads(dsse.to_json(message))
    return envelope


def _message(envelope: Any) -> SignedMessage:
    return dsse.from_json(json.dumps(envelope))


def _disclosure(members: Any) -> Disclosure:
    return Disclosure(
        index=int(members["index"]),
        count=int(members["count"]),
        key=b64decode(members["key"]),
        record=b64decode(members["record"]),
        path=tuple(b64decode(part) for part in members["path"]),
    )


def cards_of(messages: Sequence[SignedMessage]) -> tuple[SignedMessage, ...]:
    """Return cards in the order that a bundle has them in: by node id, each node once."""
    by_node = {verify_card(message).node_id: message for message in messages}
    return tuple(by_node[node_id] for node_id in sorted(by_node))
