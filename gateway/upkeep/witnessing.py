"""The rounds in which nodes witness one another's logs.

In each round this node shows its own newest checkpoint to every witness, proves to itself that the
heads which peers showed in their messages are heads of one log, and compares what its peers have
cosigned of each other's logs with what it has cosigned itself. So two peers that were shown
different histories find out, although neither was lied to twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from gateway.audit import AuditLog, Conflict, ProofError, Witness, prove_consistency
from gateway.audit.checkpoint import size_of
from gateway.audit.cosigned import keep_cosignatures
from gateway.audit.proofs import verify_growth
from gateway.audit.witness import read_head
from gateway.errors import GatewayError, PeerFaultError, RefusedError
from gateway.exchange.asking.audit_log import PeerAudit
from gateway.peers.caller import PeerCaller, RefusedByPeerError
from gateway.peers.roster import SUSPENDED, Roster
from gateway.signing.cosignature import CosignatureVerifier
from gateway.storage.witness_rows import WitnessedRow
from gateway.telemetry.events import logger
from gateway.telemetry.metrics import Metrics
from gateway.upkeep.own_log import contradicts

CALL_S = 5.0
"""How long one call of a round may take, seconds."""
AT_ONCE_MAX = 16

_log = logger("witnessing")


class OutdatedError(GatewayError):
    """The witness has cosigned another size last; ``size`` is that."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the witness knows a checkpoint of {size} entries.")
        self.size = size


class InconsistentError(GatewayError):
    """The witness holds a head that our checkpoint does not continue, or so it says."""


class Submission(Protocol):
    """Shows our checkpoints to one witness."""

    @property
    def verifier(self) -> CosignatureVerifier:
        """What verifies the witness's lines."""

    @property
    def verifiers(self) -> Sequence[CosignatureVerifier]:
        """The same, and further keys under that name while the witness replaces one by another."""

    @property
    def label(self) -> str:
        """What to call the witness in metrics and messages."""

    def add_checkpoint(self, old_size: int, proof: list[bytes], note: str) -> str:
        """Return the witness's signature lines.

        Raises:
            OutdatedError: prove from its size.
            InconsistentError: it holds a contradicting head.
            PeerFaultError: it cannot be reached, or refuses.
        """

    def witnessed(self, origin: str) -> str:
        """Return the head of ``origin`` that it has cosigned last; empty when none. Raises as above."""


@dataclass(frozen=True)
class PeerSubmission:
    """A peer as our witness."""

    audit: PeerAudit
    verifiers: Sequence[CosignatureVerifier]

    @property
    def verifier(self) -> CosignatureVerifier:
        """See :class:`Submission`."""
        return self.verifiers[0]

    @property
    def label(self) -> str:
        """The peer's node id."""
        return self.audit.peer.node_id

    def add_checkpoint(self, old_size: int, proof: list[bytes], note: str) -> str:
        """See :class:`Submission`."""
        try:
            return self.audit.add_checkpoint(old_size, proof, note)
        except RefusedByPeerError as refused:
            if refused.outcome == "CHECKPOINT_OUTDATED":
                raise OutdatedError(_stated_size(refused)) from refused
            if refused.outcome == "CHECKPOINT_INCONSISTENT":
                raise InconsistentError("the witness holds another history of this log.") from refused
            raise

    def witnessed(self, origin: str) -> str:
        """See :class:`Submission`."""
        return self.audit.witnessed_checkpoint(origin)


