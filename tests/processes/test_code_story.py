"""Learning codes over real processes: shown, scanned, redeemed once, raced for, taken back."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from creditexchange.v1.consent_pb2 import LEARNER_AUTHENTICATION_IN_PERSON
from creditexchange.v1.exchange_pb2 import PURPOSE_EMPLOYMENT
from creditexchange.v1.operator_pb2 import IssueCodeRequest, OperatorServiceRedeemCodeRequest
from creditexchange.v1.record_pb2 import RECORD_KIND_DEGREE
from gateway.node.lock import find_running
from gateway.policy.consent import read_consent
from gateway.rpc.operator import OperatorClient
from tests.postgres import fresh_database
from tests.processes.provinces import DEMO_LEARNER, ProcessNode, cli, introduce, make_node
from tests.qr_reader import read_image, read_terminal

GRANT = """
[consent]
issuers = ["zhejiang"]

[[grant]]
peer = "shanghai"
purposes = ["employment"]
kinds = ["degree", "training"]
consent_required = true
"""
ROUNDS = 25


@contextmanager
def running(parent: Path, database: str = "") -> Iterator[dict[str, ProcessNode]]:
    """Zhejiang issues, on either engine; Shanghai and Jiangsu redeem."""
    with ExitStack() as stack:
        zhejiang = make_node(parent, "zhejiang", database=database, records=not database)
        nodes = [
            zhejiang,
            *(make_node(parent, i, secret_from=zhejiang, records=False) for i in ("shanghai", "jiangsu")),
        ]
        zhejiang.folder.access.write_text(GRANT, encoding="utf-8")
        introduce(*nodes)
        for node in nodes:
            stack.callback(node.close)
            node.start()
        yield {node.node_id: node for node in nodes}


@pytest.fixture(scope="module")
def provinces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ProcessNode]]:
    with running(tmp_path_factory.mktemp("codes")) as nodes:
        yield nodes


def code(node: ProcessNode, command: str, *arguments: object, check: int | None = 0, **how: object):
    return cli("code", command, *map(str, arguments), "--node", str(node.folder.root), check=check, **how)


def issue(node: ProcessNode, *arguments: object) -> dict:
    done = code(
        node, "issue", "--learner", "-", "--purpose", "employment", "--kind", "training", *arguments,
        "--output", "json", input=f"{DEMO_LEARNER}\n",
    )  # fmt: skip
    return json.loads(done.stdout)


def redeem(node: ProcessNode, text: str, *arguments: object, check: int | None = 0) -> dict:
    done = code(
        node, "redeem", text, "--organisation", "Example Employer", *arguments, "--output", "json",
        check=check,
    )  # fmt: skip
    return json.loads(done.stdout)


def operator(node: ProcessNode) -> OperatorClient:
    found = find_running(node.folder)
    assert found is not None
    return OperatorClient(found[0].operator, found[1])


def test_the_life_of_a_code(provinces: dict[str, ProcessNode], tmp_path: Path) -> None:
    zhejiang, shanghai, jiangsu = (provinces[i] for i in ("zhejiang", "shanghai", "jiangsu"))
    png, svg = tmp_path / "code.png", tmp_path / "code.svg"
    shown = code(
        zhejiang, "issue", "--learner", DEMO_LEARNER, "--purpose", "employment", "--kind", "training",
        "--png", png, "--svg", svg,
    ).stdout  # fmt: skip
    scanned = read_image(png)
    assert read_terminal(shown) == scanned
    assert (png.stat().st_mode | svg.stat().st_mode) & 0o077 == 0
    assert scanned.startswith("ZX1ZHEJIANG.")
    typed = next(line.split()[-1] for line in shown.splitlines() if line.startswith("to type:"))
    # Nobody in the store or the log of the issuer can make the code again.
    (listed,) = json.loads(code(zhejiang, "list", "--output", "json").stdout)
    assert (listed["state"], listed["kinds"], listed["redeemed_by"]) == ("live", ["training"], None)
    assert scanned[12:20] == listed["code"]

    # The employer in Shanghai types it and gets exactly what the learner chose.
    out = tmp_path / "consent.json"
    found = redeem(shanghai, typed.lower(), "--out", out, "--peer", "zhejiang")
    assert [(p["id"], p["outcome"]) for p in found["peers"]] == [("zhejiang", "OK")]
    assert {record["kind"] for record in found["records"]} == {"training"}
    assert DEMO_LEARNER not in out.read_text(encoding="utf-8")

    # A photograph of it is worth nothing, there or elsewhere.
    for node in (shanghai, jiangsu):
        refused = redeem(node, scanned, check=1)
        assert (refused["outcome"], refused["rule"]) == ("CODE_INVALID", "used")

    # The learner sees who redeemed it, and who came too late, and takes the consent back.
    (listed,) = json.loads(code(zhejiang, "list", "--learner", DEMO_LEARNER, "--output", "json").stdout)
    assert (listed["state"], listed["redeemed_by"], listed["consent"]) == (
        "redeemed",
        "shanghai",
        found["consent"],
    )
    told = cli("audit", "subject", "--node", str(zhejiang.folder.root), "--learner", DEMO_LEARNER).stdout
    assert "redeemed this person's learning code" in told
    assert "was refused (used)" in told
    told = cli("audit", "subject", "--node", str(shanghai.folder.root), "--learner", DEMO_LEARNER).stdout
    assert "learning code, made by" in told
    (consent,) = json.loads(
        cli("consent", "list", "--node", str(zhejiang.folder.root), "--output", "json").stdout
    )
    assert (consent["asker"], consent["organisation"]) == ("shanghai", "Example Employer")
    assert "redeemed before" in code(zhejiang, "revoke", listed["code"], check=2).stderr
    ask = ["query", "--node", str(shanghai.folder.root), "--learner", DEMO_LEARNER, "--purpose",
           "employment", "--consent", str(out), "--peer", "zhejiang", "--output", "json"]  # fmt: skip
    assert json.loads(cli(*ask).stdout)["peers"][0]["outcome"] == "OK"
    cli("consent", "revoke", listed["consent"], "--node", str(zhejiang.folder.root))
    assert json.loads(cli(*ask, check=1).stdout)["peers"][0]["outcome"] != "OK"


def test_codes_that_are_not_good_are_refused_in_words(provinces: dict[str, ProcessNode]) -> None:
    zhejiang, shanghai, jiangsu = (provinces[i] for i in ("zhejiang", "shanghai", "jiangsu"))
    issued = issue(zhejiang, "--for", "jiangsu")
    assert redeem(shanghai, issued["code"], check=1)["rule"] == "other-redeemer"
    code(zhejiang, "revoke", issued["id"])
    done = code(jiangsu, "redeem", issued["typed"], "--organisation", "Example Employer", check=1)
    assert "the learner has taken the learning code back" in done.stderr
    assert "Ask the learner for a new code" in done.stderr
    head, body = issued["typed"].split(".")
    wrong = f"{head}.{body.translate(str.maketrans('0123456789', '1234567890'))}"
    assert "check characters" in code(shanghai, "redeem", wrong, check=2).stderr
    assert "no learning code" in code(shanghai, "redeem", "-", check=2, input="https://x.example\n").stderr
    assert cli("audit", "verify", "--node", str(zhejiang.folder.root)).stdout.startswith("intact")


def test_of_two_redemptions_at_the_same_instant_exactly_one_succeeds(
    provinces: dict[str, ProcessNode],
) -> None:
    race(provinces)


def test_the_same_where_the_issuer_is_on_postgresql(tmp_path: Path) -> None:
    with fresh_database() as url, running(tmp_path, url) as nodes:
        race(nodes)


def race(provinces: dict[str, ProcessNode]) -> None:
    """Two provinces race for one code, over their own processes, round after round."""
    redeemers = [provinces["shanghai"], provinces["jiangsu"]]
    winners = []
    with closing(operator(provinces["zhejiang"])) as issuer, ExitStack() as stack:
        clients = [stack.enter_context(closing(operator(node))) for node in redeemers]
        pool = stack.enter_context(ThreadPoolExecutor(len(clients)))
        for _ in range(ROUNDS):
            issued = issuer.issue_code(
                IssueCodeRequest(
                    learner_identifier=DEMO_LEARNER,
                    purpose=PURPOSE_EMPLOYMENT,
                    kinds=[RECORD_KIND_DEGREE],
                    authentication=LEARNER_AUTHENTICATION_IN_PERSON,
                )
            )
            request = OperatorServiceRedeemCodeRequest(code=issued.code, organisation="Racer")
            start = threading.Barrier(len(clients))

            def run(client: OperatorClient, start=start, request=request):
                start.wait()
                return client.redeem_code(request)

            results = list(pool.map(run, clients))
            outcomes = [(result.outcome, result.rule) for result in results]
            assert sorted(outcomes) == [("CODE_INVALID", "used"), ("OK", "")], outcomes
            (won,) = (result for result in results if result.outcome == "OK")
            winners.append(read_consent(won.message).asking_node_id)
            lost = results[[result.outcome for result in results].index("CODE_INVALID")]
            assert not lost.HasField("message")
    assert len(winners) == ROUNDS
    assert set(winners) <= {"shanghai", "jiangsu"}
