"""Collects what this node holds about one exchange into a bundle that proves it elsewhere."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from creditexchange.v1.envelope_pb2 import Opening, SignedMessage
from creditexchange.v1.exchange_pb2 import RecordAnswer, RecordAnswerChunkBody
from creditexchange.v1.reason_pb2 import Reason
from gateway.audit import EntryDraft, EvidenceError, parse_leaf, prove_inclusion
from gateway.audit.checkpoint import size_of
from gateway.audit.commitment import commitment_path
from gateway.audit.cosigned import (
    best_cosigned_checkpoint,
    cosigned_checkpoint,
    is_cosigned_by,
    is_signed_by,
)
from gateway.audit.evidence import WHOLE_ENTRY, EvidenceVault
from gateway.audit.proof_file import ProofFile
from gateway.errors import CallerError
from gateway.exchange.evidence_bundle import Disclosure, EvidenceBundle, cards_of
from gateway.exchange.messages import RECORD_QUERY_TYPE
from gateway.peers.card import Card, verify_card
from gateway.signing import dsse
from gateway.signing.envelope import parse
from gateway.signing.signed_note import parse_note
from gateway.storage import audit_rows, evidence_rows, witness_rows
from gateway.storage.audit_rows import EntryRow
from gateway.storage.node_tables import Transaction


@dataclass(frozen=True)
class Collector:
    """Reads one node's store. ``witnesses`` are verifier keys of witnesses that are no nodes."""

    connection: Transaction
    vault: EvidenceVault
    nodes: tuple[str, ...]
    """Ids of this node and its peers: whose cards may be needed."""
    witnesses: tuple[str, ...] = ()

    def find(self, exchange_id: bytes) -> EntryRow:
        """Return the entry of an exchange, of several the newest that tells of an answer.

        Raises:
            CallerError: there is none.
        """
        rows = [
            row
            for row in audit_rows.read_entries_of_exchange(self.connection, exchange_id)
            if b'"kind":"management"' not in row.leaf
        ]
        answered = [row for row in rows if b'"kind":"exchange"' in row.leaf and b'"outcome":"OK"' in row.leaf]
        if not rows:
            raise CallerError(
                "the log holds no such exchange.", remedy="`credit-gateway audit show` lists exchange ids."
            )
        return (answered or rows)[-1]

    def proof(self, index: int) -> ProofFile:
        """Return the proof of an entry under the checkpoint that most witnesses have cosigned."""
        note = best_cosigned_checkpoint(self.connection, index + 1)
        return ProofFile(index, tuple(prove_inclusion(self.connection, index, size_of(note))), note)

    def bundle(self, row: EntryRow, record_index: int | None = None) -> EvidenceBundle:
        """Return the bundle about an entry; ``record_index`` discloses one record of its answer.

        Raises:
            CallerError: the entry left no signed bytes, or has no such record.
            EvidenceError: the openings were erased, or do not decrypt.
        """
        draft = parse_leaf(row.leaf).draft
        signed = evidence_rows.read_signed(self.connection, row.idx)
        if signed is None or not signed.request_message:
            raise CallerError(f"entry {row.idx} is about no exchange, or left no signed bytes.")
        answer = SignedMessage.FromString(signed.answer_message) if signed.answer_message else None
        request = SignedMessage.FromString(signed.request_message)
        own, proof = self._provable(row.idx, draft, request if draft.role == "asker" else None)
        names = {signature.name for signature in parse_note(proof.note).signatures}
        return EvidenceBundle(
            cards=self._cards(draft, own, request, answer, proof.note),
            witnesses=tuple(vkey for vkey in self.witnesses if vkey.split("+", 1)[0] in names),
            request=request,
            answer=answer,
            answer_body=b"" if answer is not None else signed.answer_body,
            leaf=row.leaf,
            proof=proof.render(),
            disclosed=None if record_index is None else self._disclose(row.idx, draft, record_index),
        )

    def openings(self, index: int, draft: EntryDraft) -> tuple[Opening, ...]:
        """Return the opened records of an entry's answer.

        Raises:
            EvidenceError: they were erased, or do not decrypt.
        """
        return tuple(opening for _, opening in self.records(index, draft))

    def records(
        self, index: int, draft: EntryDraft, positions: Collection[int] | None = None
    ) -> list[tuple[int, Opening]]:
        """Return the opened records of an entry's answer with their places in it.

        In bulk ``positions`` are the places in the query of those whose records are wanted; the records
        of others are not decrypted.

        Raises:
            EvidenceError: they were erased, or do not decrypt.
        """
        parts = evidence_rows.read_parts(self.connection, index)
        if draft.chunk and positions is not None:
            parts = [part for part in parts if part.part in positions]
        if not parts:
            raise EvidenceError(
                "the records of this exchange were erased, or there were none.",
                remedy="What was signed still verifies: export the exchange without a record.",
            )
        starts = self._starts(index) if draft.chunk else {WHOLE_ENTRY: 0}
        return [
            (starts.get(part.part, 0) + at, opening)
            for part in parts
            for at, opening in enumerate(self.vault.open(draft, part).answer)
        ]

    def share_of(self, row: EntryRow, position: int) -> EntryDraft:
        """Return the entry as it concerns one learner: in bulk with their own records and outcome."""
        draft = parse_leaf(row.leaf).draft
        signed = evidence_rows.read_signed(self.connection, row.idx)
        if not draft.chunk or draft.outcome != "OK" or signed is None:
            return draft
        for subject in RecordAnswerChunkBody.FromString(signed.answer_body).subjects:
            if subject.position == position:
                reason = Reason.Name(subject.reason).removeprefix("REASON_") if subject.reason else "OK"
                return replace(draft, count=subject.record_count, outcome=reason)
        return draft

    def _starts(self, index: int) -> dict[int, int]:
        """Return where in a chunk each learner's records begin, by the learner's place in the query."""
        signed = evidence_rows.read_signed(self.connection, index)
        starts, start = {}, 0
        body = signed.answer_body if signed is not None else b""
        for subject in RecordAnswerChunkBody.FromString(body).subjects:
            starts[subject.position] = start
            start += subject.record_count
        return starts

    def _disclose(self, index: int, draft: EntryDraft, record_index: int) -> Disclosure:
        if draft.chunk:
            return self._disclose_of_chunk(index, draft, record_index)
        openings = self.openings(index, draft)
        if not 0 <= record_index < len(openings):
            raise CallerError(f"the answer has {len(openings)} records; count from 0.")
        chosen = openings[record_index]
        path = tuple(commitment_path(openings, record_index))
        return Disclosure(record_index, len(openings), chosen.key, chosen.item, path)

    def _disclose_of_chunk(self, index: int, draft: EntryDraft, record_index: int) -> Disclosure:
        chosen = dict(self.records(index, draft)).get(record_index)
        if chosen is None:
            raise CallerError("the chunk has no such record, or it was erased.")
        return Disclosure(record_index, draft.count, chosen.key, chosen.item, ())

    def _provable(
        self, index: int, draft: EntryDraft, signed: SignedMessage | None
    ) -> tuple[Card, ProofFile]:
        """Return this node's card at that time and the proof of an entry under a checkpoint that it verifies.

        The best cosigned checkpoint, unless the log's key was replaced since: then the entry's own.
        """
        node_id = draft.asker if draft.role == "asker" else draft.answerer
        keys = {s.key_id for s in signed.signatures} if signed is not None else set()
        cards = [card for card in self._stored_cards(node_id) if keys <= set(card.keys)]
        first = next(audit_rows.stream_checkpoints(self.connection, index), None)
        notes = [best_cosigned_checkpoint(self.connection, index + 1)]
        notes += [cosigned_checkpoint(self.connection, first[1])] if first is not None else []
        for note in notes:
            for card in cards:
                if is_signed_by(note, card.log_verifiers):
                    proof = prove_inclusion(self.connection, index, size_of(note))
                    return card, ProofFile(index, tuple(proof), note)
        raise _no_card(node_id)

    def _cards(
        self,
        draft: EntryDraft,
        own: Card,
        request: SignedMessage,
        answer: SignedMessage | None,
        note: str,
    ) -> tuple[SignedMessage, ...]:
        """Return the cards of both nodes as they were, and of the witnesses."""
        other = draft.other_node
        signed = answer if draft.role == "asker" else request
        chosen = [own.message]
        for node_id in self.nodes:
            cards = self._stored_cards(node_id)
            if node_id == other:
                chosen.append(_card_with(cards, signed, node_id).message)
            elif node_id != own.node_id:
                chosen += [card.message for card in cards if is_cosigned_by(note, card.witness_verifiers)][:1]
        return cards_of(chosen)

    def _stored_cards(self, node_id: str) -> list[Card]:
        return [
            verify_card(dsse.from_json(text)) for text in witness_rows.read_cards(self.connection, node_id)
        ]


def _card_with(cards: list[Card], signed: SignedMessage | None, node_id: str) -> Card:
    """Return the newest card that lists the keys of what was ``signed``, and that of the receipt in it."""
    keys = {s.key_id for s in signed.signatures} if signed is not None else set()
    note = _receipt_note(signed)
    for card in cards:
        if keys <= set(card.keys) and (not note or is_signed_by(note, card.log_verifiers)):
            return card
    raise _no_card(node_id)


def _receipt_note(signed: SignedMessage | None) -> str:
    """Return the checkpoint in the receipt of a signed answer or refusal; both have it in one place."""
    if signed is None or signed.payload_type == RECORD_QUERY_TYPE:
        return ""
    return parse(RecordAnswer, signed.payload, "the answer").receipt.checkpoint


def _no_card(node_id: str) -> CallerError:
    return CallerError(
        f"no card of {node_id} is kept that lists the keys of this exchange.",
        remedy="Was the database restored? Start the node once: it keeps the cards that it uses.",
    )
