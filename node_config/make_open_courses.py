"""Write the example catalogue of open courses; see README.md beside this file.

    python node_config/make_open_courses.py            write departments/open_courses.csv anew
    python node_config/make_open_courses.py --check    exit 1 if the committed file differs

Courses, platforms and institutions are invented (示例); levels of recognition are those that exist.
"""

from __future__ import annotations

import argparse
import csv
import io
import random
import sys
from pathlib import Path

SEED = 20260701
COURSES = 230
PATH = Path(__file__).resolve().parent / "departments" / "open_courses.csv"

COLUMNS = (
    "code",
    "name_zh",
    "name_en",
    "platform",
    "platform_name",
    "institution",
    "edition",
    "field",
    "credits",
    "hours",
    "language",
    "recognition",
    "recognised_in",
)

PLATFORMS = (
    ("example-mooc", "示例慕课平台"),
    ("delta-open", "长三角示例开放课程平台"),
    ("vocational-cloud", "示例职教云课堂"),
    ("community-learning", "示例社区学习网"),
)
INSTITUTIONS = (
    "浙江示例大学",
    "江苏示例大学",
    "上海示例开放大学",
    "安徽示例师范学院",
    "浙江示例工程学院",
    "江苏示例职业技术学院",
    "上海示例财经学院",
    "安徽示例医学高等专科学校",
)
RECOGNITIONS = (
    ("national-first-class", 22),
    ("provincial-first-class", 45),
    ("provincial-open-course", 60),
    ("platform-only", 103),
)
"""国家级一流课程, 省级一流课程, 省级精品在线开放课程, and none beyond the platform; how many of each."""

FIELDS = (
    ("0809", "计算机类", "computing", (
        ("程序设计", "Programming"), ("数据结构", "Data Structures"), ("数据库", "Databases"),
        ("计算机网络", "Computer Networks"), ("操作系统", "Operating Systems"),
        ("人工智能", "Artificial Intelligence"),
    )),
    ("1202", "工商管理类", "management", (
        ("管理学", "Management"), ("市场营销", "Marketing"), ("会计学", "Accounting"),
        ("人力资源管理", "Human Resource Management"), ("供应链管理", "Supply Chain Management"),
        ("创业管理", "Entrepreneurship"),
    )),
    ("1011", "护理学类", "nursing", (
        ("基础护理", "Fundamentals of Nursing"), ("老年护理", "Care of Older People"),
        ("急救护理", "Emergency Care"), ("营养学", "Nutrition"),
    )),
    ("0401", "教育学类", "education", (
        ("教育学", "Education"), ("学前教育", "Preschool Education"),
        ("教育心理学", "Educational Psychology"),
        ("终身学习", "Lifelong Learning"),
    )),
    ("0802", "机械类", "engineering", (
        ("机械制图", "Mechanical Drawing"), ("数控加工", "Numerical Control Machining"),
        ("工业机器人", "Industrial Robots"), ("电工技术", "Electrical Engineering"),
    )),
    ("0501", "中国语言文学类", "literature", (
        ("大学语文", "Chinese Language and Literature"), ("古代汉语", "Classical Chinese"),
        ("应用写作", "Practical Writing"),
    )),
    ("0701", "数学类", "mathematics", (
        ("高等数学", "Advanced Mathematics"), ("线性代数", "Linear Algebra"),
        ("概率论与数理统计", "Probability and Statistics"),
    )),
    ("1302", "音乐与舞蹈学类", "music", (
        ("民乐欣赏", "Traditional Chinese Music"), ("合唱艺术", "Choral Singing"),
    )),
)  # fmt: skip
VARIANTS = (
    ("", ""),
    ("（上）", ", Part 1"),
    ("（下）", ", Part 2"),
    ("基础", ": Foundations"),
    ("进阶", ": Advanced Topics"),
    ("案例与实践", ": Cases and Practice"),
    ("导论", ": An Introduction"),
    ("专题", ": Selected Topics"),
)
CREDITS = ("1", "1.5", "2", "2", "2.5", "3", "3", "4")


def courses() -> list[dict[str, str]]:
    """Return the catalogue, the same on every machine."""
    chance = random.Random(SEED)
    titles = [
        (code, zh + more_zh, en + more_en)
        for code, _, _, subjects in FIELDS
        for zh, en in subjects
        for more_zh, more_en in VARIANTS
    ]
    chance.shuffle(titles)
    levels = [level for level, count in RECOGNITIONS for _ in range(count)]
    chance.shuffle(levels)
    found = []
    for number, ((field, zh, en), level) in enumerate(zip(titles, levels, strict=False), 1):
        platform, platform_name = PLATFORMS[chance.choices(range(4), (5, 4, 3, 1))[0]]
        credit = chance.choice(CREDITS)
        edition = chance.randint(2018, 2026)
        is_recognised = level != "platform-only"
        found.append(
            {
                "code": f"OC{number:03}",
                "name_zh": zh,
                "name_en": en,
                "platform": platform,
                "platform_name": platform_name,
                "institution": chance.choice(INSTITUTIONS),
                "edition": str(edition),
                "field": field,
                "credits": credit,
                "hours": f"{float(credit) * 16:g}",
                "language": "zh-Hans" if chance.random() < 0.95 else "en",
                "recognition": level,
                "recognised_in": str(min(2026, edition + chance.randint(0, 2))) if is_recognised else "",
            }
        )
    return found[:COURSES]


def catalogue_text() -> str:
    """Return the file's text."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(courses())
    return text.getvalue()


def main() -> int:
    """Write or check the file; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        is_same = PATH.is_file() and PATH.read_text(encoding="utf-8") == catalogue_text()
        print("open_courses.csv is as it is made" if is_same else "open_courses.csv differs: write it anew")
        return 0 if is_same else 1
    PATH.write_text(catalogue_text(), encoding="utf-8")
    print(f"{PATH.name}: {COURSES} courses")
    return 0


if __name__ == "__main__":
    sys.exit(main())
