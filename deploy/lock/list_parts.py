"""Writes what the lock files install as a list of parts (SBOM): CycloneDX 1.6, JSON, checked against its schema.

Each part has name, version, purl and the SHA-256 digests that pip accepts for it. The gateway depends on those
that pyproject.toml names; who needs the others, a lock file does not say. The list is of all lock files
together: an operator who installed fewer extras runs fewer parts. From the same lock files it is the same to
the byte.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.lock.reading import Locked, read_lock

HERE = Path(__file__).parent
PROJECT: dict[str, Any] = tomllib.loads((HERE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]


def part(package: Locked) -> Component:
    """One package, with the digests of its wheels."""
    purl = PackageURL("pypi", name=package.name, version=package.version)
    wheels = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION,
        url=XsUri(str(purl)),
        comment="one of these wheels is installed",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in package.digests],
    )
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        purl=purl,
        bom_ref=str(purl),
        external_references=[wheels],
    )


def direct_needs() -> set[str]:
    """Names of the packages that pyproject.toml names, in any of its tables."""
    tables = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return {canonicalize_name(Requirement(need).name) for needs in tables for need in needs}


def list_of_parts(files: Sequence[Path]) -> str:
    """The list of what ``files`` lock, as JSON.

    Raises:
        ValueError: a lock file cannot be read.
    """
    packages = [package for file in files for package in read_lock(file)]
    parts = {str(made.purl): made for made in map(part, packages)}
    gateway = Component(
        name=PROJECT["name"],
        version=PROJECT["version"],
        description=PROJECT["description"],
        type=ComponentType.APPLICATION,
        bom_ref=PROJECT["name"],
    )
    bom = Bom(components=parts.values(), serial_number=uuid5(NAMESPACE_URL, " ".join(sorted(parts))))
    bom.metadata.component = gateway
    bom.metadata.timestamp = None  # type: ignore[assignment] # else no two lists are the same
    direct = direct_needs()
    bom.register_dependency(gateway, [made for made in parts.values() if made.name in direct])
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


def require_valid(text: str) -> None:
    """Check a list against the schema of CycloneDX, strictly.

    Raises:
        ValueError: it is not what the schema wants.
    """
    # Here: reading it takes seconds, and only this needs it.
    from cyclonedx.validation.json import JsonStrictValidator

    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong is not None:
        raise ValueError(f"the list of parts is not valid: {wrong}")


def main() -> None:
    """Write the list to the path that is the only argument."""
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    text = list_of_parts(sorted(HERE.glob("*.txt")))
    require_valid(text)
    target.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{target}\n")


if __name__ == "__main__":
    main()
