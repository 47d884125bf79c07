"""The console speaks both languages: every phrase that a page uses is there, in both, with the same gaps."""

from __future__ import annotations

import ast
import re
from importlib.resources import files
from pathlib import Path
from string import Formatter

import gateway.doctor
from gateway.doctor import agreement, certificate, clocks, network, refusals, standing, tls
from gateway.web.console.app import console_words

WORDS = console_words().phrases
DOCTORS = (agreement, certificate, clocks, network, refusals, standing, tls)
PLACES = ("gateway.web.site", "gateway.web.console")


def templates() -> dict[str, str]:
    return {
        file.name: file.read_text(encoding="utf-8")
        for place in PLACES
        for file in (files(place) / "templates").iterdir()
    }


NO_FINDINGS = re.compile(r"ALERT|^REASON_|^(CLOCK_SKEW|MESSAGE_EXPIRED|OK)$")
"""What stands in capitals in the doctor's files and is no finding: OpenSSL's words, reasons that it reads otherwise."""


def constants(file: Path) -> set[str]:
    """Every text that stands in a file by itself."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def gaps(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_every_phrase_is_there_in_both_languages_with_the_same_gaps() -> None:
    for key, phrase in WORDS.items():
        assert set(phrase) <= {"en", "zh", "one"}, key
        assert gaps(phrase["en"]) == gaps(phrase["zh"]), key
        assert gaps(phrase.get("one", "")) <= gaps(phrase["en"]), key
        assert not re.search(r"[\u4e00-\u9fff]", phrase["en"]), key
        assert re.search(r"[\u4e00-\u9fff]", phrase["zh"]), key


def test_every_phrase_that_a_template_names_is_there() -> None:
    for name, text in templates().items():
        for key in re.findall(r"\bt\('([a-z0-9_.-]+)'[,)]", text):
            assert key in WORDS, (name, key)
        for prefix in re.findall(r"\b(?:t|word)\('([a-z0-9_.-]+[.-])' ~", text):
            assert any(key.startswith(prefix) for key in WORDS), (name, prefix)


def test_every_phrase_is_used() -> None:
    text = "\n".join(templates().values())
    text += "\n".join(
        file.read_text(encoding="utf-8")
        for place in PLACES
        for file in files(place).iterdir()
        if file.name.endswith(".py")
    )
    prefixes = set(re.findall(r"\b(?:t|word)\('([a-z0-9_.-]+[.-])' ~", text))
    unused = {
        key
        for key in WORDS
        if f"'{key}'" not in text and f'"{key}"' not in text and not any(key.startswith(p) for p in prefixes)
    }
    assert unused == set()


def test_whatever_the_doctor_finds_is_said_in_both_languages() -> None:
    doctor = Path(gateway.doctor.__file__).parent
    texts = set().union(*(constants(file) for file in doctor.glob("*.py") if file.name != "tls.py"))
    texts |= set(re.findall(r'found\(\s*"([A-Z_]+)"', (doctor / "tls.py").read_text(encoding="utf-8")))
    found = {
        text for text in texts if re.fullmatch(r"[A-Z]+(_[A-Z0-9]+)+|INTERNAL|OVERLOADED|UNREACHABLE", text)
    }
    found = {word for word in found if not NO_FINDINGS.search(word)}
    assert len(found) > 50
    assert {f"found.{word}" for word in found} - set(WORDS) == set()
    steps = [value for module in DOCTORS for name, value in vars(module).items() if name[0].isupper()]
    names = {name for name in steps if isinstance(name, str) and re.fullmatch("[a-z ]+", name)} - {
        "suspended"
    }
    assert {f"step.{name}" for name in names} - set(WORDS) == set()
    assert names > {"federation secret", "tls", "grants to us"}
