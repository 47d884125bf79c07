"""What the steps of a trace say, in the words of a registrar: English or Chinese.

Traces are signed, so their notes stand in one language; here they are put into another to be shown.
What a province wrote itself (its words, its reasons) stays as it is.
"""

from __future__ import annotations

import re
from typing import Literal

Language = Literal["en", "zh"]

_PLACES = {
    "kind": ("kind", "类别"),
    "credits": ("credits", "学分"),
    "credits.study_hours": ("credits, in study hours", "学分折合学习时数"),
    "credits.amount": ("credits, from hours", "由学时折算学分"),
    "workloads": ("hours", "学时"),
    "workloads.hour_kind": ("kind of hour", "学时种类"),
    "grade": ("grade", "成绩"),
    "grade.band": ("grade, on the shared scale", "成绩（共享等级）"),
    "grade.status": ("outcome", "考核结果"),
    "levels": ("level", "层次等级"),
    "levels.code": ("level, shared code", "层次等级（共享代码）"),
    "codes": ("code", "代码"),
    "codes.code": ("code, in the shared list", "代码（共享代码表）"),
    "issuers.role": ("part of the institution", "机构角色"),
    "status": ("status", "状态"),
    "status.state": ("status, shared", "状态（共享）"),
}

_LOSSES = {
    "rounding": "舍入",
    "banding": "转为等级",
    "merged": "合并",
    "no-rule": "无规则",
    "incommensurable-unit": "单位不可换算",
    "out-of-scale": "超出量程",
    "below-minimum": "低于最小单位",
    "never-convertible": "不可转换",
}

_NOTES: tuple[tuple[str, str], ...] = (
    (r"several words of the scheme mean this; shown again it reads (.+)", r"多个用语同义，再次显示为“\1”"),
    (r"1 (\S+) = (\S+) study hours", r"1 个 \1 = \2 学习时数"),
    (
        r"(\S+) study hours = 1 (\S+?)(?:; less than the smallest step, (\S+))?",
        r"\1 学习时数 = 1 个 \2；最小单位 \3",
    ),
    (
        r"derived: (\S+) (\S+) = 1 (\S+); the hours stay as they are",
        r"推算：\1 \2 = 1 个 \3；学时原样保留",
    ),
    (r"no unit of credit is declared for it", "没有为其声明学分单位"),
    (r"the record has no date, and the unit's ratio depends on it", "记录没有日期，而折算率依日期而定"),
    (r"no single ratio of the unit holds for the record's date", "记录日期没有唯一适用的折算率"),
    (r"no rule for this kind of hour", "没有这种学时的规则"),
    (r"the kind of hour is not stated", "未说明学时种类"),
    (r"no scale knows this grade", "没有任何成绩制包含该成绩"),
    (r"more than one scale holds this grade: (.+)", r"不止一个成绩制包含该成绩：\1"),
    (
        r"the number lies outside the declared scale or between its steps",
        "该数值超出所声明的成绩制或不在其刻度上",
    ),
    (
        r"the number became an interval; grades are never carried by proportion",
        "数值转为区间；成绩绝不按比例换算",
    ),
    (r"every failed grade becomes the lowest", "不及格的成绩一律为最低值"),
    (r"the number became a word", "数值转为等级用语"),
    (r"only whether it was passed is left", "只保留是否通过"),
    (r"no scale of this scheme holds the grade without guessing", "本制度没有成绩制可以不加猜测地表示该成绩"),
    (r"the source's own rules did not translate it", "来源方自己的规则未能转换"),
    (r"the interval lies outside 0 to 100", "区间超出 0 至 100"),
    (
        r"the scheme has no such level; a level is never carried by equal number",
        "制度中无此等级；等级绝不按数字对应",
    ),
    (r"the source's own rules gave no shared level", "来源方自己的规则没有给出共享等级"),
    (r"the source's own rules gave no shared code", "来源方自己的规则没有给出共享代码"),
    (r"the list has no such code", "代码表中无此代码"),
    (r"the scheme has no list for (\S+)", r"本制度没有对应 \1 的代码表"),
    (r"it is a shared code already", "已是共享代码"),
    (r"no code_list of (\S+) codes is declared for it", r"没有为其声明 \1 代码表"),
    (r"continued by (\S+)", r"由 \1 承继"),
    (r"no word for this level", "没有对应该等级的用语"),
    (r"no word for it", "没有对应的用语"),
    (r"issued in this scheme", "本制度颁发，原样显示"),
    (r"culture and leisure never become academic credit", "文化休闲类绝不转为学历学分"),
    (r"the source's unit has no value in study hours", "来源方的单位没有学习时数折算"),
    (
        r"hours spent are no credits: the source states none, and no rule of it derives any",
        "学时不等于学分：来源方未给出学分，也没有折算规则",
    ),
)
_SHARED = {
    "degree": "学位",
    "graduation": "学历",
    "course": "课程",
    "module": "模块",
    "unit": "认证单元",
    "vocational-qualification": "职业资格",
    "skill-level": "职业技能等级",
    "x-certificate": "1+X 证书",
    "qualification": "资历等级",
    "training": "培训",
    "experience": "经历",
    "competition": "竞赛",
    "leisure": "文化休闲",
    "excellent": "优秀",
    "good": "良好",
    "medium": "中等",
    "pass": "及格",
    "fail": "不及格",
    "passed": "通过",
    "failed": "未通过",
    "exempt": "免修",
    "deferred": "缓考",
    "absent": "缺考或无",
    "misconduct": "作弊",
    "in-progress": "在读",
    "unknown": "不详",
    "withheld": "不提供",
    "valid": "有效",
    "suspended": "暂停",
    "revoked": "撤销",
    "superseded": "已被更正",
    "expired": "过期",
    "under-correction": "更正中",
    "class": "课时",
    "clock": "小时",
    "week": "周",
    "notional": "学习量",
    "taught": "授课",
    "assessed": "考核",
    "awarded": "颁发",
    "recognised": "认定",
    "custodian": "保管",
    "doctor": "博士",
    "master": "硕士",
    "bachelor": "学士或本科",
    "second-bachelor": "第二学士学位",
    "associate": "专科",
    "secondary-vocational": "中等职业",
    "senior-secondary": "高中",
    "junior-secondary": "初中",
    "primary": "小学",
    "junior": "初级",
    "intermediate": "中级",
    "senior": "高级",
    "untranslated": "未转换",
}
"""The shared model's words. They are closed lists, so no province's word can be meant."""
_REASONS = {
    "no-credits": "没有学分",
    "parts-count": "其组成部分已计入",
    "repeated": "同一课程的另一次修读",
    "repeats-undecided": "重复修读，制度未规定取哪次",
    "no-course-replaced": "未能替换任何课程",
    "undated": "没有日期",
    "capped": "达到上限",
    "level-not-sufficient": "等级不符",
    "course-already-replaced": "课程已被替换",
    "course-already-passed": "课程已通过",
}
_ROUNDINGS = {"floor": "向下取整", "half_up": "四舍五入", "half_even": "四舍六入五成双"}
_COMPILED = tuple((re.compile(pattern), chinese) for pattern, chinese in _NOTES)

