"""Many applicants at two provinces, while processes die: complete, each once, and the logs agree.

`make bulk-story LEARNERS=50000` runs the same with as many as an examination has, and says what it took.
"""

from __future__ import annotations

import csv
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bench.records_file import COLUMNS, learner_id
from gateway.clock import monotonic_s, system_clock
from gateway.exchange.asking.audit_log import PeerAudit
from gateway.node.assemble import assemble
from gateway.node.stores import registry_of
from gateway.records import import_file
from gateway.schemes import load_scheme
from gateway.storage import reconcile_rows
from gateway.upkeep.reconciling import Reconciling
from tests.processes.provinces import ProcessNode, cli, introduce, make_node

LEARNERS = int(os.environ.get("BULK_LEARNERS", "2000"))
GRANT = """
[[grant]]
peer = "zhejiang"
purposes = ["qualification-check"]
kinds = ["course"]
consent_required = false
statutory_basis = "an example statute"
"""
HELD = {"shanghai": 3, "anhui": 2}
"""A province holds ``number % HELD`` records of learner ``number``."""


def titles_at(peer: str, number: int) -> list[str]:
    return [f"{peer} {number}-{at}" for at in range(number % HELD[peer])]


def hold_records(node: ProcessNode, parent: Path) -> None:
    path = parent / f"{node.node_id}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(LEARNERS):
            for at, title in enumerate(titles_at(node.node_id, number)):
                cells = (
                    "2.5",
                    "40",
                    "学时",
                    str(60 + number % 40),
                    "2020-07",
                    "示例大学",
                    "10280",
                    "moe-school",
                )
                record_id = f"{node.node_id}-{number}-{at}"
                writer.writerow((learner_id(number), record_id, "课程", title, *cells))
    scheme = load_scheme(node.folder.scheme)
    with registry_of(node.folder, node.config) as registry:
        report = import_file(path, registry, scheme, node.secret, node.node_id, clock=system_clock)
    assert not report.refused
    node.folder.access.write_text(GRANT, encoding="utf-8")


@pytest.fixture(scope="module")
def provinces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ProcessNode]]:
    parent = tmp_path_factory.mktemp("bulk")
    zhejiang = make_node(parent, "zhejiang", records=False)
    nodes = [
        zhejiang,
        *(make_node(parent, peer, secret_from=zhejiang, records=False) for peer in HELD),
    ]
    for node in nodes[1:]:
        hold_records(node, parent)
    introduce(*nodes)
    for node in nodes:
        node.start()
    yield {node.node_id: node for node in nodes}
    for node in nodes:
        node.close()


