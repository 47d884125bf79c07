"""What needs attention, in sentences: everything that an operator should know without having to look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from creditexchange.v1.operator_pb2 import ListLoadedFilesResponse, PeerReach
from gateway.clock import from_unix_ms
from gateway.exchange.asking.askable import maintenance_of
from gateway.peers.card import Card
from gateway.peers.roster import SUSPENDED, Peer, Roster
from gateway.telemetry.metrics import ASKING
from gateway.telemetry.sampling import Edge, Traffic
from gateway.web.console.diagram import FAILING_SHARE
from gateway.web.console.peer_words import is_silent

Severity = Literal["fault", "warning", "note"]
SOON = timedelta(days=30)
EXCHANGES_MIN = 10
"""Of fewer exchanges no share is spoken of."""
UNWITNESSED = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One thing to know; ``key`` names its words below ``attention``."""

    severity: Severity
    key: str
    link: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrustState:
    """What the database says about trust."""

    conflicts: int
    findings: Mapping[str, int]
    """Differences by peer, where there are any."""
    unwitnessed: int
    """Entries of the log that no witness has cosigned."""
    cosigned: datetime | None
    """When a witness cosigned last."""


@dataclass(frozen=True)
class Facts:
    """What the sentences are made of."""

    now: datetime
    card: Card
    roster: Roster
    loaded: ListLoadedFilesResponse | None
    reach: Mapping[str, PeerReach] | None
    traffic: Mapping[Edge, Traffic]
    metrics_problem: str
    log_failures: int
    trust: TrustState


def sentences(facts: Facts) -> list[Sentence]:
    """Return what needs attention, the worst first."""
    found = [*_node(facts), *_trust(facts.trust, facts.now), *_peers(facts), *_traffic(facts.traffic)]
    order = {"fault": 0, "warning": 1, "note": 2}
    return sorted(found, key=lambda sentence: order[sentence.severity])


def _node(facts: Facts) -> Iterator[Sentence]:
    if facts.loaded is None:
        yield Sentence("fault", "node-away")
    elif facts.metrics_problem:
        yield Sentence("warning", "metrics-away")
    if facts.loaded is not None and facts.loaded.problem:
        when = from_unix_ms(facts.loaded.problem_ms)
        yield Sentence("warning", "config-refused", "/config", {"when": when})
    if facts.log_failures:
        yield Sentence("fault", "log-failures", "/trust", {"n": facts.log_failures})
    left = facts.card.expires - facts.now
    if left < SOON:
        severity: Severity = "warning" if left > timedelta() else "fault"
        yield Sentence(severity, "own-card-expires", "", {"n": max(left.days, 0)})
    if not facts.roster.peers:
        yield Sentence("note", "no-peers", "/peers")


def _trust(trust: TrustState, now: datetime) -> Iterator[Sentence]:
    if trust.conflicts:
        yield Sentence("fault", "conflicts", "/trust", {"n": trust.conflicts})
    for peer, count in trust.findings.items():
        yield Sentence("warning", "findings", "/trust", {"peer": peer, "n": count})
    if trust.unwitnessed and (trust.cosigned is None or now - trust.cosigned > UNWITNESSED):
        yield Sentence("warning", "unwitnessed", "/trust", {"n": trust.unwitnessed})


def _peers(facts: Facts) -> Iterator[Sentence]:
    for peer in facts.roster.peers.values():
        yield from _peer(peer, facts)


def _peer(peer: Peer, facts: Facts) -> Iterator[Sentence]:
    who = {"peer": peer.node_id}
    link = f"/peers/{peer.node_id}"
    window = maintenance_of(peer.card, facts.now)
    if peer.state == SUSPENDED:
        yield Sentence("note", "peer-suspended", link, who)
    elif window is not None:
        yield Sentence("note", "peer-maintenance", link, who | {"when": window.end})
    elif facts.reach is not None and is_silent(peer.node_id, facts.reach):
        yield Sentence("warning", "peer-silent", link, who | {"n": facts.reach[peer.node_id].failures})
    left = peer.card.expires - facts.now
    if left <= timedelta():
        yield Sentence("fault", "card-expired", link, who | {"when": peer.card.expires})
    elif left < SOON:
        yield Sentence("warning", "card-expires", link, who | {"n": left.days})
    authority = min((ca.not_valid_after_utc for ca in peer.card.cas), default=None)
    if authority is not None and authority - facts.now < SOON:
        yield Sentence("warning", "authority-expires", link, who | {"when": authority})


def _traffic(traffic: Mapping[Edge, Traffic]) -> Iterator[Sentence]:
    for (direction, peer), seen in sorted(traffic.items()):
        if seen.exchanges >= EXCHANGES_MIN and seen.failed_share > FAILING_SHARE:
            key = "asking-fails" if direction == ASKING else "answering-fails"
            share = f"{seen.failed_share:.0%}"
            link = f"/exchanges?peer={peer}&outcome=not-ok"
            yield Sentence("warning", key, link, {"peer": peer, "share": share, "n": seen.exchanges})
