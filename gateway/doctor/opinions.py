"""What third nodes show of this node: whether its clock and its federation secret are like theirs.

Two nodes that differ cannot know which of them is wrong. The other peers are asked, once and only then.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property

from gateway.doctor.step import Side
from gateway.errors import PeerFaultError
from gateway.exchange.asking.ask_peer import Asking
from gateway.exchange.asking.check import Echo, StaleEchoError, ask_echo
from gateway.exchange.messages import Snapshot
from gateway.learners.epoch_check import epoch_check
from gateway.peers.caller import RefusedByPeerError
from gateway.peers.roster import ACTIVE, Peer

ASKED_MAX = 3
ASKED_S_MAX = 2.0


@dataclass
class Opinions:
    """Asks other peers than ``patient`` when it is first needed."""

    patient: Peer
    snapshot: Snapshot
    node: Asking
    _offsets: list[timedelta] = field(default_factory=list)
    _echoes: list[tuple[str, Echo]] = field(default_factory=list)

    def whose_clock(self) -> Side:
        """Whose clock is wrong, given that those of this node and the patient differ."""
        self._ask()
        return self._majority([abs(o) <= self._tolerated for o in self._offsets])

    def whose_secret(self, epoch: str) -> Side:
        """Whose secret of ``epoch`` is the other one, or who lacks that epoch."""
        self._ask()
        secret = self.snapshot.secrets[epoch]
        own = self.snapshot.node_id
        votes = []
        for peer, echo in self._echoes:
            stated = {one.epoch: one.check for one in echo.answer.epoch_checks}
            if stated:
                votes.append(
                    hmac.compare_digest(stated.get(epoch, b""), epoch_check(secret, own, peer, echo.content))
                )
        return self._majority(votes)

    @property
    def _tolerated(self) -> timedelta:
        return timedelta(seconds=self.snapshot.settings.skew_s)

    @staticmethod
    def _majority(agreeing_with_us: Sequence[bool]) -> Side:
        """Return who stands alone: the patient, when most agree with us."""
        with_us = sum(agreeing_with_us)
        against = len(agreeing_with_us) - with_us
        if with_us == against:
            return Side.EITHER
        return Side.THEIRS if with_us > against else Side.OURS

    def _ask(self) -> None:
        _ = self._asked

    @cached_property
    def _asked(self) -> bool:
        peers = self.snapshot.roster.peers.values()
        others = [p for p in peers if p.node_id != self.patient.node_id and p.state == ACTIVE][:ASKED_MAX]
        if not others:
            return False
        with ThreadPoolExecutor(len(others), "opinions") as pool:
            list(pool.map(self._ask_one, others))
        return True

    def _ask_one(self, peer: Peer) -> None:
        try:
            echo = ask_echo(peer, self.snapshot, self.node, ASKED_S_MAX)
        except StaleEchoError as stale:
            self._offsets.append(stale.clock_offset)
        except PeerFaultError as fault:
            if (offset := stated_offset(fault, self.snapshot.settings.window_s)) is not None:
                self._offsets.append(offset)
        else:
            self._offsets.append(echo.clock_offset)
            self._echoes.append((peer.node_id, echo))


def stated_offset(fault: PeerFaultError, window_s: int) -> timedelta | None:
    """Return by how much the peer's clock is ahead, as its refusal of our message's time says it.

    ``skewSeconds`` counts from issue_time on the one side, and on the other from expire_time, which lies our
    window of ``window_s`` seconds after it.
    """
    if not isinstance(fault, RefusedByPeerError) or fault.outcome not in ("CLOCK_SKEW", "MESSAGE_EXPIRED"):
        return None
    try:
        off_s = float(dict(fault.details.metadata).get("skewSeconds", ""))
    except ValueError:
        off_s = 0.0
    return timedelta(seconds=-off_s if fault.outcome == "CLOCK_SKEW" else off_s + window_s)
