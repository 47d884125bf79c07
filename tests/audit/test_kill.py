"""kill -9 at any moment: what was released is there, and the log agrees with itself."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.audit import verify_log
from gateway.storage import audit_rows, evidence_rows
from gateway.storage.engine import reading
from tests.audit.drafts import new_log, open_log, sqlite_at

ROOT = Path(__file__).parents[2]


def killed_after(path: Path, lines: int) -> list[tuple[int, bytes, bytes]]:
    """Let a process append to the log at ``path``, kill it after it released ``lines`` entries."""
    command = [sys.executable, "-m", "tests.audit.appending", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        told += process.stdout.readlines()
    whole = [line.split() for line in told if line.endswith("\n")]
    return [(int(index), bytes.fromhex(hashed), bytes.fromhex(seen)) for index, hashed, seen in whole]


@pytest.mark.parametrize("seed", range(3))
def test_what_was_released_survives_a_kill(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "node.db"
    engine = sqlite_at(path)
    new_log(engine).close()
    engine.dispose()
    dice = random.Random(seed)
    released = []
    for _ in range(2):
        released += killed_after(path, dice.randrange(1, 400))
    log = open_log(engine)
    assert log.size >= len(released)
    assert len({index for index, _, _ in released}) == len(released)
    with reading(engine) as connection:
        for index, hashed, message_id in released:
            assert audit_rows.read_hash(connection, 0, index) == hashed
            assert log.has_seen(message_id)
            assert evidence_rows.read_parts(connection, index)
    report = verify_log(engine, log.verifier.vkey)
    assert (report.ok, report.entries) == (True, log.size)
    log.close()
    engine.dispose()
