"""Words that provinces use, and what they usually mean: suggestions for a draft, never rules.

Codes are not among them: the same digits mean one thing here and another there.
"""

from __future__ import annotations

from collections.abc import Mapping

_MEANINGS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "kinds": {
        "degree": ("学位", "学位证书"),
        "graduation": ("学历", "毕业证书"),
        "course": ("课程", "自学考试课程", "课程学分", "单科成绩", "单科合格", "必修课", "选修课"),
        "module": ("课程模块", "模块"),
        "unit": ("学习成果认证单元", "认证单元"),
        "vocational-qualification": ("职业资格证书", "职业资格", "资格证书"),
        "skill-level": ("职业技能等级证书", "职业技能等级", "技能等级证书"),
        "x-certificate": ("1+X证书", "X证书", "职业技能等级证书（1+X）"),
        "training": ("培训项目", "职业培训", "非学历培训", "培训", "职业技能培训", "培训证书"),
        "experience": ("实践经历", "工作经历"),
        "competition": ("竞赛获奖", "竞赛"),
        "leisure": ("休闲学习", "社区教育", "老年教育", "文化休闲"),
    },
    "grade_marks": {
        "exempt": ("免修", "免考", "免"),
        "deferred": ("缓考", "缓"),
        "absent": ("缺考", "旷考"),
        "misconduct": ("作弊", "舞弊", "违纪"),
        "in-progress": ("在读", "修读中"),
    },
    "value_marks": {
        "absent": ("无", "/", "-", "—"),
        "unknown": ("不详", "待补", "未知"),
        "withheld": ("保密",),
    },
    "status": {
        "valid": ("有效", "正常"),
        "suspended": ("暂停", "中止"),
        "revoked": ("撤销", "注销", "作废"),
        "superseded": ("已更正", "被替换"),
        "expired": ("过期", "失效", "已过期"),
        "under-correction": ("更正中", "核查中"),
    },
    "hour_kinds": {
        "class": ("学时", "课时"),
        "clock": ("小时",),
        "week": ("周", "教学周"),
    },
    "issuer_roles": {
        "taught": ("授课", "助学"),
        "assessed": ("考核", "主考"),
        "awarded": ("颁发", "发证"),
        "recognised": ("认定",),
        "custodian": ("保管",),
    },
    "levels.education": {
        "doctor": ("博士研究生",),
        "master": ("硕士研究生",),
        "second-bachelor": ("第二学士学位",),
        "bachelor": ("本科", "大学本科"),
        "associate": ("专科", "大专", "高职"),
        "secondary-vocational": ("中专", "职业高中", "技工学校", "中职"),
        "senior-secondary": ("普通高中", "高中"),
        "junior-secondary": ("初中",),
        "primary": ("小学",),
    },
    "levels.degree": {"doctor": ("博士",), "master": ("硕士",), "bachelor": ("学士",)},
    "levels.skill": {
        "5": ("五级/初级工", "初级工", "五级"),
        "4": ("四级/中级工", "中级工", "四级"),
        "3": ("三级/高级工", "高级工", "三级"),
        "2": ("二级/技师", "技师", "二级"),
        "1": ("一级/高级技师", "高级技师", "一级"),
    },
    "levels.x-certificate": {"junior": ("初级",), "intermediate": ("中级",), "senior": ("高级",)},
}

MEANING_OF: Mapping[str, Mapping[str, str]] = {
    table: {word: meaning for meaning, words in meanings.items() for word in words}
    for table, meanings in _MEANINGS.items()
}
"""By table of a scheme file and word."""

CONVERTIBILITY_OF: Mapping[str, str] = {
    **dict.fromkeys(("degree", "graduation", "course", "module", "unit"), "academic"),
    **dict.fromkeys(
        ("vocational-qualification", "skill-level", "x-certificate", "training", "experience", "competition"),
        "vocational-listed",
    ),
    "leisure": "never",
}
"""What a converting institution may usually do with a kind; leisure is never academic."""

GRADE_WORDS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "five-level",
        (("优秀", "excellent"), ("良好", "good"), ("中等", "medium"), ("及格", "pass"), ("不及格", "fail")),
    ),
    (
        "five-level-short",
        (("优", "excellent"), ("良", "good"), ("中", "medium"), ("及格", "pass"), ("不及格", "fail")),
    ),
    ("letter", (("A", "excellent"), ("B", "good"), ("C", "medium"), ("D", "pass"), ("F", "fail"))),
    ("two-level", (("合格", "passed"), ("不合格", "failed"))),
    ("passed-or-not", (("通过", "passed"), ("未通过", "failed"))),
)
"""Scales of words: id, and each word with its band or, without one, whether it means passed."""