@dataclass
class Witnessing:
    """What the rounds work with. One thread calls :meth:`round` at a time."""

    log: AuditLog
    witness: Witness
    roster: Callable[[], Roster]
    caller: PeerCaller
    metrics: Metrics
    foreign: Sequence[Submission] = ()
    _known: dict[str, int] = field(default_factory=dict)
    """Size of our checkpoint that each witness has cosigned, by its name."""

    def round(self) -> None:
        """Show, hear, compare. What one peer does wrong never keeps the others from their turn."""
        self.log.refresh()
        peers = self.roster().active
        audits = [PeerAudit(peer, self.caller, CALL_S) for peer in peers]
        submissions = [*self.foreign]
        for audit in audits:
            verifiers = audit.peer.card.witness_verifiers
            if verifiers:
                submissions.append(PeerSubmission(audit, verifiers))
        heard = self.log.heard.take()
        with ThreadPoolExecutor(AT_ONCE_MAX, "witnessing") as pool:
            list(pool.map(self._submit, submissions))
            list(pool.map(lambda audit: self._hear(audit, heard.get(audit.peer.node_id, [])), audits))
            list(pool.map(lambda audit: self._compare(audit, audits), audits))
        self.metrics.log_conflicts.set(len(self.witness.conflicts()))

    def hear(self) -> None:
        """Hold what peers have shown to this process against what was cosigned, and do nothing else:
        another worker of this node does the whole round.
        """
        peers = self.roster().peers
        self.log.refresh()
        for node_id, notes in self.log.heard.take().items():
            if node_id in peers and peers[node_id].state != SUSPENDED:
                self._hear(PeerAudit(peers[node_id], self.caller, CALL_S), notes)
        self.metrics.log_conflicts.set(len(self.witness.conflicts()))

    def _submit(self, submission: Submission) -> None:
        """Get our newest checkpoint cosigned, unless the witness has it already."""
        note = self.log.latest_checkpoint()
        if not note or self.log.halted is not None:
            return
        name = submission.verifier.name
        try:
            known = self._known.get(name, 0)
            if known == size_of(note):
                return
            try:
                lines = submission.add_checkpoint(known, self._growth(known, note), note)
            except OutdatedError as outdated:
                if outdated.size > size_of(note):
                    raise InconsistentError("the witness holds a larger head of this log.") from outdated
                lines = submission.add_checkpoint(outdated.size, self._growth(outdated.size, note), note)
            time_s = keep_cosignatures(self.log, note, lines, submission.verifiers)
            self._known[name] = size_of(note)
            self.metrics.cosigned.labels(submission.label).set(time_s)
            self.metrics.cosigned_size.labels(submission.label).set(size_of(note))
        except InconsistentError:
            self._answer_for(submission)
        except GatewayError as error:
            _log.info("not cosigned", witness=submission.label, problem=str(error))

    def _growth(self, old_size: int, note: str) -> list[bytes]:
        with self.log.reading() as connection:
            return prove_consistency(connection, old_size, size_of(note))

    def _answer_for(self, submission: Submission) -> None:
        """A witness will not cosign: stop appending if it shows a head of ours that we cannot continue."""
        try:
            note = submission.witnessed(self.log.origin)
        except GatewayError:
            note = ""
        found = contradicts(self.log, note, submission.label) if note else None
        if found is not None and self.log.halted is None:
            self.log.halt(found.error)
            _log.error("the log was rolled back or forked: nothing is appended", problem=str(found.error))
        elif found is None:
            _log.warning("a witness refuses our checkpoint without showing why", witness=submission.label)

    def _hear(self, audit: PeerAudit, notes: Sequence[str]) -> None:
        """Hold the heads that a peer showed in its messages against what we have cosigned.

        The largest first: where that one contradicts, the smaller ones add nothing.
        """
        for note in sorted(notes, key=_claimed_size, reverse=True):
            try:
                if not self._hold(audit, note, audit.peer.node_id):
                    return
            except PeerFaultError as fault:
                self.log.heard.hear(audit.peer.node_id, note)  # next time
                if fault.outcome == "UNKNOWN_LOG":
                    _log.warning("a peer's log has another name: ask for its card", peer=audit.peer.node_id)

    def _compare(self, audit: PeerAudit, others: Sequence[PeerAudit]) -> None:
        """Hold what a peer has cosigned of the other peers' logs against what we have cosigned."""
        for other in others:
            if other.peer.node_id == audit.peer.node_id:
                continue
            try:
                note = audit.witnessed_checkpoint(other.peer.card.log_origin)
            except PeerFaultError:
                return
            try:
                if note:
                    self._hold(other, note, audit.peer.node_id)
            except PeerFaultError as fault:
                _log.info("not compared", log=other.peer.node_id, problem=fault.outcome)

    def _hold(self, owner: PeerAudit, note: str, source: str) -> bool:
        """Hold one head of ``owner``'s log, shown by ``source``, against what we have cosigned.

        Returns whether they do not contradict one another.

        Raises:
            PeerFaultError: the owner could not be asked; nothing is known yet.
        """
        verifier = owner.peer.card.log_verifiers
        try:
            head, note = read_head(note, verifier)
        except RefusedError:
            return True  # not signed by the log's key: whoever shows it proves nothing
        last = self.witness.latest(head.origin)
        if last is None:
            self._cosign(owner, 0, [], note, source)
            return True
        if head.size == last.size:
            if head.root != last.root:
                self._accuse(last, note, "two heads of one size have different roots", source)
            return head.root == last.root
        try:
            proof = owner.consistency_proof(min(head.size, last.size), max(head.size, last.size))
            older, newer = sorted(((head.size, head.root), (last.size, last.root)))
            verify_growth(older, newer, proof)
        except ProofError:
            self._accuse(last, note, "the log proves no way from one head to the other", source, proof)
            return False
        except RefusedByPeerError as refused:
            if refused.outcome not in ("SIZE_OUT_OF_RANGE", "MALFORMED_MESSAGE"):
                raise
            self._accuse(last, note, "the log has fewer entries than its key has signed for", source)
            return False
        if head.size > last.size:
            self._cosign(owner, last.size, proof, note, source)
        return True

    def _cosign(self, owner: PeerAudit, old_size: int, proof: list[bytes], note: str, source: str) -> None:
        try:
            self.witness.add_checkpoint(owner.peer.card.log_verifiers, old_size, proof, note, source=source)
        except RefusedError as refused:
            # Another thread was faster (OUTDATED); a contradiction was kept where it was found.
            _log.debug("not cosigned here", log=owner.peer.node_id, reason=refused.reason)

    def _accuse(
        self, last: WitnessedRow, note: str, what: str, source: str, proof: Sequence[bytes] = ()
    ) -> None:
        if self.witness.keep_conflict(Conflict(last.origin, last.note, note, what, source, tuple(proof))):
            _log.error("a peer's log contradicts itself", log=last.origin, what=what, shown_by=source)


