"""The portal speaks both languages: every phrase that a page uses is there, in both, with the same gaps."""

from __future__ import annotations

import re
from importlib.resources import files
from string import Formatter

from gateway.policy.purposes import KINDS, PURPOSES
from gateway.web.portal.app import portal_words

PORTAL = files("gateway.web.portal")
WORDS = {key: phrase for key, phrase in portal_words().phrases.items() if not key.startswith("site.")}


def templates() -> dict[str, str]:
    return {file.name: file.read_text(encoding="utf-8") for file in (PORTAL / "templates").iterdir()}


def gaps(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_every_phrase_is_there_in_both_languages_with_the_same_gaps() -> None:
    for key, phrase in WORDS.items():
        assert set(phrase) <= {"en", "zh", "one"}, key
        assert gaps(phrase["en"]) == gaps(phrase["zh"]), key
        assert gaps(phrase.get("one", "")) <= gaps(phrase["en"]), key


def test_every_phrase_that_a_template_names_is_there_and_every_phrase_is_used() -> None:
    text = "\n".join(templates().values())
    for key in re.findall(r"\bt\('([a-z0-9_.-]+)'[,)]", text):
        assert key in portal_words().phrases, key
    text += "\n".join(
        file.read_text(encoding="utf-8") for file in PORTAL.iterdir() if file.name.endswith(".py")
    )
    prefixes = set(re.findall(r"\b(?:t|word)\('([a-z0-9_.-]+[.-])' ~", text)) | {"role."}
    unused = {
        key
        for key in WORDS
        if f"'{key}'" not in text and f'"{key}"' not in text and not any(key.startswith(p) for p in prefixes)
    }
    assert unused == set()


def test_every_kind_and_purpose_has_a_name() -> None:
    assert [word for word in KINDS if f"kind.{word}" not in WORDS] == []
    assert [word for word in PURPOSES if f"purpose.{word}" not in WORDS] == []
