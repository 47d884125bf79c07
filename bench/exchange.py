"""One exchange with everything on, beside a bare echo and beside HTTP/JSON; alternately, in one run."""

from __future__ import annotations

import json
import os
import re
import secrets
import ssl
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from google.protobuf.json_format import MessageToDict

from bench.pinned import Pinned, cores, free_address, pinned
from creditexchange.v1.exchange_pb2 import QueryRecordsResponse
from creditexchange.v1.record_pb2 import LearningRecord
from gateway.clock import system_clock
from gateway.exchange.asking.compose import compose, token_for
from gateway.exchange.asking.question import Question
from gateway.exchange.asking.verify import verify_answer
from gateway.node.assemble import Node, assemble, registry_of
from gateway.node.card_file import present_card
from gateway.node.config import load_config
from gateway.node.folder import NodeFolder, add_federation_secret, init_node, load_keys
from gateway.node.state import load_secrets
from gateway.peers.node_ca import tls_name
from gateway.peers.onboarding import accept
from gateway.policy.purposes import KINDS, LEGAL_BASES, PURPOSES
from gateway.records import import_file
from gateway.schemes import load_scheme

EXAMPLES = Path(__file__).parents[1] / "node_config"
PACKAGES = Path(__file__).parents[1] / ".bench-packages"
HTTP_PACKAGES = ("fastapi==0.165.0", "uvicorn==0.54.0", "joserfc==1.8.0", "httpx==0.28.1")
LEARNER = (EXAMPLES / "demo_learner.txt").read_text(encoding="utf-8").split()[0]
CLIENTS = 8
LEARNERS = 1_000
"""Learners in the HTTP service's database."""


@dataclass
class Figures:
    """What one kind of server did, a round each."""

    cpu_us: list[float] = field(default_factory=list)
    """CPU time of the serving process an exchange, microseconds."""
    per_second: list[float] = field(default_factory=list)
    lone_us: list[float] = field(default_factory=list)
    """Time of one exchange with nothing beside it, microseconds: the round's median."""

    @property
    def per_cpu_second(self) -> float:
        """Exchanges a CPU-second, the median round."""
        return 1e6 / statistics.median(self.cpu_us)


