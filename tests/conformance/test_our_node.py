"""Our own node keeps every rule: in this process, and as a user runs both."""

import json
from collections.abc import Iterator
from xml.etree import ElementTree as ET

import pytest

from gateway.conformance.cases.suites import two_suites
from gateway.conformance.registry import CASES
from gateway.exchange import learning_codes
from gateway.policy import rates
from gateway.signing.suites import ECDSA_P256, ED25519, ML_DSA_65, SM2
from tests.conformance.node_under_test import UnderTest, make_under_test, outcomes, serving
from tests.processes.provinces import cli

GRANT_NEEDED = ("answer-", "replay-", "retry-", "exchange-conflict")


@pytest.fixture(scope="module")
def shanghai(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UnderTest]:
    under_test = make_under_test(tmp_path_factory.mktemp("granted"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rates, "FAILED_SIGNATURES_PER_10_S", 10_000)  # several runs in a row
        patch.setattr(learning_codes, "WRONG_CODES_PER_MINUTE_MAX", 10_000)
        with serving(under_test):
            yield under_test


def test_our_node_keeps_every_rule(shanghai: UnderTest) -> None:
    results = shanghai.run()
    assert outcomes(results, "failed") == outcomes(results, "not run") == {}
    assert len(outcomes(results, "passed")) == len(CASES) >= 60


@pytest.mark.parametrize(
    ("node_suites", "identity_suites"),
    [((SM2,), (SM2, ED25519)), ((ED25519, ML_DSA_65), (ECDSA_P256,)), ((ECDSA_P256, SM2), (SM2,))],
    ids=lambda suites: "+".join(suite.name for suite in suites),
)
def test_nodes_of_other_suites_keep_every_rule(
    tmp_path, monkeypatch: pytest.MonkeyPatch, node_suites, identity_suites
) -> None:
    monkeypatch.setattr(rates, "FAILED_SIGNATURES_PER_10_S", 10_000)
    under_test = make_under_test(tmp_path, suites=node_suites, identity_suites=identity_suites)
    with serving(under_test):
        results = under_test.run()
    assert outcomes(results, "failed") == {}
    two = {case.id for case in CASES if two_suites in case.needs}
    assert set(outcomes(results, "not run")) == (two if len(identity_suites) == 1 else set())


def test_one_identity_serves_many_runs_and_its_numbers_go_on(shanghai: UnderTest) -> None:
    before = shanghai.identity.next_sequence()
    assert outcomes(shanghai.run("witness-cosigns", "witness-shows", "replay-same"), "failed") == {}
    assert outcomes(shanghai.run("witness-cosigns", "witness-forked", "replay-same"), "failed") == {}
    assert shanghai.identity.next_sequence() > before + 2


def test_what_needs_a_grant_is_not_run_without_one(tmp_path) -> None:
    under_test = make_under_test(tmp_path, granted=False)
    with serving(under_test):
        results = under_test.run()
    assert outcomes(results, "failed") == {}
    not_run = outcomes(results, "not run")
    assert {case.id for case in CASES if case.id.startswith(GRANT_NEEDED)} <= set(not_run)
    assert "access.toml" in not_run["answer-given"]


def test_a_node_that_is_busy_is_asked_again(tmp_path) -> None:
    under_test = make_under_test(tmp_path)
    with under_test.node.folder.access.open("a", encoding="utf-8") as access:
        access.write(f'[[rate]]\npeer = "{under_test.identity.node_id}"\ncalls_per_second = 1\n')
    with serving(under_test):
        results = under_test.run("echo-content", "echo-signed", "echo-bound", "echo-twice", "replay-raced")
    assert "replay-raced" in outcomes(results, "not run")  # four at once never fit; two after each other do
    assert len(outcomes(results, "passed")) == 4


def test_a_user_runs_it_against_a_process(tmp_path) -> None:
    under_test = make_under_test(tmp_path)
    node, report = under_test.node, tmp_path / "report.xml"
    card = node.card and node.folder.card
    arguments = ["conformance", str(card), "--identity", str(under_test.identity.folder.root)]
    node.start()
    try:
        shown = cli(*arguments, "--case", "envelope-", "--junit", str(report))
        assert "envelope-signature-flipped" in shown.stdout
        assert "0 failed" in shown.stdout
        told = json.loads(cli(*arguments, "--case", "answer-", "--output", "json").stdout)
        assert {case["outcome"] for case in told["cases"]} == {"passed"}
        node.folder.access.write_text("", encoding="utf-8")  # the node takes it up by itself
        node.stop()
        node.start()
        refused = cli(*arguments, "--case", "answer-", "--junit", str(report), check=1)
        assert "0 passed" in refused.stdout
        suite = ET.parse(report).getroot()
        assert suite.get("skipped") == suite.get("tests") != "0"
        stopped = node.stop()
        assert stopped == 0
        assert "Start the node" in cli(*arguments, check=2).stderr
    finally:
        node.close()


def test_without_identity_it_makes_one_and_says_what_to_do(tmp_path) -> None:
    under_test = make_under_test(tmp_path)
    card = under_test.node.card and under_test.node.folder.card
    told = cli("conformance", str(card), check=1, cwd=tmp_path)
    assert "peers add" in told.stdout
    assert (tmp_path / "conformance-peer" / "card.json").is_file()


def test_a_node_with_a_history_is_no_identity(tmp_path) -> None:
    under_test = make_under_test(tmp_path)
    with serving(under_test):
        under_test.run("answer-given")
    told = cli(
        "conformance",
        str(under_test.identity.folder.card),
        "--identity",
        str(under_test.node.folder.root),
        check=2,
    )
    assert "has a history" in told.stderr


def test_cases_are_named_once_and_say_their_rule() -> None:
    assert len({case.id for case in CASES}) == len(CASES)
    for case in CASES:
        assert case.section[0].isdigit(), case.id
        assert case.sent, case.id
        assert case.must.text, case.id
