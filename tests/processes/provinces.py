"""Real nodes as separate processes on loopback, for stories that cross process borders."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import grpc

from gateway.clock import monotonic_s, system_clock
from gateway.exchange.asking.question import Question
from gateway.exchange.messages import QUERY_RECORDS
from gateway.learners.subject_token import FederationSecret
from gateway.node.card_file import present_card
from gateway.node.config import load_config
from gateway.node.folder import NodeFolder, add_federation_secret, init_node, load_keys
from gateway.node.state import load_secrets
from gateway.node.stores import registry_of
from gateway.peers.card import Card
from gateway.peers.node_ca import tls_name
from gateway.peers.onboarding import accept
from gateway.peers.roster import Peer
from gateway.policy.purposes import KINDS, LEGAL_BASES, PURPOSES
from gateway.records import import_file
from gateway.rpc.server import is_serving
from gateway.schemes import load_scheme
from gateway.signing.suites import ED25519, Suite
from tests.ports import free_port
from tests.processes import forked

EXAMPLES = Path(__file__).parents[2] / "node_config"
DEMO_LEARNER = (EXAMPLES / "demo_learner.txt").read_text(encoding="utf-8").split()[0]


def cli(*arguments: str, check: int | None = 0, **how) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does, in a process of its own."""
    done = forked.run([*map(str, arguments)], **how)
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    if check is not None:
        assert done.returncode == check, (arguments, done.returncode, done.stdout, done.stderr)
    return done


@dataclass
class ProcessNode:
    """One node's folder, and its process while it runs."""

    folder: NodeFolder
    process: subprocess.Popen[bytes] | forked.Forked | None = None
    under: Sequence[str] = ()
    """What it is started by: a command that runs the rest of its arguments."""
    channels: list[grpc.Channel] = field(default_factory=list)

    @property
    def node_id(self) -> str:
        return self.config.node.id

    @property
    def config(self):
        return load_config(self.folder.root)

    @property
    def card(self) -> Card:
        scheme = load_scheme(self.folder.scheme).reference
        return present_card(
            self.folder, self.config, load_keys(self.folder, self.config), scheme, system_clock()
        )

    @property
    def secret(self) -> FederationSecret:
        return next(iter(load_secrets(self.folder, self.config).values()))

    @property
    def log_text(self) -> str:
        return (self.folder.root / "serve.log").read_text(encoding="utf-8", errors="replace")

    def start(self, *options: str, is_forked: bool = True) -> None:
        """Serve; ``is_forked`` = the process need not have a command line of its own."""
        arguments = ["serve", "--node", str(self.folder.root), *options]
        with (self.folder.root / "serve.log").open("ab") as log, Path(os.devnull).open("rb") as nothing:
            # A supervisor starts its workers by its own command.
            if is_forked and not self.under and "--workers" not in options:
                self.process = forked.spawn(arguments, nothing.fileno(), log.fileno(), log.fileno())
            else:
                command = [*self.under, sys.executable, "-m", "gateway.cli.main", *arguments]
                self.process = subprocess.Popen(command, stdin=nothing, stdout=log, stderr=log)
        end_s = monotonic_s() + 120
        while monotonic_s() < end_s and self.process.poll() is None:
            if is_serving(self.config.listen.operator, timeout_s=2):
                return
        raise AssertionError(self.log_text)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=60)
        self.process = None
        return status

    def close(self) -> None:
        for channel in self.channels:
            channel.close()
        if self.process is not None:
            self.kill()

    def channel_to(self, other: ProcessNode) -> grpc.Channel:
        """A channel with this node's own leaf, as an attacker who stole it would open one."""
        keys = load_keys(self.folder, self.config)
        credentials = grpc.ssl_channel_credentials(
            other.card.ca_pem, keys.tls_leaf_key_pem, keys.tls_leaf_pem
        )
        options = [("grpc.ssl_target_name_override", tls_name(other.node_id)), ("grpc.enable_retries", 0)]
        channel = grpc.secure_channel(other.config.listen.peers, credentials, options=options)
        self.channels.append(channel)
        return channel

    def send(self, other: ProcessNode, request: bytes, timeout: float = 10) -> bytes:
        return self.channel_to(other).unary_unary(QUERY_RECORDS)(
            request, timeout=timeout, wait_for_ready=True
        )

    def query(self, *arguments: str, check: int | None = 0) -> dict:
        done = cli(
            "query",
            "--node",
            str(self.folder.root),
            "--learner",
            DEMO_LEARNER,
            "--purpose",
            "employment",
            "--output",
            "json",
            *arguments,
            check=check,
        )
        return json.loads(done.stdout)


def question_to(peer: Peer, deadline_s: float = 10) -> Question:
    """Return the question for the demo learner's records of every kind."""
    return Question(
        identifier_type="resident-id",
        learner_identifier=DEMO_LEARNER,
        purpose=PURPOSES["employment"],
        kinds=tuple(KINDS.values()),
        peers=(peer,),
        legal_basis=LEGAL_BASES["statutory-duty"],
        deadline_s=deadline_s,
    )


def make_node(
    parent: Path,
    node_id: str,
    *,
    secret_from: ProcessNode | None = None,
    records: bool = True,
    database: str = "",
    suites: Sequence[Suite] = (ED25519,),
    now: datetime | None = None,
) -> ProcessNode:
    """``now`` is when it was made, if not just now."""
    example = EXAMPLES / node_id
    folder = NodeFolder(parent / node_id)
    folder.root.mkdir()
    text = (example / "node.toml").read_text(encoding="utf-8")
    for address in dict.fromkeys(re.findall(r"127\.0\.0\.1:\d+", text)):
        text = text.replace(address, f"127.0.0.1:{free_port()}")
    if database:
        text += f'\n[database]\nurl = "{database}"\nrecords_url = "{database}"\n'
    if len(suites) > 1:
        files = ["message.pem", *(f"message-{suite.name}.pem" for suite in suites[1:])]
        text += f"\n[keys]\nmessage = {json.dumps(files)}\n"
    folder.config.write_text(text, encoding="utf-8")
    init_node(folder.root, node_id, example=example, settings={}, now=now or system_clock(), suites=suites)
    node = ProcessNode(folder)
    add_federation_secret(
        folder, "2026", secret_from.folder.key("federation-2026.secret") if secret_from else None
    )
    if records:
        scheme = load_scheme(folder.scheme)
        with registry_of(folder, node.config) as registry:
            for file in sorted((example / "records").iterdir()):
                report = import_file(file, registry, scheme, node.secret, node_id, clock=system_clock)
                assert not report.refused
    return node


def introduce(*nodes: ProcessNode) -> None:
    cards = {node.node_id: node.card for node in nodes}
    for node in nodes:
        for node_id, card in cards.items():
            if node_id != node.node_id:
                accept(card, node.folder.peers, system_clock())


def is_root() -> bool:
    return os.geteuid() == 0
