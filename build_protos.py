"""Build hook: compiles ``protos/`` into the import package ``creditexchange``.

Runs for ``pip install .``, ``pip install -e .`` and ``python -m build`` alike, so that a clean
clone needs no extra step. The generated package is ignored by git and never edited.
"""

from __future__ import annotations

import shutil
import sys
from importlib import resources
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "creditexchange"


def compile_protos(root: Path) -> None:
    """Generate messages and type stubs from ``root/protos`` into ``root/creditexchange``."""
    from grpc_tools import protoc

    target = root / PACKAGE
    shutil.rmtree(target, ignore_errors=True)
    sources = sorted((root / "protos").rglob("*.proto"))
    status = protoc.main(
        [
            "protoc",
            f"-I{root / 'protos'}",
            f"-I{resources.files('grpc_tools') / '_proto'}",
            f"--python_out={root}",
            f"--mypy_out={root}",
            f"--plugin=protoc-gen-mypy={_stub_plugin()}",
            *map(str, sources),
        ]
    )
    if status != 0:
        raise SystemExit("protoc failed; see the messages above")
    (target / "__init__.py").write_text('"""Generated from protos/."""\n', encoding="utf-8")
    (target / "v1" / "__init__.py").write_text('"""Generated from protos/."""\n', encoding="utf-8")
    (target / "py.typed").touch()


def _stub_plugin() -> str:
    """Path of mypy-protobuf's plugin in the environment that runs the build."""
    found = shutil.which("protoc-gen-mypy") or shutil.which(
        "protoc-gen-mypy", path=str(Path(sys.executable).parent)
    )
    if found is None:
        raise SystemExit("protoc-gen-mypy is missing: install mypy-protobuf into this environment")
    return found


class ProtoBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Hatchling's door to :func:`compile_protos`."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the wheel is put together."""
        compile_protos(Path(self.root))


if __name__ == "__main__":
    compile_protos(Path(__file__).parent)
