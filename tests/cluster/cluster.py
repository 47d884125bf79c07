"""`make cluster-test`: three gateway hosts, one PostgreSQL, nginx before them; hosts die and are cut off.

Needs root, network namespaces, nginx with its stream module and PostgreSQL of the system; so it is no
part of the default suite. What is asserted is what a peer would notice, and what an auditor would.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.audit import verify_log
from gateway.clock import monotonic_s
from gateway.node.folder import load_keys
from gateway.signing.signed_note import NoteSigner
from gateway.storage.engine import open_engine, reading
from tests.cluster.network import Host, Network, run
from tests.processes.provinces import ProcessNode, introduce, make_node

ROOT = Path(__file__).parents[2]
SYSCTLS = re.findall(
    r"^    sysctl -w (net\.\S+)$", (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8"), re.MULTILINE
)
NGINX = ROOT / "deploy" / "nginx" / "credit-gateway.conf"
ADDRESSES = {
    "balancer": "192.0.2.10",
    "one": "192.0.2.11",
    "two": "192.0.2.12",
    "three": "192.0.2.13",
    "database": "192.0.2.20",
    "peer": "192.0.2.30",
}
GATEWAYS = ("one", "two", "three")
CONNECTIONS = 9
AFTERWARDS = 100
"""Exchanges that are waited for after each event, enough to see what it cost."""
AT_ONCE_S = 0.1
"""What fails within this time was never sent, or had only just been, seconds."""
GONE_S = 1.0
"""How long after a host has gone a caller may still hand a call to its connection, seconds."""


def wait_for(holds: Callable[[], bool], told: Callable[[], str], seconds: float = 90) -> None:
    end_s = monotonic_s() + seconds
    while not holds():
        assert monotonic_s() < end_s, told()
        time.sleep(0.1)


class Cluster:
    """Shanghai on three hosts, and Zhejiang which asks it through the balancer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.network = Network(ADDRESSES, folder)
        self.hosts = self.network.hosts
        self.local_url = self._start_database()
        self.asker, self.answerer = self._make_nodes()
        for name in GATEWAYS:
            self.serve(name)
        for name in GATEWAYS:
            self.wait_until_serving(name)
        balancer = self.hosts["balancer"]
        # A host that is cut off says nothing: its connections are ended after some seconds.
        for setting in SYSCTLS:
            balancer.run("sysctl", "-q", "-w", setting)
        balancer.start(
            "nginx", "-e", "stderr", "-c", str(NGINX), "-g", f"daemon off; pid {folder}/nginx.pid;"
        )

    def _start_database(self) -> str:
        binaries = max(Path("/usr/lib/postgresql").glob("*/bin"))
        data = self.folder / "postgresql"
        data.mkdir()
        shutil.chown(data, "postgres", "postgres")
        as_postgres = ("runuser", "-u", "postgres", "--")
        run(*as_postgres, str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-U", "gateway")
        hba = (data / "pg_hba.conf").read_text() + "host all all 192.0.2.0/24 trust\n"
        (data / "pg_hba.conf").write_text(hba)
        database = self.hosts["database"]
        database.start(
            *(*as_postgres, str(binaries / "postgres"), "-D", str(data)),
            *("-c", f"listen_addresses={database.address}", "-c", f"unix_socket_directories={data}"),
        )
        admin = ("psql", "-h", str(data), "-U", "gateway", "-d", "postgres", "-c")
        wait_for(
            lambda: subprocess.run([*admin, "SELECT 1"], capture_output=True, check=False).returncode == 0,
            lambda: database.log_text,
        )
        run(*admin, "CREATE DATABASE shanghai")
        return f"postgresql+psycopg://gateway@/shanghai?host={data}"

    def _make_nodes(self) -> tuple[ProcessNode, ProcessNode]:
        asker = make_node(self.folder, "zhejiang", records=False)
        answerer = make_node(self.folder, "shanghai", secret_from=asker, database=self.local_url)
        config = answerer.folder.config.read_text(encoding="utf-8")
        answerer.folder.config.write_text(
            re.sub(r"^endpoints = .*$", 'endpoints = ["192.0.2.10:7443"]', config, flags=re.MULTILINE),
            encoding="utf-8",
        )
        with answerer.folder.access.open("a", encoding="utf-8") as access:
            access.write('\n[[rate]]\npeer = "zhejiang"\ncalls_per_second = 100000\n')
        introduce(asker, answerer)
        for name in GATEWAYS:  # each host has a copy of the folder; what it listens on is its own
            copied = self.folder / name
            shutil.copytree(answerer.folder.root, copied)
            text_ = answerer.folder.config.read_text(encoding="utf-8")
            for key, address in (
                ("peers", "0.0.0.0:7443"),
                ("operator", "127.0.0.1:7444"),
                ("metrics", "127.0.0.1:7445"),
            ):
                text_ = re.sub(rf'^{key} = "[^"]*"', f'{key} = "{address}"', text_, flags=re.MULTILINE)
            text_ = text_.replace(
                self.local_url, f"postgresql+psycopg://gateway@{ADDRESSES['database']}/shanghai"
            )
            (copied / "node.toml").write_text(text_, encoding="utf-8")
        return asker, answerer

    def serve(self, name: str) -> None:
        command = (sys.executable, "-m", "gateway.cli.main", "serve", "--node", str(self.folder / name))
        self.hosts[name].start(*command, "--workers", "2")

    def wait_until_serving(self, name: str, times: int = 2) -> None:
        host = self.hosts[name]
        wait_for(lambda: host.log_text.count('"worker serves"') >= times, lambda: host.log_text)

    def kill(self, name: str) -> None:
        """The machine loses its power: every process at once."""
        for pid in run("ip", "netns", "pids", self.hosts[name].namespace).split():
            run("kill", "-KILL", pid, check=False)

    def load(self, seconds: float) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.cluster.load", str(self.asker.folder.root), "shanghai"]
        with (self.folder / "load.jsonl").open("wb") as told, self.hosts["peer"].log.open("ab") as log:
            return subprocess.Popen(
                ["ip", "netns", "exec", "cg-peer", *command, str(seconds), str(CONNECTIONS)],
                stdout=told,
                stderr=log,
                cwd=ROOT,
            )

    def exchanges(self) -> list[dict]:
        lines = (self.folder / "load.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.endswith("}")]

    def wait_for_answers(self, count: int) -> None:
        """Until so many exchanges that begin from now on, and a little later, were answered."""
        start = time.time() + GONE_S

        def answered() -> int:
            return sum(e["outcome"] == "OK" and e["began"] > start for e in self.exchanges())

        wait_for(lambda: answered() >= count, lambda: self.hosts["peer"].log_text)

    def answered_by(self, name: str) -> float:
        page = self.hosts[name].run(
            sys.executable,
            "-c",
            "import urllib.request as r; print(r.urlopen('http://127.0.0.1:7445/metrics').read().decode())",
        )
        counted = re.findall(
            r"^credit_gateway_exchanges_total\{.*outcome=\"OK\".*\} (\S+)$", page, re.MULTILINE
        )
        return sum(map(float, counted))

    def close(self) -> None:
        self.network.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)  # PostgreSQL runs as another user
    cluster = Cluster(folder)
    yield cluster
    cluster.close()


