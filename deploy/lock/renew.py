"""Writes the lock files beside it: every package that a node runs with, its one version and its digests.

``node.txt`` is what every node needs; each further file is what one extra of pyproject.toml adds to it. All
come from one resolution, so that any of them fit together. Resolved for CPython 3.11 and newer on Linux
(``[tool.uv]`` in pyproject.toml). Needs `uv`_; ``make lock`` fetches it.

.. _uv: https://docs.astral.sh/uv/
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NODE = "node"
NOT_FOR_OPERATORS = frozenset({"dev"})
NAME = re.compile(r"^([a-z0-9][a-z0-9-]*)==", re.MULTILINE)
COMPILE = [
    "pip",
    "compile",
    "pyproject.toml",
    "--quiet",
    "--universal",
    "--python-version",
    "3.11",
    "--only-binary",
    ":all:",
    "--emit-build-options",
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-annotate",
]


def extras() -> list[str]:
    """The extras of pyproject.toml that an operator may install, by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return sorted(set(project["optional-dependencies"]) - NOT_FOR_OPERATORS)


def environment() -> str:
    """The marker of the environments that all versions are chosen for: uv repeats it on each line."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    (marker,) = tool["uv"]["environments"]
    return str(marker)


def resolved(uv: str, *options: str) -> str:
    """What uv prints for pyproject.toml, without the marker that holds for all of it.

    Raises:
        SystemExit: it failed; its own words have been shown.
    """
    done = subprocess.run(  # noqa: S603 - the path of uv comes from the Makefile
        [uv, *COMPILE, "--custom-compile-command", "make lock", *options],
        cwd=ROOT,
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        sys.exit("deploy/lock is unchanged: the versions could not be resolved; uv says why above.")
    marker = environment()
    return done.stdout.replace(f" and {marker}", "").replace(f" ; {marker}", "")


def main() -> None:
    """Resolve everything once, then write each file as a part of that."""
    uv, whole = sys.argv[1], HERE / "whole.txt"
    chosen = [f"--extra={extra}" for extra in extras()]
    try:
        whole.write_text(resolved(uv, "--upgrade", *chosen), encoding="utf-8")
        same = ("--constraints", str(whole))
        files = {NODE: resolved(uv, *same)}
        known = [f"--no-emit-package={name}" for name in NAME.findall(files[NODE])]
        files |= {extra: resolved(uv, *same, *known, f"--extra={extra}") for extra in extras()}
    finally:
        whole.unlink(missing_ok=True)
    for stale in HERE.glob("*.txt"):
        stale.unlink()
    for name, content in files.items():
        (HERE / f"{name}.txt").write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
