"""A small real federation with one peer away, and the console of one of its nodes as a process."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.cli.console_serving import find_console
from tests.processes.provinces import ProcessNode, introduce, make_node
from tests.web.pages_process import pages_of

OWN, PEERS, AWAY = "zhejiang", ("shanghai", "anhui"), "jiangsu"
HOSTILE_NAME = '<script>alert("x")</script><img src=x onerror=alert(1)>'


@dataclass
class RunningConsole:
    """The console's process."""

    node: ProcessNode
    process: subprocess.Popen[str]
    url: str

    def link(self, role: str = "operator") -> str:
        """A new one-time link."""
        made = find_console(self.node.folder).make_link(role)
        assert made is not None
        return made.url


@contextmanager
def federation(parent: Path) -> Iterator[dict[str, ProcessNode]]:
    """Four provinces; one of them is accepted by all and does not run."""
    own = make_node(parent, OWN, records=False)
    nodes = {OWN: own} | {i: make_node(parent, i, secret_from=own, records=i != AWAY) for i in (*PEERS, AWAY)}
    config = nodes["anhui"].folder.config
    config.write_text(_renamed(config.read_text(encoding="utf-8")), encoding="utf-8")
    introduce(*nodes.values())
    schemes = own.folder.root / "schemes"
    schemes.mkdir()
    for node_id, node in nodes.items():
        if node_id != OWN:
            shutil.copyfile(node.folder.scheme, schemes / f"{node_id}.toml")
    try:
        for node_id in (OWN, *PEERS):
            nodes[node_id].start()
        yield nodes
    finally:
        for node in nodes.values():
            node.close()


def _renamed(text: str) -> str:
    """Give a node a name that would run in a page that does not escape it."""
    lines = [
        f"names = {{ zh-Hans = {json.dumps(HOSTILE_NAME)}, en = {json.dumps(HOSTILE_NAME)} }}"
        if line.startswith("names = ")
        else line
        for line in text.splitlines()
    ]
    return "\n".join(lines) + "\n"


@contextmanager
def console_of(node: ProcessNode, settings: str = "", listen: int = 0) -> Iterator[RunningConsole]:
    """The console of ``node``; ``settings`` are lines of node.toml after ``[console]``."""
    table = f"[console]\n{settings}" if settings else ""
    with pages_of(node, "console", table, listen) as (process, url):
        yield RunningConsole(node, process, url)
