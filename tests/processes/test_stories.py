"""Stories over real processes: gRPC, mutual TLS, databases on disk, signals."""

import json
import os
import signal
import sqlite3
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from creditexchange.v1.exchange_pb2 import QueryRecordsResponse, RecordAnswer
from gateway.audit.commitment import SUBJECT_TOKEN, commitments_root, open_items
from gateway.clock import monotonic_s, system_clock
from gateway.learners.subject_token import subject_token
from tests.federation.simulator import draft
from tests.postgres import fresh_database
from tests.processes.provinces import DEMO_LEARNER, EXAMPLES, ProcessNode, cli, introduce, make_node


@pytest.fixture(scope="module")
def provinces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ProcessNode]]:
    parent = tmp_path_factory.mktemp("provinces")
    zhejiang = make_node(parent, "zhejiang")
    nodes = [zhejiang, *(make_node(parent, i, secret_from=zhejiang) for i in ("shanghai", "jiangsu"))]
    introduce(*nodes)
    for node in nodes:
        node.start()
    yield {node.node_id: node for node in nodes}
    for node in nodes:
        node.close()


def signed_query(asker: ProcessNode, answerer: ProcessNode, sequence: int = 1) -> bytes:
    """A correct query about the demo learner, as the asker's own key signs it."""
    made = draft(asker.node_id, answerer.node_id, system_clock(), DEMO_LEARNER)
    openings = open_items(SUBJECT_TOKEN, [subject_token(asker.secret, "resident-id", DEMO_LEARNER)])
    made.openings = openings
    made.body.subjects_root = commitments_root(openings)
    made.query.header.pair_sequence = sequence

    class Keys:
        from gateway.node.folder import load_keys

        message_key = load_keys(asker.folder, asker.config).message

    return made.signed(Keys)


def reason_of(error: grpc.RpcError) -> str:
    info = error_details_pb2.ErrorInfo()
    for detail in rpc_status.from_call(error).details:
        detail.Unpack(info)
    return info.reason


def refusal(asker: ProcessNode, answerer: ProcessNode, request: bytes) -> str:
    with pytest.raises(grpc.RpcError) as error:
        asker.send(answerer, request)
    return reason_of(error.value)


def show(node: ProcessNode, *arguments: str) -> list[dict]:
    done = cli("audit", "show", "--node", str(node.folder.root), "--output", "json", *arguments)
    return json.loads(done.stdout)


def test_a_query_finds_records_of_two_other_provinces_in_three_forms(provinces) -> None:
    found = provinces["zhejiang"].query()
    assert found["learner"] == "990*************28"
    assert {p["id"]: p["outcome"] for p in found["peers"]} == {"shanghai": "OK", "jiangsu": "OK"}
    assert all(p["receipt_verified"] for p in found["peers"])
    assert {source for r in found["records"] for source in r["source"]} == {"shanghai", "jiangsu"}
    course = next(r for r in found["records"] if r["kind"] == "course")
    assert course["original"]["credits"][0]["value"]
    assert course["shared"]["credits"][0]["study_hours"]
    assert course["local"]["credits"][0]["unit"] == "zhejiang/credit"
    assert course["local"]["grade"]["value"]
    assert course["trace"]["shared"]
    assert course["trace"]["local"]
    assert course["signed_by"][0].startswith("sha256:")
    levels = [level for r in found["records"] for level in r["local"]["levels"]]
    assert any(level["value"] for level in levels)


def test_a_node_that_does_not_serve_can_ask_too(provinces, tmp_path: Path) -> None:
    zhejiang = provinces["zhejiang"]
    assert zhejiang.stop() == 0
    try:
        assert {p["outcome"] for p in zhejiang.query()["peers"]} == {"OK"}
    finally:
        zhejiang.start()


def test_who_holds_something_is_found_without_a_record(provinces) -> None:
    asked = (
        "--node",
        str(provinces["zhejiang"].folder.root),
        "--learner",
        DEMO_LEARNER,
        "--purpose",
        "employment",
    )

    found = json.loads(cli("locate", *asked, "--output", "json").stdout)
    again = json.loads(cli("locate", *asked, "--until-found", "--output", "json").stdout)

    holders = {each["peer"] for each in found if each["holds"]}
    assert holders
    assert all(each["outcome"] == "OK" and each["receipt_verified"] for each in found)
    asked_now = [each for each in again if each["outcome"] == "OK"]
    assert asked_now[-1]["peer"] in holders
    assert {each["outcome"] for each in again} <= {"OK", "NOT_ASKED"}


