"""The demonstration: four nodes as separate processes on loopback, one lost certificate found again."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from gateway.clock import monotonic_s, system_clock
from gateway.errors import CallerError, OperatorError
from gateway.node.card_file import present_card
from gateway.node.config import load_config
from gateway.node.folder import NodeFolder, add_federation_secret, init_node, load_keys
from gateway.node.state import load_secrets
from gateway.node.stores import registry_of
from gateway.peers.card import Card
from gateway.peers.onboarding import accept
from gateway.records import import_file
from gateway.rpc.server import is_serving
from gateway.schemes import load_scheme

ASKER = "zhejiang"
PURPOSE = "employment"
READY_S = 30.0
STATE_FILE = "demo.json"
EPOCH = "2026"


@dataclass(frozen=True, slots=True)
class DemoNode:
    """One running node of the demonstration."""

    node_id: str
    folder: NodeFolder
    peers: str
    operator: str
    metrics: str


def run_demo(folder: Path, configuration: Path, *, keep: bool) -> None:
    """Make, start and ask the four nodes; see the command's help.

    Raises:
        OperatorError: a node does not start; the text shows its last log lines.
    """
    examples = sorted(path.parent for path in configuration.glob("*/node.toml"))
    if ASKER not in {path.name for path in examples}:
        raise CallerError(f"{configuration} holds no example node {ASKER!r}.", remedy="Give --config.")
    learner = demo_learner(configuration)
    _clear(folder)
    _say(f"making {len(examples)} nodes in {_short(folder)}: keys, certificates, databases, records")
    ports: set[int] = set()
    nodes = [_make(example, folder, ports) for example in examples]
    _introduce(nodes)
    processes = {node.node_id: _start(node) for node in nodes}
    try:
        for node in nodes:
            _await_ready(node, processes[node.node_id])
        _write_state(folder, learner, nodes, processes)
        _show(nodes, learner)
    except BaseException:
        _stop(processes.values())
        raise
    if keep:
        _say_how_to_go_on(folder, nodes, learner)
    else:
        _stop(processes.values())
        _say("all nodes stopped. `make demo KEEP=1` leaves them running.")


def stop_demo(folder: Path) -> None:
    """Stop the nodes that an earlier run left; does nothing when there are none."""
    state = folder / STATE_FILE
    if not state.is_file():
        return
    pids = [node["pid"] for node in json.loads(state.read_text(encoding="utf-8")).get("nodes", {}).values()]
    serving = [pid for pid in pids if _is_serving(pid)]
    for pid in serving:
        os.kill(pid, signal.SIGTERM)
    for pid in serving:
        _await_end(pid)


def _is_serving(pid: int) -> bool:
    """Whether the process is a node still: its number may have gone to another one."""
    command = Path(f"/proc/{pid}/cmdline")
    return command.is_file() and b"serve" in command.read_bytes()


def demo_learner(configuration: Path) -> str:
    """Return the identifier of the invented learner that the example data is told around."""
    return (configuration / "demo_learner.txt").read_text(encoding="utf-8").split()[0]


def _clear(folder: Path) -> None:
    stop_demo(folder)
    if folder.exists():
        if any(folder.iterdir()) and not (folder / STATE_FILE).exists():
            raise CallerError(f"{folder} is not empty and no demo's.", remedy="Give another --folder.")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / STATE_FILE).write_text("{}", encoding="utf-8")


def _make(example: Path, parent: Path, ports: set[int]) -> DemoNode:
    """Make one node from its ready example and import its records; ``ports`` are those given out."""
    node_id, now = example.name, system_clock()
    folder = NodeFolder(parent / node_id)
    folder.root.mkdir()
    text = (example / "node.toml").read_text(encoding="utf-8")
    for address in dict.fromkeys(re.findall(r"127\.0\.0\.1:\d+", text)):
        text = text.replace(address, f"127.0.0.1:{_free_port(int(address.rsplit(':', 1)[1]), ports)}")
    folder.config.write_text(text, encoding="utf-8")
    init_node(folder.root, node_id, example=example, settings={}, now=now)
    first = next(parent.glob(f"*/keys/federation-{EPOCH}.secret"), None)
    add_federation_secret(folder, EPOCH, first)
    config = load_config(folder.root)
    rows = 0
    with registry_of(folder, config) as registry:
        scheme, secrets = load_scheme(folder.scheme), load_secrets(folder, config)
        for file in sorted((example / "records").iterdir()):
            report = import_file(
                file, registry, scheme, next(iter(secrets.values())), node_id, clock=system_clock
            )
            if report.refused:
                raise OperatorError(f"{file} was refused.", remedy="Run `credit-gateway records import`.")
            rows += report.rows
    _say(f"  {node_id}: {rows} records")
    listen = config.listen
    return DemoNode(node_id, folder, listen.peers, listen.operator, listen.metrics)


def _introduce(nodes: Sequence[DemoNode]) -> None:
    """Give every node every other node's card. (In life, operators compare fingerprints here.)"""
    now = system_clock()
    cards: dict[str, Card] = {}
    for node in nodes:
        config = load_config(node.folder.root)
        scheme = load_scheme(node.folder.scheme).reference
        cards[node.node_id] = present_card(node.folder, config, load_keys(node.folder, config), scheme, now)
    for node in nodes:
        for node_id, card in cards.items():
            if node_id != node.node_id:
                accept(card, node.folder.peers, now)
    _share_schemes(nodes)


