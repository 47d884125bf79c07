"""`python -m tests.mutations [NAME …]`: take each measure away in turn, and see that its tests fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.mutations.plugin import FOUND
from tests.mutations.table import MUTATIONS

ROOT = Path(__file__).parents[2]


def missed(name: str) -> list[str]:
    """Return the tests that pass although the measure is gone; none is what is wanted."""
    tests = MUTATIONS[name].tests
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "tests.mutations.plugin",
            "--mutation",
            name,
            "-s",
            *tests,
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    found = {line.removeprefix(FOUND) for line in done.stdout.splitlines() if line.startswith(FOUND)}
    if done.returncode not in (0, 1):
        return [f"{test} (did not run: {(done.stdout + done.stderr)[-300:]})" for test in tests]
    return [test for test in tests if test not in found]


def main() -> int:
    names = sys.argv[1:] or list(MUTATIONS)
    survived = 0
    for name in names:
        tests = missed(name)
        survived += bool(tests)
        print(f"{name}: {'NOT NOTICED BY ' + ', '.join(tests) if tests else 'noticed'}", flush=True)
    print(f"{len(names) - survived} of {len(names)} measures that were taken away were noticed")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
