"""What goes wrong. Each fault names where, begins, and ends; ending one that never began does no harm."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from gateway.clock import monotonic_s
from tests.chaos import shim
from tests.chaos.federation import POSTGRESQL, SERVING, SQLITE, Federation
from tests.chaos.proxy import FAIR, Weather

Do = Callable[[Federation, str, float, random.Random], None]
"""Does it at a place for about so many seconds, and ends it."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong at one place, drawn from a seed."""

    name: str
    place: str
    lasts_s: float
    begins_s: float
    run: Callable[[Federation], None] = field(compare=False, repr=False)

    @property
    def told(self) -> str:
        return f"{self.name} at {self.place}, {self.begins_s:.1f} s to {self.begins_s + self.lasts_s:.1f} s"


@dataclass(frozen=True)
class Kind:
    """One row of the table of faults."""

    name: str
    group: str
    places: tuple[str, ...]
    longest_s: float
    do: Do = field(repr=False)
    is_alone: bool = False
    """Whether nothing else may go wrong in the same round."""

    def draw(self, chance: random.Random) -> Fault:
        place = chance.choice(self.places)
        lasts_s = round(chance.uniform(self.longest_s / 4, self.longest_s), 2)
        begins_s = round(chance.uniform(0.1, 0.8), 2)
        own = random.Random(chance.random())
        return Fault(
            self.name,
            place,
            lasts_s,
            begins_s,
            lambda federation: self.do(federation, place, lasts_s, own),
        )


def pause(seconds: float) -> None:
    threading.Event().wait(seconds)


# Processes


def _kill(federation: Federation, place: str, lasts_s: float, _chance: random.Random) -> None:
    province = federation.provinces[place]
    province.kill()
    pause(lasts_s)
    province.release()


def _kill_worker(federation: Federation, place: str, _lasts_s: float, chance: random.Random) -> None:
    pids = federation.provinces[place].worker_pids()
    if pids:
        with suppress(ProcessLookupError):
            os.kill(chance.choice(pids), signal.SIGKILL)


def _kill_while_starting(federation: Federation, place: str, lasts_s: float, chance: random.Random) -> None:
    """It dies again and again before it serves, each time at another point of its start."""
    province = federation.provinces[place]
    end_s = monotonic_s() + lasts_s
    while monotonic_s() < end_s:
        province.kill()
        province.start()
        pause(chance.uniform(0.1, 2.0))
    province.kill()
    province.release()


def _terminate(federation: Federation, place: str, lasts_s: float, _chance: random.Random) -> None:
    province = federation.provinces[place]
    if not province.is_serving():
        return
    status = province.terminate()
    pause(lasts_s)
    province.release()
    if status not in (0, None):
        raise BrokenError(f"{place} ended with status {status} when it was asked to stop")


def _freeze(federation: Federation, place: str, lasts_s: float, _chance: random.Random) -> None:
    province = federation.provinces[place]
    province.signal_all(signal.SIGSTOP)
    try:
        pause(lasts_s)
    finally:
        province.signal_all(signal.SIGCONT)


# Disks


def _disk(fault: shim.DiskFault) -> Do:
    def fail(federation: Federation, place: str, lasts_s: float, _chance: random.Random) -> None:
        orders = federation.provinces[place].orders
        orders.set_disk(fault)
        try:
            pause(lasts_s)
        finally:
            orders.set_disk(shim.DISK_WELL)

    return fail


def _disk_then_kill(federation: Federation, place: str, lasts_s: float, _chance: random.Random) -> None:
    """The process dies while its disk fails, and comes up on a disk that still does."""
    province = federation.provinces[place]
    province.orders.set_disk(shim.DISK_FULL_TORN)
    try:
        pause(lasts_s / 2)
        province.kill()
        province.release()
        pause(lasts_s / 2)
    finally:
        province.orders.set_disk(shim.DISK_WELL)


# Databases


def _server_stops(mode: str) -> Do:
    def stop(federation: Federation, _place: str, lasts_s: float, _chance: random.Random) -> None:
        federation.server.stop(mode)
        try:
            pause(lasts_s)
        finally:
            federation.server.start()

    return stop


def _server_read_only(federation: Federation, _place: str, lasts_s: float, _chance: random.Random) -> None:
    federation.server.set_read_only("on")
    try:
        pause(lasts_s)
    finally:
        federation.server.set_read_only("off")


def _sessions_end(federation: Federation, place: str, lasts_s: float, chance: random.Random) -> None:
    end_s = monotonic_s() + lasts_s
    while monotonic_s() < end_s:
        federation.server.end_sessions(place)
        pause(chance.uniform(0.05, 0.5))


