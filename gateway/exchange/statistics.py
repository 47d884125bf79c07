"""What a node did in a span of time, counted from its audit log alone (docs/decisions/0020-report.md).

The log is what cannot be changed afterwards, so it is what a province reports from. It holds no
durations. On the asking side both ends of an exchange stand on this node's own clock: its signed
request says when it was issued, the entry when the verified answer was logged. On the answering side
the request bears the asker's clock, so nothing is said there.

Learners are counted by the references under which evidence is found: keyed, one-way, different on
every node. Whose evidence was erased is counted no more; the number of such entries is stated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC

from google.protobuf.message import DecodeError

from creditexchange.v1.envelope_pb2 import SignedMessage
from creditexchange.v1.exchange_pb2 import RecordQuery, RecordQueryBody
from gateway.audit import EntryError, parse_leaf
from gateway.audit.entry import EntryDraft
from gateway.clock import unix_ms
from gateway.errors import AuditLogError
from gateway.schemes.shared_words import KINDS
from gateway.storage.audit_rows import read_index_since
from gateway.storage.node_tables import Transaction
from gateway.storage.statistics_rows import stream_counted, stream_subjects

DIRECTIONS = ("answering", "asking")
REFERENCE_BYTES = 8
"""How much of a learner's reference is kept while counting: enough for billions to differ."""


@dataclass(frozen=True, slots=True, order=True)
class Group:
    """What exchanges are counted by."""

    direction: str
    peer: str
    method: str
    purpose: str
    kinds: str
    """Kinds of record that were asked for, joined by ``+``; ``unknown`` where no evidence is kept."""
    outcome: str


@dataclass
class Total:
    """What a group adds up to."""

    exchanges: int = 0
    records: int = 0
    durations_ms: list[int] = field(default_factory=list)
    """Asking only: from the request's issue to the logged answer."""

    def percentile_ms(self, share: float) -> int | None:
        """Return the duration that this share of the exchanges did not exceed, if any is known."""
        if not self.durations_ms:
            return None
        ordered = sorted(self.durations_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass
class Statistics:
    """The counts of one span of time."""

    node_id: str
    first_entry: int = 0
    end_entry: int = 0
    totals: dict[Group, Total] = field(default_factory=dict)
    by_day: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Exchanges by direction and day, from 1."""
    acts: Counter[str] = field(default_factory=Counter)
    """Management entries by action."""
    learners: dict[str, int] = field(default_factory=dict)
    """Distinct learners by direction."""
    erased_entries: dict[str, int] = field(default_factory=dict)
    """Exchanges by direction whose learners are not known any more."""


def gather(
    transaction: Transaction,
    node_id: str,
    size: int,
    span_ms: tuple[int, int],
    day_of: Callable[[int], int],
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Statistics:
    """Return the counts of the entries logged from ``span_ms[0]`` until before ``span_ms[1]``.

    ``day_of`` says on which day of the month an instant lies; ``progress`` is told how many entries
    of how many are counted.

    Raises:
        AuditLogError: an entry is malformed: the log was altered.
        StorageError: the database cannot be read.
    """
    start = read_index_since(transaction, span_ms[0], size)
    end = read_index_since(transaction, span_ms[1], size)
    found = Statistics(node_id, start, end)
    direction_of: dict[int, str] = {}
    erased: Counter[str] = Counter()
    for idx, leaf, message, body, has_openings in stream_counted(transaction, start, end):
        try:
            entry = parse_leaf(leaf)
        except EntryError as error:
            raise AuditLogError(
                f"entry {idx} of the audit log is malformed.", remedy="Run `credit-gateway audit verify`."
            ) from error
        progress(idx - start + 1, end - start)
        if entry.draft.kind == "management":
            found.acts[entry.draft.action] += 1
            continue
        direction = "asking" if entry.draft.role == "asker" else "answering"
        direction_of[idx] = direction
        if message is not None and not has_openings:
            erased[direction] += 1
        group = _group(direction, entry.draft, body)
        total = found.totals.setdefault(group, Total())
        total.records += entry.draft.count if entry.draft.outcome == "OK" else 0
        if entry.draft.chunk > 1:
            continue  # further chunks of an answer that is counted already
        total.exchanges += 1
        found.by_day[direction, day_of(entry.logged_at_ms)] += 1
        issued_ms = _issued_ms(message) if direction == "asking" else None
        if issued_ms is not None:
            total.durations_ms.append(max(0, entry.logged_at_ms - issued_ms))
    found.learners = _learners(transaction, start, end, direction_of)
    found.erased_entries = {direction: erased[direction] for direction in DIRECTIONS}
    return found


def _learners(transaction: Transaction, start: int, end: int, direction_of: dict[int, str]) -> dict[str, int]:
    seen: dict[str, set[bytes]] = {direction: set() for direction in DIRECTIONS}
    for idx, reference in stream_subjects(transaction, start, end):
        if idx in direction_of:
            seen[direction_of[idx]].add(reference[:REFERENCE_BYTES])
    return {direction: len(references) for direction, references in seen.items()}


def _group(direction: str, draft: EntryDraft, body: bytes | None) -> Group:
    return Group(
        direction,
        draft.other_node,
        draft.method.rsplit("/", 1)[-1],
        draft.purpose,
        _kinds(body),
        draft.outcome,
    )


def _kinds(body: bytes | None) -> str:
    if not body:
        return "unknown"
    try:
        kinds = RecordQueryBody.FromString(body).kinds
    except DecodeError:
        return "unknown"
    return "+".join(sorted(KINDS.word(kind) for kind in kinds)) or "none"


def _issued_ms(message: bytes | None) -> int | None:
    if message is None:
        return None
    try:
        query = RecordQuery.FromString(SignedMessage.FromString(message).payload)
        return unix_ms(query.header.issue_time.ToDatetime(UTC))
    except (DecodeError, ValueError, OverflowError):
        return None
