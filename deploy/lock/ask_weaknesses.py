"""Asks pip-audit for known weaknesses of what the lock files install.

Exit status 0: all packages were looked up, and nothing is known against any; 1: something is known; 2: the data
could not be had, of some packages or of all. pip-audit itself says "no known vulnerabilities" and ends with 0
when the registry has no data about a package: a node's operator must not take that for an answer.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
COMMAND = ["-m", "pip_audit", "--disable-pip", "--require-hashes", "--format=json", "--progress-spinner=off"]
NOT_KNOWN = 2


def judged(packages: Iterable[dict[str, Any]]) -> tuple[int, list[str]]:
    """Return the exit status and what to say of ``packages``, as pip-audit lists them."""
    weak, unknown = [], []
    for package in packages:
        if "skip_reason" in package:
            unknown.append(package["name"])
        for weakness in package.get("vulns", ()):
            mended = ", ".join(weakness["fix_versions"]) or "no version yet"
            weak.append(f"{package['name']} {package['version']}: {weakness['id']}, mended in {mended}")
    if weak:
        return 1, [*weak, "Remedy: `make lock`, run the tests, install again."]
    if unknown:
        return NOT_KNOWN, [
            f"Not known: there is no data about {len(unknown)} packages here ({', '.join(unknown)}).",
            "Remedy: run this where the registry's advisories can be reached; nothing was found out.",
        ]
    return 0, ["Nothing is known against any package of deploy/lock."]


def main() -> int:
    """Ask once for all lock files."""
    files = [option for file in sorted(HERE.glob("*.txt")) for option in ("--requirement", str(file))]
    done = subprocess.run(  # noqa: S603 - our own interpreter and arguments
        [sys.executable, *COMMAND, *files], check=False, capture_output=True, text=True
    )
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
        sys.stderr.write(f"Not known: pip-audit could not ask ({last}).\n")
        return NOT_KNOWN
    status, lines = judged(packages)
    (sys.stdout if status == 0 else sys.stderr).write("\n".join(lines) + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
