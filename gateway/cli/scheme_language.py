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
        "records": "records",
        "record": "record",
        "title": "title",
        "unit": "unit",
        "counts": "counts",
        "remainder": "remainder",
        "total": "Together",
        "similar": "{0} and {1} have nearly the same title: are they one?",
        "value": "value",
        "coverage": "{0} records: {1} translate fully ({2} %), {3} in part, {4} would be refused",
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
        "records": "记录数",
        "record": "记录",
        "title": "名称",
        "unit": "单位",
        "counts": "计入",
        "remainder": "余额",
        "total": "合计",
        "similar": "{0} 与 {1} 名称几乎相同，请核对是否为同一成果",
        "value": "值",
        "coverage": "{0} 条记录：{1} 条完全转换（{2} %），{3} 条部分转换，{4} 条会被拒绝",
        "way": "由 {0} 转到 {1}：{3} 个样例中有 {2} 个发生变化",
    },
}
"""Headings and phrases, the same keys in each language."""
