"""A real OpenID Connect provider as a process."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

SCRIPT = Path(__file__).with_name("openid_provider.mjs")


@contextmanager
def openid_provider(
    port: int, client_id: str, redirect_uri: str, secret: str, people: Mapping[str, Mapping[str, object]]
) -> Iterator[None]:
    """Serve until left; ``people`` are the claims of each account."""
    command = ["node", str(SCRIPT), str(port), client_id, redirect_uri, secret, json.dumps(people)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        while "listening" not in process.stdout.readline():
            assert process.poll() is None
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)
        process.stdout.close()
