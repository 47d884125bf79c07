"""Who asks more than the agreement says, in every way that counts or does not count."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.clock import new_id
from gateway.errors import RefusedError
from gateway.exchange.answering.answer import answer_query
from gateway.exchange.answering.refuse import SignedRefusalError
from gateway.policy.grants import Access, AccessFile
from gateway.rpc.status import fault_of, status_of
from tests.exchange.bulk_asking import ask as ask_in_bulk
from tests.exchange.bulk_asking import learners
from tests.federation.simulator import LEARNER, Federation, draft, incoming, make_federation


def limited(*quotas: dict[str, object]) -> Access:
    return Access.of(
        AccessFile.model_validate(
            {
                "grant": [
                    {
                        "peer": "zhejiang",
                        "purposes": ["employment", "admission"],
                        "kinds": ["course", "skill-level", "degree"],
                        "consent_required": False,
                        "statutory_basis": "a statute",
                    }
                ],
                "quota": [{"peer": "zhejiang"} | quota for quota in quotas],
            }
        )
    )


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    """Shanghai answers Zhejiang about three learners a day."""
    made = make_federation(tmp_path, "zhejiang", "shanghai")
    made["shanghai"].put(LEARNER, "a course")
    made["shanghai"].adopt(access=limited({"learners_per_day": 3}))
    yield made
    for node in made.nodes.values():
        node.log.close()
        node.log._database.dispose()


def outcomes(federation: Federation, times: int, **how: object) -> list[str]:
    return [federation["zhejiang"].ask("shanghai", **how).peers[0].outcome for _ in range(times)]


def test_beyond_the_quota_nothing_is_looked_up_until_midnight_in_the_zone(federation: Federation) -> None:
    shanghai = federation["shanghai"]
    assert outcomes(federation, 5) == ["OK"] * 3 + ["QUOTA_EXCEEDED"] * 2
    looked_up = shanghai.shelf.asked
    assert outcomes(federation, 1) == ["QUOTA_EXCEEDED"]
    assert shanghai.shelf.asked == looked_up
    federation.pass_time(3.9 * 3600)  # the federation's clock began at 20:00 in Shanghai
    assert outcomes(federation, 1) == ["QUOTA_EXCEEDED"]
    federation.pass_time(0.2 * 3600)
    assert outcomes(federation, 1) == ["OK"]


def test_the_refusal_says_when_to_come_back_and_is_signed(federation: Federation) -> None:
    outcomes(federation, 3)
    shanghai = federation["shanghai"]
    request = draft("zhejiang", "shanghai", shanghai.clock()).signed(federation["zhejiang"].province)
    with pytest.raises(SignedRefusalError) as caught:
        answer_query(request, incoming(shanghai, "zhejiang"), shanghai.snapshot, shanghai.answering)
    refused = caught.value
    assert refused.signed is not None
    assert refused.retry_after_s == 4 * 3600
    assert refused.details == {
        "learnersPerDayMax": "3",
        "learnersLeft": "0",
        "resetTime": "2026-11-24T00:00:00+08:00",
    }
    status = status_of(refused)
    assert status.code.name == "RESOURCE_EXHAUSTED"

    class ArrivedError(Exception):
        """The status as the asker's grpc hands it over."""

        code = staticmethod(lambda: status.code)
        details = staticmethod(lambda: status.details)
        trailing_metadata = staticmethod(lambda: status.trailing_metadata)

    assert fault_of(ArrivedError(), 1).details.retry_after_s == 4 * 3600


def test_refusals_and_retries_take_nothing(federation: Federation) -> None:
    shanghai, zhejiang = federation["shanghai"], federation["zhejiang"]
    assert outcomes(federation, 4, purpose=3) == ["PURPOSE_NOT_GRANTED"] * 4
    made = draft("zhejiang", "shanghai", shanghai.clock())
    for _ in range(5):
        made.query.header.message_id = new_id()
        request = made.signed(zhejiang.province)
        assert answer_query(request, incoming(shanghai, "zhejiang"), shanghai.snapshot, shanghai.answering)
    assert outcomes(federation, 3) == ["OK", "OK", "QUOTA_EXCEEDED"]
    # The answered exchange can still be repeated: its answer was counted when it was given.
    made.query.header.message_id = new_id()
    request = made.signed(zhejiang.province)
    assert answer_query(request, incoming(shanghai, "zhejiang"), shanghai.snapshot, shanghai.answering)


def test_threads_at_once_get_no_more(federation: Federation) -> None:
    shanghai, zhejiang = federation["shanghai"], federation["zhejiang"]
    requests = [draft("zhejiang", "shanghai", shanghai.clock()).signed(zhejiang.province) for _ in range(12)]

    def send(request: bytes) -> str:
        try:
            answer_query(request, incoming(shanghai, "zhejiang"), shanghai.snapshot, shanghai.answering)
        except RefusedError as refused:
            return refused.reason
        return "OK"

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(send, requests))
    assert sorted(answers) == ["OK"] * 3 + ["QUOTA_EXCEEDED"] * 9


def test_other_methods_count_their_learner(federation: Federation) -> None:
    assert outcomes(federation, 2, is_locating=True) == ["OK"] * 2
    assert outcomes(federation, 2) == ["OK", "QUOTA_EXCEEDED"]
    assert outcomes(federation, 1, is_locating=True) == ["QUOTA_EXCEEDED"]


def test_a_quota_of_one_purpose_leaves_the_others(federation: Federation) -> None:
    federation["shanghai"].adopt(
        access=limited({"learners_per_day": 1, "purposes": ["employment"]}, {"learners_per_day": 3})
    )
    assert outcomes(federation, 2) == ["OK", "QUOTA_EXCEEDED"]
    assert outcomes(federation, 3, purpose=2) == ["OK", "OK", "QUOTA_EXCEEDED"]


def test_a_raised_quota_counts_at_once_and_a_lowered_one_too(federation: Federation) -> None:
    shanghai = federation["shanghai"]
    assert outcomes(federation, 4)[-1] == "QUOTA_EXCEEDED"
    shanghai.adopt(access=limited({"learners_per_day": 4}))
    assert outcomes(federation, 2) == ["OK", "QUOTA_EXCEEDED"]
    shanghai.adopt(access=limited({"learners_per_day": 0}))
    assert outcomes(federation, 1) == ["QUOTA_EXCEEDED"]
    shanghai.adopt(access=limited())
    assert outcomes(federation, 1) == ["OK"]


def test_a_node_that_was_started_again_remembers(federation: Federation) -> None:
    shanghai = federation["shanghai"]
    outcomes(federation, 2)
    shanghai.log.close()
    shanghai.log._database.dispose()
    shanghai.open_log(shanghai.database)
    assert outcomes(federation, 2) == ["OK", "QUOTA_EXCEEDED"]


def test_bulk_counts_each_learner_and_goes_as_far_as_the_quota(federation: Federation) -> None:
    shanghai, zhejiang = federation["shanghai"], federation["zhejiang"]
    whom = learners(90)
    for identifier in whom:
        shanghai.put(identifier, f"a course of {identifier[-6:]}")
    shanghai.adopt(
        access=limited({"learners_per_day": 100}),
        settings=replace(shanghai.snapshot.settings, message_bytes_max=20 * 1024),
    )
    assert ask_in_bulk(zhejiang, "shanghai", whom).result.outcome == "OK"
    answer = ask_in_bulk(zhejiang, "shanghai", whom)
    assert answer.result.outcome == "QUOTA_EXCEEDED"
    assert len(answer.outcomes) <= 10  # whole chunks only
    assert outcomes(federation, 11).count("OK") == 10 - len(answer.outcomes)
