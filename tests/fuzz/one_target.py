"""`python -m tests.fuzz.one_target NAME SECONDS SEED FOLDER [FOLDER…]`: fuzz one target in this process.

Inputs that find new code are written into the first folder. The last line of the output states the count.
NAME ``everything`` lets the first byte of each input choose among all targets. SEED 0 is a new one each time.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["gateway", "creditexchange"], enable_loader_override=False):
    from tests.fuzz import targets


def silence() -> None:
    """Refusals are logged, thousands a second."""
    import structlog

    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), processors=[lambda *_: {}])
    logging.disable(logging.CRITICAL)


def main() -> None:
    name, seconds, seed, *folders = sys.argv[1:]
    silence()
    ends = time.monotonic() + float(seconds)
    count = [0]

    def one(data: bytes) -> None:
        count[0] += 1
        if count[0] % 512 == 0 and time.monotonic() > ends:
            print(f"executions {count[0]}", flush=True)
            os._exit(0)
        if name == "everything":
            targets.everything(data)
        else:
            targets.run(name, data)

    for folder in folders:
        Path(folder).mkdir(parents=True, exist_ok=True)
    longest = targets.BYTES_MAX.get(name, targets.BYTES_MAX_DEFAULT)
    options = [
        f"-max_len={longest}",
        f"-seed={seed}",
        f"-timeout={targets.SECONDS_MAX}",
        f"-rss_limit_mb={targets.MEMORY_MIB_MAX}",
        f"-artifact_prefix={folders[0]}-",
        "-print_final_stats=0",
        "-verbosity=0",
        "-close_fd_mask=0",
    ]
    atheris.Setup([sys.argv[0], *options, *folders], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
