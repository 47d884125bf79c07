"""Where things stand in the picture of the federation: this node in the middle, its peers around it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.telemetry.metrics import ANSWERING, ASKING
from gateway.telemetry.sampling import Edge, Traffic

QUIET = Traffic(0, 0, 0.0, None, None)
NODE_RADIUS = 30
MARGIN_X, MARGIN_Y = 78, 74
LABEL_HEIGHT = 38
PEERS_SHOWN_MAX = 16
"""More cannot be told apart; the table below the picture has all."""
BEND = 0.11
"""How far the two edges of a pair stand apart, as a share of their length."""
FAILING_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Labels:
    """How wide the labels of edges are, and how near to the peer they stand: 0.5 = in the middle."""

    width: int
    nearness: float


WIDE_LABELS, NARROW_LABELS = Labels(112, 0.5), Labels(94, 0.8)


@dataclass(frozen=True, slots=True)
class DrawnEdge:
    """One direction between this node and a peer."""

    direction: str
    peer: str
    traffic: Traffic
    path: str
    """SVG path, in the direction of the questions."""
    width: float
    label_x: float
    label_y: float
    state: str
    """``quiet``, ``live`` or ``failing``."""


@dataclass(frozen=True, slots=True)
class DrawnPeer:
    """One peer."""

    node_id: str
    name: str
    x: float
    y: float
    label_y: float
    state: str
    edges: Sequence[DrawnEdge]


@dataclass(frozen=True, slots=True)
class Diagram:
    """A picture of ``width`` by ``height`` units."""

    width: int
    height: int
    x: float
    y: float
    label_width: int
    peers: Sequence[DrawnPeer]
    hidden: int
    """Peers that are not shown."""


def draw(
    names: Mapping[str, str],
    states: Mapping[str, str],
    traffic: Mapping[Edge, Traffic],
    *,
    width: int,
    height: int,
) -> Diagram:
    """Return the picture; ``names`` and ``states`` are those of the peers, by node id."""
    busiest = sorted(names, key=lambda peer: -_calls(peer, traffic))[:PEERS_SHOWN_MAX]
    shown = [peer for peer in names if peer in busiest]
    places = _places(len(shown), width, height)
    (x, y), peer_places = places[0], places[1:]
    labels = WIDE_LABELS if width > height else NARROW_LABELS
    peers = []
    for peer, (peer_x, peer_y) in zip(shown, peer_places, strict=True):
        edges = [
            _edge(ASKING, peer, traffic, (x, y), (peer_x, peer_y), labels),
            _edge(ANSWERING, peer, traffic, (peer_x, peer_y), (x, y), labels),
        ]
        below = peer_y + NODE_RADIUS + 20 if peer_y >= y - 1 else peer_y - NODE_RADIUS - 10
        peers.append(DrawnPeer(peer, names[peer], peer_x, peer_y, below, states[peer], edges))
    return Diagram(width, height, x, y, labels.width, peers, len(names) - len(shown))


def _places(count: int, width: int, height: int) -> list[tuple[float, float]]:
    """Return where this node stands and then each peer, on a ring that fills the picture."""
    turn = _turn(count, width, height)
    angles = [2 * math.pi * place / max(count, 1) + turn for place in range(count)]
    ring = [(0.0, 0.0), *((math.cos(angle), math.sin(angle)) for angle in angles)]
    xs = _fitted([x for x, _ in ring], MARGIN_X, width - MARGIN_X)
    ys = _fitted([y for _, y in ring], MARGIN_Y, height - MARGIN_Y)
    return list(zip(xs, ys, strict=True))


def _fitted(values: list[float], low: float, high: float) -> list[float]:
    """Return ``values`` stretched from ``low`` to ``high``; in the middle if all are equal."""
    least, most = min(values), max(values)
    if most - least < 0.01:
        return [(low + high) / 2] * len(values)
    return [low + (high - low) * (value - least) / (most - least) for value in values]


def _turn(count: int, width: int, height: int) -> float:
    """Return where the first peer stands: so that few peers fill the picture's long side."""
    if count <= 2:
        return 0.0 if width > height else math.pi / 2
    return -math.pi / 2


def _calls(peer: str, traffic: Mapping[Edge, Traffic]) -> int:
    return sum(traffic.get((direction, peer), QUIET).exchanges for direction in (ASKING, ANSWERING))


def edge_state(traffic: Traffic) -> str:
    """Return how an edge does: ``quiet``, ``live`` or ``failing``."""
    if not traffic.exchanges:
        return "quiet"
    return "failing" if traffic.failed_share > FAILING_SHARE else "live"


def _edge(
    direction: str,
    peer: str,
    traffic: Mapping[Edge, Traffic],
    start: tuple[float, float],
    end: tuple[float, float],
    labels: Labels,
) -> DrawnEdge:
    found = traffic.get((direction, peer), QUIET)
    (x1, y1), (x2, y2) = start, end
    length = math.hypot(x2 - x1, y2 - y1) or 1.0
    along_x, along_y = (x2 - x1) / length, (y2 - y1) / length
    gap = NODE_RADIUS + 8
    x1, y1, x2, y2 = x1 + along_x * gap, y1 + along_y * gap, x2 - along_x * gap, y2 - along_y * gap
    bend = BEND * length
    middle_x, middle_y = (x1 + x2) / 2 - along_y * bend, (y1 + y2) / 2 + along_x * bend
    curve = f"M{x1:.1f} {y1:.1f} Q{middle_x:.1f} {middle_y:.1f} {x2:.1f} {y2:.1f}"
    aside = bend / 2 + abs(along_y) * labels.width / 2 + abs(along_x) * LABEL_HEIGHT / 2
    share = labels.nearness if direction == ASKING else 1 - labels.nearness
    label_x = x1 + (x2 - x1) * share - along_y * aside
    label_y = y1 + (y2 - y1) * share + along_x * aside
    width = 1.5 + min(6.0, 1.6 * math.log10(1 + found.per_minute))
    return DrawnEdge(direction, peer, found, curve, round(width, 2), label_x, label_y, edge_state(found))
