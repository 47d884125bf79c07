"""Works off a job: one thread a peer, batch after batch, with patience for nodes that are away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from typing import Self

from creditexchange.v1 import archive_pb2
from gateway.cli.bulk_input import Applicant
from gateway.cli.bulk_job import ANSWERED, FAILED, Job, JobRow, packed
from gateway.cli.local_node import LocalNode, announced_node, local_node
from gateway.clock import monotonic_s
from gateway.errors import CallerError, GatewayError
from gateway.exchange.messages import BULK_SUBJECTS_MAX
from gateway.exchange.record_json import record_json
from gateway.learners.identifier import normalise
from gateway.node.folder import NodeFolder
from gateway.node.lock import find_running

NODE_AWAY = "NODE_AWAY"
"""Outcome: this node itself could not be reached, or stopped in the middle."""
PASSING = frozenset(
    {
        NODE_AWAY,
        "ANSWER_INCOMPLETE",
        "AUDIT_UNAVAILABLE",
        "AUDIT_UNAVAILABLE_HERE",
        "BAD_STATUS",
        "DEADLINE_TOO_SHORT",
        "INTERNAL",
        "ISSUED_BEFORE_START",
        "NO_ANSWER",
        "OVERLOADED",
        "QUOTA_EXCEEDED",
        "RATE_EXCEEDED",
        "SHUTTING_DOWN",
        "SOURCE_UNAVAILABLE",
        "UNREACHABLE",
    }
)
"""Endings of an exchange after which the same is asked again."""
ABOUT_ONE_LEARNER = frozenset({"CONSENT_REQUIRED", "CONSENT_INVALID", "CONSENT_MISSING_HERE"})
PAUSE_S_MIN, PAUSE_S_MAX = 0.5, 15.0
PEERS_AT_ONCE_MAX = 6
"""Each holds a thread of the node's operator port, which has eight."""

Advance = Callable[[str, int], None]
"""Told a peer and how many more of its lines are answered."""


class Away(GatewayError):  # noqa: N818 - a state, not somebody's mistake
    """This node does not run just now."""


@dataclass
class NodeAtHand:
    """The asking node: the running one, found again when it was restarted, or one in this process."""

    folder: NodeFolder
    _open: ExitStack = field(default_factory=ExitStack)
    _node: LocalNode | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _was_running: bool = False

    def __enter__(self) -> Self:
        """Find the node for the first time. Raises ``OperatorError``."""
        self._was_running = find_running(self.folder) is not None
        self._node = self._open.enter_context(local_node(self.folder))
        return self

    def __exit__(self, *_error: object) -> None:
        """Let go of it."""
        self._open.close()

    def get(self) -> LocalNode:
        """Return it. Raises ``Away`` while a node that ran does not run."""
        with self._lock:
            if self._node is None:
                announced = announced_node(self.folder)
                if announced is None:
                    raise Away("the node does not run.")
                self._node = self._open.enter_context(announced)
            return self._node

    def lose(self, node: LocalNode) -> None:
        """Look for the node again the next time: its port answered no more, or with another token."""
        with self._lock:
            if self._was_running and self._node is node:
                self._node = None


