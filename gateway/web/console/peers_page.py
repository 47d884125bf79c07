"""*Peers*: who is trusted, in which state, with which keys for how long; and the doctor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from starlette.responses import Response

from creditexchange.v1.node_pb2 import KeyRole
from gateway.peers.card import Card, fingerprint_for_people
from gateway.web.console.doctor import diagnose
from gateway.web.console.peer_words import name_of, state_of
from gateway.web.console.roles import OPERATING
from gateway.web.console.sources import Sources
from gateway.web.console.visits import Visit

WARN_DAYS = 30


@dataclass(frozen=True, slots=True)
class ShownKey:
    """One key or certificate of a card."""

    role: str
    suite: str
    key_id: str
    start: datetime | None
    end: datetime | None
    days: int | None
    """Left; ``None`` = no end of its own."""
    is_live: bool


@dataclass(frozen=True)
class PeersPage:
    """All peers, one peer, the doctor."""

    sources: Sources

    def show(self, visit: Visit) -> Response:
        """Every peer in one table."""
        roster, reach = self.sources.roster(), self.sources.reach()
        language = visit.pages.preferences(visit.request).language
        rows = [
            {
                "peer": peer,
                "name": name_of(peer.card, language),
                "state": state_of(peer, reach, self.sources.clock()),
                "days": self._days(peer.card.expires),
                "authority_days": min(self._days(ca.not_valid_after_utc) for ca in peer.card.cas),
                "reach": (reach or {}).get(peer.node_id),
            }
            for peer in roster.peers.values()
        ]
        own = self.sources.card()
        return visit.render(
            "peers.html",
            rows=rows,
            warn_days=WARN_DAYS,
            own=own,
            own_days=self._days(own.expires),
            own_fingerprint=fingerprint_for_people(own.fingerprint),
        )

    def peer(self, visit: Visit) -> Response:
        """One peer: what its card says, and its keys."""
        peer, reach = self.sources.peer(visit.request.path_params["peer"]), self.sources.reach()
        now = self.sources.clock()
        return visit.render(
            "peer.html",
            peer=peer,
            name=name_of(peer.card, visit.pages.preferences(visit.request).language),
            state=state_of(peer, reach, self.sources.clock()),
            reach=(reach or {}).get(peer.node_id),
            days=self._days(peer.card.expires),
            warn_days=WARN_DAYS,
            fingerprint=fingerprint_for_people(peer.card.fingerprint),
            keys=self._keys(peer.card, now),
            windows=[window for window in peer.card.maintenance if window.end > now],
            may_examine=visit.session.role in OPERATING,
        )

    def examine(self, visit: Visit) -> Response:
        """The doctor."""
        peer = self.sources.peer(visit.request.path_params["peer"])
        with self.sources.running() as node:
            diagnosis = diagnose(node, peer.node_id)
        return visit.render(
            "doctor_part.html" if visit.is_partial else "doctor.html",
            peer=peer,
            diagnosis=diagnosis,
            at=self.sources.clock(),
        )

    def _days(self, end: datetime) -> int:
        return (end - self.sources.clock()).days

    def _keys(self, card: Card, now: datetime) -> Sequence[ShownKey]:
        keys = [
            ShownKey(
                role=KeyRole.Name(entry.role).removeprefix("KEY_ROLE_").lower(),
                suite=entry.key.suite.name,
                key_id=key_id,
                start=entry.start,
                end=entry.end,
                days=self._days(entry.end) if entry.end is not None else None,
                is_live=entry.is_live(now),
            )
            for key_id, entry in card.keys.items()
        ]
        authorities = [
            ShownKey(
                role="tls-authority",
                suite="X.509",
                key_id=f"serial {ca.serial_number:x}",
                start=ca.not_valid_before_utc,
                end=ca.not_valid_after_utc,
                days=self._days(ca.not_valid_after_utc),
                is_live=ca.not_valid_before_utc <= now < ca.not_valid_after_utc,
            )
            for ca in card.cas
        ]
        return keys + authorities
