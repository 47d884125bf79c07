"""Every target on its corpus and on broken variants of it, and a short run of the fuzzer itself."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from gateway.errors import GatewayError
from tests.fuzz import targets
from tests.fuzz.__main__ import COMMITTED, turn

CORPUS_BYTES_MAX = 512 * 1024
VARIANTS = 30
SHORT_RUN_S = 6


def seeds(name: str) -> list[Path]:
    return sorted((COMMITTED / name).iterdir())


def test_every_target_has_a_small_corpus_and_every_corpus_a_target() -> None:
    assert {folder.name for folder in COMMITTED.iterdir()} == set(targets.TARGETS)
    size = sum(path.stat().st_size for path in COMMITTED.rglob("*") if path.is_file())
    assert 0 < size < CORPUS_BYTES_MAX


@pytest.mark.parametrize("name", sorted(targets.TARGETS))
def test_only_our_own_errors_come_out_of_damaged_inputs(name: str) -> None:
    chance = random.Random(name)
    for path in seeds(name):
        whole = path.read_bytes()
        targets.run(name, whole)
        for _ in range(VARIANTS):
            targets.run(name, damaged(whole, chance))


def damaged(whole: bytes, chance: random.Random) -> bytes:
    content = bytearray(whole)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(content))
        if chance.random() < 0.5:
            content[at] = chance.randrange(256)
        else:
            content[at : at + chance.randint(1, 9)] = chance.randbytes(chance.randint(0, 9))
        content = content or bytearray(b"x")
    return bytes(content)


@pytest.mark.parametrize("name", ["card", "card-json", "consent", "answer", "peer", "scheme", "bundle"])
def test_the_corpus_is_valid_and_reaches_what_lies_behind_the_signatures(name: str) -> None:
    for path in seeds(name):
        if path.name.startswith("valid"):
            targets.TARGETS[name](path.read_bytes())


def test_an_error_of_a_library_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_data: bytes) -> None:
        raise KeyError("of a library")

    def ours(_data: bytes) -> None:
        raise GatewayError("ours")

    monkeypatch.setattr(targets, "TARGETS", {"broken": broken, "ours": ours})
    targets.run("ours", b"")
    with pytest.raises(targets.FindingError, match="KeyError"):
        targets.run("broken", b"")


def test_a_short_run_of_the_fuzzer_finds_nothing(tmp_path: Path) -> None:
    names = sorted(targets.TARGETS)
    mixed = tmp_path / "seeds"
    mixed.mkdir()
    for number, name in enumerate(names):
        for path in seeds(name):
            (mixed / f"{name}-{path.name}").write_bytes(bytes([number]) + path.read_bytes())
    # Always the same inputs: what is new is looked for by `make fuzz`, not by a change that is being checked.
    count, problem = turn("everything", SHORT_RUN_S, tmp_path, committed=tmp_path / "seeds", seed=1)
    assert not problem
    assert count > len(names)
