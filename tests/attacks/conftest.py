from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from gateway.exchange.messages import GET_CHECKPOINT
from gateway.node.folder import load_keys
from gateway.peers.node_ca import tls_name
from tests.attacks.http2 import Attacker, attacking
from tests.processes.provinces import ProcessNode, introduce, make_node

ESTABLISHED = "01"


@dataclass
class Target:
    """Shanghai in a process of its own; Zhejiang's leaf is the attacker's, Anhui is a bystander."""

    shanghai: ProcessNode
    zhejiang: ProcessNode
    anhui: ProcessNode

    @property
    def pid(self) -> int:
        assert self.shanghai.process is not None
        return self.shanghai.process.pid

    def attacker(self, settings: dict[int, int] | None = None) -> AbstractContextManager[Attacker]:
        keys = load_keys(self.zhejiang.folder, self.zhejiang.config)
        return attacking(
            self.shanghai.config.listen.peers,
            tls_name("shanghai"),
            self.shanghai.card.ca_pem,
            (keys.tls_leaf_pem, keys.tls_leaf_key_pem),
            settings,
        )

    def ask_as_bystander(self, channel: grpc.Channel, timeout_s: float = 10) -> bytes:
        """One call by Anhui, which must be answered whatever goes on beside it."""
        answer: bytes = channel.unary_unary(GET_CHECKPOINT)(b"", timeout=timeout_s, wait_for_ready=True)
        return answer

    def forget_peak(self) -> float:
        """Begin to measure the peak of memory anew; return where it stands, MiB.

        The node lets nobody but root do this. For others the peak is that of the whole life.
        """
        with contextlib.suppress(PermissionError):
            Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        return self.memory_mib("VmHWM")

    def memory_mib(self, what: str) -> float:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024

    def connections(self) -> int:
        """Connections of the peer port that have not ended, as the kernel sees them."""
        port = int(self.shanghai.config.listen.peers.rsplit(":", 1)[1])
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(row[1].endswith(f":{port:04X}") and row[3] == ESTABLISHED for row in rows)


@pytest.fixture(scope="package")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    parent = tmp_path_factory.mktemp("target")
    shanghai = make_node(parent, "shanghai", records=False)
    zhejiang = make_node(parent, "zhejiang", secret_from=shanghai, records=False)
    anhui = make_node(parent, "anhui", secret_from=shanghai, records=False)
    introduce(shanghai, zhejiang, anhui)
    shanghai.start(is_forked=False)
    yield Target(shanghai, zhejiang, anhui)
    for node in (shanghai, zhejiang, anhui):
        node.close()
