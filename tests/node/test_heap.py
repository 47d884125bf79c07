"""Huge pages and one arena: what the kernel says of a process that asked for them, and nothing lost by it."""

from __future__ import annotations

import json
import subprocess
import sys

CODE = """
import json, re, sys, threading
from pathlib import Path
from gateway.node.heap import keep_heap_together, use_huge_pages

def kib(name):
    return int(re.search(name + r": +([0-9]+) kB", Path("/proc/self/smaps_rollup").read_text())[1])

is_together = keep_heap_together()
heap = [str(number) for number in range(500_000)]
idle = threading.Event()
threads = [threading.Thread(target=idle.wait) for _ in range(20)]
for thread in threads:
    thread.start()
before = kib("Rss")
pages = use_huge_pages()
found = {"together": is_together, "pages": pages, "before": before, "after": kib("Rss"),
         "huge": kib("AnonHugePages"), "whole": heap == [str(number) for number in range(500_000)]}
idle.set()
json.dump(found, sys.stdout)
"""


def test_the_heap_moves_whole_and_reserves_stay_where_they_are() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["whole"]
    assert found["huge"] >= found["pages"] * 2048, found  # the kernel counts what was moved
    assert found["after"] < found["before"] * 1.25, found  # twenty stacks of 8 MiB are no heap
    assert found["together"]
