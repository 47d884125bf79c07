"""Compares this node's log with a peer's, page by page: incremental, resumable, in constant memory.

Every entry of the peer comes with the proof that it stands in the peer's log, and every checkpoint
with the proof that it continues the one seen before. What was compared is kept with the node's other
rows after each page, so an interrupted comparison goes on where it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from creditexchange.v1.audit_pb2 import ListSharedEntriesResponse
from gateway.audit import (
    EMPTY_ROOT,
    AuditLog,
    Checkpoint,
    Conflict,
    EntryError,
    ProofError,
    Witness,
    leaf_hash,
    parse_leaf,
    verify_inclusion,
)
from gateway.audit.checkpoint import parse_checkpoint
from gateway.audit.proofs import verify_growth
from gateway.audit.reconcile import Difference, Placed, compare, must_have_counterpart, only_ours
from gateway.audit.witness import read_head
from gateway.clock import Clock, unix_ms
from gateway.errors import PeerFaultError, RefusedError
from gateway.exchange.asking.audit_log import PeerAudit
from gateway.signing.signed_note import parse_note
from gateway.storage import audit_rows, reconcile_rows
from gateway.storage.node_tables import Transaction
from gateway.storage.reconcile_rows import FindingRow, ReconciliationRow

SETTLE_S = 60
"""Younger entries of the peer are left for the next time: ours may still be on its way."""
OURS_SETTLE_FACTOR = 3
"""Own entries are judged missing at the peer only at three times that age: clocks differ, calls last."""
OURS_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did."""

    their_index: int
    their_size: int
    matched: int
    """Pairs of entries that were matched since the comparison began."""
    findings: int
    """Differences with this peer that are known by now."""
    done: bool
    """Whether both logs are compared as far as they have settled."""