def _locked(federation: Federation, place: str, lasts_s: float, _chance: random.Random) -> None:
    """Somebody else holds what the log needs."""
    if place == POSTGRESQL:
        with federation.server.connected(place) as connection, connection.transaction():
            connection.execute("LOCK TABLE audit_tree IN ACCESS EXCLUSIVE MODE")
            pause(lasts_s)
        return
    database = sqlite3.connect(federation.provinces[place].data / "node.db", isolation_level=None, timeout=10)
    try:
        database.execute("BEGIN IMMEDIATE")
        pause(lasts_s)
        database.execute("ROLLBACK")
    finally:
        database.close()


# Clocks


def _clock(shortest_s: float, longest_s: float) -> Do:
    def jump(federation: Federation, place: str, lasts_s: float, chance: random.Random) -> None:
        orders = federation.provinces[place].orders
        sign = chance.choice((-1, 1))
        orders.set_clock(sign * chance.uniform(shortest_s, longest_s))
        try:
            pause(lasts_s)
        finally:
            orders.set_clock(0)

    return jump


# Networks


@contextmanager
def _weather(federation: Federation, links: list[tuple[str, str]], weather: Weather) -> Iterator[None]:
    for source, target in links:
        federation.network.set_weather(source, target, weather)
    try:
        yield
    finally:
        for source, target in links:
            federation.network.set_weather(source, target, FAIR)


def _links_of(place: str) -> list[tuple[str, str]]:
    """Every link that ends or begins at a node; the load's own connections are one of them."""
    others = [*(node_id for node_id in SERVING if node_id != place), ""]
    return [(other, place) for other in others] + [(place, other) for other in others if other]


def _bad_weather(weather: Weather) -> Do:
    def blow(federation: Federation, place: str, lasts_s: float, _chance: random.Random) -> None:
        with _weather(federation, _links_of(place), weather):
            pause(lasts_s)

    return blow


def _one_way(federation: Federation, place: str, lasts_s: float, chance: random.Random) -> None:
    """One node can reach another, which cannot reach it."""
    other = chance.choice([node_id for node_id in SERVING if node_id != place])
    with _weather(federation, [(place, other)], Weather(is_silent=True)):
        pause(lasts_s)


def _split(federation: Federation, place: str, lasts_s: float, _chance: random.Random) -> None:
    """The node is alone on its side."""
    with _weather(federation, _links_of(place), Weather(is_cut=True)):
        pause(lasts_s)


def _resets(federation: Federation, place: str, lasts_s: float, chance: random.Random) -> None:
    """Connections are dropped again and again."""
    end_s = monotonic_s() + lasts_s
    while monotonic_s() < end_s:
        for source, target in _links_of(place):
            federation.network.reset(source, target)
        pause(chance.uniform(0.05, 0.6))


# Old state


def _old_state(federation: Federation, place: str, lasts_s: float, _chance: random.Random) -> None:
    """Somebody puts a backup back and starts the node; then the right database comes back.

    On the old database the node must answer nothing: its peers hold a newer head of its log.
    """
    province = federation.provinces[place]
    old, new = federation.folder / f"{place}.old", federation.folder / f"{place}.new"
    for folder in (old, new):
        shutil.rmtree(folder, ignore_errors=True)
    size = _copy(province.data, old)
    _wait_until_witnessed(federation, place, size)
    province.kill()
    shutil.copytree(province.data, new)
    newest = _entries(new / "node.db")
    try:
        _put(old, province.data)
        started_s = monotonic_s()
        province.start()
        assert province.process is not None
        while province.process.poll() is None and monotonic_s() < started_s + 20:
            if province.is_serving():
                raise BrokenError(f"{place} serves on a database of {size} entries; it has had {newest}")
            pause(0.05)
        pause(lasts_s)
        if _entries(province.data / "node.db") != size:
            raise BrokenError(f"{place} appended to an old database")
    finally:
        province.kill()
        _put(new, province.data)
        province.release()


def _copy(data: Path, to: Path) -> int:
    """Copy both databases as `sqlite3 .backup` does, while the node runs; return how long the log is."""
    to.mkdir()
    for name in ("node.db", "records.db"):
        source, copy = sqlite3.connect(data / name, timeout=10), sqlite3.connect(to / name)
        with source, copy:
            source.backup(copy)
        source.close()
        copy.close()
    return _entries(to / "node.db")


def _put(copy: Path, data: Path) -> None:
    for file in data.iterdir():
        if file.name.startswith(("node.db", "records.db")):
            file.unlink()
    for file in copy.iterdir():
        shutil.copy2(file, data / file.name)


def _entries(file: Path) -> int:
    connection = sqlite3.connect(file, timeout=10)
    try:
        ((size,),) = connection.execute("SELECT size FROM audit_tree").fetchall()
        return int(size)
    finally:
        connection.close()


