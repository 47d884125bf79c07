"""A command that serves pages of a node, as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.ports import free_port
from tests.processes.provinces import ProcessNode


@contextmanager
def pages_of(
    node: ProcessNode, command: str, settings: str = "", listen: int = 0, under: Sequence[str] = ()
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Serve until left; yields the process and where it is reached. ``settings`` end node.toml meanwhile."""
    config = node.folder.config
    before = config.read_text(encoding="utf-8")
    if settings:
        config.write_text(f"{before}\n{settings}", encoding="utf-8")
    arguments = ["--listen", f"127.0.0.1:{listen or free_port()}", "--output", "json"]
    process = subprocess.Popen(
        [
            *under,
            sys.executable,
            "-m",
            "gateway.cli.main",
            command,
            "--node",
            str(node.folder.root),
            *arguments,
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        text = ""
        while not text.endswith("}\n"):
            line = process.stdout.readline()
            assert line, process.wait()
            text += line
        yield process, json.loads(text)[command]
    finally:
        process.terminate()
        assert process.wait(timeout=30) == 0
        process.stdout.close()
        config.write_text(before, encoding="utf-8")
