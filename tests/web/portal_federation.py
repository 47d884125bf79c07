"""A small real federation with one peer away, and portals of its nodes as processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.ports import free_port
from tests.processes.provinces import ProcessNode, introduce, make_node
from tests.web.pages_process import pages_of

OWN, PEERS, AWAY = "zhejiang", ("shanghai", "anhui"), "jiangsu"
DOMAIN = "credentials.zhejiang.example"


@dataclass
class RunningPortal:
    """A portal's process."""

    node: ProcessNode
    url: str

    def client(self, token: str = "", learner: str = "") -> httpx2.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if learner:
            headers["Learner-Identifier"] = learner
        return httpx2.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)


@contextmanager
def portal_federation(
    parent: Path, *, running: tuple[str, ...] = (OWN, *PEERS)
) -> Iterator[dict[str, ProcessNode]]:
    """Four provinces; of which some run. The first one serves what it issues, and all believe its consents."""
    own = make_node(parent, OWN)
    names = (*PEERS, AWAY)
    nodes = {OWN: own} | {i: make_node(parent, i, secret_from=own) for i in names}
    page = f"127.0.0.1:{free_port()}"
    config = own.folder.config
    text = config.read_text(encoding="utf-8")
    text = text.replace("[audit]\n", f'[audit]\ncosign_s = 0.5\nlisten = "{page}"\n')
    config.write_text(f'{text}\n[credentials]\ndomain = "{DOMAIN}"\n', encoding="utf-8")
    for node in nodes.values():
        if node is not own:
            for_all = node.folder.access.read_text(encoding="utf-8")
            node.folder.access.write_text(f'[consent]\nissuers = ["{OWN}"]\n{for_all}', encoding="utf-8")
            changed = node.folder.config.read_text(encoding="utf-8")
            changed = changed.replace("[audit]\n", "[audit]\ncosign_s = 0.5\n")
            node.folder.config.write_text(changed, encoding="utf-8")
    introduce(*nodes.values())
    with ExitStack() as stack:
        for node in nodes.values():
            stack.callback(node.close)
        for node_id in running:
            nodes[node_id].start()
        yield nodes


def open_page(node: ProcessNode) -> str:
    """Where the open page of the first node is reached."""
    return f"http://{node.config.audit.listen}"


@contextmanager
def portal_of(node: ProcessNode, settings: str, listen: int = 0) -> Iterator[RunningPortal]:
    """The portal of ``node``; ``settings`` are lines of node.toml from ``[portal]`` on."""
    with pages_of(node, "portal", settings, listen) as (_, url):
        yield RunningPortal(node, url)
