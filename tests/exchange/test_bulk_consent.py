"""Consent in bulk is said of each learner alone: one without it never spoils the others."""

from __future__ import annotations

from datetime import timedelta

import pytest

from creditexchange.v1.consent_pb2 import LEARNER_AUTHENTICATION_IN_PERSON
from creditexchange.v1.envelope_pb2 import SignedMessage
from gateway.exchange.asking.bulk import ShownLearner, ask_in_bulk, compose_bulk
from gateway.exchange.asking.bulk_verify import ChunkVerifier
from gateway.exchange.consents import ConsentTerms, grant_consent, revoke_consent
from gateway.policy.consent import read_consent
from gateway.policy.grants import Access, AccessFile
from gateway.policy.purposes import LEGAL_BASES
from tests.exchange.bulk_asking import ask, learners, question, token_of
from tests.federation.provinces import NOW
from tests.federation.simulator import ASKED_KINDS, EMPLOYMENT, Federation, SimulatedNode

BASIS = LEGAL_BASES["consent"]
WHOM = learners(12)


@pytest.fixture
def federation(federation: Federation) -> Federation:
    """Shanghai answers with the learner's consent only, and holds a course of everybody."""
    grant = {"peer": "zhejiang", "purposes": ["employment"], "kinds": ["course", "skill-level"]}
    federation["shanghai"].adopt(access=Access.of(AccessFile.model_validate({"grant": [grant]})))
    for identifier in WHOM:
        federation["shanghai"].put(identifier, f"of {identifier}")
    return federation


def consent(node: SimulatedNode, identifier: str, **changes: object) -> SignedMessage:
    facts: dict[str, object] = {
        "subject_token": token_of(identifier),
        "federation_epoch": "2026",
        "asker": "zhejiang",
        "organisation": "Zhejiang Examination Office",
        "answerers": ("shanghai",),
        "purpose": EMPLOYMENT,
        "kinds": ASKED_KINDS,
        "ends": NOW + timedelta(days=30),
        "authentication": LEARNER_AUTHENTICATION_IN_PERSON,
    }
    return grant_consent(ConsentTerms(**(facts | changes)), node.snapshot, node.log, node.clock())


def test_only_those_who_consented_are_asked_about_and_answered(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    for number in (1, 4, 7):
        consent(zhejiang, WHOM[number])
    consent(zhejiang, WHOM[5], answerers=("anhui",))
    answer = ask(zhejiang, "shanghai", WHOM, legal_basis=BASIS)
    assert answer.outcomes == {
        number: "OK" if number in (1, 4, 7) else "CONSENT_MISSING_HERE" for number in range(12)
    }
    assert [number for number, titles in answer.titles.items() if titles] == [1, 4, 7]
    request = zhejiang.wire.carried[-1][1]
    assert all((token_of(WHOM[n]) in request) is (n in (1, 4, 7)) for n in range(12))


def test_without_any_consent_nobody_is_asked_about(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    answer = ask(zhejiang, "shanghai", WHOM, legal_basis=BASIS)
    assert set(answer.outcomes.values()) == {"CONSENT_MISSING_HERE"}
    assert not zhejiang.wire.carried


def test_the_answerer_says_of_each_learner_what_is_wrong(federation: Federation) -> None:
    """The asker shows what it has, good or bad, as another implementation might."""
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    good, taken_back, of_another = (consent(zhejiang, WHOM[n]) for n in (0, 1, 2))
    revoke_consent(read_consent(taken_back).consent_id, zhejiang.snapshot, zhejiang.log, NOW)
    shown = [
        ShownLearner(0, token_of(WHOM[0]), good),
        ShownLearner(1, token_of(WHOM[1])),
        ShownLearner(2, token_of(WHOM[3]), of_another),
        ShownLearner(3, token_of(WHOM[4]), consent(zhejiang, WHOM[4], kinds=ASKED_KINDS[:1])),
        ShownLearner(4, token_of(WHOM[5]), SignedMessage(payload=b"x", payload_type="y")),
    ]
    composed = compose_bulk(
        question(zhejiang, "shanghai", WHOM), shown, 1, zhejiang.snapshot, checkpoint="", now=NOW
    )
    verifier = ChunkVerifier(composed, zhejiang.snapshot)
    (chunk,) = [
        verifier.accept(response, NOW)
        for response in zhejiang.wire.stream(
            zhejiang.snapshot.roster.peers["shanghai"], composed.method, composed.request, 5.0
        )
    ]
    assert verifier.is_complete
    assert [part.outcome for part in chunk.subjects] == [
        "OK",
        "CONSENT_REQUIRED",
        "CONSENT_INVALID",
        "CONSENT_INVALID",
        "CONSENT_INVALID",
    ]
    assert [len(part.records) for part in chunk.subjects] == [1, 0, 0, 0, 0]
    assert shanghai.shelf.asked == 1


def test_two_hundred_consents_fit_a_query_and_a_thousand_are_refused_here(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    whom = learners(200)
    for identifier in whom:
        consent(zhejiang, identifier)
    answer = ask(zhejiang, "shanghai", whom, legal_basis=BASIS)
    assert set(answer.outcomes.values()) == {"OK"}
    assert len(answer.outcomes) == 200
    size = len(zhejiang.wire.carried[-1][1])
    assert size < zhejiang.snapshot.settings.message_bytes_max
    assert 1_000 * size / 200 > zhejiang.snapshot.settings.message_bytes_max


def test_a_statutory_basis_needs_none(federation: Federation) -> None:
    zhejiang, anhui = federation["zhejiang"], federation["anhui"]
    for identifier in WHOM:
        anhui.put(identifier, f"of {identifier}")
    came = list(ask_in_bulk(question(zhejiang, "anhui", WHOM), zhejiang.snapshot, zhejiang.asking))
    assert came[-1].outcome == "OK"
