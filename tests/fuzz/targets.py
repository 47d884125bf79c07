"""What is fuzzed: each target takes bytes; nothing but the errors it names may come out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.errors import GatewayError
from tests.fuzz import file_targets, message_targets, page_targets, text_targets

Target = Callable[[bytes], None]

TARGETS: Mapping[str, Target] = {
    **message_targets.TARGETS,
    **text_targets.TARGETS,
    **file_targets.TARGETS,
    **page_targets.TARGETS,
}
"""By name, which is also the name of the folder of its corpus."""

BYTES_MAX: Mapping[str, int] = {
    "workbook": 32 * 1024,
    "scheme": 16 * 1024,
    "bundle": 16 * 1024,
    "archive-file": 16 * 1024,
}
BYTES_MAX_DEFAULT = 8 * 1024
SECONDS_MAX = 10
"""An input that takes longer is a finding."""
MEMORY_MIB_MAX = 1024
"""So is one that makes the process larger than this."""


class FindingError(AssertionError):
    """An error that is not one of ours came out."""


def run(name: str, data: bytes) -> None:
    """Run one input; what a caller would have to handle is passed over, anything else is a finding."""
    try:
        TARGETS[name](data)
    except GatewayError:
        return
    except Exception as error:
        raise FindingError(f"{name}: {type(error).__name__}: {error}") from error


def everything(data: bytes) -> str:
    """Run ``data`` behind its first byte by the target that this byte names; return its name."""
    names = sorted(TARGETS)
    name = names[(data[0] if data else 0) % len(names)]
    run(name, data[1:])
    return name
