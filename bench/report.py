"""What a run of measurements found: rows for people, members and ratios for programs, both in one place."""

from __future__ import annotations

import json
import os
import platform
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).with_name("results")
LATEST = RESULTS / "latest.json"
LARGE = RESULTS / "large.json"
"""The last run of ``make bench-large``."""

RATIOS = (
    "exchange_vs_ceiling",
    "exchange_vs_http_baseline",
    "bulk_vs_single_records",
    "fan_out_vs_slowest_peer",
    "learners_1e6_vs_1e3",
    "log_1e7_vs_1e3",
    "postgresql_vs_sqlite",
    "two_workers_vs_one",
)
"""What a run must say, each with how it was found (``ratios_found_by``)."""


@dataclass
class Report:
    """What was measured so far."""

    quick: bool
    members: dict[str, Any] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    found_by: dict[str, str] = field(default_factory=dict)
    rows: list[tuple[str, str, str]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def row(self, measured: str, result: str, to_reach: str = "") -> None:
        """Add a row for people."""
        self.rows.append((measured, result, to_reach))

    def ratio(self, name: str, value: float, how: str, spread: Sequence[float] = ()) -> None:
        """State a ratio and how it was found."""
        self.ratios[name] = round(value, 3)
        between = f"; rounds between {spread[0]:.2f} and {spread[1]:.2f}" if spread else ""
        self.found_by[name] = f"{how}{between}; measured {datetime.now(UTC).date()}"

    def take_earlier(self, name: str) -> None:
        """Take a ratio from the last committed long run, and say so with its date."""
        for path in (LARGE, LATEST):
            if not path.exists():
                continue
            earlier = json.loads(path.read_text(encoding="utf-8"))
            if name in earlier.get("ratios", {}):
                self.ratios[name] = earlier["ratios"][name]
                how = self.found_by[name] = earlier["ratios_found_by"][name]
                self.row(f"{name}, {how.rsplit('; ', 1)[-1]}", f"{earlier['ratios'][name]:.2f}")
                return

    def write(self, path: Path = LATEST, *, over: bool = False) -> dict[str, Any]:
        """Write the results for programs and return them; ``over`` keeps what the file has beside them."""
        earlier = json.loads(path.read_text(encoding="utf-8")) if over and path.exists() else {}
        seconds = {name: round(value, 1) for name, value in self.seconds.items()}
        results = earlier | {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "quick": self.quick,
            "machine": machine(),
            "seconds": earlier.get("seconds", {}) | seconds,
            **self.members,
            "ratios_found_by": earlier.get("ratios_found_by", {}) | self.found_by,
            "ratios": earlier.get("ratios", {}) | self.ratios,
        }
        RESULTS.mkdir(exist_ok=True)
        path.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return results

    def show(self, console: Console) -> None:
        """Print the rows."""
        table = Table("measured", "result", "to reach", title_justify="left", box=None, header_style="bold")
        for row in self.rows:
            table.add_row(*row)
        console.print(table)


def machine() -> dict[str, Any]:
    """Describe this machine, and how busy it was with other things when it was asked."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory_kib = int(Path("/proc/meminfo").read_text(encoding="ascii").split()[1])
    return {
        "processor": model,
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory_kib / 2**20, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_average_1_5_15": [round(value, 2) for value in os.getloadavg()],
        "random_lookup_ns": round(random_lookup_ns()),
    }


def random_lookup_ns() -> float:
    """Return the CPU time of a look-up in no order in a dict of a million texts, nanoseconds.

    It tells how long memory takes to answer, beside whatever else uses the same host: interpreted code
    waits for it more than the echo does.
    """
    texts = {number: str(number) for number in range(1_000_000)}
    order = list(texts)
    random.Random(1).shuffle(order)
    started_s = time.process_time()
    for number in order:
        texts[number]
    return (time.process_time() - started_s) / len(order) * 1e9
