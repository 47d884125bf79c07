"""Collects what this node holds about one exchange into a bundle that proves it elsewhere."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from creditexchange.v1.envelope_pb2 import Opening, SignedMessage
from creditexchange.v1.exchange_pb2 import RecordAnswerChunkBody
from creditexchange.v1.reason_pb2 import Reason
from gateway.audit import EntryDraft, EvidenceError, parse_leaf, prove_inclusion
from gateway.audit.checkpoint import size_of
from gateway.audit.commitment import commitment_path
from gateway.audit.cosigned import best_cosigned_checkpoint
from gateway.audit.evidence import WHOLE_ENTRY, EvidenceVault
from gateway.audit.proof_file import ProofFile
from gateway.errors import CallerError
from gateway.exchange.evidence_bundle import Disclosure, EvidenceBundle, cards_of
from gateway.peers.card import Card, verify_card
from gateway.signing import dsse
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
        proof = self.proof(row.idx)
        answer = SignedMessage.FromString(signed.answer_message) if signed.answer_message else None
        request = SignedMessage.FromString(signed.request_message)
        names = {signature.name for signature in parse_note(proof.note).signatures}
        return EvidenceBundle(
            cards=self._cards(draft, request, answer, names),
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

    def _cards(
        self, draft: EntryDraft, request: SignedMessage, answer: SignedMessage | None, witnesses: set[str]
    ) -> tuple[SignedMessage, ...]:
        """Return the cards of both nodes as they were, and of the witnesses."""
        needed = {draft.asker: [request], draft.answerer: [answer] if answer is not None else []}
        chosen = []
        for node_id in self.nodes:
            cards = [verify_card(dsse.from_json(text)) for text in self._stored_cards(node_id)]
            if node_id in needed:
                keys = {s.key_id for message in needed[node_id] for s in message.signatures}
                chosen.append(_card_with(cards, keys, node_id).message)
            elif cards and (verifier := cards[0].witness_verifier) and verifier.name in witnesses:
                chosen.append(cards[0].message)
        return cards_of(chosen)

    def _stored_cards(self, node_id: str) -> list[str]:
        return witness_rows.read_cards(self.connection, node_id)


def _card_with(cards: list[Card], keys: set[str], node_id: str) -> Card:
    """Return the newest card that lists ``keys``."""
    for card in cards:
        if keys <= set(card.keys):
            return card
    raise CallerError(
        f"no card of {node_id} is kept that lists the keys of this exchange.",
        remedy="Was the database restored? Start the node once: it keeps the cards that it uses.",
    )
