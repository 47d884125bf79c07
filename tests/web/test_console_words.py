"""The console speaks both languages: every phrase that a page uses is there, in both, with the same gaps."""

from __future__ import annotations

import re
from importlib.resources import files
from string import Formatter

from gateway.web.console.app import console_words

WORDS = console_words().phrases
PLACES = ("gateway.web.site", "gateway.web.console")


def templates() -> dict[str, str]:
    return {
        file.name: file.read_text(encoding="utf-8")
        for place in PLACES
        for file in (files(place) / "templates").iterdir()
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