def test_a_host_that_dies_or_is_cut_off_costs_its_exchanges_in_flight(cluster: Cluster) -> None:
    load = cluster.load(300)
    wait_for(lambda: len(cluster.exchanges()) > 50, lambda: cluster.hosts["peer"].log_text)
    assert all(cluster.answered_by(name) > 0 for name in GATEWAYS)
    cluster.wait_for_answers(AFTERWARDS)
    events = [time.time()]
    cluster.kill("two")
    cluster.wait_for_answers(AFTERWARDS)
    events.append(time.time())
    cluster.hosts["three"].cable("down")
    cluster.wait_for_answers(AFTERWARDS)
    events.append(time.time())  # a connection that outlasted the cut may end now
    cluster.hosts["three"].cable("up")
    cluster.serve("two")
    cluster.wait_for_answers(AFTERWARDS)
    load.send_signal(signal.SIGTERM)
    assert load.wait(timeout=120) == 0
    exchanges = cluster.exchanges()
    lost = [exchange for exchange in exchanges if exchange["outcome"] != "OK"]
    sys.stdout.write(f"{len(exchanges)} exchanges, {len(lost)} lost {told_of(lost, events)}\n")
    for event in events:
        of_event = [e for e in lost if event <= e["ended"] and e["began"] <= event + GONE_S]
        assert len({e["connection"] for e in of_event}) < CONNECTIONS, told_of(lost, events)
        # One was in flight. Others may be begun before gRPC sees that the connection is gone: they fail at once.
        in_flight = Counter(e["connection"] for e in of_event if e["ended"] - e["began"] > AT_ONCE_S)
        assert max(in_flight.values(), default=0) <= 1, told_of(lost, events)
        assert any(e["outcome"] == "OK" and event < e["ended"] < event + 4 for e in exchanges)
    assert all(any(e["began"] <= event + GONE_S for event in events) for e in lost), told_of(lost, events)
    verify(cluster, exchanges)


