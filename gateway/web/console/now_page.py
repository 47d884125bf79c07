"""*Now*: the federation as this node sees it, and what needs attention."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from gateway.audit.checkpoint import size_of
from gateway.clock import from_unix_ms
from gateway.storage import audit_rows, reconcile_rows, witness_rows
from gateway.storage.engine import reading
from gateway.web.console.attention import Facts, TrustState, sentences
from gateway.web.console.diagram import draw
from gateway.web.console.peer_words import name_of, state_of
from gateway.web.console.sources import Sources
from gateway.web.console.visits import Visit

WIDE = (920, 470)
TALL = (420, 620)


@dataclass(frozen=True)
class NowPage:
    """The page and its part that is refreshed."""

    sources: Sources

    def show(self, visit: Visit) -> Response:
        """The whole page, or the part that changes."""
        sources = self.sources
        roster, now = sources.roster(), sources.clock()
        reach, traffic = sources.reach(), sources.history.traffic()
        facts = Facts(
            now=now,
            card=sources.card(),
            roster=roster,
            loaded=sources.loaded(),
            reach=reach,
            traffic=traffic,
            metrics_problem=sources.sampler.problem,
            log_failures=sources.history.log_failures,
            trust=self._trust(list(roster.peers)),
        )
        language = visit.pages.preferences(visit.request).language
        names = {peer.node_id: name_of(peer.card, language) for peer in roster.peers.values()}
        states = {peer.node_id: state_of(peer, reach, now) for peer in roster.peers.values()}
        pictures = [
            draw(names, states, traffic, width=width, height=height) for width, height in (WIDE, TALL)
        ]
        return visit.render(
            "now_live.html" if visit.is_partial else "now.html",
            sentences=sentences(facts),
            pictures=pictures,
            states=states,
            span_minutes=max(1, round(sources.history.span_s / 60)),
            is_measured=bool(sources.history.span_s),
            now=now,
        )

    def _trust(self, peers: list[str]) -> TrustState:
        with reading(self.sources.database) as connection:
            newest = audit_rows.read_checkpoint(connection)
            cosigned = witness_rows.read_newest_cosignatures(connection)
            findings = {peer: reconcile_rows.count_findings(connection, peer) for peer in peers}
            conflicts = len(witness_rows.list_conflicts(connection))
        size = size_of(newest[1]) if newest else 0
        last = max((row.time_s for row in cosigned), default=None)
        return TrustState(
            conflicts=conflicts,
            findings={peer: count for peer, count in findings.items() if count},
            unwitnessed=size - max((row.size for row in cosigned), default=0),
            cosigned=from_unix_ms(last * 1000) if last is not None else None,
        )