def test_a_revoked_record_is_told_to_who_was_given_it(provinces) -> None:
    zhejiang, shanghai = provinces["zhejiang"], provinces["shanghai"]
    asked = ("--node", str(zhejiang.folder.root), "--learner", DEMO_LEARNER, "--purpose", "employment")
    found = json.loads(cli("query", *asked, "--peer", "shanghai", "--output", "json").stdout)
    record_id = found["records"][0]["record_id"]
    at_shanghai = ("--node", str(shanghai.folder.root))

    cli("records", "revoke", record_id, "--reason", "withdrawn", *at_shanghai)

    heard: list[dict] = []
    ends_at = monotonic_s() + 30
    while not heard and monotonic_s() < ends_at:
        heard = json.loads(cli("changes", "--node", str(zhejiang.folder.root), "--output", "json").stdout)
    assert {(each["record"], each["state"]) for each in heard} == {(record_id, "revoked")}
    assert found["peers"][0]["exchange_id"] in {each["exchange"] for each in heard}
    cli("records", "restore", record_id, *at_shanghai)


def test_a_replayed_message_is_refused_also_after_kill_and_restart(provinces) -> None:
    zhejiang, shanghai = provinces["zhejiang"], provinces["shanghai"]
    request = signed_query(zhejiang, shanghai, 1000)
    assert QueryRecordsResponse.FromString(zhejiang.send(shanghai, request)).openings
    assert refusal(zhejiang, shanghai, request) == "REPLAYED_MESSAGE"
    shanghai.kill()
    shanghai.start()
    assert refusal(zhejiang, shanghai, request) == "REPLAYED_MESSAGE"


def test_a_message_sent_to_another_node_is_refused(provinces) -> None:
    request = signed_query(provinces["zhejiang"], provinces["shanghai"])
    assert refusal(provinces["zhejiang"], provinces["jiangsu"], request) == "WRONG_AUDIENCE"


def test_a_flipped_bit_is_refused(provinces) -> None:
    zhejiang, jiangsu = provinces["zhejiang"], provinces["jiangsu"]
    request = bytearray(signed_query(zhejiang, jiangsu))
    request[60] ^= 1
    assert refusal(zhejiang, jiangsu, bytes(request)) in (
        "INVALID_SIGNATURE",
        "MALFORMED_MESSAGE",
        "UNKNOWN_KEY",
    )


def test_every_answer_that_arrived_is_in_the_log_after_kill_9(provinces) -> None:
    zhejiang, jiangsu = provinces["zhejiang"], provinces["jiangsu"]
    arrived: list[tuple[bytes, int]] = []
    stop = threading.Event()
    enough = threading.Event()

    def ask_until_it_dies(worker: int) -> None:
        channel = zhejiang.channel_to(jiangsu)
        call = channel.unary_unary("/creditexchange.v1.RecordExchangeService/QueryRecords")
        while not stop.is_set():
            request = signed_query(zhejiang, jiangsu, 2000 + worker)
            try:
                response = QueryRecordsResponse.FromString(call(request, timeout=10))
            except grpc.RpcError:
                return
            answer = RecordAnswer.FromString(response.message.payload)
            arrived.append((answer.header.exchange_id, answer.receipt.leaf_index))
            if len(arrived) >= 40:
                enough.set()

    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(ask_until_it_dies, n) for n in range(4)]
        assert enough.wait(60)
        jiangsu.kill()
        stop.set()
        for worker in workers:
            worker.result()
    cli("audit", "verify", "--node", str(jiangsu.folder.root))
    with sqlite3.connect(jiangsu.folder.root / "data" / "node.db") as database:
        leaves = dict(database.execute("SELECT idx, leaf FROM audit_entry"))
    for exchange_id, index in arrived:
        assert json.loads(leaves[index])["exchange_id"] == exchange_id.hex()
    jiangsu.start()


