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
from creditexchange.v1.operator_pb2 import (
    IssueCodeRequest,
    IssueCodeResponse,
    ListIssuedConsentsRequest,
    OperatorServiceRedeemCodeRequest,
    RevokeCodeRequest,
    WithdrawConsentRequest,
)
from creditexchange.v1.record_pb2 import RECORD_KIND_TRAINING
from gateway.errors import CallerError
from gateway.node.lock import find_running
from gateway.policy.consent import read_consent
from gateway.rpc.local_clients import OperatorClient
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


def operator(node: ProcessNode) -> OperatorClient:
    found = find_running(node.folder)
    assert found is not None
    return OperatorClient(found[0].operator, found[1])


def issue(node: ProcessNode, **scope: str) -> IssueCodeResponse:
    request = IssueCodeRequest(
        learner_identifier=DEMO_LEARNER,
        purpose=PURPOSE_EMPLOYMENT,
        kinds=[RECORD_KIND_TRAINING],
        authentication=LEARNER_AUTHENTICATION_IN_PERSON,
        **scope,
    )
    with closing(operator(node)) as client:
        return client.issue_code(request)


def redeem(node: ProcessNode, text: str) -> tuple[str, str]:
    """Redeem a code as a local application does; return outcome and rule."""
    request = OperatorServiceRedeemCodeRequest(code=text, organisation="Example Employer")
    with closing(operator(node)) as client:
        redeemed = client.redeem_code(request)
    assert redeemed.HasField("message") is (redeemed.outcome == "OK")
    return redeemed.outcome, redeemed.rule


def test_the_life_of_a_code(provinces: dict[str, ProcessNode], tmp_path: Path) -> None:
    zhejiang, shanghai, jiangsu = (provinces[i] for i in ("zhejiang", "shanghai", "jiangsu"))
    png, svg = tmp_path / "code.png", tmp_path / "code.svg"
    shown = code(
        zhejiang, "issue", "--learner", "-", "--purpose", "employment", "--kind", "training",
        "--png", png, "--svg", svg, typed=f"{DEMO_LEARNER}\n",
    ).stdout  # fmt: skip
    scanned = read_image(png)
    assert read_terminal(shown) == scanned
    assert (png.stat().st_mode | svg.stat().st_mode) & 0o077 == 0
    assert scanned.startswith("ZX1ZHEJIANG.")
    typed = next(line.split()[-1] for line in shown.splitlines() if line.startswith("to type:"))
    assert "whoever scans it first" in shown

    # The employer in Shanghai types it and gets exactly what the learner chose.
    out = tmp_path / "consent.json"
    done = code(
        shanghai, "redeem", typed.lower(), "--organisation", "Example Employer", "--out", out,
        "--peer", "zhejiang", "--output", "json",
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert [(p["id"], p["outcome"]) for p in found["peers"]] == [("zhejiang", "OK")]
    assert {record["kind"] for record in found["records"]} == {"training"}
    assert DEMO_LEARNER not in out.read_text(encoding="utf-8")

    # A photograph of it is worth nothing, there or elsewhere.
    for node in (shanghai, jiangsu):
        assert redeem(node, scanned) == ("CODE_INVALID", "used")

    # The learner sees who redeemed it, and who came too late, and can take the consent back.
    (listed,) = json.loads(code(zhejiang, "list", "--learner", DEMO_LEARNER, "--output", "json").stdout)
    assert (listed["state"], listed["redeemed_by"], listed["consent"], listed["code"]) == (
        "redeemed",
        "shanghai",
        found["consent"],
        scanned[12:20],
    )
    told = cli("audit", "subject", "--node", str(zhejiang.folder.root), "--learner", DEMO_LEARNER).stdout
    assert "redeemed this person's learning code" in told
    assert "was refused (used)" in told
    with closing(operator(zhejiang)) as client:
        (consent,) = client.issued_consents(ListIssuedConsentsRequest()).consents
        assert read_consent(consent.message).asking_organisation == "Example Employer"
        with pytest.raises(CallerError, match="redeemed before"):
            client.revoke_code(RevokeCodeRequest(code_id=listed["code"]))
        taken_back = client.withdraw_consent(WithdrawConsentRequest(consent_id=consent.consent_id))
        assert taken_back.confirmed == taken_back.concerned > 0


def test_codes_that_are_not_good_are_refused_in_words(provinces: dict[str, ProcessNode]) -> None:
    zhejiang, shanghai, jiangsu = (provinces[i] for i in ("zhejiang", "shanghai", "jiangsu"))
    issued = issue(zhejiang, redeeming_node_id="jiangsu")
    assert redeem(shanghai, issued.code) == ("CODE_INVALID", "other-redeemer")
    code(zhejiang, "revoke", issued.code_id)
    done = code(jiangsu, "redeem", issued.code, "--organisation", "Example Employer", check=1)
    assert "the learner has taken the learning code back" in done.stderr
    assert "Ask the learner for a new code" in done.stderr
    wrong = issued.code[:-3] + ("0" if issued.code[-3] != "0" else "1") + issued.code[-2:]
    asked = (
        "access",
        "explain",
        "--ours",
        "--peer",
        "zhejiang",
        "--purpose",
        "employment",
        "--kind",
        "training",
    )
    done = cli(*asked, "--node", str(shanghai.folder.root), "--output", "json", check=1)
    facts = json.loads(done.stdout)
    assert facts["kinds"] == [{"kind": "training", "granted": True, "consent_needed": True}]
    assert "check characters" in code(shanghai, "redeem", "-", check=2, typed=f"{wrong}\n").stderr


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
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(operator(node))) for node in redeemers]
        pool = stack.enter_context(ThreadPoolExecutor(len(clients)))
        for _ in range(ROUNDS):
            issued = issue(provinces["zhejiang"])
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
