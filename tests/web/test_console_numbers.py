"""Numbers that the console works out by itself: rates, proofs, places in the picture."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from gateway.audit.merkle import inclusion_proof, leaf_hash, node_hash, tree_root
from gateway.audit.walking import walk_inclusion
from gateway.telemetry.sampling import MetricsUnreadableError, TrafficHistory, parse_page
from gateway.web.console.diagram import draw

METHODS = ("QueryRecords",)


class Page:
    """A metrics page as a node writes it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("direction", "peer", "method", "outcome")
        self.exchanges = Counter("credit_gateway_exchanges_total", "x", labels, registry=self.registry)
        self.seconds = Histogram(
            "credit_gateway_exchange_duration_seconds", "x", ("direction", "peer"), registry=self.registry
        )

    def went(self, count: int, outcome: str, seconds: float, method: str = "QueryRecords") -> None:
        for _ in range(count):
            self.exchanges.labels("asking", "anhui", method, outcome).inc()
            self.seconds.labels("asking", "anhui").observe(seconds)

    def sample(self, at_s: float):
        return parse_page(generate_latest(self.registry).decode(), at_s, METHODS)


def test_traffic_is_what_happened_between_two_looks() -> None:
    page, history = Page(), TrafficHistory()
    page.went(100, "OK", 9.0)  # before anybody looked
    history.add(page.sample(0))
    assert history.traffic() == {}
    page.went(18, "OK", 0.02)
    page.went(2, "NO_ANSWER", 4.0)
    page.went(50, "OK", 0.02, "AddCheckpoint")  # no exchange
    history.add(page.sample(60))
    seen = history.traffic()["asking", "anhui"]
    assert (seen.exchanges, seen.failed, seen.per_minute) == (20, 2, 20.0)
    assert seen.median_s is not None
    assert 0.01 <= seen.median_s <= 0.025
    assert seen.failed_share == 0.1


def test_a_restart_of_the_node_is_no_negative_traffic() -> None:
    page, history = Page(), TrafficHistory()
    page.went(100, "OK", 0.02)
    history.add(page.sample(0))
    anew = Page()
    anew.went(3, "OK", 0.02)
    history.add(anew.sample(60))
    assert history.traffic()["asking", "anhui"].exchanges == 3


def test_old_samples_are_forgotten() -> None:
    page, history = Page(), TrafficHistory(span_s=300)
    for second in range(0, 1200, 60):
        page.went(1, "OK", 0.02)
        history.add(page.sample(second))
    assert history.span_s == 300
    assert history.traffic()["asking", "anhui"].exchanges == 5


def test_something_else_on_the_port_is_said() -> None:
    with pytest.raises(MetricsUnreadableError):
        parse_page("<html>hello</html>", 0, METHODS)


@given(st.integers(1, 70).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))))
def test_each_step_of_a_proof_is_the_hash_of_what_stands_before(place: tuple[int, int]) -> None:
    size, index = place
    entries = [bytes([number]) for number in range(size)]

    def node_at(level: int, at: int) -> bytes:
        return tree_root(entries[at << level : (at + 1) << level])

    leaf, root = leaf_hash(entries[index]), tree_root(entries)
    steps = walk_inclusion(leaf, index, size, inclusion_proof(index, size, node_at), root)
    known = leaf
    for step in steps:
        known = node_hash(step.sibling, known) if step.is_left else node_hash(known, step.sibling)
        assert known == step.result
    assert known == root


@given(st.integers(0, 40), st.sampled_from([(920, 470), (420, 620)]))
def test_everything_stands_inside_the_picture_and_apart(count: int, size: tuple[int, int]) -> None:
    names = {f"p{number:02}": "x" for number in range(count)}
    picture = draw(names, dict.fromkeys(names, "active"), {}, width=size[0], height=size[1])
    places = [(picture.x, picture.y), *((peer.x, peer.y) for peer in picture.peers)]
    assert all(40 <= x <= size[0] - 40 and 40 <= y <= size[1] - 40 for x, y in places)
    assert len({(round(x), round(y)) for x, y in places}) == len(places)
    assert len(picture.peers) + picture.hidden == count
