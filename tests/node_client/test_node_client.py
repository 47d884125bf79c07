"""A peer written in another language, from docs/protocol.md alone, against a real node process."""

import csv
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ports import free_port

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "node_config" / "zhejiang"
RECORDS = EXAMPLE / "records" / "vocational.csv"
EPOCH = "2026"
LEARNER = "990099199604121228"  # synthetic: region code 990099 was never assigned
NOBODY = "990098190001010011"  # well-formed, and in no file

GRANT = """
[[grant]]
peer = "hunan"
purposes = ["employment"]
kinds = [
    "degree", "graduation", "course", "module", "unit", "vocational-qualification", "skill-level",
    "x-certificate", "training", "experience", "competition", "leisure",
]
consent_required = false
statutory_basis = "Agreement of a test"

[[grant]]
peer = "hunan"
purposes = ["admission"]
kinds = ["degree"]
consent_required = false
statutory_basis = "Agreement of a test"

[[grant]]
peer = "hunan"
purposes = ["personal-archive"]
kinds = ["degree"]
consent_required = true
"""


def run(*command: object) -> str:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def gateway(*command: object) -> str:
    return run(sys.executable, "-m", "gateway.cli.main", *command)


def peer(*command: object) -> dict[str, object]:
    answer = json.loads(run("node", HERE / "cli.mjs", *command))
    assert isinstance(answer, dict)
    return answer


@dataclass(frozen=True)
class Pair:
    """The node of Zhejiang (Python) and the peer of Hunan (JavaScript)."""

    node: Path
    client: Path
    impostor: Path
    card: Path

    def query(
        self, *options: object, learner: str = LEARNER, purpose: str = "employment", kinds: str = "all"
    ) -> dict[str, object]:
        secret = self.node / "keys" / f"federation-{EPOCH}.secret"
        who = [
            "--dir",
            self.client,
            "--peer-card",
            self.card,
            "--federation-secret",
            secret,
            "--epoch",
            EPOCH,
        ]
        return peer("query", *who, "--learner", learner, "--purpose", purpose, "--kinds", kinds, *options)


def wait_until_served(process: subprocess.Popen[bytes], node: Path, port: int, log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the node ended:\n{log.read_text()}"
        if (node / "run" / "node.json").exists():
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                pass
            else:
                return
        time.sleep(0.05)
    raise AssertionError(f"the node is not served:\n{log.read_text()}")


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    finally:
        process.kill()
        process.wait(10)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("node_client")
    example, node, client, card = (
        folder / name for name in ("example", "zhejiang", "hunan", "zhejiang.json")
    )
    example.mkdir()
    shutil.copy(EXAMPLE / "scheme.toml", example)
    (example / "access.toml").write_text(GRANT)
    ports = [free_port() for _ in range(3)]
    listen, operator, metrics = (f"127.0.0.1:{port}" for port in ports)
    addresses = ["--listen", listen, "--operator", operator, "--metrics", metrics]
    federation = ["--federation-secret", "new", "--epoch", EPOCH]
    gateway("init", node, "--id", "zhejiang", *federation, *addresses, "--example", example)
    gateway("records", "import", RECORDS, "--node", node)
    gateway("card", "--node", node, "--out", card)
    impostor = folder / "hainan"  # accepted too, and its TLS leaf says that it is hunan
    for who, options in ((client, []), (impostor, ["--leaf-id", "hunan"])):
        fingerprint = peer("make-identity", who, "--id", who.name, *options)["fingerprint"]
        gateway("peers", "add", who / "card.json", "--fingerprint", fingerprint, "--node", node)
    log = folder / "node.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli.main", "serve", "--node", str(node)],
            stdout=output,
            stderr=output,
        )
        try:
            wait_until_served(process, node, ports[0], log)
            yield Pair(node, client, impostor, card)
        finally:
            stop(process)


def held(learner: str) -> dict[str, str]:
    with RECORDS.open(newline="", encoding="utf-8") as rows:
        return {
            row["record_id"]: row["title"] for row in csv.DictReader(rows) if row["learner_id"] == learner
        }


def test_the_library_checks_itself() -> None:
    run("node", "--test", HERE / "peer.test.mjs")


def test_echo_states_grants_card_and_epochs(pair: Pair) -> None:
    echo = peer("echo", "--dir", pair.client, "--peer-card", pair.card)
    assert echo == {
        "outcome": "OK",
        "same_content": True,
        "accepted_card_serial": 1,
        "federation_epochs": [EPOCH],
        "grants": ["employment", "admission", "personal-archive"],
    }


def test_records_come_signed_and_provably_logged(pair: Pair) -> None:
    answer = pair.query()
    assert answer["outcome"] == "OK", answer
    assert dict(zip(answer["record_ids"], answer["titles"], strict=True)) == held(LEARNER)
    assert answer["records"] == len(held(LEARNER)) > 0
    assert answer["receipt_verified"] is True


def test_a_learner_about_whom_nothing_is_held_is_an_ordinary_answer(pair: Pair) -> None:
    answer = pair.query(learner=NOBODY)
    assert (answer["outcome"], answer["records"], answer["receipt_verified"]) == ("OK", 0, True)