def told_of(lost: list[dict], events: list[float]) -> list[tuple]:
    """Connection, seconds from the first event to begin and end, and why."""
    return [
        (e["connection"], round(e["began"] - events[0], 1), round(e["ended"] - events[0], 1), e["why"])
        for e in lost
    ]


def verify(cluster: Cluster, exchanges: list[dict]) -> None:
    """What was acknowledged stands in one log, once, under the checkpoint that came with it."""
    node = cluster.answerer
    keys = load_keys(node.folder, node.config)
    verifier = NoteSigner(node.config.audit.origin, keys.log.private).verifier
    engine = open_engine(cluster.local_url)
    acknowledged = [exchange for exchange in exchanges if exchange["outcome"] == "OK"]
    report = verify_log(engine, verifier.vkey, held=[e["checkpoint"] for e in acknowledged[-200:]])
    assert report.ok, report
    with reading(engine) as connection:
        rows = connection.execute(text("SELECT idx, exchange_id FROM audit_entry")).all()
    engine.dispose()
    logged = {idx: bytes(exchange_id).hex() for idx, exchange_id in rows}
    assert [e for e in acknowledged if logged.get(e["index"]) != e["exchange"]] == []
    times = Counter(logged.values())
    assert [e for e in acknowledged if times[e["exchange"]] != 1] == []


def test_hosts_that_came_back_serve_again(cluster: Cluster) -> None:
    cluster.wait_until_serving("two", times=4)
    before = {name: cluster.answered_by(name) for name in GATEWAYS}
    # For a while nginx passes a host over that failed.
    wait_for(
        lambda: (
            cluster.load(1).wait(timeout=60) == 0
            and all(cluster.answered_by(name) > before[name] for name in GATEWAYS)
        ),
        lambda: cluster.hosts["balancer"].log_text,
    )
    before = {name: cluster.answered_by(name) for name in GATEWAYS}
    assert cluster.load(6).wait(timeout=60) == 0
    assert all(exchange["outcome"] == "OK" for exchange in cluster.exchanges())
    assert all(cluster.answered_by(name) > before[name] for name in GATEWAYS)
    assert all(ends_in_order(cluster.hosts[name]) for name in GATEWAYS)


def ends_in_order(host: Host) -> bool:
    host.processes[-1].send_signal(signal.SIGTERM)
    return host.processes[-1].wait(timeout=90) == 0
