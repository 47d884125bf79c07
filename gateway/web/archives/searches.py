"""Searches over the federation: each runs in a thread of its own and can be looked at while it goes on.

They live in memory, belong to who began them, and are forgotten after a while; a name that is not the
caller's own is as unknown as one that never was.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from creditexchange.v1 import archive_pb2
from gateway.clock import Clock, monotonic_s
from gateway.errors import CallerError, GatewayError
from gateway.telemetry.events import logger
from gateway.web.archives.node_calls import Connect, connected

KEPT_FOR = timedelta(minutes=15)
SEARCHES_MAX = 200
OF_ONE_MAX = 10
"""Searches of one caller; the oldest is forgotten for a new one."""
RUNNING_MAX = 16
OWN = "OK"

_log = logger("archives")


class TooManySearchesError(GatewayError):
    """As many searches run as the process bears."""


@dataclass(frozen=True, slots=True)
class Part:
    """What came from one node: its result and its records."""

    peer: archive_pb2.PeerResult
    records: Sequence[archive_pb2.ArchiveRecord]
    after_s: float
    """How long after the beginning of the search, seconds."""


@dataclass
class Search:
    """One search. What has come is read with :meth:`parts`, safely from any thread."""

    owner: str
    request: archive_pb2.SearchRecordsRequest
    began: datetime
    name: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    problem: str = ""
    """Why it ended early; empty when it did not."""
    is_done: bool = False
    _parts: list[Part] = field(default_factory=list)
    _merged: Sequence[archive_pb2.ArchiveRecord] | None = None
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _began_s: float = field(default_factory=monotonic_s)

    def parts(self) -> tuple[Part, ...]:
        """Return what has come so far, in the order in which it came."""
        with self._changed:
            return tuple(self._parts)

    def records(self) -> list[archive_pb2.ArchiveRecord]:
        """Return the records so far; when the search is done, without duplicates of several nodes."""
        with self._changed:
            own = [r for part in self._parts for r in part.records if not r.provenance]
            given = [r for part in self._parts for r in part.records if r.provenance]
            return own + list(given if self._merged is None else self._merged)

    def follow(self, wait_s: float) -> Iterator[Part]:
        """Yield what has come and what comes, until the search is done or nothing came for ``wait_s``."""
        seen = 0
        while True:
            self.wait_for_more(seen, wait_s)
            with self._changed:
                fresh, is_over = self._parts[seen:], self.is_done
            yield from fresh
            seen += len(fresh)
            if is_over or not fresh:
                return

    def wait_for_more(self, seen: int, seconds: float) -> None:
        """Wait until more than ``seen`` nodes have answered, or the search is done."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._parts) > seen or self.is_done, seconds)

    def wait(self, seconds: float) -> bool:
        """Wait until the search is done; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self.is_done, seconds)

    def add(self, result: archive_pb2.PeerResult, records: Sequence[archive_pb2.ArchiveRecord]) -> None:
        """Add what came from one node."""
        with self._changed:
            self._parts.append(Part(result, tuple(records), monotonic_s() - self._began_s))
            self._changed.notify_all()

    def finish(self, merged: Sequence[archive_pb2.ArchiveRecord] | None, problem: str = "") -> None:
        """Mark the search as done."""
        with self._changed:
            self._merged, self.problem, self.is_done = merged, problem, True
            self._changed.notify_all()


@dataclass
class Searches:
    """All searches of this process. Safe for threads."""

    connect: Connect
    clock: Clock
    node_id: str
    _kept: dict[str, Search] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(
        self, owner: str, request: archive_pb2.SearchRecordsRequest, *, with_own: bool = False
    ) -> Search:
        """Begin a search for ``owner``; ``with_own`` = the node's own records too.

        Raises:
            TooManySearchesError: too many run.
        """
        search = Search(owner, request, self.clock())
        with self._lock:
            self._forget_old()
            if sum(not each.is_done for each in self._kept.values()) >= RUNNING_MAX:
                raise TooManySearchesError("too many searches run.", remedy="Try again in a few seconds.")
            mine = [each.name for each in self._kept.values() if each.owner == owner]
            for name in mine[: len(mine) - OF_ONE_MAX + 1]:
                del self._kept[name]
            self._kept[search.name] = search
        threading.Thread(
            target=self._run, args=(search, with_own), name="archive-search", daemon=True
        ).start()
        return search

    def find(self, owner: str, name: str) -> Search | None:
        """Return the search called ``name`` if it is the owner's and not forgotten."""
        with self._lock:
            self._forget_old()
            search = self._kept.get(name)
        return search if search is not None and search.owner == owner else None

    def newest(self, owner: str) -> Search | None:
        """Return the search that ``owner`` began last, if it is not forgotten."""
        with self._lock:
            self._forget_old()
            mine = [each for each in self._kept.values() if each.owner == owner]
        return mine[-1] if mine else None

    def forget(self, owner: str, name: str) -> bool:
        """Forget a search and all that it brought; whether there was one."""
        with self._lock:
            search = self._kept.get(name)
            if search is None or search.owner != owner:
                return False
            del self._kept[name]
            return True

    def forget_all(self, owner: str) -> None:
        """Forget everything that was found for ``owner``: somebody signs out."""
        with self._lock:
            self._kept = {name: each for name, each in self._kept.items() if each.owner != owner}

    def _forget_old(self) -> None:
        oldest = self.clock() - KEPT_FOR
        kept = [each for each in self._kept.values() if each.began > oldest]
        self._kept = {each.name: each for each in kept[-SEARCHES_MAX:]}

    def _run(self, search: Search, with_own: bool) -> None:
        try:
            with ExitStack() as stack:
                node = stack.enter_context(connected(self.connect))
                if with_own:
                    self._add_own(search)
                events = node.follow(search.request)
                stack.callback(events.close)
                merged: Sequence[archive_pb2.ArchiveRecord] | None = None
                for event in events:
                    if event.HasField("part"):
                        search.add(event.part.peers[0], event.part.records)
                    elif event.HasField("archive"):
                        merged = event.archive.records
            search.finish(merged)
        except CallerError as error:
            search.finish(None, str(error))
        except GatewayError as error:
            _log.warning("a search ended early", problem=error.message)
            search.finish(None, str(error))
        except Exception as error:  # noqa: BLE001 - a thread's defect must not leave anybody waiting
            _log.error("a search failed", kind=type(error).__name__)
            search.finish(None, "the gateway failed.")

    def _add_own(self, search: Search) -> None:
        began_s = monotonic_s()
        request = search.request
        wanted = archive_pb2.ListOwnRecordsRequest(
            learner_identifier=request.learner_identifier,
            identifier_type=request.identifier_type,
            kinds=request.kinds,
        )
        result = archive_pb2.PeerResult(node_id=self.node_id, outcome=OWN)
        records: Sequence[archive_pb2.ArchiveRecord] = ()
        try:
            with connected(self.connect) as node:
                records = node.own_records(wanted).records
        except GatewayError as error:
            result.outcome, result.explanation = "SOURCE_UNAVAILABLE", error.message
        result.record_count = len(records)
        result.elapsed_ms = round((monotonic_s() - began_s) * 1000)
        search.add(result, records)