def test_a_retry_gets_the_same_body_and_a_log_entry_of_its_own(pair: Pair) -> None:
    again = pair.query("--retry")
    first = again["first"]
    assert isinstance(first, dict)
    assert (first["outcome"], again["outcome"]) == ("OK", "OK")
    assert again["body_digest"] == first["body_digest"]
    assert again["leaf_index"] == first["leaf_index"] + 1


@pytest.mark.parametrize(
    ("options", "reason", "metadata"),
    [
        (["--fault", "audience"], "WRONG_AUDIENCE", {"audience": "zhejiang"}),
        (
            ["--fault", "method"],
            "WRONG_METHOD",
            {"method": "/creditexchange.v1.RecordExchangeService/QueryRecords"},
        ),
        (
            ["--fault", "version"],
            "UNSUPPORTED_VERSION",
            {"version": "9", "oldestAccepted": "1", "newestAccepted": "1"},
        ),
        (["--fault", "window"], "WINDOW_TOO_LONG", {"windowSeconds": "660", "windowSecondsMax": "120"}),
        (["--fault", "unknown-purpose"], "UNKNOWN_PURPOSE", {}),
        (["--fault", "no-purpose"], "UNKNOWN_PURPOSE", {}),
        (["--fault", "unknown-kind"], "UNKNOWN_KIND", {}),
        (["--fault", "unknown-epoch"], "UNKNOWN_EPOCH", {"epoch": EPOCH}),
        (["--fault", "two-subjects"], "TOO_MANY_SUBJECTS", {"subjectsMax": "1"}),
        (["--fault", "unknown-field"], "MALFORMED_MESSAGE", {"field": "body"}),
        (["--legal-basis", "consent"], "CONSENT_REQUIRED", {}),
        (["--fault", "wrong-root"], "COMMITMENT_MISMATCH", {}),
        (["--fault", "wrong-opening"], "COMMITMENT_MISMATCH", {}),
        (["--purpose", "qualification-check"], "PURPOSE_NOT_GRANTED", {"purpose": "qualification-check"}),
        (["--purpose", "admission", "--kinds", "course"], "KIND_NOT_GRANTED", {"kind": "course"}),
        (["--purpose", "personal-archive", "--kinds", "degree"], "CONSENT_REQUIRED", {}),
    ],
)
def test_a_refusal_after_authentication_is_signed_and_logged(
    pair: Pair, options: list[str], reason: str, metadata: dict[str, str]
) -> None:
    refusal = pair.query(*options)
    assert (refusal["outcome"], refusal.get("metadata")) == (reason, metadata), refusal
    assert refusal["signed"] is True
    assert refusal["receipt_verified"] is True


@pytest.mark.parametrize(("fault", "reason"), [("skew", "CLOCK_SKEW"), ("expired", "MESSAGE_EXPIRED")])
def test_a_wrong_clock_is_told_by_how_much(pair: Pair, fault: str, reason: str) -> None:
    refusal = pair.query("--fault", fault)
    assert (refusal["outcome"], refusal["signed"], refusal["receipt_verified"]) == (reason, True, True), (
        refusal
    )
    metadata = refusal["metadata"]
    assert isinstance(metadata, dict)
    assert metadata.keys() == {"skewSeconds", "toleratedSeconds", "serverTime"}
    assert abs(int(metadata["skewSeconds"])) > 500
    assert metadata["toleratedSeconds"] == "30"


@pytest.mark.parametrize(
    ("fault", "reason"), [("replay", "REPLAYED_MESSAGE"), ("conflict", "EXCHANGE_CONFLICT")]
)
def test_the_second_message_is_refused(pair: Pair, fault: str, reason: str) -> None:
    refusal = pair.query("--fault", fault)
    first = refusal["first"]
    assert isinstance(first, dict)
    assert first["outcome"] == "OK", refusal
    assert (refusal["outcome"], refusal["signed"], refusal["receipt_verified"]) == (reason, True, True), (
        refusal
    )


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("flip-signature", "INVALID_SIGNATURE"),
        ("flip-payload", "INVALID_SIGNATURE"),
        ("sender", "PEER_IDENTITY_MISMATCH"),
        ("no-deadline", "DEADLINE_MISSING"),
        ("payload-type", "WRONG_PAYLOAD_TYPE"),
        ("message-id", "MALFORMED_MESSAGE"),
    ],
)
def test_a_refusal_before_authentication_is_not_signed(pair: Pair, fault: str, reason: str) -> None:
    refusal = pair.query("--fault", fault)
    assert (refusal["outcome"], refusal["signed"], refusal["receipt_verified"]) == (reason, False, False), (
        refusal
    )


def test_nobody_answers_to_a_node_whose_card_was_not_accepted(pair: Pair, tmp_path: Path) -> None:
    stranger = tmp_path / "hubei"
    peer("make-identity", stranger, "--id", "hubei")
    echo = peer("echo", "--dir", stranger, "--peer-card", pair.card)
    assert echo["outcome"] in {"UNREACHABLE", "UNKNOWN_PEER"}, echo


def test_a_leaf_that_one_peers_ca_issued_in_anothers_name_proves_nothing(pair: Pair) -> None:
    echo = peer("echo", "--dir", pair.impostor, "--peer-card", pair.card)
    assert (echo["outcome"], echo["signed"]) == ("UNKNOWN_PEER", False), echo
