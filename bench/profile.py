"""``make profile``: samples a serving node under load from outside (py-spy) and writes a flame graph.

Functions count, not lines, and only threads that hold the interpreter or compute: what waits is left out.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import structlog

from bench.load import CLIENTS
from bench.nodes import Place, exchanges_with, make_nodes, serve
from bench.pinned import cores
from bench.report import RESULTS
from gateway.node.assemble import assemble

EXCHANGES = 6_000
RATE_HZ = 250
SHOWN = 25


def main() -> None:
    """Write ``bench/results/flame.svg`` and print what takes most."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    py_spy = Path(sys.executable).with_name("py-spy")
    os.sched_setaffinity(0, cores()[1])
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        asker, answerers = make_nodes(folder, {"shanghai": Place()})
        node = assemble(asker)
        stack.callback(node.close)
        target = exchanges_with(stack, node, "shanghai", serve(stack, answerers["shanghai"]))
        target.load(500)
        pid = str(target.server.process.pid)
        for form, path in (("raw", folder / "raw.txt"), ("flamegraph", RESULTS / "flame.svg")):
            requests = target.prepare(EXCHANGES)
            command = [str(py_spy), "record", "--pid", pid, "--rate", str(RATE_HZ), "--gil", "--function"]
            sampling = subprocess.Popen(
                [*command, "--format", form, "--output", str(path), "--duration", "600"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            time.sleep(1)  # it says nowhere that it has begun
            with ThreadPoolExecutor(CLIENTS) as pool:
                list(pool.map(target.send, requests))
            sampling.send_signal(signal.SIGINT)
            sampling.wait()
        _without_places(RESULTS / "flame.svg")
        _show((folder / "raw.txt").read_text(encoding="utf-8"))


def _without_places(path: Path) -> None:
    """Take the command line, with this machine's folders, out of the graph's title."""
    text = path.read_text(encoding="utf-8")
    path.write_text(
        re.sub(r"[^<>]*py-spy record[^<]*", "credit-gateway serve under load", text), encoding="utf-8"
    )


def _show(raw: str) -> None:
    total, within = 0, Counter[str]()
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        total += int(count)
        for function in set(stack.split(";")):
            within[function] += int(count)
    for function, count in within.most_common(SHOWN):
        print(f"{count / total:6.1%}  {function}")


if __name__ == "__main__":
    main()
