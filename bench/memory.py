"""What processes hold in memory: the most that this one did, and a worker's, idle and under load."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

BATCH = 1_000
"""Exchanges between two looks at a worker's memory."""


@dataclass(frozen=True)
class MemoryFigures:
    """What a serving process held, MiB (VmRSS)."""

    idle_mib: float
    samples: list[tuple[int, float]]
    """(exchanges so far, MiB) while it was under full load."""

    @property
    def peak_mib(self) -> float:
        """The most of all samples."""
        return max(mib for _, mib in self.samples)

    @property
    def growth_mib(self) -> float:
        """How much more it held at the end than after the first tenth, when every pool is filled."""
        return self.samples[-1][1] - self.samples[len(self.samples) // 10][1]


def measure_memory(folder: Path, exchanges: int) -> MemoryFigures:
    """Serve a node, look at its memory idle, then while it answers so many exchanges of 16 callers."""
    # Here, because tests take only `peak_rss_mib` from this module.
    from bench.nodes import Place, exchanges_with, make_nodes, serve
    from bench.pinned import on_client_cores, rss_mib
    from gateway.node.assemble import assemble

    with on_client_cores(), ExitStack() as stack:
        asker, answerers = make_nodes(folder, {"shanghai": Place()})
        node = assemble(asker)
        stack.callback(node.close)
        target = exchanges_with(stack, node, "shanghai", serve(stack, answerers["shanghai"]))
        for request in target.prepare(20):
            target.send(request)
        pid = target.server.process.pid
        idle_mib = rss_mib(pid)
        samples = []
        for done in range(BATCH, max(exchanges, BATCH) + 1, BATCH):
            target.load(BATCH)
            samples.append((done, rss_mib(pid)))
    return MemoryFigures(idle_mib, samples)


def peak_rss_mib() -> float:
    """Return the most memory this program has held, MiB.

    From VmHWM: ru_maxrss would include what the parent held when it started this process.
    """
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmHWM in /proc/self/status")