def test_one_altered_byte_is_found_and_named(provinces, tmp_path: Path) -> None:
    shanghai = provinces["shanghai"]
    for _ in range(2):
        provinces["zhejiang"].query("--peer", "shanghai")
    shanghai.stop()
    file = shanghai.folder.root / "data" / "node.db"
    kept = {path: path.read_bytes() for path in file.parent.glob("node.db*")}
    try:
        with sqlite3.connect(file) as database:
            index, leaf = database.execute(
                "SELECT idx, leaf FROM audit_entry ORDER BY idx LIMIT 1 OFFSET 1"
            ).fetchone()
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        content = file.read_bytes()
        at = content.index(leaf)
        file.write_bytes(content[: at + 30] + bytes([content[at + 30] ^ 1]) + content[at + 31 :])
        done = cli("audit", "verify", "--node", str(shanghai.folder.root), check=1)
        assert f"entry {index}" in done.stdout + done.stderr
    finally:
        for path in file.parent.glob("node.db*"):
            path.unlink()
        for path, content in kept.items():
            path.write_bytes(content)
        shanghai.start()
    cli("audit", "verify", "--node", str(shanghai.folder.root))


def test_both_sides_show_the_exchange(provinces) -> None:
    zhejiang, shanghai = provinces["zhejiang"], provinces["shanghai"]
    exchange = zhejiang.query("--peer", "shanghai")["peers"][0]["exchange_id"]
    mine = [e for e in show(zhejiang, "--last", "20") if e["exchange_id"] == exchange]
    theirs = [e for e in show(shanghai, "--last", "20") if e["exchange_id"] == exchange]
    assert len(mine) == len(theirs) == 1
    assert mine[0]["answer_digest"] == theirs[0]["answer_digest"]


def test_a_dead_peer_is_named_and_the_others_answer(provinces) -> None:
    zhejiang, shanghai = provinces["zhejiang"], provinces["shanghai"]
    shanghai.stop()
    try:
        found = zhejiang.query(check=1)
        outcomes = {p["id"]: p["outcome"] for p in found["peers"]}
        assert outcomes["jiangsu"] == "OK"
        assert outcomes["shanghai"] in ("UNREACHABLE", "NO_ANSWER")
        assert "peers check" in next(p["reason"] for p in found["peers"] if p["id"] == "shanghai")
        cli("peers", "check", "shanghai", "--node", str(zhejiang.folder.root), check=1)
    finally:
        shanghai.start()


def test_a_drain_under_load_loses_no_accepted_call(provinces) -> None:
    zhejiang, jiangsu = provinces["zhejiang"], provinces["jiangsu"]
    failures: list[str] = []
    given: set[str] = set()
    answered = threading.Semaphore(0)
    entries_before = len(show(jiangsu, "--last", "100000"))

    def ask_until_refused(worker: int) -> int:
        channel = zhejiang.channel_to(jiangsu)
        call = channel.unary_unary("/creditexchange.v1.RecordExchangeService/QueryRecords")
        count = 0
        while True:
            request = signed_query(zhejiang, jiangsu, 3000 + worker)
            try:
                response = QueryRecordsResponse.FromString(call(request, timeout=20))
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    failures.append(f"{error.code()}: {error.details()}")
                return count
            given.add(RecordAnswer.FromString(response.message.payload).header.exchange_id.hex())
            count += 1
            answered.release()

    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(ask_until_refused, n) for n in range(4)]
        for _ in range(20):
            assert answered.acquire(timeout=30)
        assert jiangsu.stop() == 0
        counts = [worker.result() for worker in workers]
    jiangsu.start()
    assert not failures
    assert sum(counts) >= 20
    logged = {
        e["exchange_id"] for e in show(jiangsu, "--last", "100000")[entries_before:] if e["outcome"] == "OK"
    }
    assert logged == given  # whatever was accepted was also answered


