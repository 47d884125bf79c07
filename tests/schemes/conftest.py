"""Runs a scheme command as a person does."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from gateway.cli.main import run


@dataclass
class Ended:
    status: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def scheme(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    def call(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["credit-gateway", "scheme", *arguments])
        monkeypatch.setenv("COLUMNS", "400")
        with pytest.raises(SystemExit) as ended:
            run()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err + captured.out
        return Ended(int(ended.value.code or 0), captured.out, captured.err)

    return call
