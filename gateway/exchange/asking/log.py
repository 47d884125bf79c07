"""The asking side's own entry: what was asked, and what came or did not come."""

from __future__ import annotations

from hashlib import sha256

from gateway.audit import AuditLog, Evidence, PeerReceipt
from gateway.exchange.asking.compose import Composed
from gateway.exchange.asking.verify import VerifiedAnswer


def log_answer(composed: Composed, answer: VerifiedAnswer, log: AuditLog) -> None:
    """Append a verified answer or refusal, with the peer's receipt and checkpoint inside.

    Raises:
        RefusedError: ``AUDIT_UNAVAILABLE``; the answer must not be shown then.
    """
    log.heard.hear(composed.peer.node_id, answer.receipt.checkpoint)
    log.append(
        composed.entry(
            "exchange",
            "asker",
            answer.outcome,
            count=answer.content.count,
            answer_digest=sha256(answer.body).digest(),
            peer_receipt=PeerReceipt(answer.receipt.log_origin, answer.receipt.leaf_index),
            peer_checkpoint=answer.peer_checkpoint,
        ),
        evidence=Evidence(
            request_message=composed.message.SerializeToString(),
            request_body=composed.body,
            answer_message=answer.message.SerializeToString(),
            answer_body=answer.body,
            request_openings=composed.openings,
            answer_openings=answer.content.openings,
            subject_tokens=composed.subject_tokens,
        ),
    )


def log_no_answer(composed: Composed, outcome: str, log: AuditLog) -> None:
    """Append that no acceptable answer came, and why.

    Raises:
        RefusedError: ``AUDIT_UNAVAILABLE``.
    """
    log.append(
        composed.entry("no-answer", "asker", outcome),
        evidence=Evidence(
            request_message=composed.message.SerializeToString(),
            request_body=composed.body,
            request_openings=composed.openings,
            subject_tokens=composed.subject_tokens,
        ),
    )