def test_metrics_health_and_reflection_are_where_they_belong(provinces) -> None:
    shanghai = provinces["shanghai"]
    provinces["zhejiang"].query("--peer", "shanghai")
    with urllib.request.urlopen(f"http://{shanghai.config.listen.metrics}/metrics", timeout=10) as page:
        text = page.read().decode()
    assert (
        'credit_gateway_exchanges_total{direction="answering",method="QueryRecords",outcome="OK",peer="zhejiang"}'
        in text
    )
    assert DEMO_LEARNER not in text
    assert "credit_gateway_certificate_expiry_timestamp_seconds" in text
    with grpc.insecure_channel(shanghai.config.listen.operator) as channel:
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        (reply,) = list(stub.ServerReflectionInfo(iter([request]), timeout=10))
        assert "creditexchange.v1.ArchiveService" in {s.name for s in reply.list_services_response.service}


def test_the_operator_port_wants_its_token(provinces) -> None:
    with grpc.insecure_channel(provinces["shanghai"].config.listen.operator) as channel:
        call = channel.unary_unary("/creditexchange.v1.ArchiveService/SearchRecords")
        for metadata in ((), (("authorization", "Bearer wrong"),)):
            with pytest.raises(grpc.RpcError) as error:
                call(b"", timeout=10, metadata=metadata)
            assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_nothing_that_a_node_writes_names_the_learner(provinces) -> None:
    provinces["zhejiang"].query()
    token = subject_token(provinces["zhejiang"].secret, "resident-id", DEMO_LEARNER)
    for node in provinces.values():
        assert DEMO_LEARNER not in node.log_text
        assert token.hex() not in node.log_text
        for file in node.folder.root.rglob("*"):
            if file.is_file() and "records" not in file.parts:
                content = file.read_bytes()
                assert DEMO_LEARNER.encode() not in content, file
                assert token not in content or file.name.startswith("records.db"), file


def test_a_second_process_on_the_same_node_is_refused(provinces) -> None:
    done = cli("serve", "--node", str(provinces["shanghai"].folder.root), check=2)
    assert "another process works on" in done.stderr


def test_a_port_in_use_is_named(provinces, tmp_path: Path) -> None:
    stranger = make_node(tmp_path, "anhui", secret_from=provinces["zhejiang"], records=False)
    taken = provinces["shanghai"].config.listen.peers
    text = stranger.folder.config.read_text(encoding="utf-8")
    stranger.folder.config.write_text(text.replace(stranger.config.listen.peers, taken), encoding="utf-8")
    done = cli("serve", "--node", str(stranger.folder.root), check=2)
    assert taken in done.stderr


def test_a_key_that_others_can_read_stops_the_start(tmp_path: Path) -> None:
    node = make_node(tmp_path, "anhui", records=False)
    node.folder.key("message.pem").chmod(0o644)
    for command in ("serve", "check"):
        done = cli(command, "--node", str(node.folder.root), check=2)
        assert "mode 0644" in done.stderr + done.stdout


def test_a_running_node_keeps_its_last_good_state(provinces) -> None:
    shanghai = provinces["shanghai"]
    before = shanghai.folder.access.read_text(encoding="utf-8")
    try:
        shanghai.folder.access.write_text("[[grant", encoding="utf-8")
        wait_for(shanghai, "changed configuration refused")
        assert provinces["zhejiang"].query("--peer", "shanghai")["peers"][0]["outcome"] == "OK"
        shanghai.folder.access.write_text("", encoding="utf-8")
        wait_for(shanghai, "changed configuration taken up")
        found = provinces["zhejiang"].query("--peer", "shanghai", check=1)
        assert found["peers"][0]["outcome"] == "PURPOSE_NOT_GRANTED"
    finally:
        shanghai.folder.access.write_text(before, encoding="utf-8")
        os.kill(shanghai.process.pid, signal.SIGHUP)
    wait_for(shanghai, "changed configuration taken up", times=2)
    assert provinces["zhejiang"].query("--peer", "shanghai")["peers"][0]["outcome"] == "OK"


def test_signals_in_quick_succession_do_no_harm(provinces) -> None:
    """A handler that took a lock would wait for itself when the next signal interrupts it."""
    shanghai = provinces["shanghai"]
    for _ in range(3_000):
        os.kill(shanghai.process.pid, signal.SIGHUP)
    assert provinces["zhejiang"].query("--peer", "shanghai")["peers"][0]["outcome"] == "OK"
    assert shanghai.process.poll() is None