def _wait_until_witnessed(federation: Federation, place: str, size: int) -> None:
    """Until a peer on SQLite has cosigned a head that is newer than the copy."""
    origin = federation.provinces[place].node.config.audit.origin
    other = next(node_id for node_id in SQLITE if node_id != place)
    file = federation.provinces[other].data / "node.db"
    end_s = monotonic_s() + 20
    while monotonic_s() < end_s:
        connection = sqlite3.connect(file, timeout=10)
        try:
            rows = connection.execute(
                "SELECT max(size) FROM witnessed_log WHERE origin = ?", [origin]
            ).fetchall()
        finally:
            connection.close()
        if rows and (rows[0][0] or 0) > size:
            return
        pause(0.1)
    raise BrokenError(f"nobody witnessed a newer head of {place}")


class BrokenError(Exception):
    """A node did during a fault what it must not."""


KINDS = {
    kind.name: kind
    for kind in (
        Kind("killed", "process", SERVING, 1.5, _kill),
        Kind("worker killed", "process", (POSTGRESQL,), 1.0, _kill_worker),
        Kind("killed while starting", "process", SQLITE, 4.0, _kill_while_starting),
        Kind("stopped in order", "process", SERVING, 1.0, _terminate),
        Kind("frozen", "process", SERVING, 3.0, _freeze),
        Kind("disk full", "disk", SQLITE, 2.5, _disk(shim.DISK_FULL)),
        Kind("disk full, torn write", "disk", SQLITE, 2.5, _disk(shim.DISK_FULL_TORN)),
        Kind("disk read-only", "disk", SQLITE, 2.5, _disk(shim.DISK_READ_ONLY)),
        Kind("disk error", "disk", SQLITE, 2.5, _disk(shim.DISK_ERROR)),
        Kind("fsync fails", "disk", SQLITE, 2.5, _disk(shim.SYNC_ERROR)),
        Kind("disk slow", "disk", SQLITE, 2.5, _disk(shim.DISK_SLOW)),
        Kind("killed on a full disk", "disk", SQLITE, 4.0, _disk_then_kill),
        Kind("database server crashes", "database", (POSTGRESQL,), 2.0, _server_stops("immediate")),
        Kind("database server restarts", "database", (POSTGRESQL,), 2.0, _server_stops("fast")),
        Kind("database read-only", "database", (POSTGRESQL,), 2.5, _server_read_only),
        Kind("database sessions end", "database", (POSTGRESQL,), 2.5, _sessions_end),
        Kind("database locked", "database", SERVING, 3.0, _locked),
        Kind("clock wrong by seconds", "clock", SERVING, 2.5, _clock(5, 120)),
        Kind("clock wrong by hours", "clock", SERVING, 2.5, _clock(600, 86_400)),
        Kind("network slow", "network", SERVING, 3.0, _bad_weather(Weather(delay_s=0.2))),
        Kind("network reorders", "network", SERVING, 3.0, _bad_weather(Weather(jitter_s=0.6))),
        Kind("network loses", "network", SERVING, 3.0, _bad_weather(Weather(stall_share=0.2))),
        Kind("network narrow", "network", SERVING, 3.0, _bad_weather(Weather(bytes_per_s=8_000))),
        Kind("network silent", "network", SERVING, 3.0, _bad_weather(Weather(is_silent=True))),
        Kind("network one-way", "network", SERVING, 3.0, _one_way),
        Kind("network flips bits", "network", SERVING, 2.0, _bad_weather(Weather(flip_share=0.2))),
        Kind("connections dropped", "network", SERVING, 2.5, _resets),
        Kind("network split", "network", SERVING, 3.0, _split),
        Kind("old state", "state", SQLITE, 0.5, _old_state, is_alone=True),
    )
}


def draw(seed: int, names: Sequence[str] = ()) -> list[Fault]:
    """The faults of one round: one to three that overlap, or one that wants to be alone.

    ``names`` restricts the kinds that are drawn from.
    """
    chance = random.Random(seed)
    kinds = [KINDS[name] for name in names or KINDS]
    first = chance.choice(kinds)
    if first.is_alone:
        return [first.draw(chance)]
    others = [kind for kind in kinds if not kind.is_alone and kind is not first]
    chosen = [first, *chance.sample(others, min(len(others), chance.choice((0, 0, 1, 1, 2))))]
    return _compatible([kind.draw(chance) for kind in chosen])


def draw_each(seed: int, names: Sequence[str]) -> list[Fault]:
    """Each of ``names`` in one round, at places and times drawn from ``seed``."""
    chance = random.Random(seed)
    return [KINDS[name].draw(chance) for name in names]


def _compatible(faults: list[Fault]) -> list[Fault]:
    """Without a second fault of the same group at the same place: the one would end the other."""
    kept: dict[tuple[str, str], Fault] = {}
    for fault in faults:
        kept.setdefault((KINDS[fault.name].group, fault.place), fault)
    return list(kept.values())
