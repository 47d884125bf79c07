"""Real nodes for measurements: made from the examples, served by processes of their own, and asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from bench.load import CLIENTS, Target
from bench.pinned import Pinned, free_address, pinned
from gateway.clock import system_clock
from gateway.exchange.asking.compose import compose, token_for
from gateway.exchange.asking.question import Question
from gateway.exchange.asking.verify import verify_answer
from gateway.node.assemble import Node
from gateway.node.card_file import present_card
from gateway.node.config import load_config
from gateway.node.folder import NodeFolder, add_federation_secret, init_node, load_keys
from gateway.node.state import load_secrets
from gateway.node.stores import registry_of
from gateway.peers.node_ca import tls_name
from gateway.peers.onboarding import accept
from gateway.peers.roster import Peer
from gateway.policy.purposes import KINDS, LEGAL_BASES, PURPOSES
from gateway.records import import_file
from gateway.schemes import load_scheme

EXAMPLES = Path(__file__).parents[1] / "node_config"
LEARNER = (EXAMPLES / "demo_learner.txt").read_text(encoding="utf-8").split()[0]
METHOD = "/creditexchange.v1.RecordExchangeService/QueryRecords"


@dataclass(frozen=True)
class Place:
    """Where a node keeps its data, if not in its folder."""

    url: str = ""
    """A PostgreSQL database; empty for SQLite."""


def make_nodes(folder: Path, answerers: dict[str, Place]) -> tuple[NodeFolder, dict[str, NodeFolder]]:
    """Make Zhejiang, which asks, and ``answerers`` (by node id), which answer; each knows the other side."""
    asker = make_node(folder, "zhejiang", Place())
    add_federation_secret(asker, "2026", None)
    made = {}
    for node_id, place in answerers.items():
        answerer = made[node_id] = make_node(folder, node_id, place)
        add_federation_secret(answerer, "2026", asker.key("federation-2026.secret"))
        _introduce(asker, answerer)
        _introduce(answerer, asker)
        _fill(answerer, node_id)
        access = answerer.access.read_text(encoding="utf-8")
        answerer.access.write_text(f'{access}\n[[rate]]\npeer = "zhejiang"\ncalls_per_second = 100000\n')
    return asker, made


def make_node(parent: Path, node_id: str, place: Place) -> NodeFolder:
    """Make one node from its example, on ports of its own."""
    folder, example = NodeFolder(parent / node_id), EXAMPLES / node_id
    folder.root.mkdir(parents=True)
    text = (example / "node.toml").read_text(encoding="utf-8")
    for address in dict.fromkeys(re.findall(r"127\.0\.0\.1:\d+", text)):
        text = text.replace(address, free_address())
    if place.url:
        text += f'\n[database]\nurl = "{place.url}"\nrecords_url = "{place.url}"\n'
    folder.config.write_text(text, encoding="utf-8")
    init_node(folder.root, node_id, example=example, settings={}, now=system_clock())
    return folder


def _introduce(node: NodeFolder, other: NodeFolder) -> None:
    config, now = load_config(other.root), system_clock()
    card = present_card(other, config, load_keys(other, config), load_scheme(other.scheme).reference, now)
    accept(card, node.peers, now)


def _fill(node: NodeFolder, node_id: str) -> None:
    config = load_config(node.root)
    secret = next(iter(load_secrets(node, config).values()))
    with registry_of(node, config) as registry:
        for file in sorted((EXAMPLES / node_id / "records").iterdir()):
            import_file(file, registry, load_scheme(node.scheme), secret, node_id, system_clock)


@dataclass(frozen=True)
class Served:
    """A node that runs, and its peer address."""

    server: Pinned
    address: str


def serve(stack: ExitStack, node: NodeFolder, workers: int = 1, core: set[int] | None = None) -> Served:
    """Run ``credit-gateway serve`` until the stack is closed."""
    address = load_config(node.root).listen.peers
    command = ["-m", "gateway.cli.main", "serve", "--node", str(node.root)]
    if workers > 1:
        command += ["--workers", str(workers)]
    return Served(stack.enter_context(pinned(command, address, core=core)), address)


def question_to(*peers: Peer) -> Question:
    """Return the question that all measurements ask: one learner's records of every kind."""
    return Question(
        identifier_type="resident-id",
        learner_identifier=LEARNER,
        purpose=PURPOSES["employment"],
        kinds=tuple(KINDS.values()),
        peers=peers,
        legal_basis=LEGAL_BASES["statutory-duty"],
        deadline_s=10,
    )


def exchanges_with(
    stack: ExitStack,
    asker: Node,
    peer_id: str,
    served: Served,
    *,
    connections: int = 1,
    clients: int = CLIENTS,
    beside_s: Callable[[], float] = lambda: 0.0,
) -> Target:
    """Return a target that asks ``peer_id`` for one learner's records, everything on."""
    snapshot = asker.snapshot
    peer = snapshot.roster.peers[peer_id]
    question = question_to(peer)
    token = token_for(question, snapshot)
    sequence = iter(range(1, 10**9))
    checkpoint = asker.log.latest_checkpoint()
    calls = [_call(stack, asker, peer_id, served.address) for _ in range(connections)]
    turn = iter(range(10**9))

    def prepare(count: int) -> Sequence[Any]:
        now = system_clock()
        return [
            compose(question, peer, token, next(sequence), snapshot, checkpoint=checkpoint, now=now)
            for _ in range(count)
        ]

    def send(request: Any) -> bytes:
        answer: bytes = calls[next(turn) % connections](request.request, timeout=20)
        return answer

    def check(request: Any, answer: bytes) -> None:
        assert verify_answer(request, answer, snapshot, system_clock()).content.records

    return Target(served.server, prepare, send, check, beside_s=beside_s, clients=clients)


def _call(stack: ExitStack, asker: Node, peer_id: str, address: str) -> Callable[..., bytes]:
    leaf, _ = asker.tls
    channel = grpc.secure_channel(
        address,
        grpc.ssl_channel_credentials(
            asker.snapshot.roster.peers[peer_id].card.ca_pem, leaf.key, leaf.certificate
        ),
        options=[
            ("grpc.ssl_target_name_override", tls_name(peer_id)),
            ("grpc.enable_retries", 0),
            ("grpc.use_local_subchannel_pool", 1),
        ],
    )
    stack.callback(channel.close)
    call: Callable[..., bytes] = channel.unary_unary(METHOD)
    return call
