"""The kit as a server that lies: our own client notices every lie; a client that checks less is found out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from gateway.conformance.liar import Liar, judge_lies
from gateway.conformance.lying import LIES, Lie
from gateway.conformance.lying_server import lying
from gateway.conformance.run import CaseResult
from gateway.conformance.session import Session
from gateway.exchange.asking import verify
from gateway.exchange.asking.ask import ask
from gateway.exchange.asking.question import Question
from gateway.node.serve import Serving
from gateway.policy.purposes import KINDS, LEGAL_BASES, PURPOSES
from tests.conformance.node_under_test import UnderTest, make_under_test, outcomes, serving

STRANGER = "990001199003079970"


@dataclass
class Client:
    under_test: UnderTest
    running: Serving

    def hear(self, *lies: Lie) -> list[CaseResult]:
        """Ask once for each lie; return what the client's own log says of them."""
        identity, node = self.under_test.identity, self.running.node
        liar = Liar(identity, node.card, lies)
        with lying(liar):
            for _ in lies:
                ask(self.question(), node.snapshot, node.asking)
        session = Session(identity, node.card, self.under_test.node.config.listen.peers)
        try:
            return judge_lies(session, liar)
        finally:
            session.close()

    def question(self) -> Question:
        return Question(
            identifier_type="resident-id",
            learner_identifier=STRANGER,
            purpose=PURPOSES["employment"],
            kinds=(KINDS["course"],),
            peers=(self.running.node.snapshot.roster.peers[self.under_test.identity.node_id],),
            legal_basis=LEGAL_BASES["statutory-duty"],
            deadline_s=5.0,
        )


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    under_test = make_under_test(tmp_path_factory.mktemp("client"))
    with serving(under_test) as running:
        yield Client(under_test, running)


def test_our_client_notices_every_lie_and_believes_the_truth(client: Client) -> None:
    results = client.hear(*LIES)
    assert outcomes(results, "failed") == outcomes(results, "not run") == {}
    assert len(results) == len(LIES)


def believes_any_receipt(composed, receipt, *_):
    from gateway.audit import PeerCheckpoint

    return PeerCheckpoint(10**6, bytes(32))


def believes_any_signature(composed, message, type_, now):
    from gateway.signing.envelope import OpenedEnvelope

    return OpenedEnvelope(message.payload, message.payload_type, ("sha256:" + "0" * 64,), bytes(32))


@pytest.mark.parametrize(
    ("check", "without", "unnoticed"),
    [
        ("require_receipt", believes_any_receipt, {"lie-entry", "lie-log", "lie-checkpoint"}),
        ("require_bound", lambda *_: None, {"lie-digest", "lie-reply", "lie-sender", "lie-stale"}),
        (
            "open_answer",
            believes_any_signature,
            {"lie-signature", "lie-signature-missing", "lie-key", "lie-refusal-signature"},
        ),
    ],
)
def test_a_client_that_checks_less_is_found_out(
    client: Client, monkeypatch: pytest.MonkeyPatch, check: str, without, unnoticed: set[str]
) -> None:
    monkeypatch.setattr(verify, check, without)
    assert set(outcomes(client.hear(*LIES), "failed")) == unnoticed


def test_a_lie_that_nobody_asked_for_is_not_run(client: Client) -> None:
    liar = Liar(client.under_test.identity, client.running.node.card, LIES[:2])
    session = Session(client.under_test.identity, client.running.node.card, "127.0.0.1:1")
    try:
        assert set(outcomes(judge_lies(session, liar), "not run")) == {lie.id for lie in LIES[:2]}
    finally:
        session.close()


def test_a_user_lets_a_node_ask_the_liar(tmp_path) -> None:
    under_test = make_under_test(tmp_path)
    node = under_test.node
    card = node.card and node.folder.card
    node.start()
    command = [sys.executable, "-m", "gateway.cli.main", "conformance", str(card), "--serve"]
    command += ["--identity", str(under_test.identity.folder.root), "--case", "lie-root", "--output", "json"]
    liar = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert liar.stderr is not None
        assert "listening on" in liar.stderr.readline()
        asked = node.query("--peer", under_test.identity.node_id, check=1)
        assert "ANSWER_INCOMPLETE" in json.dumps(asked)
        told, _ = liar.communicate(timeout=60)
        assert liar.returncode == 0, told
        assert [(c["id"], c["outcome"]) for c in json.loads(told)["cases"]] == [("lie-root", "passed")]
    finally:
        liar.kill()
        liar.communicate()
        node.close()
