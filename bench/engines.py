"""The same exchanges on SQLite and on PostgreSQL, and by one worker and by two."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.load import CLIENTS, Figures, Target, in_turns, ratio_of
from bench.nodes import Place, exchanges_with, make_nodes, serve
from bench.pinned import ALL_CORES, cores, cpu_s_of, on_client_cores, tree_of
from gateway.node.assemble import assemble
from gateway.storage.engine import open_engine
from tests.postgres import fresh_database, postgres_url

CONNECTIONS = 8
"""Connections of the load for each worker: the kernel spreads connections, not calls."""
CLIENTS_A_WORKER = CLIENTS // 2
"""So that no worker gets more than it answers at once, however unevenly they are spread."""


@dataclass(frozen=True)
class EngineFigures:
    """The two engines in turns."""

    sqlite: Figures
    postgresql: Figures
    ratio: float
    """Exchanges a CPU-second of the serving process, PostgreSQL over SQLite: median of the rounds' own."""
    spread: tuple[float, float]


@dataclass(frozen=True)
class WorkerFigures:
    """One worker and two in turns, on PostgreSQL."""

    one: Figures
    two: Figures
    ratio: float
    """How many times the exchanges two workers give when their CPU is the limit: twice the CPU of an
    exchange with one, over that with two."""
    spread: tuple[float, float]
    shares: tuple[float, ...]
    """What part of the CPU time each of the two workers used."""
    wall_ratio: float
    """Exchanges a second of two over one here, where load and database use the same cores."""


def measure_engines(folder: Path, exchanges: int, rounds: int) -> EngineFigures:
    """Serve one node on SQLite and one on PostgreSQL, and load them by turns."""
    with ExitStack() as stack:
        url = stack.enter_context(fresh_database())
        places = {"shanghai": Place(), "jiangsu": Place(url)}
        targets = _targets(stack, folder, places, {"shanghai": 1, "jiangsu": 1})
        figures = in_turns(targets, exchanges, rounds)
    sqlite, postgresql = figures["shanghai"], figures["jiangsu"]
    return EngineFigures(sqlite, postgresql, *ratio_of(sqlite.cpu_us, postgresql.cpu_us))


def measure_workers(folder: Path, exchanges: int, rounds: int) -> WorkerFigures:
    """Serve one node by one worker and one by two, both on PostgreSQL, and load them by turns.

    Each worker has as many callers: a group of entries is what a commit costs less by.
    """
    with ExitStack() as stack:
        urls = [stack.enter_context(fresh_database()) for _ in range(2)]
        places = {"shanghai": Place(urls[0]), "jiangsu": Place(urls[1])}
        targets = _targets(stack, folder, places, {"shanghai": 1, "jiangsu": 2})
        before = _cpu_by_process(targets["jiangsu"])
        figures = in_turns(targets, exchanges, rounds)
        used = [
            after - start for after, start in zip(_cpu_by_process(targets["jiangsu"]), before, strict=True)
        ]
    one, two = figures["shanghai"], figures["jiangsu"]
    ratio, spread = ratio_of([2 * cpu_us for cpu_us in one.cpu_us], two.cpu_us)
    workers = sorted(used)[-2:]
    wall = statistics.median(two.per_second) / statistics.median(one.per_second)
    return WorkerFigures(one, two, ratio, spread, tuple(each / sum(workers) for each in workers), wall)


def _targets(
    stack: ExitStack, folder: Path, places: dict[str, Place], workers: dict[str, int]
) -> dict[str, Target]:
    folder.mkdir(exist_ok=True)
    stack.enter_context(_on_the_clients_cores())
    database = postmaster()
    asker, answerers = make_nodes(folder, places)
    node = assemble(asker)
    stack.callback(node.close)
    everywhere = set(ALL_CORES)
    return {
        peer: exchanges_with(
            stack,
            node,
            peer,
            serve(stack, answerers[peer], count, core=everywhere if max(workers.values()) > 1 else None),
            connections=CONNECTIONS * count if max(workers.values()) > 1 else 1,
            clients=CLIENTS if max(workers.values()) == 1 else CLIENTS_A_WORKER * count,
            beside_s=(lambda: database_cpu_s(database)) if places[peer].url else (lambda: 0.0),
        )
        for peer, count in workers.items()
    }


def _cpu_by_process(target: Target) -> list[float]:
    return [cpu_s_of(pid) for pid in sorted(target.server.pids)]


@contextmanager
def _on_the_clients_cores() -> Iterator[None]:
    """Keep this process, and PostgreSQL's, off the servers' core."""
    with on_client_cores():
        for pid in tree_of(postmaster()):
            with suppress(ProcessLookupError):  # a server process that has just ended
                os.sched_setaffinity(pid, cores()[1])
        yield


def postmaster() -> int:
    """Return the process id of the PostgreSQL that measurements use; it must run on this machine."""
    engine = open_engine(postgres_url())
    with engine.connect() as connection:
        folder = str(connection.exec_driver_sql("SHOW data_directory").scalar_one())
    engine.dispose()
    return int((Path(folder) / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])


def database_cpu_s(postmaster_pid: int) -> float:
    """Return the CPU time of PostgreSQL's processes that run, and of those that have ended, seconds."""
    fields = Path(f"/proc/{postmaster_pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    ended = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    total = ended
    for pid in tree_of(postmaster_pid):
        try:
            total += cpu_s_of(pid)
        except OSError:  # it has just ended
            continue
    return total