@dataclass
class Reconciling:
    """What the comparison works with."""

    log: AuditLog
    witness: Witness
    node_id: str
    clock: Clock
    settle_s: float = SETTLE_S

    def step(self, audit: PeerAudit, *, since_ms: int | None = None) -> Step:
        """Compare one page more; with ``since_ms`` begin anew with entries logged then or later.

        Raises:
            PeerFaultError: the peer cannot be asked, or what it shows proves nothing.
            RefusedError: ``AUDIT_UNAVAILABLE``.
        """
        state = self._begin(audit, since_ms) if since_ms is not None else self._state(audit)
        page = audit.shared_entries(state.their_next, since_ms or 0, _size_of(state))
        head = self._read_head(audit, state, page)
        if since_ms is not None:
            self._forget(state, page)
        state = replace(state, checkpoint=page.checkpoint)
        state, matches, differences, settled = self._compare_page(state, page, head)
        done = False
        if settled:
            state, only, done = self._judge_ours(state, matches)
            differences += only
            differences += _gaps(state) if done else []
        if done:
            state = replace(state, done_at=unix_ms(self.clock()))
        findings = self._keep(state, matches, differences)
        return Step(state.their_next, head.size, state.matched, findings, done)

    def _state(self, audit: PeerAudit) -> ReconciliationRow:
        peer = audit.peer
        with self.log.reading() as connection:
            state = reconcile_rows.read_reconciliation(connection, peer.node_id)
        if state is None or state.origin != peer.card.log_origin:
            return ReconciliationRow(peer.node_id, peer.card.log_origin, 0, 0, "", 0, 0, 0, 0)
        return state

    def _begin(self, audit: PeerAudit, since_ms: int) -> ReconciliationRow:
        """Return a state that begins anew; the peer's checkpoint that was seen last still counts."""
        state = self._state(audit)
        with self.log.reading() as connection:
            start = audit_rows.read_index_since(connection, since_ms, self.log.stored_size(connection))
        count = 0 if since_ms == 0 else -1
        return replace(state, their_next=0, our_next=start, matched=0, sequence_max=0, sequence_count=count)

    def _forget(self, state: ReconciliationRow, page: ListSharedEntriesResponse) -> None:
        first = page.entries[0].index if page.entries else page.next_index
        self.log.transact(lambda transaction: _forget_from(transaction, state.peer, state.our_next, first))

    def _read_head(
        self, audit: PeerAudit, state: ReconciliationRow, page: ListSharedEntriesResponse
    ) -> Checkpoint:
        """Return the peer's head after it was shown to continue the one seen before."""
        verifier = audit.peer.card.log_verifiers
        origin = verifier[0].name
        if not page.checkpoint and not page.entries and not state.checkpoint:
            return Checkpoint(origin, 0, EMPTY_ROOT)
        try:
            head, note = read_head(page.checkpoint, verifier)
            seen = (0, EMPTY_ROOT)
            if state.checkpoint:
                # Verified when it was kept; the key that signed it may have been retired since.
                before = parse_checkpoint(parse_note(state.checkpoint).text)
                seen = (before.size, before.root)
            verify_growth(seen, (head.size, head.root), list(page.consistency_proof))
        except RefusedError as error:
            raise PeerFaultError("ANSWER_MALFORMED", f"the peer's checkpoint: {error.message}") from error
        except ProofError as error:
            what = "the log does not continue what reconciliation saw of it"
            conflict = Conflict(
                origin, state.checkpoint, note, what, audit.peer.node_id, tuple(page.consistency_proof)
            )
            self.witness.keep_conflict(conflict)
            raise PeerFaultError(
                "LOG_CONTRADICTS_ITSELF",
                "the peer's log does not continue the one that was compared before.",
                remedy="Both heads are kept: see `credit-gateway audit witness`. Tell the peer's operator.",
            ) from error
        return head

    def _compare_page(
        self, state: ReconciliationRow, page: ListSharedEntriesResponse, head: Checkpoint
    ) -> tuple[ReconciliationRow, list[int], list[Difference], bool]:
        """Return the state after the page, own indexes that were matched, differences, and whether the
        end of what has settled was reached.
        """
        settled_ms = unix_ms(self.clock()) - round(self.settle_s * 1000)
        matches: list[int] = []
        differences: list[Difference] = []
        with self.log.reading() as connection:
            for entry in page.entries:
                if entry.index < state.their_next:
                    raise PeerFaultError("ANSWER_MALFORMED", "the peer's entries are out of order.")
                theirs, logged_at_ms = self._verified(state.peer, entry, head)
                if logged_at_ms > settled_ms:
                    return replace(state, their_next=entry.index), matches, differences, True
                ours = self._ours(connection, theirs, state.peer)
                match, found = compare(theirs, ours)
                differences += found
                if match is not None:
                    matches.append(match)
                state = _counted(replace(state, their_next=entry.index + 1), theirs, match)
        if not state.their_next <= page.next_index <= head.size:
            raise PeerFaultError("ANSWER_MALFORMED", "the peer's page ends where it cannot.")
        return (
            replace(state, their_next=page.next_index),
            matches,
            differences,
            page.next_index == head.size,
        )

    def _verified(self, peer: str, entry: object, head: Checkpoint) -> tuple[Placed, int]:
        """Return an entry of the peer that stands in its log and is about this node."""
        index, leaf, proof = entry.index, entry.leaf, list(entry.inclusion_proof)  # type: ignore[attr-defined]
        try:
            verify_inclusion(leaf_hash(leaf), index, head.size, proof, head.root)
            parsed = parse_leaf(leaf)
        except (ProofError, EntryError) as error:
            raise PeerFaultError(
                "ANSWER_MALFORMED", f"entry {index} of the peer's log: {error.message}"
            ) from error
        draft = parsed.draft
        parties = {"asker": (peer, self.node_id), "answerer": (self.node_id, peer)}.get(draft.role)
        if (draft.asker, draft.answerer) != parties:
            raise PeerFaultError("ANSWER_MALFORMED", f"entry {index} of the peer's log is not about us.")
        return Placed(index, draft), parsed.logged_at_ms

    def _ours(self, connection: Transaction, theirs: Placed, peer: str) -> list[Placed]:
        rows = audit_rows.read_entries_of_exchange(connection, theirs.draft.exchange_id)
        return [Placed(row.idx, parse_leaf(row.leaf).draft) for row in rows if row.peer == peer]

    def _judge_ours(
        self, state: ReconciliationRow, matches: list[int]
    ) -> tuple[ReconciliationRow, list[Difference], bool]:
        """Return what of our next entries the peer has nothing about, and whether those were the last."""
        settled_ms = unix_ms(self.clock()) - round(self.settle_s * 1000 * OURS_SETTLE_FACTOR)
        found: list[Difference] = []
        with self.log.reading() as connection:
            end = self.log.stored_size(connection)
            rows = audit_rows.read_entries_with(connection, state.peer, state.our_next, end, OURS_AT_ONCE)
            last = rows[-1].idx if rows else 0
            known = reconcile_rows.read_matches(connection, state.peer, state.our_next, last) | set(matches)
        done = len(rows) < OURS_AT_ONCE
        for row in rows:
            if row.logged_at > settled_ms:
                return state, found, True
            state = replace(state, our_next=row.idx + 1)
            entry = Placed(row.idx, parse_leaf(row.leaf).draft)
            if row.idx not in known and must_have_counterpart(entry.draft):
                found.append(only_ours(entry))
        return state, found, done

    def _keep(self, state: ReconciliationRow, matches: list[int], differences: list[Difference]) -> int:
        now_ms = unix_ms(self.clock())
        rows = [
            FindingRow(state.peer, d.kind, d.exchange_id, d.ours, d.theirs, d.detail, now_ms)
            for d in differences
        ]

        def keep(transaction: Transaction) -> int:
            reconcile_rows.insert_matches(transaction, state.peer, matches)
            reconcile_rows.delete_matches(transaction, state.peer, state.our_next)
            reconcile_rows.put_findings(transaction, rows)
            reconcile_rows.put_reconciliation(transaction, state)
            return reconcile_rows.count_findings(transaction, state.peer)

        return self.log.transact(keep)


def _counted(state: ReconciliationRow, theirs: Placed, match: int | None) -> ReconciliationRow:
    """Return ``state`` with one more entry of the peer counted."""
    if match is not None:
        state = replace(state, matched=state.matched + 1)
    is_first = theirs.draft.chunk in (0, 1)  # the chunks of one answer have one number
    if theirs.draft.role == "asker" and is_first and state.sequence_count >= 0:
        state = replace(
            state,
            sequence_max=max(state.sequence_max, theirs.draft.peer_seq),
            sequence_count=state.sequence_count + 1,
        )
    return state


def _gaps(state: ReconciliationRow) -> list[Difference]:
    missing = state.sequence_max - state.sequence_count
    if state.sequence_count < 0 or missing <= 0:
        return []
    detail = f"{missing} of {state.sequence_max} numbered messages of the peer are in none of its entries"
    return [Difference("sequence-gap", b"", -1, -1, detail)]


def _size_of(state: ReconciliationRow) -> int:
    return int(state.checkpoint.split("\n", 2)[1]) if state.checkpoint else 0


def _forget_from(transaction: Transaction, peer: str, our_start: int, their_start: int) -> None:
    reconcile_rows.delete_matches(transaction, peer, 2**62)
    reconcile_rows.delete_findings(transaction, peer, our_start, their_start)
