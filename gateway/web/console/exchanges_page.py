"""*Exchanges*: search the audit log, and open one exchange step by step with its proof."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime, tzinfo
from urllib.parse import urlencode

from starlette.responses import Response

from gateway.audit.checkpoint import Checkpoint
from gateway.audit.listing import ListedEntry, read_listed
from gateway.audit.merkle import leaf_hash
from gateway.audit.proofs import prove_inclusion
from gateway.audit.searching import Wanted, search_entries
from gateway.audit.walking import ProofStep, walk_inclusion
from gateway.clock import from_unix_ms, unix_ms
from gateway.errors import CallerError
from gateway.policy.purposes import PURPOSES
from gateway.signing.signed_note import NoteVerifier, parse_note
from gateway.signing.suites import ED25519
from gateway.storage import audit_rows, timing_rows, witness_rows
from gateway.storage.engine import reading
from gateway.storage.node_tables import Transaction
from gateway.storage.timing_rows import TimingRow
from gateway.web.console.sources import Sources
from gateway.web.console.visits import Visit

PAGE_ENTRIES = 25
INDEX_DIGITS_MAX = 18
RELATED_MAX = 50
FILTERS = ("peer", "purpose", "outcome", "side", "exchange", "since", "until")
ANSWERING_STEPS = ("open", "admit", "authorise", "find", "translate", "log", "seal", "count")
ASKING_STEPS = ("ask", "verify", "log")


@dataclass(frozen=True, slots=True)
class ShownStep:
    """One step of an exchange; ``microseconds`` is ``None`` when it was not reached."""

    name: str
    microseconds: int | None
    share: float
    """Of the longest step, from 0 to 100."""


@dataclass(frozen=True, slots=True)
class ShownTiming:
    """How long the steps of one message took."""

    direction: str
    outcome: str
    ended: datetime
    steps: list[ShownStep]
    total: int


@dataclass(frozen=True, slots=True)
class ShownProof:
    """The proof that an entry stands in the log, recomputed for this page."""

    leaf: str
    leaf_base64: str
    leaf_hash: bytes
    checkpoint: Checkpoint
    steps: list[ProofStep]
    text: str
    """What the log's key signed."""
    signature_base64: str
    key_base64: str
    """Raw Ed25519 key; empty when the log's key is of another suite."""
    witnesses: list[str]


