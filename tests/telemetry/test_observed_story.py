"""Two provinces under observation: one trace through both, and nothing in it that tells whom it is about."""

import base64
import json
import urllib.request
from pathlib import Path

import pytest

from gateway.learners.subject_token import subject_token
from tests.processes.provinces import DEMO_LEARNER, ProcessNode, cli, introduce, make_node
from tests.telemetry.otlp_receiver import Receiver, receiver

STEPS = ("open", "admit", "authorise", "find", "translate", "log", "seal", "count")


class Observed:
    """What a question left behind everywhere."""

    def __init__(self, folder: Path, keeping: Receiver, started: list[ProcessNode]) -> None:
        self.zhejiang = make_node(folder, "zhejiang")
        self.shanghai = make_node(folder, "shanghai", secret_from=self.zhejiang)
        introduce(self.zhejiang, self.shanghai)
        self.receiver = keeping
        nodes = (self.zhejiang, self.shanghai)
        for node in nodes:
            with node.folder.config.open("a", encoding="utf-8") as config:
                config.write(f'\n[telemetry]\notlp_endpoint = "{keeping.endpoint}"\nsample_ratio = 1.0\n')
        for node in nodes:
            started.append(node)
            node.start()
        self.answer = self.zhejiang.query()
        asked = ("--node", str(self.zhejiang.folder.root), "--learner", DEMO_LEARNER)
        self.refused = cli("query", *asked, "--purpose", "public-service", check=None).stdout
        self.shown = "".join(
            cli("audit", "show", "--node", str(node.folder.root), "--output", "json").stdout for node in nodes
        )
        self.pages = [self._page(node) for node in nodes]
        for node in nodes:
            assert node.stop() == 0
        self.logs = [node.log_text for node in nodes]
        self.databases = [
            file.read_bytes() for node in nodes for file in (node.folder.root / "data").glob("node.db*")
        ]
        self.report = cli("report", "--node", str(self.zhejiang.folder.root), "--output", "json").stdout

    @staticmethod
    def _page(node: ProcessNode) -> bytes:
        with urllib.request.urlopen(f"http://{node.config.listen.metrics}/metrics", timeout=20) as page:
            return page.read()


@pytest.fixture(scope="module")
def observed(tmp_path_factory) -> Observed:
    nodes: list[ProcessNode] = []
    try:
        with receiver() as keeping:
            return Observed(tmp_path_factory.mktemp("observed"), keeping, nodes)
    finally:
        for node in nodes:
            node.close()


def test_one_trace_leads_from_the_question_through_both_nodes(observed: Observed) -> None:
    spans = observed.receiver.spans
    by_id = {span.id: span for span in spans}
    question = next(span for span in spans if span.name == "question")
    ask = next(span for span in spans if span.name == "ask" and span.parent == question.id)
    answer = next(span for span in spans if span.node == "shanghai" and span.parent == ask.id)
    assert (question.node, ask.node, answer.node) == ("zhejiang", "zhejiang", "shanghai")
    assert answer.attributes["credit_gateway.outcome"] == "OK"
    steps = [span for span in spans if span.parent == answer.id]
    assert [span.name for span in steps] == list(STEPS)
    commits = [span for span in spans if span.name == "commit" and span.parent in {s.id for s in steps}]
    assert [by_id[commit.parent].name for commit in commits] == ["log"]
    assert len({span.trace for span in (question, ask, answer, *steps, *commits)}) == 1


def test_log_lines_of_both_nodes_bear_the_trace_and_the_exchange(observed: Observed) -> None:
    trace = next(span.trace for span in observed.receiver.spans if span.name == "question")
    for text in observed.logs:
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        (line,) = (line for line in lines if line.get("trace") == trace)
        assert (line["event"], line["outcome"]) == ("exchange", "OK")
        assert len(line["exchange"]) == 32


def encodings(secret: bytes) -> set[bytes]:
    """Every form in which ``secret`` could stand in a text or file, at any place in a base64 text."""
    found = {secret, secret.hex().encode(), secret.hex().upper().encode()}
    for shift in range(3):
        text = base64.b64encode(b"\x00" * shift + secret)
        inner = text[(4, 4, 4)[shift] if shift else 0 : len(text) - 4]
        found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return found


def test_the_search_finds_every_encoding() -> None:
    secret = bytes(range(7, 39))
    for text in (
        secret,
        secret.hex().encode(),
        base64.b64encode(b"xy" + secret + b"z"),
        base64.b64encode(b"x" + secret),
        base64.urlsafe_b64encode(secret),
    ):
        assert any(form in text for form in encodings(secret))


def test_nothing_that_is_emitted_tells_whom_it_is_about(observed: Observed) -> None:
    assert observed.answer["records"]
    assert observed.refused
    token = subject_token(observed.zhejiang.secret, "resident-id", DEMO_LEARNER)
    emitted = {
        "spans": b"".join(observed.receiver.raw),
        "log lines": "".join(observed.logs).encode(),
        "metrics": b"".join(observed.pages),
        "audit entries": observed.shown.encode(),
        "database": b"".join(observed.databases),
        "report": observed.report.encode(),
    }
    for where, content in emitted.items():
        assert content, where
        for secret in (DEMO_LEARNER.encode(), DEMO_LEARNER[:-1].encode(), token):
            for form in encodings(secret):
                assert form not in content, (where, form)
