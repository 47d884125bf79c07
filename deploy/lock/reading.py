"""Reads a lock file: exact versions with the digests of all their wheels, as uv writes them and pip reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

DIGEST = re.compile(r"--hash=sha256:([0-9a-f]{64})")
NOTHING_IS_BUILT = "--only-binary :all:"
"""What a source distribution runs when it is built, no digest covers: pip is told to take wheels only."""


@dataclass(frozen=True, slots=True)
class Locked:
    """One package in one version; ``requirement`` says for which Pythons."""

    requirement: Requirement
    digests: tuple[str, ...]
    """SHA-256, hexadecimal, of each file that pip may install."""

    @property
    def name(self) -> str:
        """Its name as the package index spells it."""
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        """Its one version."""
        (version,) = self.requirement.specifier
        return version.version


def read_lock(path: Path) -> list[Locked]:
    """Return the packages of a lock file.

    Raises:
        ValueError: a line is no exact version with SHA-256 digests; the text names it.
    """
    found = []
    for line in path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if not line.strip() or line.startswith("#") or line == NOTHING_IS_BUILT:
            continue
        wanted, *digests = re.split(r"\s+(?=--hash)", line.strip())
        requirement = Requirement(wanted)
        matches = [DIGEST.fullmatch(digest) for digest in digests]
        exact = [version.operator for version in requirement.specifier] == ["=="]
        if not exact or not matches or not all(matches):
            raise ValueError(f"{path.name}: {wanted} is not one version with its digests")
        found.append(Locked(requirement, tuple(match[1] for match in matches if match)))
    return found
