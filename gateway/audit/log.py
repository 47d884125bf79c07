"""The audit log of one node: append, prove, remember.

One transaction appends a group of entries: message ids (the replay guard), leaves, new tree
nodes, evidence, the tree's head and the signed checkpoint over it. Nothing is released before the
commit is durable; then every caller gets its receipt with an inclusion proof to that checkpoint,
which this node has itself verified. So no signed head outlives a lost commit, and no answer leaves
without standing in the log.

Several threads of a process share one :class:`AuditLog`; on PostgreSQL several processes may each
have one over the same tables.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from creditexchange.v1.envelope_pb2 import Receipt
from gateway.audit.answered import StoredExchange, find_answer, has_answer
from gateway.audit.checkpoint import Checkpoint
from gateway.audit.entry import EntryDraft
from gateway.audit.evidence import Evidence, EvidenceVault
from gateway.audit.fence import is_guard_marked, mark_guard, raise_fence, read_fence
from gateway.audit.group import (
    NOTHING,
    NewEntry,
    PendingEntry,
    Placed,
    SeenMessage,
    Work,
    insert_evidence,
    insert_growth,
    unavailable,
    without_entries,
    without_replays,
    without_second_answers,
)
from gateway.audit.growth import Head, grow
from gateway.audit.heard import HeardHeads
from gateway.audit.merkle import EMPTY_ROOT
from gateway.audit.proofs import altered
from gateway.audit.quota import KnownUse, without_overdrawn
from gateway.audit.start_check import head_of, require_sound
from gateway.clock import Clock, unix_ms
from gateway.combining import Combiner, result_of
from gateway.errors import AuditLogError, GatewayError, StorageError
from gateway.signing.signed_note import NoteSigner, NoteVerifier
from gateway.signing.suites import PrivateKey
from gateway.storage import audit_rows, message_ids
from gateway.storage.audit_rows import TreeRow
from gateway.storage.driver_sql import HeldConnection
from gateway.storage.engine import is_sqlite_database, reading, scrub, snapshot, writing
from gateway.storage.leadership import Leadership
from gateway.storage.migrate import require_current, upgrade
from gateway.storage.node_tables import Database, Transaction
from gateway.storage.partitions import tables_of
from gateway.storage.quota_rows import Charge

T = TypeVar("T")

SKEW_S = 30
"""Tolerated difference of clocks, seconds; a young replay guard fences off messages that long."""


@dataclass(frozen=True, slots=True)
class Appended:
    """An entry that stands durably in the log."""

    index: int
    logged_at_ms: int
    receipt: Receipt


def _ignore(_error: GatewayError) -> None:
    """Tell nobody; what happened is the cause of each refusal."""


class AuditLog:
    """The append-only log of one node; made by :meth:`open`."""

    def __init__(
        self,
        database: Database,
        signers: Sequence[NoteSigner],
        past: Sequence[NoteVerifier],
        vault: EvidenceVault,
        clock: Clock,
        head: Head,
        fence_until: datetime | None,
        failed: Callable[[GatewayError], None],
    ) -> None:
        self._database = database
        self._signers = tuple(signers)
        self._past = tuple(past)
        self._vault = vault
        self._clock = clock
        self._head = head
        self._fence_until = fence_until
        self._failed = failed
        self.heard = HeardHeads()
        """Heads that peers showed in their messages, for the witness to look at."""
        self.quota_use = KnownUse()
        """What this process knows of peers' quotas; the transaction decides."""
        self._halted: GatewayError | None = None
        self._is_failing = False
        self._is_shared = not is_sqlite_database(database)
        self._reads = HeldConnection(database)
        self._writes = HeldConnection(database)
        self._groups: Combiner[PendingEntry | Work, Any] = Combiner(self._commit)

    @staticmethod
    def create(
        engine: Database, origin: str, *, clock: Clock, born_with_keys: bool = False, skew_s: float = SKEW_S
    ) -> None:
        """Make the tables and an empty log; a log of that origin that is there already is kept.

        ``born_with_keys`` says that the node's keys are as new as this store, so that nobody can
        have signed anything for it yet. Otherwise messages issued before now plus ``skew_s`` will be
        refused: the replay guard cannot know them.

        Raises:
            StorageError: the database cannot be written.
            AuditLogError: it holds the log of another origin.
        """
        upgrade(engine, "node")
        with writing(engine) as transaction:
            others = [name for name in audit_rows.list_origins(transaction) if name != origin]
            if others:
                raise AuditLogError(
                    f"the database holds the log {others[0]!r}, not {origin!r}.",
                    remedy="Give each node its own database.",
                )
            if audit_rows.insert_tree(transaction, origin, EMPTY_ROOT):
                mark_guard(transaction, clock(), None if born_with_keys else skew_s)

    @classmethod
    def open(
        cls,
        engine: Database,
        origin: str,
        log_key: PrivateKey,
        clock: Clock,
        evidence_key: bytes,
        *,
        previous_evidence_key: bytes | None = None,
        skew_s: float = SKEW_S,
        failed: Callable[[GatewayError], None] = _ignore,
        further_log_keys: Sequence[PrivateKey] = (),
        past_verifiers: Sequence[NoteVerifier] = (),
    ) -> AuditLog:
        """Return the log after recomputing its root and re-hashing its newest 1,000 leaves.

        A store without the mark of its replay guard gets a fence: messages issued before now plus
        ``skew_s`` are refused. The fence is kept across restarts.

        ``further_log_keys`` sign each checkpoint too, while the log's key is being replaced;
        ``past_verifiers`` are keys that signed earlier ones.

        ``previous_evidence_key`` still decrypts, while the evidence key is being rotated.
        ``failed`` is told why the log could not be written or read, each time: for the operator,
        since callers and peers are told only that it could not.

        Raises:
            StorageError: the database cannot be read or written, or is of another version.
            AuditLogError: the log does not agree with itself.
        """
        require_current(engine, "node")
        signers = [NoteSigner(origin, key) for key in (log_key, *further_log_keys)]
        known = [*(signer.verifier for signer in signers), *past_verifiers]
        with snapshot(engine) as connection:
            head = require_sound(connection, origin, known)
            marked = is_guard_marked(connection)
        if not marked:
            raise_fence(engine, clock(), skew_s)
        with reading(engine) as connection:
            fence_until = read_fence(connection)
        return cls(
            engine,
            signers,
            past_verifiers,
            EvidenceVault(evidence_key, previous_evidence_key),
            clock,
            head,
            fence_until,
            failed,
        )

    def close(self) -> None:
        """Give back the connection that is held for reads. The engine belongs to the caller."""
        self._reads.close()
        self._writes.close()

    @property
    def is_failing(self) -> bool:
        """Whether the last entry could not be written, or nothing is appended at all: queries are refused."""
        return self._is_failing or self._halted is not None

    @property
    def origin(self) -> str:
        """Name of the log: the first line of its checkpoints."""
        return self._signers[0].name

    @property
    def verifier(self) -> NoteVerifier:
        """The public key that verifies this log's checkpoints."""
        return self._signers[0].verifier

    @property
    def verifiers(self) -> tuple[NoteVerifier, ...]:
        """Every key that signs this log's checkpoints or has signed them."""
        known = (*(signer.verifier for signer in self._signers), *self._past)
        return tuple({verifier.key_id: verifier for verifier in known}.values())

    def sign_with(self, log_keys: Sequence[PrivateKey], past_verifiers: Sequence[NoteVerifier]) -> None:
        """Sign with ``log_keys`` from the next group on, the first being the one that stays."""
        self._past = (*self._past, *past_verifiers)
        self._signers = tuple(NoteSigner(self.origin, key) for key in log_keys)

    def encrypt_with(self, evidence_key: bytes, previous: bytes | None) -> None:
        """Encrypt by ``evidence_key`` from now on; what ``previous`` encrypted is still read."""
        self._vault = EvidenceVault(evidence_key, previous)

    @property
    def size(self) -> int:
        """Number of entries, as of this process's last commit or :meth:`refresh`."""
        return self._head.size

    def refresh(self) -> int:
        """Take up what other processes have appended, and return the number of entries now.

        Raises:
            StorageError: the database cannot be read.
            AuditLogError: the stored log does not agree with itself.
        """
        if not self._is_shared:
            return self._head.size
        with snapshot(self._database) as connection:
            tree = audit_rows.read_tree(connection, self.origin)
            if tree is None:
                raise altered("the tree row is gone.")
            if tree.size > self._head.size:
                newer = head_of(connection, tree, self.origin, self.verifiers)
                if newer.size > self._head.size:
                    self._head = newer
            self._take_up_halt(tree)
        return self._head.size

    @property
    def fence_until(self) -> datetime | None:
        """Messages issued before this instant must be refused: the replay guard is younger."""
        return self._fence_until

    def latest_checkpoint(self) -> str:
        """Return the newest signed checkpoint, from memory; empty while the log is empty."""
        return self._head.note

    @property
    def database(self) -> Database:
        """Where the log is stored."""
        return self._database

    @property
    def groups_waiting(self) -> int:
        """How many callers wait for the next transaction."""
        return self._groups.waiting

    def watch_commits(self, committed: Callable[[int, float], None]) -> None:
        """Have ``committed`` told of each transaction: how many items it had, how many seconds it took."""
        self._groups.worked = committed

    @property
    def vault(self) -> EvidenceVault:
        """What encrypts and decrypts openings."""
        return self._vault

    def halt(self, why: GatewayError) -> None:
        """Append nothing any more: somebody holds a head of this log that the store cannot continue."""
        if self._halted is not None:
            return
        self._halted = why
        self._failed(why)
        if self._is_shared:
            self.transact(lambda transaction: message_ids.put_fact(transaction, self._halt_fact, str(why)))

    def resume(self) -> None:
        """Append again after peers were asked and none holds a head that the store cannot continue."""
        if self._is_shared:
            self.transact(lambda transaction: message_ids.delete_fact(transaction, self._halt_fact))
        self._halted = None

    @property
    def _halt_fact(self) -> str:
        return f"{audit_rows.HALTED} {self.origin}"

    def _take_up_halt(self, tree: TreeRow) -> None:
        """Stop appending if another process found that the log must not be continued."""
        if tree.halted is not None and self._halted is None:
            self._halted = AuditLogError(tree.halted)
            self._failed(self._halted)

    @property
    def halted(self) -> GatewayError | None:
        """Why nothing is appended any more, if so."""
        return self._halted

    def reading(self) -> AbstractContextManager[Transaction]:
        """A connection of its own for longer reads. Raises ``StorageError``."""
        return reading(self._database)

    def leadership(self, duty: str, *, shared: bool = False) -> Leadership:
        """Return this process's candidacy for a ``duty``; see :class:`Leadership`."""
        return Leadership(self._database, duty, shared=shared)

    def scrub(self, expires_at: Collection[int]) -> bool:
        """Remove erased bytes from the database's files; see :func:`gateway.storage.engine.scrub`.

        ``expires_at`` is when the time of what was erased would have been over: it says where that lay.
        """
        with reading(self._database) as connection:
            tables = tables_of(connection, expires_at)
        return scrub(self._database, tables)

    def transact(self, run: Callable[[Transaction], T]) -> T:
        """Return what ``run`` returns, after it was committed together with a group of entries.

        ``run`` must not refuse: what it raises fails its neighbours as well.

        Raises:
            RefusedError: ``AUDIT_UNAVAILABLE``.
        """
        result: T = self._groups.submit(Work(run))
        return result

    def stored_size(self, transaction: Transaction) -> int:
        """Return the number of entries that are stored now, by whichever process."""
        tree = audit_rows.read_tree(transaction, self.origin)
        if tree is None:
            raise altered("the tree row is gone.")
        return tree.size

    def append(
        self,
        draft: EntryDraft,
        seen: SeenMessage | None = None,
        evidence: Evidence | None = None,
        *,
        beside: Callable[[Transaction], None] | None = None,
        charge: Charge | None = None,
    ) -> Appended:
        """Append one entry and return its receipt once it is durable.

        ``seen`` goes into the replay guard and ``evidence`` beside the entry, in the same
        transaction, in which ``beside`` writes as well. ``charge`` is taken off the peer's quota there.
        Callers of many threads share transactions.

        Raises:
            RefusedError: ``REPLAYED_MESSAGE`` when the message id was there already;
                ``AUDIT_UNAVAILABLE`` when nothing could be made durable, or when the exchange was
                answered otherwise meanwhile; ``QUOTA_EXCEEDED`` when ``charge`` goes beyond a quota.
        """
        return result_of(self.append_all([NewEntry(draft, seen, evidence, beside, charge)])[0])

    def append_all(self, entries: Sequence[NewEntry]) -> list[Appended | Exception]:
        """Append entries in one transaction, which other callers' may share; return once it is durable.

        In the place of an entry that was not appended stands why: what :meth:`append` would raise.
        """
        if not entries:
            return []
        if self._halted is not None:
            return [unavailable(self._halted) for _ in entries]
        now_ms = unix_ms(self._clock())
        pending = [self._pending(entry, now_ms) for entry in entries]
        outcomes = self._groups.submit_all(pending, sum(entry.size_bytes for entry in pending))
        return [self._appended(each) if isinstance(each, Placed) else each for each in outcomes]

    def _pending(self, entry: NewEntry, now_ms: int) -> PendingEntry:
        evidence = entry.evidence
        parts = self._vault.seal_parts(entry.draft, evidence, now_ms) if evidence is not None else ()
        return PendingEntry(entry.draft, entry.seen, evidence, entry.beside, entry.charge, parts)

    def _appended(self, placed: Placed) -> Appended:
        index = placed.growth.before.size + placed.position
        receipt = Receipt(
            log_origin=self.origin,
            leaf_index=index,
            logged_at_ms=placed.growth.logged_at_ms,
            inclusion_proof=placed.proof,
            checkpoint=placed.note,
        )
        return Appended(index, placed.growth.logged_at_ms, receipt)

    def next_pair_sequence(self, peer: str) -> int:
        """Return the next sequence number as asker of ``peer``: durable, from 1, without gaps.

        Raises:
            RefusedError: ``AUDIT_UNAVAILABLE``.
        """
        return self.next_pair_sequences([peer])[peer]

    def next_pair_sequences(self, peers: Sequence[str]) -> dict[str, int]:
        """Return the next sequence number for each of ``peers``, in one transaction; same errors."""
        if not peers:
            return {}
        wanted = sorted(set(peers))
        return self.transact(
            lambda transaction: {p: message_ids.next_sequence(transaction, p) for p in wanted}
        )

    def has_seen(self, message_id: bytes) -> bool:
        """Whether the replay guard remembers ``message_id``. Cheap; :meth:`append` is what decides.

        Raises:
            RefusedError: ``AUDIT_UNAVAILABLE`` when the database cannot be read.
        """
        return self._read(lambda connection: message_ids.is_seen(connection, message_id))

    def purge_seen(self) -> int:
        """Forget message ids that time alone refuses by now; return how many.

        Raises:
            RefusedError: ``AUDIT_UNAVAILABLE``.
        """
        now_ms = unix_ms(self._clock())
        return self.transact(lambda transaction: message_ids.delete_expired_ids(transaction, now_ms))

    def known_exchanges(self, exchange_ids: Sequence[bytes]) -> set[bytes]:
        """Return those of ``exchange_ids`` of which the log has any entry.

        Raises:
            RefusedError: ``AUDIT_UNAVAILABLE`` when the database cannot be read.
        """
        return self._read(lambda connection: audit_rows.known_exchanges(connection, exchange_ids))

    def find_exchange(self, peer: str, exchange_id: bytes) -> StoredExchange | None:
        """Return how this node answered ``peer``'s exchange earlier; ``None`` if it never did.

        Raises:
            RefusedError: ``EXCHANGE_CONFLICT`` when the answer's openings were erased since, so that
                it cannot be given again; ``AUDIT_UNAVAILABLE`` when the database cannot be read.
            EvidenceError: the openings do not decrypt.
        """
        return self._read(lambda connection: find_answer(connection, self._vault, peer, exchange_id))

    def is_answered(self, peer: str, exchange_id: bytes) -> bool:
        """Whether this node answered ``peer``'s exchange, or a chunk of it, earlier.

        Raises:
            RefusedError: ``AUDIT_UNAVAILABLE`` when the database cannot be read.
        """
        return self._read(lambda connection: has_answer(connection, peer, exchange_id))

    def _read(self, look: Callable[[Transaction], T]) -> T:
        """Return what ``look`` finds, on the connection that is held for short reads."""
        try:
            with self._reads.reading() as connection:
                return look(connection)
        except StorageError as error:
            self._failed(error)
            raise unavailable(error) from error

    def _commit(self, items: Sequence[PendingEntry | Work]) -> Sequence[Any]:
        """Commit one group; the result of each item, or the refusal of each."""
        try:
            with self._writes.writing() as transaction:
                head = self._lock_head(transaction)
                outcomes: list[Any] = [None] * len(items)
                if self._halted is not None:
                    items = without_entries(items, outcomes, self._halted)
                appends = without_replays(transaction, items, outcomes)
                appends = without_second_answers(transaction, appends, outcomes)
                now = self._clock()
                appends = without_overdrawn(transaction, appends, outcomes, self.quota_use, now)
                if appends:
                    head = self._append_group(transaction, head, appends, outcomes)
                for at, item in enumerate(items):
                    if isinstance(item, Work) and item is not NOTHING:
                        outcomes[at] = item.run(transaction)
        except GatewayError as error:
            # Whether the commit reached the disk may be unknown. Nothing of it is released, and the
            # next group reads the head from the database again (_lock_head).
            self._failed(error)
            self._is_failing = self._is_failing or any(isinstance(item, PendingEntry) for item in items)
            return [unavailable(error) for _ in items]
        if head is not self._head:
            self._is_failing = False
        self._head = head
        return outcomes

    def _lock_head(self, transaction: Transaction) -> Head:
        """Return the head as the database has it, and keep other processes from appending."""
        tree = audit_rows.read_tree(transaction, self.origin, for_update=True)
        if tree is None:
            raise altered("the tree row is gone.")
        self._take_up_halt(tree)
        known = self._head
        if (tree.size, tree.root) == (known.size, known.root):
            return known
        if tree.size <= known.size:
            raise altered(f"it had {known.size} entries and has {tree.size} now: it was rolled back.")
        return head_of(transaction, tree, self.origin, self.verifiers)

    def _append_group(
        self,
        transaction: Transaction,
        head: Head,
        appends: Sequence[tuple[int, PendingEntry]],
        outcomes: list[Any],
    ) -> Head:
        """Write one group and sign its checkpoint, inside the transaction."""
        drafts = [item.draft for _, item in appends]
        growth = grow(head, drafts, unix_ms(self._clock()))
        proofs = growth.proofs()
        insert_growth(transaction, growth, drafts)
        tree = TreeRow(growth.size, growth.root, growth.edge, growth.logged_at_ms)
        audit_rows.update_tree(transaction, self.origin, tree)
        note = Checkpoint(self.origin, growth.size, growth.root).sign(self._signers)
        audit_rows.insert_checkpoint(transaction, growth.size, note)
        insert_evidence(transaction, head.size, [item for _, item in appends])
        for position, (at, item) in enumerate(appends):
            if item.beside is not None:
                item.beside(transaction)
            outcomes[at] = Placed(growth, note, position, proofs[position])
        return growth.head(note)
