"""Several worker processes serve one node: nothing is answered twice, lost, or served by a stranger."""

from __future__ import annotations

import json
import os
import re
import signal
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from creditexchange.v1 import archive_pb2
from gateway.clock import monotonic_s, system_clock
from gateway.errors import GatewayError
from gateway.exchange.asking.compose import compose, token_for
from gateway.exchange.asking.verify import verify_answer
from gateway.node.assemble import Node, assemble
from gateway.node.lock import find_announced
from gateway.policy.purposes import LEGAL_BASES, PURPOSES
from gateway.rpc.local_clients import ArchiveClient
from gateway.storage.driver_sql import execute
from gateway.storage.engine import open_engine, writing
from tests.postgres import fresh_database
from tests.processes.provinces import DEMO_LEARNER, ProcessNode, cli, introduce, make_node, question_to

WORKERS = 3


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ProcessNode, ProcessNode]]:
    """Zhejiang, which asks, and Shanghai on PostgreSQL with several workers."""
    parent = tmp_path_factory.mktemp("workers")
    with fresh_database() as url:
        zhejiang = make_node(parent, "zhejiang", records=False)
        shanghai = make_node(parent, "shanghai", secret_from=zhejiang, database=url)
        with shanghai.folder.access.open("a", encoding="utf-8") as access:
            access.write('\n[[rate]]\npeer = "zhejiang"\ncalls_per_second = 100000\n')
        introduce(zhejiang, shanghai)
        shanghai.start("--workers", str(WORKERS))
        wait_for(lambda: workers_of(shanghai) == WORKERS, shanghai)
        yield zhejiang, shanghai
        shanghai.close()


@pytest.fixture(scope="module")
def asker(pair: tuple[ProcessNode, ProcessNode]) -> Iterator[Node]:
    node = assemble(pair[0].folder, system_clock)
    yield node
    node.close()


def page_of(node: ProcessNode) -> str:
    with urllib.request.urlopen(f"http://{node.config.listen.metrics}/metrics", timeout=10) as page:
        return page.read().decode()


def workers_of(node: ProcessNode) -> int:
    return int(float(re.search(r"^credit_gateway_workers (\S+)", page_of(node), re.MULTILINE)[1]))


def wait_for(holds, node: ProcessNode, seconds: float = 40) -> None:
    end_s = monotonic_s() + seconds
    while not holds():
        assert monotonic_s() < end_s, node.log_text
        time.sleep(0.05)


def worker_pids(node: ProcessNode) -> dict[int, int]:
    """The newest process of each slot, as the log tells."""
    started = (json.loads(line) for line in node.log_text.splitlines() if '"worker started"' in line)
    return {event["worker"]: event["pid"] for event in started}


def request_from(node: Node, sequence: int):
    peer = node.snapshot.roster.peers["shanghai"]
    question = question_to(peer)
    token = token_for(question, node.snapshot)
    return compose(question, peer, token, sequence, node.snapshot, checkpoint="", now=system_clock())


def outcome_of(asker: ProcessNode, answerer: ProcessNode, request: bytes) -> tuple[str, bytes]:
    try:
        return "OK", asker.send(answerer, request)
    except grpc.RpcError as error:
        return error.code().name, b""


def log_of(node: ProcessNode) -> list[dict]:
    done = cli("audit", "show", "--node", str(node.folder.root), "--last", "1000", "--output", "json")
    return json.loads(done.stdout)


def test_a_message_raced_on_all_workers_is_answered_once(pair, asker: Node) -> None:
    zhejiang, shanghai = pair
    request = request_from(asker, 1)
    with ThreadPoolExecutor(24) as pool:  # a connection each: the kernel spreads them over the workers
        outcomes = list(pool.map(lambda _: outcome_of(zhejiang, shanghai, request.request), range(24)))
    counted = Counter(name for name, _ in outcomes)
    assert counted["OK"] == 1, counted
    (answer,) = [answer for name, answer in outcomes if name == "OK"]
    assert verify_answer(request, answer, asker.snapshot, system_clock()).content.records
    answered = re.findall(
        r'credit_gateway_exchanges_total\{.*outcome="(?:OK|REPLAYED_MESSAGE)".*worker="(\d)"',
        page_of(shanghai),
    )
    assert len(set(answered)) > 1, "the race was run on one worker only"
    lines = [json.loads(line) for line in shanghai.log_text.splitlines() if line.startswith("{")]
    assert {line["worker"] for line in lines if line["event"] == "exchange"} == set(map(int, answered))


