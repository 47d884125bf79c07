"""A real node in this process, on loopback with real TLS, and the identity that tests it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from creditexchange.v1.exchange_pb2 import PURPOSE_PUBLIC_SERVICE
from gateway.clock import system_clock
from gateway.conformance.identity import NODE_ID, Identity, load_identity, make_identity
from gateway.conformance.registry import CASES
from gateway.conformance.run import CaseResult, run_cases
from gateway.conformance.session import Session
from gateway.exchange.learning_codes import issue_code
from gateway.node.lock import node_lock
from gateway.node.serve import Serving, start
from gateway.peers.onboarding import accept
from gateway.signing.suites import ED25519, ML_DSA_65, Suite
from tests.attacks.learning_codes import terms
from tests.ports import free_port
from tests.processes.provinces import ProcessNode, make_node

GRANTS = f"""
[[grant]]
peer = "{NODE_ID}"
purposes = ["employment"]
kinds = ["course", "degree"]
consent_required = false
statutory_basis = "conformance run"

[[grant]]
peer = "{NODE_ID}"
purposes = ["personal-archive"]
kinds = ["course"]
consent_required = true

[[grant]]
peer = "{NODE_ID}"
purposes = ["public-service"]
kinds = ["course", "degree"]
consent_required = false
statutory_basis = "conformance run"

[[quota]]
peer = "{NODE_ID}"
purposes = ["public-service"]
learners_per_day = 0
"""
CODES = 4


@dataclass
class UnderTest:
    """A node, whose card is known, and the identity whose card it has accepted."""

    node: ProcessNode
    identity: Identity
    serving: Serving | None = None
    """The node while it is served in this process."""

    def run(self, *ids: str) -> list[CaseResult]:
        session = Session(
            self.identity,
            self.node.card,
            self.node.config.listen.peers,
            codes=[self.code() for _ in range(CODES)] if self.serving else [],
            expired_code=self.code(minutes_ago=11) if self.serving else "",
            used_up_purpose=PURPOSE_PUBLIC_SERVICE if self.serving else 0,
        )
        try:
            session.learn()
            return run_cases(session, [case for case in CASES if not ids or case.id in ids])
        finally:
            session.close()

    def code(self, minutes_ago: int = 0) -> str:
        """Return a learning code of the node, as it was issued some time ago."""
        assert self.serving is not None
        node = self.serving.node
        issued_at = node.clock() - timedelta(minutes=minutes_ago)
        return issue_code(terms(), 10, node.snapshot, node.log, issued_at).code.text


def make_under_test(
    parent: Path,
    *,
    granted: bool = True,
    suites: Sequence[Suite] = (ED25519,),
    identity_suites: Sequence[Suite] = (ED25519, ML_DSA_65),
) -> UnderTest:
    node = make_node(parent, "shanghai", records=False, suites=suites)
    identity = make_identity(parent / "identity", f"127.0.0.1:{free_port()}", identity_suites)
    accept(identity.card, node.folder.peers, system_clock())
    with node.folder.access.open("a", encoding="utf-8") as access:
        access.write(GRANTS if granted else "")
    return UnderTest(node, load_identity(identity.folder.root))


@contextmanager
def serving(under_test: UnderTest) -> Iterator[Serving]:
    """Serve the node in this process, so that a test can break one of its checks."""
    with node_lock(under_test.node.folder):
        running = start(under_test.node.folder)
        under_test.serving = running
        try:
            yield running
        finally:
            under_test.serving = None
            running.stop()


def outcomes(results: list[CaseResult], outcome: str) -> dict[str, str]:
    return {result.case.id: result.happened for result in results if result.outcome == outcome}