def befriend(new: ProcessNode, running: ProcessNode) -> None:
    """Introduce a new node to a running one and wait until it has taken that up."""
    mark = f'"peers": ["{new.node_id}"'
    before = running.log_text.count(mark)
    introduce(new, running)
    wait_for(running, mark, times=before + 1)


def wait_for(node: ProcessNode, text: str, times: int = 1) -> None:
    """Nudge the node until its log says ``text``; fails after 30 s."""
    end_s = monotonic_s() + 30
    while node.log_text.count(text) < times:
        assert monotonic_s() < end_s, node.log_text
        os.kill(node.process.pid, signal.SIGHUP)
        threading.Event().wait(0.05)


def test_check_finds_nothing_wrong_with_a_good_node(provinces) -> None:
    done = cli("check", "--node", str(provinces["jiangsu"].folder.root), "--output", "json")
    assert {f["state"] for f in json.loads(done.stdout)} <= {"ok", "note"}


def test_a_node_survives_a_database_that_cannot_be_written(tmp_path: Path, provinces) -> None:
    zhejiang = provinces["zhejiang"]
    anhui = make_node(tmp_path, "anhui", secret_from=zhejiang)
    befriend(anhui, zhejiang)
    anhui.start()
    try:
        assert zhejiang.query("--peer", "anhui")["peers"][0]["outcome"] == "OK"
        with sqlite3.connect(anhui.folder.root / "data" / "node.db", isolation_level=None) as database:
            database.execute("PRAGMA busy_timeout=5000")
            database.execute("BEGIN IMMEDIATE")  # somebody else holds the write lock
            request = signed_query(zhejiang, anhui, 5000)
            with pytest.raises(grpc.RpcError) as error:
                zhejiang.send(anhui, request, timeout=25)
            assert reason_of(error.value) == "AUDIT_UNAVAILABLE"
            database.execute("ROLLBACK")
        assert zhejiang.query("--peer", "anhui")["peers"][0]["outcome"] == "OK"
        cli("audit", "verify", "--node", str(anhui.folder.root))
    finally:
        anhui.close()
        cli("peers", "remove", "anhui", "--yes", "--node", str(zhejiang.folder.root))


def test_the_commands_of_the_readme_make_a_node(tmp_path: Path) -> None:
    one, two = tmp_path / "hunan", tmp_path / "hubei"
    cli("init", str(one), "--id", "hunan", "--federation-secret", "new")
    secret = one / "keys" / "federation-1.secret"
    cli(
        "init",
        str(two),
        "--id",
        "hubei",
        "--federation-secret",
        str(secret),
        "--listen",
        "127.0.0.1:17543",
        "--operator",
        "127.0.0.1:17544",
        "--metrics",
        "127.0.0.1:17545",
    )
    again = cli("init", str(one), "--id", "hunan", "--federation-secret", str(secret))
    assert "created" not in again.stdout
    done = cli("card", "--node", str(two), "--out", str(tmp_path / "hubei.json"))
    fingerprint = done.stderr.splitlines()[0].split(":", 1)[1].strip()
    assert cli("card", "--node", str(two), "--out", str(tmp_path / "same.json")).stderr == done.stderr
    wrong = "0" * 64
    refused = cli(
        "peers", "add", str(tmp_path / "hubei.json"), "--fingerprint", wrong, "--node", str(one), check=2
    )
    assert "Do not accept it" in refused.stderr
    assert json.loads(cli("peers", "list", "--node", str(one), "--output", "json").stdout) == []
    cli("peers", "add", str(tmp_path / "hubei.json"), "--fingerprint", fingerprint, "--node", str(one))
    assert [
        p["id"] for p in json.loads(cli("peers", "list", "--node", str(one), "--output", "json").stdout)
    ] == ["hubei"]
    cli("check", "--node", str(one))
    cli("peers", "remove", "hubei", "--yes", "--node", str(one))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("query", "--node", "{node}", "--learner", "123", "--purpose", "employment"), "18 characters"),
        (
            ("query", "--node", "{node}", "--learner", DEMO_LEARNER, "--purpose", "fun"),
            "unknown purpose 'fun'",
        ),
        (
            (
                "query",
                "--node",
                "{node}",
                "--learner",
                DEMO_LEARNER,
                "--purpose",
                "employment",
                "--kind",
                "x",
            ),
            "unknown kind",
        ),
        (
            (
                "query",
                "--node",
                "{node}",
                "--learner",
                DEMO_LEARNER,
                "--purpose",
                "employment",
                "--peer",
                "mars",
            ),
            "unknown peer 'mars'",
        ),
        (
            ("query", "--node", "/nowhere", "--learner", DEMO_LEARNER, "--purpose", "employment"),
            "no node's folder",
        ),
        (("peers", "add", "/nowhere.json", "--node", "{node}"), "No such file"),
        (("peers", "remove", "mars", "--yes", "--node", "{node}"), "Known peers"),
        (("init", "{node}", "--id", "No Id"), "no node id"),
        (("init", "{node}", "--id", "other"), "is the folder of node|another process"),
        (("records", "import", "/nowhere.csv", "--node", "{node}"), "No such file"),
        (("scheme", "check", "/nowhere.toml"), "missing"),
    ],
)
def test_wrong_use_is_explained(provinces, arguments: tuple[str, ...], complaint: str) -> None:
    import re

    node = str(provinces["shanghai"].folder.root)
    done = cli(*(a.format(node=node) for a in arguments), check=2)
    assert re.search(complaint, done.stderr), done.stderr
    assert DEMO_LEARNER not in done.stderr