@dataclass(frozen=True)
class ExchangesPage:
    """Search and one entry."""

    sources: Sources
    zone: tzinfo

    def search(self, visit: Visit) -> Response:
        """Entries that match the form, page by page."""
        values = {name: visit.asked(name) for name in FILTERS}
        problem = ""
        found, older = [], ""
        try:
            wanted = self._wanted(values)
            before = _index(visit.asked("before")) if visit.asked("before") else None
            with reading(self.sources.database) as connection:
                page = search_entries(connection, wanted, before=before, count=PAGE_ENTRIES)
            found = list(page.entries)
            if page.before:
                older = urlencode({k: v for k, v in values.items() if v} | {"before": page.before})
        except CallerError as error:
            problem = error.message
        return visit.render(
            "exchanges.html",
            entries=[_row(entry) for entry in found],
            older=older,
            newer=urlencode({k: v for k, v in values.items() if v}) if visit.asked("before") else "",
            values=values,
            problem=problem,
            peers=sorted(self.sources.roster().peers),
            purposes=list(PURPOSES),
            is_filtered=any(values.values()),
        )

    def entry(self, visit: Visit) -> Response:
        """One entry: what it says, how long its steps took, and its proof."""
        index = _index(visit.request.path_params["index"])
        with reading(self.sources.database) as connection:
            row = audit_rows.read_entry(connection, index)
            if row is None:
                raise CallerError("the log has no such entry.")
            listed = read_listed(row)
            related, timings = [], []
            if row.exchange_id:
                rows = audit_rows.read_entries_of_exchange(connection, row.exchange_id)[:RELATED_MAX]
                related = [_row(read_listed(other)) for other in rows if other.idx != index]
                timings = timing_rows.read_timings(connection, row.exchange_id)
            proof = self._prove(connection, listed)
        return visit.render(
            "entry.html",
            entry=_row(listed),
            leaf=json.loads(listed.leaf),
            related=related,
            timings=[_timing(timing) for timing in timings],
            proof=proof,
            origin=self.sources.log_verifier.name,
        )

    def _wanted(self, values: dict[str, str]) -> Wanted:
        exchange = values["exchange"].lower()
        try:
            exchange_id = bytes.fromhex(exchange[: len(exchange) - len(exchange) % 2])
        except ValueError as error:
            raise CallerError("problem.exchange") from error
        return Wanted(
            peer=values["peer"],
            purpose=values["purpose"],
            outcome=values["outcome"],
            side=values["side"],
            exchange_id=exchange_id[:16],
            since_ms=self._instant(values["since"]),
            until_ms=self._instant(values["until"]),
        )

    def _instant(self, text: str) -> int:
        """Return a time of the form, in the console's zone, as milliseconds; 0 for none."""
        if not text:
            return 0
        try:
            moment = datetime.fromisoformat(text)
            return max(0, unix_ms(moment.replace(tzinfo=moment.tzinfo or self.zone)))
        except (ValueError, OverflowError) as error:
            raise CallerError("problem.time") from error

    def _prove(self, connection: Transaction, listed: ListedEntry) -> ShownProof | None:
        """Prove the entry under the newest checkpoint; ``None`` while none covers it."""
        newest = audit_rows.read_checkpoint(connection)
        if newest is None or newest[0] <= listed.index:
            return None
        checkpoint, verifier = self.sources.open_checkpoint(newest[1])
        hashes = prove_inclusion(connection, listed.index, checkpoint.size)
        leaf = leaf_hash(listed.leaf)
        witnesses = [row.witness for row in witness_rows.read_cosignatures(connection, checkpoint.size)]
        return ShownProof(
            leaf=listed.leaf.decode(),
            leaf_base64=b64encode(listed.leaf).decode(),
            leaf_hash=leaf,
            checkpoint=checkpoint,
            steps=walk_inclusion(leaf, listed.index, checkpoint.size, hashes, checkpoint.root),
            text=checkpoint.body,
            signature_base64=_signature_of(newest[1], verifier),
            key_base64=_raw_key(verifier),
            witnesses=witnesses,
        )


def _index(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > INDEX_DIGITS_MAX:
        raise CallerError("the log has no such entry.")
    return int(text)


def _row(listed: ListedEntry) -> dict[str, object]:
    """Return an entry as the tables show it."""
    draft = listed.entry.draft
    return {
        "index": listed.index,
        "time": from_unix_ms(listed.entry.logged_at_ms),
        "side": draft.role or draft.kind,
        "what": draft.action or draft.method.rsplit("/", 1)[-1],
        "peer": draft.other_node,
        "purpose": draft.purpose,
        "outcome": draft.outcome or draft.reason,
        "is_ok": draft.outcome in ("OK", ""),
        "count": draft.count,
        "exchange": draft.exchange_id.hex(),
        "chunk": draft.chunk,
    }


def _timing(row: TimingRow) -> ShownTiming:
    taken: dict[str, int] = {}
    for part in row.steps.split():
        name, _, value = part.partition("=")
        taken[name] = taken.get(name, 0) + int(value)
    usual = ANSWERING_STEPS if row.role == "answering" else ASKING_STEPS
    names = [*usual, *(name for name in taken if name not in usual)]
    longest = max(taken.values(), default=1) or 1
    steps = [ShownStep(n, taken.get(n), 100 * taken.get(n, 0) / longest) for n in names]
    return ShownTiming(row.role, row.outcome, from_unix_ms(row.ended_at), steps, sum(taken.values()))


def _signature_of(note: str, verifier: NoteVerifier) -> str:
    """Return the log's own signature under its checkpoint, base64."""
    for signature in parse_note(note).signatures:
        if (signature.name, signature.key_id) == (verifier.name, verifier.key_id):
            return b64encode(signature.signature).decode()
    return ""


def _raw_key(verifier: NoteVerifier) -> str:
    """Return the raw key if a browser can verify with it (Ed25519), base64."""
    if verifier.key.suite is not ED25519:
        return ""
    return b64encode(verifier.public.public_bytes_raw()).decode()
