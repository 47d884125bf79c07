"""Invented learners and questions in bulk for the simulated federation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gateway.exchange.asking.bulk import BulkQuestion, LearnerPart, ask_in_bulk
from gateway.exchange.asking.question import PeerResult
from gateway.learners.identifier import check_character
from gateway.learners.subject_token import subject_token
from tests.federation.simulator import ASKED_KINDS, EMPLOYMENT, SECRET, STATUTE, SimulatedNode


def learner(number: int) -> str:
    """The identifier of an invented learner, from the synthetic range."""
    first = f"99000119900307{number:03d}" if number < 1000 else f"99000219900307{number - 1000:03d}"
    return first + check_character(first)


def learners(count: int) -> list[str]:
    return [learner(number) for number in range(count)]


def token_of(identifier: str) -> bytes:
    return subject_token(SECRET, "resident-id", identifier)


@dataclass
class BulkAnswer:
    """Everything that came of one question in bulk."""

    result: PeerResult
    outcomes: dict[int, str] = field(default_factory=dict)
    titles: dict[int, list[str]] = field(default_factory=dict)
    parts: int = 0


def question(node: SimulatedNode, peer: str, whom: Sequence[str], **changes: object) -> BulkQuestion:
    facts: dict[str, object] = {
        "learners": [("resident-id", identifier) for identifier in whom],
        "purpose": EMPLOYMENT,
        "kinds": ASKED_KINDS,
        "peer": node.snapshot.roster.peers[peer],
        "legal_basis": STATUTE,
        "deadline_s": 5.0,
    }
    return BulkQuestion(**(facts | changes))


def gather(came: Iterable[Sequence[LearnerPart] | PeerResult]) -> BulkAnswer:
    """Put together what was yielded; the result must be the last, and once."""
    answer: BulkAnswer | None = None
    outcomes: dict[int, str] = {}
    titles: dict[int, list[str]] = {}
    parts = 0
    for each in came:
        assert answer is None
        if isinstance(each, PeerResult):
            answer = BulkAnswer(each, outcomes, titles)
            continue
        parts += 1
        for part in each:
            if not part.continues:
                assert part.position not in outcomes
                outcomes[part.position] = part.outcome
            found = part.part.records if part.part is not None else ()
            titles.setdefault(part.position, []).extend(record.record_id for record in found)
    assert answer is not None
    answer.parts = parts
    return answer


def ask(node: SimulatedNode, peer: str, whom: Sequence[str], **changes: object) -> BulkAnswer:
    return gather(ask_in_bulk(question(node, peer, whom, **changes), node.snapshot, node.asking))
