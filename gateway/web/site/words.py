"""The words of a site in its languages, read from a TOML file that lies beside its templates.

::

    [now]
    title = { en = "Now", zh = "概况" }
    calls = { one = "{n} call", en = "{n} calls", zh = "{n} 次调用" }

``now.calls`` names the second; ``one`` is the English singular, taken when ``n`` is 1.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Any, Literal, get_args

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

Phrase = Mapping[str, str]


@dataclass(frozen=True)
class Words:
    """All phrases of a site, by key."""

    phrases: Mapping[str, Phrase]

    @classmethod
    def read(cls, *files: Traversable) -> Words:
        """Read word files; a later file goes before an earlier one."""
        phrases: dict[str, Phrase] = {}
        for file in files:
            _flatten(tomllib.loads(file.read_text(encoding="utf-8")), "", phrases)
        return cls(phrases)

    def say(self, language: Language, key: str, **values: object) -> str:
        """Return the phrase ``key`` with ``{name}`` replaced by values.

        Raises:
            KeyError: there is no such phrase; a test holds every template against the file.
        """
        phrase = self.phrases[key]
        text = phrase["one"] if language == "en" and values.get("n") == 1 and "one" in phrase else ""
        return (text or phrase[language]).format(**values)

    def find(self, language: Language, key: str, otherwise: str) -> str:
        """Return the phrase ``key``, or ``otherwise`` when there is none: for words of a protocol."""
        phrase = self.phrases.get(key)
        return phrase[language] if phrase is not None else otherwise


def _flatten(table: Mapping[str, Any], prefix: str, phrases: dict[str, Phrase]) -> None:
    for key, value in table.items():
        if "en" in value and isinstance(value["en"], str):
            phrases[prefix + key] = value
        else:
            _flatten(value, f"{prefix}{key}.", phrases)
