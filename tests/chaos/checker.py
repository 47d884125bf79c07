"""The independent checker: what clients were told against both logs.

It knows nothing of faults. What it demands holds whatever happened: a log only grows and is signed; an
acknowledgement stands in the answerer's log, and in the asker's where the asker is a node; nothing stands
there twice; what two logs say of one exchange is the same. It reads by ``reading.py``, not by the node's code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from creditexchange.v1.envelope_pb2 import SignedMessage
from creditexchange.v1.exchange_pb2 import QueryRecordsResponse, RecordAnswer
from gateway.peers.card import Card
from tests.chaos.acknowledged import Answered, Ledger, Told
from tests.chaos.reading import (
    Entry,
    LogKey,
    MessageKey,
    Store,
    Tree,
    WrongError,
    entry_of,
    leaf_hash,
    root_by_proof,
    signed_bytes,
)


@dataclass
class Log:
    """One node's log as far as it was read; grows with each round."""

    node_id: str
    key: LogKey
    message_keys: dict[str, MessageKey]
    tree: Tree = field(default_factory=Tree)
    entries: list[Entry] = field(default_factory=list)
    answers: dict[tuple[str, bytes], list[Entry]] = field(default_factory=dict)
    """Answer entries by asker and exchange."""
    acceptances: dict[bytes, list[Entry]] = field(default_factory=dict)
    """Entries of answers that this node got, by exchange."""

    @classmethod
    def of(cls, card: Card) -> Log:
        """The log of a node by the keys that its card states."""
        keys = [MessageKey.of(stated.key.spki) for stated in card.keys.values()]
        return cls(card.node_id, LogKey.of(card.log_verifier_key), {key.key_id: key for key in keys})

    def read(self, store: Store, *, again: bool) -> list[str]:
        """Read what is new; with ``again`` all of it, and compare. Returns what is wrong with the log alone."""
        with store.snapshot():
            return self._read(store, again=again)

    def _read(self, store: Store, *, again: bool) -> list[str]:
        wrong = []
        if again:
            wrong += self._compare(store)
        start = len(self.entries)
        rows = store.rows("SELECT idx, leaf, leaf_hash FROM audit_entry WHERE idx >= ? ORDER BY idx", [start])
        for expected, (index, leaf, stored) in enumerate(rows, start):
            hashed = leaf_hash(leaf)
            if index != expected:
                return [*wrong, f"{self.node_id}: entry {expected} is missing"]
            if stored != hashed:
                wrong.append(f"{self.node_id}: entry {index} is stored with another hash")
            self._take(entry_of(index, leaf), hashed)
        return wrong + self._check_head(store) + self._check_checkpoints(store, start)

    def _compare(self, store: Store) -> list[str]:
        now: dict[Any, Any] = dict(store.rows("SELECT idx, leaf FROM audit_entry ORDER BY idx"))
        return [
            f"{self.node_id}: entry {entry.index} was changed or is gone"
            for entry in self.entries
            if now.get(entry.index) != entry.leaf
        ]

    def _take(self, entry: Entry, hashed: bytes) -> None:
        self.tree.grow([hashed])
        self.entries.append(entry)
        if entry["exchange_id"]:
            exchange_id = bytes.fromhex(entry["exchange_id"])
            if entry.is_answer:
                self.answers.setdefault((entry["asker"], exchange_id), []).append(entry)
            if entry.is_acceptance:
                self.acceptances.setdefault(exchange_id, []).append(entry)

    def _check_head(self, store: Store) -> list[str]:
        """Tree row, entries and newest checkpoint are of one size and root."""
        ((origin, size, root),) = store.rows("SELECT origin, size, root FROM audit_tree")
        wrong = []
        if origin != self.key.name:
            wrong.append(f"{self.node_id}: the log's name is {origin} now")
        if (size, root) != (len(self.entries), self.tree.root()):
            wrong.append(f"{self.node_id}: the tree row says {size} entries, there are {len(self.entries)}")
        newest = store.rows("SELECT size FROM audit_checkpoint ORDER BY size DESC LIMIT 1")
        if (newest[0][0] if newest else 0) != len(self.entries):
            wrong.append(f"{self.node_id}: the newest checkpoint is not of the newest entry")
        return wrong

    def _check_checkpoints(self, store: Store, start: int) -> list[str]:
        """Every checkpoint that was signed since is of this one history."""
        wrong = []
        notes = store.rows("SELECT size, note FROM audit_checkpoint WHERE size > ? ORDER BY size", [start])
        for size, note in notes:
            wrong += _problem(lambda size=size, note=note: self.require_own(note, size))  # type: ignore[misc]
        return wrong

    def require_own(self, note: str, size: int | None = None) -> None:
        """Return if this log's key signed the checkpoint and this log continues it."""
        stated, root = self.key.read(note)
        if size is not None and stated != size:
            raise WrongError(f"{self.node_id}: the checkpoint of {size} entries says {stated}")
        if self.tree.root(stated) != root:
            raise WrongError(f"{self.node_id} signed a tree of {stated} entries that is not its log")


