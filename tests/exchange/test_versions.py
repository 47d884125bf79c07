"""Two nodes without a common protocol version: the older one is told so in a version that it can read."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creditexchange.v1.envelope_pb2 import Refusal
from gateway.peers.versions import Versions
from tests.exchange.test_answering import refusal
from tests.federation.provinces import NOW
from tests.federation.simulator import Federation, SimulatedNode, draft


def speaks(node: SimulatedNode, oldest: int, newest: int) -> None:
    node.adopt(settings=replace(node.snapshot.settings, versions=Versions(oldest, newest)))


def test_a_version_that_is_too_old_is_refused_in_its_own_version(federation: Federation) -> None:
    speaks(federation["shanghai"], 2, 3)
    message = draft("zhejiang", "shanghai", NOW).signed(federation["zhejiang"].province)
    refused = refusal(federation["shanghai"], message)
    assert refused.reason == "UNSUPPORTED_VERSION"
    assert refused.details == {"version": "1", "oldestAccepted": "2", "newestAccepted": "3"}
    assert "upgrade the asking node" in refused.message
    assert Refusal.FromString(refused.signed.payload).header.protocol_version == 1


def test_a_version_that_is_too_new_is_refused_in_the_newest_that_is_spoken(federation: Federation) -> None:
    made = draft("zhejiang", "shanghai", NOW)
    made.query.header.protocol_version = 9
    refused = refusal(federation["shanghai"], made.signed(federation["zhejiang"].province))
    assert refused.reason == "UNSUPPORTED_VERSION"
    assert "upgrade the answering node" in refused.message
    assert Refusal.FromString(refused.signed.payload).header.protocol_version == 1


def test_an_asker_believes_and_logs_the_refusal(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    speaks(federation["shanghai"], 2, 3)  # its card, which zhejiang has, still says 1
    (result,) = zhejiang.ask("shanghai").peers
    assert result.outcome == "UNSUPPORTED_VERSION"
    assert result.receipt_verified
    assert "speaks 2 to 3" in result.explanation


@pytest.mark.parametrize(("oldest", "newest"), [(2, 2), (2, 3)])
def test_a_peer_whose_card_shares_no_version_is_not_asked(
    federation: Federation, oldest: int, newest: int
) -> None:
    zhejiang = federation["zhejiang"]
    speaks(zhejiang, oldest, newest)
    (result,) = zhejiang.ask("shanghai").peers
    assert (result.outcome, result.explanation.endswith("Upgrade the peer.")) == (
        "VERSION_NOT_SHARED_HERE",
        True,
    )
    assert zhejiang.wire.carried == []


def test_nodes_that_share_an_older_version_speak_it(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    speaks(zhejiang, 1, 3)  # an upgraded node beside one that is not
    (result,) = zhejiang.ask("shanghai").peers
    assert result.outcome == "OK"


RANGES = st.tuples(st.integers(1, 6), st.integers(1, 6)).map(lambda pair: Versions(min(pair), max(pair)))


@given(RANGES, RANGES)
def test_the_shared_version_is_the_newest_that_both_speak(one: Versions, other: Versions) -> None:
    common = [version for version in range(1, 7) if version in one and version in other]
    assert one.shared_with(other) == other.shared_with(one) == max(common, default=None)
