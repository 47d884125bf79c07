"""*Trust*: the newest checkpoint, who has witnessed it, and whether the peers' logs agree with this one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from starlette.responses import Response

from creditexchange.v1.operator_pb2 import ReconcileRequest
from gateway.clock import from_unix_ms, monotonic_s
from gateway.peers.roster import SUSPENDED, Peer, Roster
from gateway.storage import audit_rows, reconcile_rows, witness_rows
from gateway.storage.engine import reading
from gateway.storage.node_tables import Transaction
from gateway.storage.reconcile_rows import FindingRow
from gateway.web.console.roles import AUDITING
from gateway.web.console.sources import Sources
from gateway.web.console.visits import Visit

FINDINGS_SHOWN = 100
COMPARE_S = 4.0
"""How long one press of the button compares before the page shows how far it came."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far this log was compared with one peer's."""

    peer: str
    matched: int
    findings: int
    finished: datetime | None
    """When both ends were reached last; ``None`` = never."""
    their_index: int = 0
    their_size: int = 0
    is_running: bool = False
    outcome: str = "OK"
    explanation: str = ""


@dataclass(frozen=True)
class TrustPage:
    """Checkpoint, witnesses, reconciliation."""

    sources: Sources

    def show(self, visit: Visit) -> Response:
        """The whole page."""
        roster = self.sources.roster()
        verifier = self.sources.log_verifier
        with reading(self.sources.database) as connection:
            newest = audit_rows.read_checkpoint(connection)
            last = audit_rows.read_entry(connection, newest[0] - 1) if newest else None
            cosigned = witness_rows.read_newest_cosignatures(connection)
            witnessed = witness_rows.list_witnessed(connection)
            conflicts = witness_rows.list_conflicts(connection)
            comparisons = [self._comparison(connection, peer) for peer in roster.peers.values()]
            findings = [
                row
                for peer in roster.peers
                for row in reconcile_rows.list_findings(connection, peer, FINDINGS_SHOWN)
            ]
        return visit.render(
            "trust.html",
            origin=verifier.name,
            verifier_key=verifier.vkey,
            checkpoint=self.sources.open_checkpoint(newest[1])[0] if newest else None,
            note=newest[1] if newest else "",
            logged=from_unix_ms(last.logged_at) if last else None,
            cosigned=[
                {
                    "witness": row.witness,
                    "peer": self._peer_of(row.witness, roster),
                    "size": row.size,
                    "behind": (newest[0] if newest else 0) - row.size,
                    "time": from_unix_ms(row.time_s * 1000),
                }
                for row in cosigned
            ],
            witnessed=[
                {"origin": r.origin, "size": r.size, "time": from_unix_ms(r.seen_at)} for r in witnessed
            ],
            conflicts=[
                {"row": row, "time": from_unix_ms(row.found_at), "notes": (row.note, row.other_note)}
                for row in conflicts
            ],
            comparisons=comparisons,
            findings=[_finding(row) for row in findings],
            may_reconcile=visit.session.role in AUDITING,
        )

    def reconcile(self, visit: Visit) -> Response:
        """Compare for a few seconds, and say how far it came."""
        peer = self.sources.peer(visit.request.path_params["peer"])
        end_s = monotonic_s() + COMPARE_S
        with self.sources.running() as node:
            while True:
                step = node.reconcile(ReconcileRequest(node_id=peer.node_id))
                if step.outcome != "OK" or step.done or monotonic_s() >= end_s:
                    break
        with reading(self.sources.database) as connection:
            comparison = replace(
                self._comparison(connection, peer),
                their_index=step.their_index,
                their_size=step.their_size,
                is_running=step.outcome == "OK" and not step.done,
                outcome=step.outcome,
                explanation=step.explanation,
            )
        return visit.render(
            "comparison_part.html" if visit.is_partial else "comparison.html",
            comparison=comparison,
            may_reconcile=True,
        )

    def _comparison(self, connection: Transaction, peer: Peer) -> Comparison:
        row = reconcile_rows.read_reconciliation(connection, peer.node_id)
        findings = reconcile_rows.count_findings(connection, peer.node_id)
        outcome = "SUSPENDED" if peer.state == SUSPENDED else "OK"
        if row is None:
            return Comparison(peer.node_id, 0, findings, None, outcome=outcome)
        finished = from_unix_ms(row.done_at) if row.done_at else None
        return Comparison(peer.node_id, row.matched, findings, finished, outcome=outcome)

    def _peer_of(self, witness: str, roster: Roster) -> str:
        for peer in roster.peers.values():
            verifier = peer.card.witness_verifier
            if verifier is not None and verifier.name == witness:
                return peer.node_id
        return ""


def _finding(row: FindingRow) -> dict[str, object]:
    """Return a difference; who must explain it is whoever lacks an entry that the other one can prove."""
    side = "peer" if row.kind in ("only-ours", "sequence-gap", "receipt-differs") else "both"
    return {
        "peer": row.peer,
        "kind": row.kind,
        "exchange": row.exchange_id.hex(),
        "ours": row.our_idx if row.our_idx >= 0 else None,
        "theirs": row.their_idx if row.their_idx >= 0 else None,
        "detail": row.detail,
        "explains": "ours" if row.kind == "only-theirs" else side,
        "time": from_unix_ms(row.found_at),
    }