class Run:
    """The command, running beside the test."""

    def __init__(self, node: ProcessNode, applicants: Path, out: Path) -> None:
        self.job = out / "job.sqlite"
        self.arguments = [
            "query", "--node", str(node.folder.root), "--learners", str(applicants), "--out", str(out),
            "--purpose", "qualification-check", "--kind", "course", "--patience", "120", "--output", "json",
        ]  # fmt: skip
        command = [sys.executable, "-m", "gateway.cli.main", *self.arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def answered(self) -> int:
        try:
            with closing(sqlite3.connect(f"file:{self.job}?mode=ro", uri=True)) as job:
                return job.execute("SELECT count(*) FROM result WHERE state = 1").fetchone()[0]
        except sqlite3.OperationalError:
            return 0

    def wait_for(self, answered: int) -> None:
        """Return once so many rows are answered."""
        end_s, pause = monotonic_s() + 120, threading.Event()
        while self.answered() < answered:
            assert self.process.poll() is None, self.process.communicate()
            assert monotonic_s() < end_s
            pause.wait(0.002)

    def end(self) -> tuple[int, str, str]:
        out, complaints = self.process.communicate(timeout=1_200)
        return self.process.returncode, out, complaints


def write_applicants(path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("reference", "identifier"))
        writer.writerow(("=1+1", "not a number"))
        for number in range(LEARNERS):
            writer.writerow((f"A{number:06}", learner_id(number)))


def require_complete(out: Path) -> None:
    """Every applicant and peer exactly once, in order, with exactly the records that the peer holds."""
    with (
        (out / "results.csv").open(encoding="utf-8-sig", newline="") as table,
        (out / "results.jsonl").open(encoding="utf-8") as lines,
    ):
        rows = csv.DictReader(table)
        for peer in sorted(HELD):
            row, line = next(rows), json.loads(next(lines))
            assert (row["reference"], row["peer"], row["outcome"]) == ("'=1+1", peer, "ROW_INVALID")
            assert (line["reference"], line["records"]) == ("=1+1", [])
        for number in range(LEARNERS):
            for peer in sorted(HELD):
                row, line = next(rows), json.loads(next(lines))
                assert (row["reference"], row["peer"], row["outcome"]) == (f"A{number:06}", peer, "OK")
                assert (line["reference"], line["peer"]) == (row["reference"], peer)
                held = titles_at(peer, number)
                assert row["titles"] == "; ".join(held)
                assert [record["record_id"] for record in line["records"]] == [
                    f"{peer}-{number}-{at}" for at in range(len(held))
                ]
        assert next(rows, None) is None
        assert next(lines, None) is None


def require_story_of_one(node: ProcessNode, folder: Path) -> None:
    """One learner out of many is told what was given about them, and can show one record alone."""
    number = 5
    whom = ("--node", str(node.folder.root), "--learner", learner_id(number))
    told = json.loads(cli("audit", "subject", *whom, "--output", "json").stdout)
    given = [entry for entry in told if entry["outcome"] == "OK" and entry["answerer"] == "shanghai"]
    assert given
    assert all(entry["records"] == number % HELD["shanghai"] for entry in given)
    shown = folder / "one.json"
    arguments = ("audit", "disclose", given[0]["exchange"], *whom, "--record", "1", "--out", str(shown))
    cli(*arguments)
    verified = cli("audit", "verify", str(shown))
    assert titles_at("shanghai", number)[1] in verified.stdout
    exported = folder / "all.json"
    cli("audit", "export", given[0]["exchange"], *whom, "--out", str(exported))
    assert cli("audit", "verify", str(exported)).returncode == 0
    many = cli("audit", "disclose", given[0]["exchange"], "--node", str(node.folder.root), check=2)
    assert "--learner" in many.stderr


def reconcile(zhejiang: ProcessNode, peer: str) -> Counter[str]:
    """Compare the logs to their ends, without waiting for them to settle; return the findings."""
    node = assemble(zhejiang.folder)
    try:
        reconciling = Reconciling(node.log, node.witness, "zhejiang", system_clock, settle_s=0)
        audit = PeerAudit(node.snapshot.roster.peers[peer], node.channels, 20.0)
        while not reconciling.step(audit).done:
            pass
        with node.log.reading() as connection:
            return Counter(f.kind for f in reconcile_rows.list_findings(connection, peer, 1_000))
    finally:
        node.close()


def test_everybody_once_though_processes_die(provinces: dict[str, ProcessNode], tmp_path: Path) -> None:
    zhejiang, shanghai = provinces["zhejiang"], provinces["shanghai"]
    applicants, out = tmp_path / "applicants.csv", tmp_path / "results"
    write_applicants(applicants)
    started_s = monotonic_s()
    total = 2 * (LEARNERS + 1)

    run = Run(zhejiang, applicants, out)
    run.wait_for(total // 10)
    run.process.kill()  # the asker
    run.end()
    assert not (out / "results.csv").exists()
    kept = run.answered()
    assert total // 10 <= kept < total

    run = Run(zhejiang, applicants, out)
    run.wait_for(kept + 1)
    run.process.send_signal(signal.SIGINT)  # somebody presses Ctrl-C
    status, _, complaints = run.end()
    assert status != 0
    assert "the same command goes on" in complaints
    assert "Traceback" not in complaints

    run = Run(zhejiang, applicants, out)
    run.wait_for(total // 2)
    shanghai.kill()  # a province that answers
    zhejiang.kill()  # the node through which is asked
    assert run.answered() < total
    zhejiang.start()
    shanghai.start()
    status, output, complaints = run.end()
    assert status == 0, (output, complaints)
    assert json.loads(output)["complete"]
    assert "applicants.csv:2: a resident identity number" in complaints
    require_complete(out)
    took_s = monotonic_s() - started_s

    again = cli(*run.arguments)  # what is complete is not asked again
    assert json.loads(again.stdout)["complete"]

    require_story_of_one(zhejiang, tmp_path)

    # No identifier in the job, in the results or in anybody's log.
    known = [learner_id(number) for number in range(0, LEARNERS, 97)]
    for path in (*out.iterdir(), *(node.folder.root / "serve.log" for node in provinces.values())):
        content = path.read_bytes()
        assert not any(identifier.encode() in content for identifier in known), path.name

    # Only what was on its way when a process died is known to one side alone.
    assert zhejiang.stop() == 0
    for peer in HELD:
        findings = reconcile(zhejiang, peer)
        assert set(findings) <= {"only-theirs", "outcome-differs"}, findings
        assert sum(findings.values()) <= 24
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    text = f"{LEARNERS:,} learners at two provinces: {took_s:.1f} s, peak of any process {peak_mb:.0f} MB"
    sys.stdout.write(f"\n{text}\n")


def test_a_peer_that_is_away_gets_its_reason_and_is_asked_again(
    provinces: dict[str, ProcessNode], tmp_path: Path
) -> None:
    """Without a running node of one's own: the command works in its own process."""
    zhejiang, anhui = provinces["zhejiang"], provinces["anhui"]
    for node in (zhejiang, anhui):
        if node.process is not None:
            node.stop()
    applicants, out = tmp_path / "applicants.txt", tmp_path / "results"
    applicants.write_text("".join(f"{learner_id(number)}\n" for number in (4, 5, 4)), encoding="utf-8")
    arguments = (
        "query", "--node", str(zhejiang.folder.root), "--learners", str(applicants), "--out", str(out),
        "--purpose", "qualification-check", "--kind", "course", "--patience", "1",
    )  # fmt: skip

    def outcomes() -> list[tuple[str, str, str]]:
        with (out / "results.csv").open(encoding="utf-8-sig", newline="") as table:
            return [(row["line"], row["peer"], row["outcome"]) for row in csv.DictReader(table)]

    assert "asks again" in cli(*arguments, check=1).stderr
    lines = ("1", "2", "3")  # whoever applied twice is asked about once and has two rows
    away = {"anhui": "UNREACHABLE", "shanghai": "OK"}
    assert outcomes() == [(line, peer, away[peer]) for line in lines for peer in sorted(HELD)]
    anhui.start()
    cli(*arguments)
    assert outcomes() == [(line, peer, "OK") for line in lines for peer in sorted(HELD)]

    refused = ("--out", str(tmp_path / "refused"), "--purpose", "employment")
    done = cli(*arguments, *refused, "--output", "json", check=1)
    assert {peer["outcome"] for peer in json.loads(done.stdout)["peers"]} == {"PURPOSE_NOT_GRANTED"}
