"""`python -m tests.fuzz --minutes N [NAME …]`: fuzz every target in turn, and count.

A finding is written beside the corpus that was found, and the command ends with status 1.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMITTED = Path(__file__).parent / "corpus"
RESULTS = ROOT / "bench" / "results" / "fuzz.json"
TURN_S = 60
_COUNT = re.compile(r"^executions (\d+)$", re.MULTILINE)


def turn(
    name: str, seconds: float, found: Path, committed: Path | None = None, *, seed: int = 0
) -> tuple[int, str]:
    """Fuzz one target in a process of its own; return executions, and what went wrong."""
    folders = [str(found / name), str(committed or COMMITTED / name)]
    path = os.pathsep.join([str(ROOT / ".fuzz"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.one_target", name, str(seconds), str(seed), *folders],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    counts = _COUNT.findall(done.stdout)
    if done.returncode == 0 and counts:
        return int(counts[-1]), ""
    told = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("INFO:")]
    return 0, f"ended with status {done.returncode}\n" + "\n".join(told)[-3000:]


def read_results() -> dict[str, int]:
    if not RESULTS.is_file():
        return {}
    return dict(json.loads(RESULTS.read_text())["executions"])


def write_results(executions: dict[str, int]) -> None:
    content = {
        "meaning": "executions of each fuzz target since counting began; every finding was mended",
        "until": datetime.now(UTC).date().isoformat(),
        "total": sum(executions.values()),
        "executions": dict(sorted(executions.items())),
    }
    RESULTS.write_text(json.dumps(content, indent=2) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long altogether")
    parser.add_argument("--turn", type=float, default=TURN_S, help="seconds a target at a time")
    parser.add_argument("--found", type=Path, default=ROOT / ".fuzz-found", help="where inputs are kept")
    parser.add_argument("--count", action="store_true", help=f"add to {RESULTS.relative_to(ROOT)}")
    parser.add_argument("names", nargs="*", help="targets; all by default")
    asked = parser.parse_args()
    names = asked.names or sorted(folder.name for folder in COMMITTED.iterdir() if folder.is_dir())
    turns = max(1, round(asked.minutes * 60 / asked.turn / len(names)))
    seconds = asked.minutes * 60 / turns / len(names)
    total: dict[str, int] = {}
    broken: dict[str, str] = {}
    for _ in range(turns):
        for name in names:
            if name in broken:
                continue
            count, problem = turn(name, seconds, asked.found)
            total[name] = total.get(name, 0) + count
            if problem:
                broken[name] = problem
                print(f"{name}: FINDING\n{problem}\n", flush=True)
            else:
                print(f"{name}: {total[name]:,}", flush=True)
            if asked.count and count:
                executions = read_results()
                executions[name] = executions.get(name, 0) + count
                write_results(executions)
    print(f"{sum(total.values()):,} executions, {len(broken)} findings, inputs in {asked.found}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