class PeerRounds(threading.Thread):
    """Does what is to be done with peers every ``every_s`` seconds, until stopped.

    A thread of its own: a peer that does not answer holds up nothing else.
    """

    def __init__(
        self,
        rounds: Sequence[Callable[[], object]],
        every_s: float,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(name="peer-rounds", daemon=True)
        self._rounds = rounds
        self._every_s = every_s
        self._failed = failed
        self._stopped = threading.Event()

    def run(self) -> None:
        """Go on until stopped; one that fails is noted, and all have their turn again."""
        while not self._stopped.wait(self._every_s):
            for work in self._rounds:
                try:
                    work()
                except GatewayError as error:
                    self._failed()
                    _log.warning("a round with the peers failed", problem=str(error))

    def stop(self) -> None:
        """End after the round that is running."""
        self._stopped.set()
        if self.is_alive():
            self.join(timeout=2 * CALL_S)


def _claimed_size(note: str) -> int:
    """Return the size that an unverified note claims, to sort by."""
    lines = note.split("\n", 2)
    return int(lines[1]) if len(lines) == 3 and lines[1].isdecimal() and len(lines[1]) < 20 else 0


def _stated_size(refused: RefusedByPeerError) -> int:
    text = dict(refused.details.metadata).get("size", "")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise PeerFaultError("ANSWER_MALFORMED", "the witness does not say which size it knows.") from refused
    return int(text)