@dataclass
class Target:
    """A server under load: makes requests beforehand, sends one, checks one answer."""

    server: Pinned
    prepare: Callable[[int], Sequence[Any]]
    send: Callable[[Any], Any]
    check: Callable[[Any, Any], None]
    figures: Figures = field(default_factory=Figures)

    def run(self, exchanges: int) -> None:
        """Measure one round under load, and one of a lone client."""
        requests = self.prepare(exchanges)
        with ThreadPoolExecutor(CLIENTS) as pool:
            cpu_s, started_s = self.server.cpu_s(), time.perf_counter()
            answers = list(pool.map(self.send, requests))
            wall_s, used_s = time.perf_counter() - started_s, self.server.cpu_s() - cpu_s
        for request, answer in list(zip(requests, answers, strict=True))[:: max(1, exchanges // 20)]:
            self.check(request, answer)
        lone = []
        for request in self.prepare(exchanges // 10):
            started_s = time.perf_counter()
            self.send(request)
            lone.append(time.perf_counter() - started_s)
        self.figures.cpu_us.append(used_s / exchanges * 1e6)
        self.figures.per_second.append(exchanges / wall_s)
        self.figures.lone_us.append(statistics.median(lone) * 1e6)


def measure_exchanges(folder: Path, exchanges: int, rounds: int) -> dict[str, Figures]:
    """Return the figures of ``ours``, ``ceiling`` and ``http``, measured in turns."""
    _install(HTTP_PACKAGES)
    asker, answerer = _make_pair(folder)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores()[1])
    with ExitStack() as stack:
        stack.callback(os.sched_setaffinity, 0, before)
        node = assemble(asker)
        stack.callback(node.close)
        ours = _gateway(stack, node, answerer)
        (request,) = ours.prepare(1)
        answer = ours.send(request)
        ours.check(request, answer)
        targets = {
            "ours": ours,
            "ceiling": _echo(stack, folder, answerer, asker, len(request.request), len(answer)),
            "http": _http(stack, folder, answerer, asker, answer),
        }
        for target in targets.values():
            target.run(exchanges // 4)  # warm
            target.figures = Figures()
        for _ in range(rounds):
            for target in targets.values():
                target.run(exchanges)
    return {name: target.figures for name, target in targets.items()}


def _make_pair(folder: Path) -> tuple[NodeFolder, NodeFolder]:
    """Make Zhejiang, which asks, and Shanghai, which answers, from the examples."""
    asker, answerer = (_make_node(folder, node_id) for node_id in ("zhejiang", "shanghai"))
    add_federation_secret(asker, "2026", None)
    add_federation_secret(answerer, "2026", asker.key("federation-2026.secret"))
    for node, other in ((asker, answerer), (answerer, asker)):
        config = load_config(other.root)
        scheme = load_scheme(other.scheme).reference
        accept(
            present_card(other, config, load_keys(other, config), scheme, system_clock()),
            node.peers,
            system_clock(),
        )
    config = load_config(answerer.root)
    secret = next(iter(load_secrets(answerer, config).values()))
    with registry_of(answerer, config) as registry:
        for file in sorted((EXAMPLES / "shanghai" / "records").iterdir()):
            import_file(file, registry, load_scheme(answerer.scheme), secret, "shanghai", system_clock)
    access = answerer.access.read_text(encoding="utf-8")
    answerer.access.write_text(f'{access}\n[[rate]]\npeer = "zhejiang"\ncalls_per_second = 100000\n')
    return asker, answerer


def _make_node(parent: Path, node_id: str) -> NodeFolder:
    folder, example = NodeFolder(parent / node_id), EXAMPLES / node_id
    folder.root.mkdir()
    text = (example / "node.toml").read_text(encoding="utf-8")
    for address in dict.fromkeys(re.findall(r"127\.0\.0\.1:\d+", text)):
        text = text.replace(address, free_address())
    folder.config.write_text(text, encoding="utf-8")
    init_node(folder.root, node_id, example=example, settings={}, now=system_clock())
    return folder


def _gateway(stack: ExitStack, node: Node, answerer: NodeFolder) -> Target:
    address = load_config(answerer.root).listen.peers
    command = ["-m", "gateway.cli.main", "serve", "--node", str(answerer.root)]
    server = stack.enter_context(pinned(command, address))
    snapshot = node.snapshot
    peer = snapshot.roster.peers["shanghai"]
    question = Question(
        identifier_type="resident-id",
        learner_identifier=LEARNER,
        purpose=PURPOSES["employment"],
        kinds=tuple(KINDS.values()),
        peers=(peer,),
        legal_basis=LEGAL_BASES["statutory-duty"],
        deadline_s=10,
    )
    token = token_for(question, snapshot)
    sequence = iter(range(1, 10**9))
    checkpoint = node.log.latest_checkpoint()
    leaf, _ = node.tls
    channel = grpc.secure_channel(
        address,
        grpc.ssl_channel_credentials(peer.card.ca_pem, leaf.key, leaf.certificate),
        options=[("grpc.ssl_target_name_override", tls_name("shanghai")), ("grpc.enable_retries", 0)],
    )
    stack.callback(channel.close)
    call = channel.unary_unary("/creditexchange.v1.RecordExchangeService/QueryRecords")

    def prepare(count: int) -> Sequence[Any]:
        now = system_clock()
        return [
            compose(question, peer, token, next(sequence), snapshot, checkpoint=checkpoint, now=now)
            for _ in range(count)
        ]

    def check(request: Any, answer: bytes) -> None:
        assert verify_answer(request, answer, snapshot, system_clock()).content.records

    return Target(server, prepare, lambda request: call(request.request, timeout=10), check)


def _echo(
    stack: ExitStack,
    folder: Path,
    answerer: NodeFolder,
    asker: NodeFolder,
    request_bytes: int,
    answer_bytes: int,
) -> Target:
    keys = _key_folder(folder / "echo", answerer, asker)
    address = free_address()
    server = stack.enter_context(
        pinned(["-m", "bench.baselines.echo_node", address, str(keys.folder), str(answer_bytes)], address)
    )
    channel = grpc.secure_channel(
        address,
        grpc.ssl_channel_credentials(keys.server_ca, keys.client_key, keys.client_leaf),
        options=[("grpc.ssl_target_name_override", tls_name("shanghai"))],
    )
    stack.callback(channel.close)
    call = channel.unary_unary("/bench.Echo/Call")

    def prepare(count: int) -> Sequence[bytes]:
        payloads = (secrets.token_bytes(request_bytes - 64) for _ in range(count))
        return [keys.signing.sign(payload) + payload for payload in payloads]

    def check(_request: bytes, answer: bytes) -> None:
        assert len(answer) == answer_bytes

    return Target(server, prepare, lambda request: call(request, timeout=10), check)


def _http(stack: ExitStack, folder: Path, answerer: NodeFolder, asker: NodeFolder, answer: bytes) -> Target:
    sys.path.append(str(PACKAGES))
    import httpx
    from joserfc import jws
    from joserfc.jwk import OKPKey

    keys = _key_folder(folder / "http", answerer, asker)
    records = [
        MessageToDict(LearningRecord.FromString(opening.item))
        for opening in QueryRecordsResponse.FromString(answer).openings
    ]
    (keys.folder / "records.json").write_text(json.dumps(records), encoding="utf-8")
    address = free_address()
    command = ["-m", "bench.baselines.http_node", address, str(keys.folder), str(LEARNERS)]
    server = stack.enter_context(pinned(command, address, PACKAGES))
    context = ssl.create_default_context(cadata=keys.server_ca.decode())
    context.check_hostname = False
    context.load_cert_chain(keys.folder / "client.crt", keys.folder / "client.key")
    client = httpx.Client(verify=context, limits=httpx.Limits(max_connections=CLIENTS))
    stack.callback(client.close)
    signing = OKPKey.import_key((keys.folder / "client-sign.pem").read_text())
    verifying = OKPKey.import_key((keys.folder / "answer.pem").read_text())

    def prepare(count: int) -> Sequence[str]:
        queries = (
            {"message_id": str(uuid.uuid4()), "learner": f"learner-{secrets.randbelow(LEARNERS)}"}
            for _ in range(count)
        )
        return [
            jws.serialize_compact({"alg": "Ed25519"}, json.dumps(query), signing, algorithms=["Ed25519"])
            for query in queries
        ]

    def check(_request: str, response: httpx.Response) -> None:
        assert response.status_code == 200
        given = jws.deserialize_compact(response.text, verifying, algorithms=["Ed25519"])
        assert len(json.loads(given.payload)["records"]) == len(records)

    return Target(
        server, prepare, lambda request: client.post(f"https://{address}/query", content=request), check
    )


@dataclass(frozen=True)
class _Keys:
    folder: Path
    server_ca: bytes
    client_key: bytes
    client_leaf: bytes
    signing: Ed25519PrivateKey


def _key_folder(folder: Path, answerer: NodeFolder, asker: NodeFolder) -> _Keys:
    """Write the nodes' TLS keys, and new signing keys, as the baselines read them."""
    folder.mkdir()
    server, client = (load_keys(node, load_config(node.root)) for node in (answerer, asker))
    signing, answering = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    cas = [keys.tls_ca.public_bytes(Encoding.PEM) for keys in (server, client)]
    private = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    files = {
        "leaf.key": server.tls_leaf_key_pem,
        "leaf.crt": server.tls_leaf_pem,
        "client.key": client.tls_leaf_key_pem,
        "client.crt": client.tls_leaf_pem,
        "cas.pem": cas[1],
        "verify.raw": signing.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw),
        "verify.pem": signing.public_key().public_bytes(*public),
        "sign.pem": answering.private_bytes(*private),
        "answer.pem": answering.public_key().public_bytes(*public),
        "client-sign.pem": signing.private_bytes(*private),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return _Keys(folder, cas[0], client.tls_leaf_key_pem, client.tls_leaf_pem, signing)


def _install(packages: Sequence[str]) -> None:
    """Install what only the comparison needs, beside the project's own packages."""
    if not (PACKAGES / "joserfc").is_dir():
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
             "--upgrade", "--target", str(PACKAGES), *packages],
            check=True, capture_output=True,
        )  # fmt: skip
