"""An exchange has one answer, whatever races: checked inside the transaction that logs it.

In bulk that holds for each chunk of the answer.

A retry that arrives after the first answer was logged finds it (``AuditLog.find_exchange``). One
that arrives while the first is still being worked on does not, and would be answered with other
random keys. Only the transaction can tell.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gateway.audit.entry import EntryDraft, parse_leaf
from gateway.storage import audit_rows
from gateway.storage.node_tables import Transaction


def is_answer(draft: EntryDraft) -> bool:
    """Whether the entry says that this node answered an exchange."""
    return draft.kind == "exchange" and draft.role == "answerer" and draft.outcome == "OK"


def find_second_answers(transaction: Transaction, drafts: Sequence[EntryDraft]) -> set[int]:
    """Return the places in ``drafts`` of answers that differ from the one their exchange has already.

    The log's writers must be excluded meanwhile.
    """
    ids = {draft.exchange_id for draft in drafts if is_answer(draft)}
    chunks = {draft.chunk for draft in drafts if is_answer(draft)}
    answers: dict[tuple[str, bytes, int], bytes] = {}
    for leaf in audit_rows.read_leaves_of_exchanges(transaction, sorted(ids)):
        if _chunk_in(leaf) not in chunks:  # an answer in bulk has many; reading all would cost the square
            continue
        logged = parse_leaf(leaf).draft
        if is_answer(logged):
            answers.setdefault(_place(logged), logged.answer_digest)
    second = set()
    for at, draft in enumerate(drafts):
        if is_answer(draft):
            first = answers.setdefault(_place(draft), draft.answer_digest)
            if first != draft.answer_digest:
                second.add(at)
    return second


def _chunk_in(leaf: bytes) -> int:
    found = _CHUNK.search(leaf)
    return int(found[1]) if found is not None else 0


_CHUNK = re.compile(rb'"chunk":([1-9][0-9]*),')


def _place(answer: EntryDraft) -> tuple[str, bytes, int]:
    return answer.asker, answer.exchange_id, answer.chunk
