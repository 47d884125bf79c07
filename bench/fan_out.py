"""Asking three peers at once, against asking the slowest of them alone: real nodes, some way apart."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.load import ratio_of
from bench.nodes import Place, make_nodes, question_to, serve
from bench.pinned import ALL_CORES, free_address, pinned
from gateway.exchange.asking.ask import ask
from gateway.node.assemble import Node, assemble
from gateway.node.folder import NodeFolder

ONE_WAY_MS = {"shanghai": 8.0, "jiangsu": 12.0, "anhui": 16.0}
"""How far each peer is away: what public lines between provinces' capitals take, milliseconds."""
ASKS_A_ROUND = 8


@dataclass(frozen=True)
class FanOutFigures:
    """Times of whole questions, from the identifier to the merged archive, medians in milliseconds."""

    alone_ms: dict[str, float]
    together_ms: float
    ratio: float
    """Median of the rounds' own ratios: all together over the slowest alone."""
    spread: tuple[float, float]
    asker_cpu_us_a_peer: float
    """CPU of the asking side for each peer that is asked, from the identifier to the merged archive."""
    ratio_without_distance: float | None
    """The same ratio on loopback, where the asker's own CPU is all there is."""


def measure_fan_out(folder: Path, rounds: int, *, near_too: bool = True) -> FanOutFigures:
    """Serve three provinces and ask them from Zhejiang, by turns."""
    far = _measure(folder / "far", ONE_WAY_MS, rounds)
    near = _measure(folder / "near", dict.fromkeys(ONE_WAY_MS, 0.0), max(3, rounds // 2)) if near_too else far
    alone, together, cpu_us = far
    ratio, spread = _ratio(alone, together)
    return FanOutFigures(
        {peer: statistics.median(times) for peer, times in alone.items()},
        statistics.median(together),
        ratio,
        spread,
        cpu_us,
        _ratio(*near[:2])[0] if near_too else None,
    )


def _ratio(alone: dict[str, list[float]], together: list[float]) -> tuple[float, tuple[float, float]]:
    slowest = max(alone, key=lambda peer: statistics.median(alone[peer]))
    return ratio_of(together, alone[slowest])


def _measure(
    folder: Path, one_way_ms: dict[str, float], rounds: int
) -> tuple[dict[str, list[float]], list[float], float]:
    folder.mkdir()
    with ExitStack() as stack:
        asker, answerers = make_nodes(folder, dict.fromkeys(one_way_ms, Place()))
        for peer, delay_ms in one_way_ms.items():
            if delay_ms:
                _put_away(stack, answerers[peer], delay_ms)
            serve(stack, answerers[peer], core=set(ALL_CORES))
        node = assemble(asker)
        stack.callback(node.close)
        alone: dict[str, list[float]] = {peer: [] for peer in one_way_ms}
        together: list[float] = []
        _median_ms(node, tuple(one_way_ms))  # warm: connections are made
        asked, cpu_s = 0, time.process_time()
        for _ in range(rounds):
            for peer, times in alone.items():
                times.append(_median_ms(node, (peer,)))
            together.append(_median_ms(node, tuple(one_way_ms)))
            asked += ASKS_A_ROUND * 2 * len(one_way_ms)
        cpu_s = time.process_time() - cpu_s
    return alone, together, cpu_s / asked * 1e6


def _put_away(stack: ExitStack, node: NodeFolder, one_way_ms: float) -> None:
    """Let the node listen elsewhere, and a relay where its card says."""
    text = node.config.read_text(encoding="utf-8")
    found = re.search(r'^peers = "([^"]+)"', text, re.MULTILINE)
    assert found is not None
    elsewhere = free_address()
    node.config.write_text(text.replace(found[0], f'peers = "{elsewhere}"'), encoding="utf-8")
    stack.enter_context(pinned(["-m", "bench.relay", found[1], elsewhere, str(one_way_ms)], found[1]))


def _median_ms(node: Node, peers: Sequence[str]) -> float:
    question = question_to(*(node.snapshot.roster.peers[peer] for peer in peers))
    times = []
    for _ in range(ASKS_A_ROUND):
        started_s = time.perf_counter()
        archive = ask(question, node.snapshot, node.asking)
        times.append((time.perf_counter() - started_s) * 1000)
        assert all(result.outcome == "OK" for result in archive.peers), archive.peers
    return statistics.median(times)