_HOURS = re.compile(r"(\S+) study hours")


def place_in_words(path: str, language: Language) -> str:
    """Return what ``path`` of a trace is about; the path itself when it has no words."""
    found = _PLACES.get(re.sub(r"\[\d+\]", "", path))
    return path if found is None else found[language == "zh"]


def loss_in_words(loss: str, language: Language) -> str:
    """Return the word for a loss."""
    return _LOSSES.get(loss, loss) if language == "zh" else loss


def note_in_words(note: str, language: Language) -> str:
    """Return a note of a trace; what a province wrote itself stays as it is."""
    if language == "en":
        return note
    for pattern, chinese in _COMPILED:
        if match := pattern.fullmatch(note):
            if None in match.groups():
                chinese = chinese.partition("；")[0]  # noqa: PLW2901 - the optional half is not there
            return match.expand(chinese)
    return note


def reason_in_words(reason: str, language: Language) -> str:
    """Return why a record counts less or not at all."""
    if language == "en":
        return reason
    return _REASONS.get(reason) or _LOSSES.get(reason) or _SHARED.get(reason, reason)


def value_in_words(value: str, language: Language) -> str:
    """Return a value of a trace; a province's own word is never put into another language."""
    if language == "en":
        return value
    if match := _HOURS.fullmatch(value):
        return f"{match[1]} 学习时数"
    return f"{found}（{value}）" if (found := _SHARED.get(value)) else value


def rounding_in_words(rounding: str, language: Language) -> str:
    """Return step and mode of a rounding, such as ``0.5 half_up``."""
    step, _, mode = rounding.partition(" ")
    return f"{step} {_ROUNDINGS.get(mode, mode)}" if language == "zh" and mode else rounding