def test_every_command_teaches() -> None:
    commands = [
        "",
        "init",
        "check",
        "serve",
        "card",
        "query",
        "demo",
        "peers add",
        "peers list",
        "peers check",
        "peers remove",
        "records import",
        "records list",
        "records export",
        "scheme check",
        "scheme explain",
        "audit show",
        "audit verify",
        "config schema",
    ]
    with ThreadPoolExecutor(2) as pool:
        texts = list(pool.map(lambda c: cli(*c.split(), "--help").stdout, commands))
    assert all("Usage" in text and len(text) > 150 for text in texts)


@pytest.mark.parametrize("file", ["node", "access", "scheme", "peer"])
def test_schemas_for_editors_are_json_schema(file: str) -> None:
    schema = json.loads(cli("config", "schema", file).stdout)
    assert schema["$schema"].endswith("2020-12/schema")
    assert schema["properties"]


def test_a_node_on_postgresql_answers_refuses_replays_and_verifies(tmp_path: Path, provinces) -> None:
    zhejiang = provinces["zhejiang"]
    with fresh_database() as url:
        anhui = make_node(tmp_path, "anhui", secret_from=zhejiang, records=False, database=url)
        folder = str(anhui.folder.root)
        files = [str(f) for f in sorted((EXAMPLES / "anhui" / "records").iterdir())]
        cli("records", "import", *files, "--node", folder)
        befriend(anhui, zhejiang)
        anhui.start()
        try:
            found = zhejiang.query("--peer", "anhui")
            assert found["peers"][0]["record_count"] == 3
            request = signed_query(zhejiang, anhui, 5000)
            zhejiang.send(anhui, request)
            assert refusal(zhejiang, anhui, request) == "REPLAYED_MESSAGE"
            cli("audit", "verify", "--node", folder)
            assert len(show(anhui)) == 3
        finally:
            anhui.close()
            cli("peers", "remove", "anhui", "--yes", "--node", str(zhejiang.folder.root))


def test_a_log_younger_than_its_keys_fences_off_old_messages(tmp_path: Path, provinces) -> None:
    zhejiang = provinces["zhejiang"]
    anhui = make_node(tmp_path, "anhui", secret_from=zhejiang, records=False)
    for file in (anhui.folder.root / "data").glob("node.db*"):
        file.unlink()  # the replay guard is lost; the keys are not
    cli("init", str(anhui.folder.root), "--id", "anhui")
    befriend(anhui, zhejiang)
    anhui.start()
    try:
        assert refusal(zhejiang, anhui, signed_query(zhejiang, anhui)) == "ISSUED_BEFORE_START"
    finally:
        anhui.close()
        cli("peers", "remove", "anhui", "--yes", "--node", str(zhejiang.folder.root))
