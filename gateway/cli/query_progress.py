"""How a query goes on, on a terminal: one line a peer, until its result is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field

from rich.live import Live
from rich.table import Table
from rich.text import Text

from creditexchange.v1 import archive_pb2
from gateway.cli.output import console, errors, table
from gateway.clock import monotonic_s

INTERRUPTED = "INTERRUPTED"
REFRESHES_PER_S = 8

_STATES = {
    archive_pb2.PEER_STATE_ASKING: "asking",
    archive_pb2.PEER_STATE_WAITING: "waiting",
    archive_pb2.PEER_STATE_ASKING_AGAIN: "asking again",
}


@dataclass
class Watched:
    """What a query has given so far."""

    progress: dict[str, archive_pb2.PeerProgress] = field(default_factory=dict)
    parts: dict[str, archive_pb2.SearchRecordsResponse] = field(default_factory=dict)
    archive: archive_pb2.SearchRecordsResponse | None = None
    is_interrupted: bool = False
    started_s: float = field(default_factory=monotonic_s)

    def note(self, event: archive_pb2.FollowSearchResponse) -> None:
        """Take up one event."""
        if event.HasField("progress"):
            self.progress[event.progress.node_id] = event.progress
        elif event.HasField("part"):
            self.parts[event.part.peers[0].node_id] = event.part
        elif event.HasField("archive"):
            self.archive = event.archive

    @property
    def response(self) -> archive_pb2.SearchRecordsResponse:
        """The merged archive; if it did not come to that, what has come, peer by peer."""
        if self.archive is not None:
            return self.archive
        so_far = archive_pb2.SearchRecordsResponse()
        for node_id in sorted({*self.progress, *self.parts}):
            if node_id in self.parts:
                so_far.MergeFrom(self.parts[node_id])
            else:
                so_far.peers.add(
                    node_id=node_id, outcome=INTERRUPTED, explanation="it was still being asked."
                )
        return so_far

    def __rich__(self) -> Table:
        """Return one line a peer."""
        shown = table("peer", "state", "s", "records", "remark")
        for node_id in sorted({*self.progress, *self.parts}):
            shown.add_row(*self._line(node_id))
        return shown

    def _line(self, node_id: str) -> tuple[str, str, str, str, Text]:
        if node_id in self.parts:
            (result,) = self.parts[node_id].peers
            is_ok = result.outcome == "OK"
            state = "answered" if is_ok else f"gave nothing: {result.outcome}"
            records = str(result.record_count) if is_ok else ""
            return node_id, state, f"{result.elapsed_ms / 1000:.1f}", records, Text(result.explanation)
        progress = self.progress[node_id]
        state = _STATES.get(progress.state, "asking")
        elapsed = f"{monotonic_s() - self.started_s:.1f}"
        return node_id, state, elapsed, "", Text(progress.remark)


def watch(events: Iterator[archive_pb2.FollowSearchResponse], *, is_live: bool) -> Watched:
    """Take up all events, shown live if that is wanted and both streams are a terminal; stop at Ctrl-C.

    The live lines go to standard error and are wiped at the end: standard output holds the result alone.

    Raises:
        GatewayError: the node could not ask; see :meth:`gateway.cli.local_node.LocalNode.follow`.
    """
    watched = Watched()
    is_shown = is_live and console.is_terminal and errors.is_terminal
    shown = Live(watched, console=errors, transient=True, refresh_per_second=REFRESHES_PER_S)
    try:
        with shown if is_shown else nullcontext():
            for event in events:
                watched.note(event)
    except KeyboardInterrupt:
        watched.is_interrupted = True
    return watched