@dataclass
class Checker:
    """Checks a whole federation, round after round."""

    logs: dict[str, Log]
    identity: str
    """Who keeps no log: its side of the story is the ledger alone."""
    _told: int = 0
    _answered: int = 0
    _seen_entries: dict[str, int] = field(default_factory=dict)
    _ok_of_message: Counter[bytes] = field(default_factory=Counter)
    _bodies: dict[tuple[str, bytes], bytes] = field(default_factory=dict)

    def check(self, stores: Mapping[str, Store], ledger: Ledger, *, again: bool = False) -> list[str]:
        """Return everything that is wrong, in words; the load rests meanwhile."""
        wrong = list(ledger.defects)
        ledger.defects.clear()
        for node_id, log in self.logs.items():
            wrong += _problem(lambda log=log, node_id=node_id: log.read(stores[node_id], again=again))  # type: ignore[misc]
        for told in ledger.told[self._told :]:
            wrong += _problem(lambda told=told: self._check_told(told))  # type: ignore[misc]
        for answered in ledger.answered[self._answered :]:
            wrong += _problem(lambda answered=answered: self._check_answered(answered))  # type: ignore[misc]
        self._told, self._answered = len(ledger.told), len(ledger.answered)
        for log in self.logs.values():
            wrong += self._check_new_entries(log, ledger)
        return wrong

    def _answer_in_log(self, answerer: str, asker: str, exchange_id: bytes) -> list[Entry]:
        found = self.logs[answerer].answers.get((asker, exchange_id), [])
        if not found:
            raise WrongError(
                f"{asker} was told that {answerer} answered {exchange_id.hex()}; {answerer}'s log lacks it"
            )
        return found

    def _check_told(self, told: Told) -> None:
        """What a local application was told stands in both logs, and both say the same."""
        answers = self._answer_in_log(told.answerer, told.asker, told.exchange_id)
        accepted = self.logs[told.asker].acceptances.get(told.exchange_id, [])
        name = f"exchange {told.exchange_id.hex()} of {told.asker} with {told.answerer}"
        if len(accepted) != 1:
            raise WrongError(f"{name} was told and stands {len(accepted)} times in the asker's log")
        if told.leaf_index not in {entry.index for entry in answers}:
            raise WrongError(f"{name} stands elsewhere than at {told.leaf_index}")
        if accepted[0]["count"] != told.record_count:
            raise WrongError(f"{name} gave {told.record_count} records, the log says {accepted[0]['count']}")

    def _check_answered(self, answered: Answered) -> None:
        """What a peer got is signed, bound to its request, and stands where its receipt says."""
        log = self.logs[answered.answerer]
        name = f"exchange {answered.exchange_id.hex()} of {answered.asker} with {answered.answerer}"
        request = SignedMessage.FromString(answered.request)
        message = QueryRecordsResponse.FromString(answered.response).message
        for signature in message.signatures:
            key = log.message_keys.get(signature.key_id)
            if key is None:
                raise WrongError(f"{name}: signed by an unknown key")
            key.verify(signature.signature, message.payload_type, message.payload)
        answer = RecordAnswer.FromString(message.payload)
        digest = sha256(signed_bytes(request.payload_type, request.payload)).digest()
        if answer.header.request_digest != digest or answer.header.in_reply_to != answered.message_id:
            raise WrongError(f"{name}: the answer is to another message")
        receipt = answer.receipt
        entries = self._answer_in_log(answered.answerer, answered.asker, answered.exchange_id)
        here = [entry for entry in entries if entry.index == receipt.leaf_index]
        if not here:
            raise WrongError(f"{name}: the receipt says entry {receipt.leaf_index}, the log does not")
        if here[0]["request_digest"] != digest.hex():
            raise WrongError(f"{name}: the entry of the receipt is of another message")
        if here[0]["answer_digest"] != sha256(answer.body).hexdigest():
            raise WrongError(f"{name}: the entry of the receipt is of another answer")
        size, root = log.key.read(receipt.checkpoint)
        log.require_own(receipt.checkpoint)
        if root_by_proof(leaf_hash(here[0].leaf), here[0].index, size, receipt.inclusion_proof) != root:
            raise WrongError(f"{name}: the inclusion proof leads elsewhere")
        self._ok_of_message[answered.message_id] += 1
        if self._ok_of_message[answered.message_id] > 1:
            raise WrongError(f"{name}: the same message was answered twice")
        body = self._bodies.setdefault((answered.answerer, answered.exchange_id), answer.body)
        if body != answer.body:
            raise WrongError(f"{name}: it was answered twice, differently")

    def _check_new_entries(self, log: Log, ledger: Ledger) -> list[str]:
        start, end = self._seen_entries.get(log.node_id, 0), len(log.entries)
        self._seen_entries[log.node_id] = end
        wrong = []
        for entry in log.entries[start:]:
            if entry.is_answer:
                wrong += _problem(lambda entry=entry: self._check_answer_entry(log, entry, ledger))  # type: ignore[misc]
            elif entry.is_acceptance:
                wrong += _problem(lambda entry=entry: self._check_acceptance(log, entry))  # type: ignore[misc]
        return wrong

    def _check_answer_entry(self, log: Log, entry: Entry, ledger: Ledger) -> None:
        """One answer an exchange, one entry a message, and somebody asked."""
        exchange_id = bytes.fromhex(entry["exchange_id"])
        same = log.answers[entry["asker"], exchange_id]
        name = f"{log.node_id}: entry {entry.index}"
        if len({other["answer_digest"] for other in same}) != 1:
            raise WrongError(f"{name}: the exchange has two different answers")
        if sum(other["request_digest"] == entry["request_digest"] for other in same) != 1:
            raise WrongError(f"{name}: one message was answered twice")
        if entry["asker"] == self.identity and len(same) > ledger.sent[exchange_id]:
            raise WrongError(f"{name}: more answers than messages were sent")

    def _check_acceptance(self, log: Log, entry: Entry) -> None:
        """What the asker's log says of an answer is what the answerer's log says."""
        exchange_id = bytes.fromhex(entry["exchange_id"])
        name = f"{log.node_id}: entry {entry.index}"
        if len(log.acceptances[exchange_id]) != 1:
            raise WrongError(f"{name}: the exchange was accepted twice")
        other = self.logs[entry["answerer"]]
        theirs = self._answer_in_log(entry["answerer"], log.node_id, exchange_id)
        at = [answer for answer in theirs if answer.index == entry["peer_receipt"]["index"]]
        if not at:
            raise WrongError(f"{name}: {other.node_id} has something else at the index of the receipt")
        for member in ("answer_digest", "request_digest", "count", "peer_seq", "method", "purpose"):
            if at[0][member] != entry[member]:
                raise WrongError(f"{name}: {member} differs in the log of {other.node_id}")
        held = entry["peer_checkpoint"]
        if other.tree.root(held["size"]).hex() != held["root"]:
            raise WrongError(f"{name}: {other.node_id}'s log is not the one whose head was accepted")


def _problem(check: Callable[[], list[str] | None]) -> list[str]:
    try:
        return check() or []
    except WrongError as error:
        return [str(error)]
