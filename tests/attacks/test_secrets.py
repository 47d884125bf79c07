"""Secrets stay where they are: not in logs, not in core dumps, not in comparisons that take longer the nearer one is."""

from __future__ import annotations

import ast
import re
import resource
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from gateway.exchange.messages import GET_CHECKPOINT
from tests.attacks.conftest import Target
from tests.processes.provinces import ProcessNode

GATEWAY = Path(__file__).parents[2] / "gateway"
SECRET_WORDS = re.compile(r"(?<![^\W_])(token|tokens|secret|passphrase|password|pin|mac)(?![^\W_])")
NOT_AN_ATTACKERS = {
    # a file of the operator's against another of the operator's
    "read_secret(target, SECRET_BYTES) != secret",
    # rows of the node's own registry
    "old.subject_token != record.subject_token",
    # a word of the command line
    "federation_secret == NEW_SECRET",
    "secret == NEW_SECRET",
    # how many there are
    "len(secret) != length",
    "(len(secret.code_id), len(secret.secret)) != (CODE_ID_BYTES, SECRET_BYTES)",
    "len(consent.subject_token) == TOKEN_BYTES",
    "len(set(tokens)) != len(tokens)",
}


def compared(tree: ast.AST) -> Iterator[str]:
    """Every comparison by == or != in which something is named like a secret."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Compare) or not any(isinstance(o, ast.Eq | ast.NotEq) for o in node.ops):
            continue
        if any(isinstance(side, ast.Constant) and isinstance(side.value, int) for side in node.comparators):
            continue  # how many rows were written
        names = {
            n.attr if isinstance(n, ast.Attribute) else n.id
            for n in ast.walk(node)
            if isinstance(n, ast.Attribute | ast.Name)
        }
        if any(SECRET_WORDS.search(name) for name in names):
            yield ast.unparse(node)


def test_secrets_are_compared_in_constant_time() -> None:
    found = {
        text: path.name
        for path in GATEWAY.rglob("*.py")
        if SECRET_WORDS.search(source := path.read_text(encoding="utf-8"))
        for text in compared(ast.parse(source))
    }
    assert set(found) - NOT_AN_ATTACKERS == set(), found
    assert set(compared(ast.parse("if given == self.token: pass"))) == {"given == self.token"}


def secrets_of(node: ProcessNode) -> dict[str, bytes]:
    """What must never be written: each private file, and each of its lines that is not about its form."""
    found = {}
    for path in [*node.folder.root.joinpath("keys").iterdir(), *node.folder.root.joinpath("run").iterdir()]:
        if path.suffix not in (".pem", ".secret", ".key", ".token") or (
            "PRIVATE" not in path.read_text() and path.suffix == ".pem"
        ):
            continue
        found[path.name] = path.read_bytes().strip()
    return found


def forms_of(content: bytes) -> Iterator[bytes]:
    yield content
    yield content.hex().encode()
    yield b64encode(content)
    for line in content.splitlines():
        if len(line) >= 16 and not line.startswith(b"-----"):
            yield line


def test_no_secret_is_in_the_log_of_a_node_that_was_attacked(target: Target) -> None:
    channel = target.zhejiang.channel_to(target.shanghai)
    for garbage in (b"", b"\xff" * 100, b"\x0a\x04\x0a\x02\x08\x01"):
        with pytest.raises(grpc.RpcError):
            channel.unary_unary("/creditexchange.v1.RecordExchangeService/QueryRecords")(garbage, timeout=10)
    channel.unary_unary(GET_CHECKPOINT)(b"", timeout=10)
    written = (target.shanghai.folder.root / "serve.log").read_bytes()
    secrets = secrets_of(target.shanghai)
    assert any(name.endswith(".secret") for name in secrets)
    assert any(name.endswith(".pem") for name in secrets)
    for name, content in secrets.items():
        assert not any(form in written for form in forms_of(content)), name


def test_a_serving_node_writes_no_core_dump_and_shows_its_memory_to_nobody(target: Target) -> None:
    assert resource.prlimit(target.pid, resource.RLIMIT_CORE) == (0, 0)
    # What the kernel says of a process that is not dumpable: its files in /proc are root's.
    memory = Path(f"/proc/{target.pid}/mem").stat()
    assert (memory.st_uid, memory.st_gid) == (0, 0)


def test_a_process_that_is_not_protected_is_told_apart(tmp_path: Path) -> None:
    """As root every file in /proc is root's: so what the kernel keeps is asked for in the process itself."""
    import subprocess
    import sys

    code = (
        "import ctypes, resource; from gateway.node.private_memory import keep_memory_private as keep;"
        "get = lambda: ctypes.CDLL(None).prctl(3, 0, 0, 0, 0);"
        "hard = resource.getrlimit(resource.RLIMIT_CORE)[1];"
        "resource.setrlimit(resource.RLIMIT_CORE, (4096 if hard < 0 else min(4096, hard), hard));"
        "before = get(); kept = keep();"
        "print(before, kept, get(), resource.getrlimit(resource.RLIMIT_CORE))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.split(" ", 3) == ["1", "True", "0", "(0, 0)\n"]