@dataclass
class BulkRun:
    """One run of a job."""

    job: Job
    request: archive_pb2.SearchRecordsInBulkRequest
    """Everything but peer and learners."""
    node: NodeAtHand
    patience_s: float
    batch_size: int = BULK_SUBJECTS_MAX
    advance: Advance = lambda _peer, _lines: None
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Ask every peer about everybody who is pending; return when all was tried.

        Raises:
            KeyboardInterrupt: after the parts that had come were written down.
            GatewayError: the job's database cannot be written.
        """
        with ThreadPoolExecutor(min(PEERS_AT_ONCE_MAX, len(self.job.peers)), "bulk") as pool:
            futures = [pool.submit(self._work_off, peer) for peer in self.job.peers]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                self.stopping.set()
                raise

    def _work_off(self, peer: str) -> None:
        applicants = self.job.pending(peer)
        while not self.stopping.is_set():
            batch = list(islice(applicants, self.batch_size))
            if not batch:
                return
            fault = self._ask_with_patience(peer, batch)
            if fault is not None and fault[0] in PASSING and not self.stopping.is_set():
                self.job.give_up(peer, *fault)
                return

    def _ask_with_patience(self, peer: str, batch: Sequence[Applicant]) -> tuple[str, str] | None:
        """Ask about a batch until everybody in it has a row, or patience ends; return what then stood."""
        left = _by_learner(batch)
        pause_s, since_s = PAUSE_S_MIN, monotonic_s()
        while left:
            before = len(left)
            fault = self._ask_once(peer, left)
            if not left or self.stopping.is_set():
                return None
            if fault[0] not in PASSING:
                rows = [_row(a, peer, FAILED, *fault) for same in left.values() for a in same]
                self.job.keep(rows)
                return fault
            if fault[0] == "QUOTA_EXCEEDED":  # until the peer's next day: the same command goes on then
                return fault
            if len(left) < before:
                pause_s, since_s = PAUSE_S_MIN, monotonic_s()
            elif monotonic_s() - since_s > self.patience_s:
                return fault
            self.stopping.wait(pause_s)
            pause_s = min(pause_s * 2, PAUSE_S_MAX)
        return None

    def _ask_once(self, peer: str, left: dict[tuple[str, str], list[Applicant]]) -> tuple[str, str]:
        """Ask once and take those out of ``left`` about whom something came; return how it ended."""
        asked = list(left)
        request = archive_pb2.SearchRecordsInBulkRequest()
        request.CopyFrom(self.request)
        request.peer = peer
        for type_, identifier in asked:
            request.learners.add(identifier=identifier, identifier_type=type_)
        partial: dict[int, list[archive_pb2.ArchiveRecord]] = {}
        node: LocalNode | None = None
        ending = ("ANSWER_INCOMPLETE", "the answer ended early.")
        try:
            node = self.node.get()
            for message in node.search_in_bulk(request):
                self._keep(peer, message, asked, left, partial)
                if message.HasField("peer"):
                    ending = (message.peer.outcome, message.peer.explanation)
                if self.stopping.is_set():
                    break
        except CallerError as error:
            return "CALLER_ERROR", str(error)
        except GatewayError as error:
            if node is not None:
                self.node.lose(node)
            return NODE_AWAY, str(error)
        return ending

    def _keep(
        self,
        peer: str,
        message: archive_pb2.SearchRecordsInBulkResponse,
        asked: Sequence[tuple[str, str]],
        left: dict[tuple[str, str], list[Applicant]],
        partial: dict[int, list[archive_pb2.ArchiveRecord]],
    ) -> None:
        """Write down what one message says, before anything else is asked for."""
        rows: list[JobRow] = []
        complete = []
        for result in message.results:
            records = partial.setdefault(result.position, [])
            records.extend(result.records)
            if result.continues:
                continue
            rows.extend(_rows(left[asked[result.position]], peer, result, records))
            complete.append(result.position)
        self.job.keep(rows)
        for position in complete:
            del left[asked[position]], partial[position]
        self.advance(peer, len(rows))


def _by_learner(batch: Sequence[Applicant]) -> dict[tuple[str, str], list[Applicant]]:
    """Return the rows of each learner: one who applied twice is asked about once and has two rows."""
    found: dict[tuple[str, str], list[Applicant]] = {}
    for applicant in batch:
        normal = normalise(applicant.identifier_type, applicant.identifier)
        found.setdefault((applicant.identifier_type, normal), []).append(applicant)
    return found


def _rows(
    applicants: Sequence[Applicant],
    peer: str,
    result: archive_pb2.BulkResult,
    records: Sequence[archive_pb2.ArchiveRecord],
) -> Iterator[JobRow]:
    content = packed([_shown(record) for record in records])
    exchange_id = records[0].provenance[0].exchange_id if records else b""
    state = FAILED if result.outcome in ABOUT_ONE_LEARNER else ANSWERED
    for applicant in applicants:
        yield JobRow(
            applicant.line,
            peer,
            state,
            result.outcome,
            result.explanation,
            len(records),
            exchange_id,
            content,
        )


def _shown(record: archive_pb2.ArchiveRecord) -> dict[str, object]:
    """Return a record without the trace of every rule: `query --learner` shows that of one."""
    return {name: value for name, value in record_json(record).items() if name != "trace"}


def _row(applicant: Applicant, peer: str, state: int, outcome: str, explanation: str) -> JobRow:
    return JobRow(applicant.line, peer, state, outcome, explanation, 0, b"", b"")