def _share_schemes(nodes: Sequence[DemoNode]) -> None:
    """Give every node a copy of every other scheme, which the console compares with its own."""
    for node in nodes:
        schemes = node.folder.root / "schemes"
        schemes.mkdir()
        for other in nodes:
            if other is not node:
                shutil.copyfile(other.folder.scheme, schemes / f"{other.node_id}.toml")


def _start(node: DemoNode) -> subprocess.Popen[bytes]:
    log = (node.folder.root / "serve.log").open("wb")
    with log:
        return subprocess.Popen(
            [sys.executable, "-m", "gateway.cli.main", "serve", "--node", str(node.folder.root)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches us first, and we stop them in order
        )


def _await_ready(node: DemoNode, process: subprocess.Popen[bytes]) -> None:
    """Wait until the node's health service says SERVING."""
    end_s = monotonic_s() + READY_S
    while monotonic_s() < end_s and process.poll() is None:
        if is_serving(node.operator, timeout_s=2):
            return
    last = (node.folder.root / "serve.log").read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
    raise OperatorError(f"node {node.node_id} does not start:\n" + "\n".join(last))


def _show(nodes: Sequence[DemoNode], learner: str) -> None:
    asker = next(node for node in nodes if node.node_id == ASKER)
    others = [node for node in nodes if node.node_id != ASKER]
    _say("\nA learner in Zhejiang lost a certificate. Zhejiang asks the other provinces:\n")
    _run("query", "--node", _short(asker.folder.root), "--learner", learner, "--purpose", PURPOSE)
    _say("\nBoth sides logged every exchange before any answer left:\n")
    for node in (asker, *others):
        _run("audit", "show", "--node", _short(node.folder.root), "--last", "3")
    _say("\nMetrics:")
    for node in nodes:
        _say(f"  {node.node_id:<10} http://{node.metrics}/metrics")


def _run(*arguments: str) -> None:
    _say(f"$ credit-gateway {' '.join(arguments)}")
    sys.stdout.flush()
    status = subprocess.run([sys.executable, "-m", "gateway.cli.main", *arguments], check=False).returncode
    if status != 0:
        raise OperatorError(f"`credit-gateway {arguments[0]}` ended with status {status}.")


def _write_state(
    folder: Path, learner: str, nodes: Sequence[DemoNode], processes: dict[str, subprocess.Popen[bytes]]
) -> None:
    state = {
        "learner": learner,
        "nodes": {
            node.node_id: {
                "dir": str(node.folder.root),
                "grpc": node.peers,
                "metrics": f"http://{node.metrics}/metrics",
                "operator": node.operator,
                "pid": processes[node.node_id].pid,
            }
            for node in nodes
        },
    }
    (folder / STATE_FILE).write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")


def _stop(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    running = [p for p in processes if p.poll() is None]
    for process in running:
        process.terminate()
    for process in running:
        try:
            process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            process.kill()


def _await_end(pid: int) -> None:
    end = time.monotonic() + 40
    while time.monotonic() < end and Path(f"/proc/{pid}").exists():
        time.sleep(0.1)


def _say_how_to_go_on(folder: Path, nodes: Sequence[DemoNode], learner: str) -> None:
    asker = next(node for node in nodes if node.node_id == ASKER)
    where = _short(asker.folder.root)
    _say("\nThe nodes keep running. Go on with:")
    _say(f"  credit-gateway query --node {where} --learner {learner} --purpose {PURPOSE} --output json")
    _say(f"  credit-gateway peers check --node {where}")
    _say(f"  credit-gateway audit verify --node {where}")
    _say(f"  credit-gateway console --node {where}")
    _say(f"Stop them with: credit-gateway demo --stop --folder {_short(folder)}")


def _free_port(wanted: int, taken: set[int]) -> int:
    """Return ``wanted`` if it is free, else another port below the ephemeral range; note it as taken."""
    for port in chain((wanted,), range(18_000, 30_000)):
        if port in taken:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            taken.add(port)
            return port
    raise OperatorError("no free port was found on 127.0.0.1.")


def _short(path: Path) -> str:
    """Return ``path`` as one would type it from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
