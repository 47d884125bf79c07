"""Peak memory of this process."""

from __future__ import annotations

from pathlib import Path


def peak_rss_mib() -> float:
    """Return the most memory this program has held, MiB.

    From VmHWM: ru_maxrss would include what the parent held when it started this process.
    """
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmHWM in /proc/self/status")
