"""One exchange with everything on, beside a bare echo and beside HTTP/JSON; alternately, in one run."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path

from bench.baseline_loads import echo_target, http_target
from bench.load import Figures, Target, in_turns
from bench.nodes import Place, exchanges_with, make_nodes, serve
from bench.pinned import on_client_cores
from gateway.node.assemble import assemble

MEMORY = Path("/dev/shm")
"""A file system without a disk: what is left of an exchange there is not the disk's."""


def measure_exchanges(folder: Path, exchanges: int, rounds: int) -> dict[str, Figures]:
    """Return the figures of ``ours``, ``no_disk``, ``ceiling`` and ``http``, measured in turns.

    ``no_disk`` is a second node of the same kind whose database lies in memory.
    """
    with on_client_cores(), ExitStack() as stack:
        asker, answerers = make_nodes(folder, {"shanghai": Place()})
        node = assemble(asker)
        stack.callback(node.close)
        ours = exchanges_with(stack, node, "shanghai", serve(stack, answerers["shanghai"]))
        (request,) = ours.prepare(1)
        answer = ours.send(request)
        ours.check(request, answer)
        targets: dict[str, Target] = {"ours": ours}
        if MEMORY.is_dir():
            in_memory = stack.enter_context(tempfile.TemporaryDirectory(dir=MEMORY))
            targets["no_disk"] = _without_disk(stack, Path(in_memory))
        targets |= {
            "ceiling": echo_target(
                stack, folder, answerers["shanghai"], asker, len(request.request), len(answer)
            ),
            "http": http_target(stack, folder, answerers["shanghai"], asker, answer),
        }
        return in_turns(targets, exchanges, rounds)


def _without_disk(stack: ExitStack, folder: Path) -> Target:
    asker, answerers = make_nodes(folder, {"shanghai": Place()})
    node = assemble(asker)
    stack.callback(node.close)
    return exchanges_with(stack, node, "shanghai", serve(stack, answerers["shanghai"]))


def bytes_an_entry(database: Path) -> int:
    """Return what an entry takes in a node's file, with its evidence, tree nodes and indexes, bytes."""
    with closing(sqlite3.connect(database)) as connection:
        ((entries,),) = connection.execute("SELECT count(*) FROM audit_entry")
        ((pages,),), ((page_bytes,),) = (
            connection.execute(f"PRAGMA {name}") for name in ("page_count", "page_size")
        )
    return round(pages * page_bytes / entries)
