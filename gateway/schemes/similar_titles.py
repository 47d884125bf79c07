"""Records whose titles differ only in how they are written. People decide whether they are the same."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence

from creditexchange.v1.record_pb2 import LearningRecord

_NUMERALS = str.maketrans("一二三四五六七八九", "123456789")
_ROMAN = {"viii": "8", "vii": "7", "iii": "3", "vi": "6", "iv": "4", "ix": "9", "ii": "2", "v": "5", "i": "1"}
_ROMAN_END = re.compile(r"(?<![a-z])(viii|vii|iii|vi|iv|ix|ii|v|i)$")
_AND = str.maketrans("与及&", "和和和")
_BETWEEN = re.compile(r"[\s\W_]+")


def title_key(title: str) -> str:
    """Return ``title`` without what is only a way of writing: width, blanks, brackets, 与/和, 一/1/Ⅰ."""
    text = unicodedata.normalize("NFKC", title).casefold().translate(_AND)
    text = _BETWEEN.sub("", text).translate(_NUMERALS)
    return _ROMAN_END.sub(lambda match: _ROMAN[match[1]], text)


def find_similar_titles(records: Sequence[LearningRecord]) -> tuple[tuple[str, str], ...]:
    """Return pairs of record ids of one kind whose titles are nearly equal but whose codes are not."""
    groups: dict[tuple[int, str], list[LearningRecord]] = defaultdict(list)
    for record in records:
        if record.titles:
            groups[record.kind, title_key(record.titles[0].text)].append(record)
    return tuple(
        (first.record_id, second.record_id)
        for group in groups.values()
        for first, second in itertools.combinations(group, 2)
        if not first.specification.code
        or first.specification.code != second.specification.code
        or first.scheme.scheme_id != second.scheme.scheme_id
    )
