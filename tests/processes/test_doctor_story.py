"""Two provinces get to know one another while both nodes run, and the doctor says what is still missing."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from creditexchange.v1.operator_pb2 import DIAGNOSIS_SIDE_THEIRS, DiagnosePeerRequest, DiagnosisVerdict
from gateway.clock import monotonic_s, system_clock
from gateway.errors import CallerError
from gateway.node.lock import find_announced
from gateway.peers.card import Card
from gateway.peers.fingerprint import fingerprint_words
from gateway.policy.grants import load_access
from gateway.policy.purposes import KINDS, PURPOSES
from gateway.rpc.local_clients import OperatorClient
from gateway.signing import dsse
from tests.federation.provinces import Province
from tests.processes.provinces import ProcessNode, cli, make_node

GRANT = """
[[grant]]
peer = "zhejiang"
purposes = ["employment"]
kinds = ["course", "degree"]
consent_required = false
statutory_basis = "Agreement 1/2026"
"""


def at(node: ProcessNode) -> tuple[str, str]:
    return "--node", str(node.folder.root)


def check(node: ProcessNode, *arguments: str) -> dict:
    """What ``peers check`` says of the only peer."""
    done = cli("peers", "check", *at(node), "--output", "json", *arguments, check=None)
    (found,) = json.loads(done.stdout)
    assert done.returncode == (1 if found["verdict"]["state"] == "fault" else 0)
    return found


def diagnose(node: ProcessNode, **wanted: object) -> DiagnosisVerdict:
    """What the running node says of Shanghai at its operator port, as a console asks it."""
    running, token = find_announced(node.folder)
    client = OperatorClient(running.operator, token)
    try:
        *_, last = client.diagnose(DiagnosePeerRequest(**{"node_id": "shanghai"} | wanted))
    finally:
        client.close()
    return last.verdict


def until(node: ProcessNode, finding: str) -> DiagnosisVerdict:
    """Ask until a running node has taken up what changed."""
    ends_s = monotonic_s() + 60
    while (verdict := diagnose(node)).finding != finding:
        assert monotonic_s() < ends_s, verdict
    return verdict


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ProcessNode, ProcessNode]]:
    """Both serve and know nobody."""
    parent = tmp_path_factory.mktemp("pair")
    zhejiang = make_node(parent, "zhejiang", records=False)
    shanghai = make_node(parent, "shanghai", records=False, secret_from=zhejiang)
    for node in (zhejiang, shanghai):
        node.folder.access.write_text("# nobody yet\n", encoding="utf-8")
        node.start()
    yield zhejiang, shanghai
    for node in (zhejiang, shanghai):
        node.close()


def add(node: ProcessNode, card: Card, fingerprint: str, check: int = 0) -> subprocess.CompletedProcess[str]:
    sent = node.folder.root / "received.json"
    sent.write_text(dsse.to_json(card.message), encoding="utf-8")
    words = " ".join(fingerprint_words(fingerprint))
    return cli("peers", "add", str(sent), "--fingerprint", words, *at(node), check=check)


def commands_of_the_page() -> list[list[str]]:
    """The commands of docs/peers.md, without the program's name."""
    page = (Path(__file__).parents[2] / "docs" / "peers.md").read_text(encoding="utf-8")
    block = re.search(r"```sh\n(.*?)```", page, re.DOTALL)[1]
    return [shlex.split(line)[1:] for line in block.splitlines() if line and not line.startswith("#")]


def test_two_running_nodes_are_introduced_and_checked(pair: tuple[ProcessNode, ProcessNode]) -> None:
    zhejiang, shanghai = pair
    here = zhejiang.folder.root.parent
    own_card, their_card, add_theirs, add_ours, last_check = commands_of_the_page()

    numbers = re.search(r"^in numbers: (.+)$", cli(*own_card, cwd=here).stderr, re.MULTILINE)[1]
    words = re.search(r"^in words: (.+)$", cli(*their_card, cwd=here).stderr, re.MULTILINE)[1]
    shown = cli(*add_theirs, "--fingerprint", words, cwd=here).stdout
    for told in (words, "上海", shanghai.card.endpoints[0], "ed25519", "TLS authority", "none announced"):
        assert told in shown
    assert load_access(zhejiang.folder.access).grants == {}
    assert "# Proposal for peer shanghai" in zhejiang.folder.access.read_text(encoding="utf-8")

    # Shanghai has not accepted Zhejiang's card yet.
    half = check(zhejiang)
    assert (half["outcome"], half["verdict"]["side"]) == ("OUR_CERTIFICATE_REFUSED", "theirs")
    assert "peers add" in half["verdict"]["remedy"]

    cli(*add_ours, "--fingerprint", numbers, cwd=here)
    missing = until(zhejiang, "NO_GRANT")
    assert (missing.step, missing.side) == ("grants to us", DIAGNOSIS_SIDE_THEIRS)

    with shanghai.folder.access.open("a", encoding="utf-8") as access:
        access.write(GRANT)
    until(zhejiang, "OK")
    wish = {"purpose": PURPOSES["employment"], "kinds": [KINDS["training"]]}
    assert diagnose(zhejiang, **wish).finding == "KIND_NOT_GRANTED"

    table = cli(*last_check, cwd=here).stdout
    assert "Nothing is to be mended with shanghai" in table
    assert "send a signed echo" in table


def test_what_is_unknown_is_said_so_at_the_operator_port(pair: tuple[ProcessNode, ProcessNode]) -> None:
    for wrong in ({"node_id": "mars"}, {"purpose": 99}, {"kinds": [99]}):
        with pytest.raises(CallerError, match=r"unknown"):
            diagnose(pair[0], **wrong)


def test_the_same_card_again_changes_nothing(pair: tuple[ProcessNode, ProcessNode]) -> None:
    zhejiang, shanghai = pair
    before = zhejiang.folder.access.read_bytes()
    add(zhejiang, shanghai.card, shanghai.card.fingerprint)
    assert zhejiang.folder.access.read_bytes() == before


def test_a_misheard_fingerprint_changes_nothing(pair: tuple[ProcessNode, ProcessNode]) -> None:
    zhejiang, shanghai = pair
    stranger = Province("anhui", born=system_clock()).card()
    refused = add(zhejiang, stranger, shanghai.card.fingerprint, check=2)
    assert "Do not accept it" in refused.stderr
    assert not (zhejiang.folder.peers / "anhui.toml").exists()
    assert "anhui" not in zhejiang.folder.access.read_text(encoding="utf-8")


def test_without_own_node_and_without_the_peers(pair: tuple[ProcessNode, ProcessNode]) -> None:
    zhejiang, shanghai = pair
    assert zhejiang.stop() == 0
    assert check(zhejiang)["outcome"] == "OK"
    shanghai.kill()
    found = check(zhejiang)
    assert (found["outcome"], found["verdict"]["side"]) == ("CONNECTION_REFUSED", "theirs")


def test_a_suite_that_the_card_does_not_offer(pair: tuple[ProcessNode, ProcessNode]) -> None:
    zhejiang, _ = pair
    path = zhejiang.folder.peers / "shanghai.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("card = ", 'required_suites = ["sm2"]\ncard = ', 1), encoding="utf-8")
    try:
        found = check(zhejiang)
    finally:
        path.write_text(text, encoding="utf-8")
    assert (found["outcome"], found["verdict"]["side"]) == ("PEER_FILE_REFUSED", "ours")
    assert "no message key of sm2" in found["steps"][0]["seen"]