def test_workers_append_to_one_log_and_a_crash_costs_only_what_it_had_in_hand(pair, asker: Node) -> None:
    zhejiang, shanghai = pair
    before = worker_pids(shanghai)
    requests = [request_from(asker, 100 + at) for at in range(150)]
    killed = before[1]

    def send(at: int) -> tuple[str, bytes]:
        if at == 40:
            os.kill(killed, signal.SIGKILL)
        return outcome_of(zhejiang, shanghai, requests[at].request)

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(send, range(len(requests))))
    lost = [name for name, _ in outcomes if name != "OK"]
    assert set(lost) <= {"UNAVAILABLE"}, lost
    assert len(lost) <= 8, lost
    acknowledged = {
        verify_answer(request, answer, asker.snapshot, system_clock()).receipt.leaf_index
        for request, (name, answer) in zip(requests, outcomes, strict=True)
        if name == "OK"
    }
    assert len(acknowledged) == len(requests) - len(lost)
    wait_for(lambda: workers_of(shanghai) == WORKERS, shanghai)
    after = worker_pids(shanghai)
    assert after[1] != killed
    assert {slot: pid for slot, pid in after.items() if slot != 1} == {
        slot: pid for slot, pid in before.items() if slot != 1
    }
    assert 'credit_gateway_worker_restarts_total{worker="1"} 1.0' in page_of(shanghai)
    assert acknowledged <= {entry["index"] for entry in log_of(shanghai)}
    cli("audit", "verify", "--node", str(shanghai.folder.root))


def test_an_application_is_told_why_as_long_as_the_database_fails_and_goes_on_afterwards(pair) -> None:
    """All its calls go to one worker, over one connection, on which gRPC allows 32 at once."""
    _, shanghai = pair
    found = find_announced(shanghai.folder)
    assert found is not None
    client = ArchiveClient(found[0].operator, found[1])
    asked = archive_pb2.SearchRecordsRequest(
        learner_identifier=DEMO_LEARNER,
        purpose=PURPOSES["employment"],
        legal_basis=LEGAL_BASES["statutory-duty"],
        peers=["zhejiang"],
        deadline_ms=1000,
    )
    database = open_engine(shanghai.config.database.url)
    with writing(database) as transaction:
        execute(transaction, "ALTER TABLE pair_sequence RENAME TO gone")
    told = Counter()
    for _ in range(80):
        with pytest.raises(GatewayError) as error:
            client.search(asked)
        told[error.value.message] += 1
    with writing(database) as transaction:
        execute(transaction, "ALTER TABLE gone RENAME TO pair_sequence")
    database.dispose()
    assert told == {"the node did not do it: the exchange could not be logged durably.": 80}
    assert shanghai.log_text.count('"a local call failed"') == 80
    (result,) = client.search(asked).peers
    assert result.outcome in ("UNREACHABLE", "PEER_LEFT_ALONE")  # it asks again; Zhejiang does not serve
    client.close()


def test_the_supervisor_has_no_grpc_and_its_port_is_nobody_elses(pair) -> None:
    _, shanghai = pair
    maps = Path(f"/proc/{shanghai.process.pid}/maps").read_text()
    assert "cygrpc" not in maps
    assert "cygrpc" in Path(f"/proc/{worker_pids(shanghai)[0]}/maps").read_text()
    second = cli("serve", "--node", str(shanghai.folder.root), "--workers", "2", check=2)
    assert "another process works on" in second.stderr


def test_sqlite_is_served_by_one_process(pair) -> None:
    zhejiang, _ = pair
    refused = cli("serve", "--node", str(zhejiang.folder.root), "--workers", "2", check=2)
    assert "[database] url is SQLite" in refused.stderr
    assert "storage migrate" in refused.stderr


def test_all_workers_drain_and_end_with_the_supervisor(pair, asker: Node) -> None:
    zhejiang, shanghai = pair
    requests = [request_from(asker, 1000 + at) for at in range(60)]
    with ThreadPoolExecutor(6) as pool:
        sent = [pool.submit(outcome_of, zhejiang, shanghai, r.request) for r in requests]
        sent[5].result()
        pids = worker_pids(shanghai)
        assert shanghai.stop() == 0
        begun = [future for future in sent if not future.cancel()]
        lost = {name for name, _ in (future.result() for future in begun)} - {"OK"}
    # CANCELLED: it reached a server in the moment in which that ended, too late to be refused
    assert lost <= {"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"}, lost
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())
    cli("audit", "verify", "--node", str(shanghai.folder.root))
    shanghai.start("--workers", str(WORKERS))
    os.kill(shanghai.process.pid, signal.SIGKILL)  # no supervisor any more: its workers drain by themselves
    shanghai.process.wait()
    pids = worker_pids(shanghai)
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids.values()), shanghai)
