"""The two languages in which the scheme commands speak to registrars."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Literal

import typer


class SchemeLanguage(str, Enum):  # noqa: UP042 - typer shows the values of str enums
    """Languages of tables."""

    value: Literal["en", "zh"]
    en = "en"
    zh = "zh"


LanguageOption = Annotated[
    SchemeLanguage, typer.Option("--language", help="Language of the table: en or zh.")
]

LANGUAGES: Mapping[SchemeLanguage, Mapping[str, str]] = {
    SchemeLanguage.en: {
        "step": "step",
        "scheme": "scheme",
        "what": "what",
        "from": "from",
        "to": "to",
        "exact": "exact",
        "rounding": "rounding",
        "lost": "lost",
        "rule": "rule",
        "why": "why",
        "table": "table",
        "untranslated": "untranslated",
        "way": "From {0} to {1}: {2} of {3} samples change",
    },
    SchemeLanguage.zh: {
        "step": "步骤",
        "scheme": "制度",
        "what": "内容",
        "from": "原值",
        "to": "结果",
        "exact": "精确值",
        "rounding": "舍入",
        "lost": "损失",
        "rule": "规则",
        "why": "说明",
        "table": "表",
        "untranslated": "未转换",
        "way": "由 {0} 转到 {1}：{3} 个样例中有 {2} 个发生变化",
    },
}
"""Headings and phrases, the same keys in each language."""
