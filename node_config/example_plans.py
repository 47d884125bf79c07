"""The population of the example data: kinds of lives, the demo learner, and oddities of real life."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from random import Random

import example_words as words
from example_lives import Achievement, Body, Learner, Lives, assessor
from example_numbers import resident_id

LEARNERS_A_PROVINCE = 305
"""Learners that each province keeps at least."""

MOVED_SHARE = 0.36
"""Share of the learners whose records lie in two provinces or more."""

RECORDS_MAX = 12
"""Records of one learner in all provinces."""

DEMO_LEARNER = resident_id(99, date(1996, 4, 12), 122)
"""Resident number of the learner who lost a certificate. Region 990099 is hers alone."""

DEMO_NAME = "林思雨"


def population(seed: int) -> list[Learner]:
    """Return all learners: the demo learner first, then the others in the order of their making."""
    lives = Lives(Random(seed))
    learners = [demo_learner(lives)]
    keepers = dict.fromkeys(words.PROVINCES, 1)
    while min(keepers.values()) < LEARNERS_A_PROVINCE:
        home = min(words.PROVINCES, key=lambda province: keepers[province])
        learner = _life(lives, home)
        if sum(map(len, learner.achievements.values())) >= RECORDS_MAX:
            continue  # a correction may add one record more
        learners.append(learner)
        for province in learner.achievements:
            keepers[province] += 1
    for province in words.PROVINCES:
        _oddities(lives, province, learners[1:])
    return learners


def _life(lives: Lives, home: str) -> Learner:
    rng = lives.rng
    others = [province for province in words.PROVINCES if province != home]
    away = rng.choice(others) if rng.random() < MOVED_SHARE else ""
    plan = rng.choices((_graduate, _college, _worker, _late_student, _senior), (30, 26, 22, 14, 8))[0]
    learner = plan(lives, home, away)
    if away and rng.random() < 0.15:
        third = rng.choice([province for province in others if province != away])
        lives.training(learner, third, rng.randint(2021, 2026))
        lives.qualification(learner, third, rng.randint(2021, 2025))
    return learner


def _graduate(lives: Lives, home: str, away: str) -> Learner:
    """Return somebody with a bachelor's degree, perhaps a master's, then work."""
    rng = lives.rng
    learner = lives.person(1984, 2001)
    end = learner.born.year + rng.choice((22, 22, 23))
    lives.study(learner, home, "bachelor", end)
    if end <= 2021 and rng.random() < 0.1:
        end += 3
        lives.study(learner, home, "master", end)
    if 2021 <= end <= 2024 and rng.random() < 0.3:
        lives.x_certificate(learner, home, end - 1)
    if away:
        lives.career(learner, away, rng.randint(end, 2024), 1)
    if rng.random() < 0.25:
        lives.qualification(learner, away or home, rng.randint(end, 2025))
    if rng.random() < 0.2:
        lives.training(learner, away or home, rng.randint(end + 1, 2026))
    return learner


def _college(lives: Lives, home: str, away: str) -> Learner:
    """Return somebody with a college diploma and a 1+X certificate beside it."""
    rng = lives.rng
    learner = lives.person(1990, 2003)
    end = learner.born.year + 21
    lives.study(learner, home, "associate", end)
    if end >= 2021:
        lives.x_certificate(learner, home, end - 1)
    if rng.random() < 0.3:
        lives.placement(learner, home, end)
    if away or rng.random() < 0.2:
        lives.career(learner, away or home, rng.randint(end, 2024), rng.choice((1, 1, 2)))
    return learner


def _worker(lives: Lives, home: str, away: str) -> Learner:
    """Return somebody from a vocational school whose skill level rises."""
    rng = lives.rng
    learner = lives.person(1975, 2005)
    left = learner.born.year + 18
    lives.school_leaving(learner, home)
    lives.career(learner, home, rng.randint(max(2020, left), 2024), rng.choice((1, 1, 2, 3)))
    if rng.random() < 0.3:
        lives.qualification(learner, home, rng.randint(max(2017, left), 2025))
    if away:
        lives.training(learner, away, rng.randint(max(2021, left), 2026))
        lives.qualification(learner, away, rng.randint(max(2018, left), 2025))
    return learner


def _late_student(lives: Lives, home: str, away: str) -> Learner:
    """Return somebody who took a second programme beside work, with courses exempted."""
    rng = lives.rng
    learner = lives.person(1984, 1994)
    lives.study(learner, home, "associate", learner.born.year + 21)
    end = min(2025, learner.born.year + rng.randint(27, 40))
    lives.study(learner, away or home, "bachelor", end, form="5")
    if rng.random() < 0.3:
        lives.leisure(learner, away or home, rng.randint(2019, 2026))
    return learner


def _senior(lives: Lives, home: str, away: str) -> Learner:
    """Return somebody who learns for pleasure."""
    rng = lives.rng
    learner = lives.person(1952, 1971)
    for _ in range(rng.choice((2, 2, 3))):
        lives.leisure(learner, home, rng.randint(2018, 2026))
    for _ in range(2 if away else 0):
        lives.leisure(learner, away, rng.randint(2018, 2026))
    return learner


def demo_learner(lives: Lives) -> Learner:
    """Return the learner of the demo: she lives in Zhejiang, and her records lie in four provinces."""
    learner = Learner(DEMO_LEARNER, DEMO_NAME, date(1996, 4, 12))
    school = next(school for school in words.UNIVERSITIES["shanghai"] if school.code == "10254")
    major = next(major for major in words.BACHELOR_MAJORS if major.title == "物流管理")
    lives.programme(learner, "shanghai", "bachelor", 2018, "1", school, major, courses=3, is_smooth=True)
    jiangsu = assessor("jiangsu", "示例职业技能评价中心", 1)
    learner.add(
        "jiangsu",
        Achievement(
            kind="x-certificate",
            title="物流管理职业技能等级证书",
            english="Logistics Management",
            body=assessor("jiangsu", "示例培训评价组织", 4),
            mark="pass",
            x_level="intermediate",
            award="2020-12",
            number=lives.serials.local("X32", 2020),
            catalogue_title="物流管理职业技能等级证书",
        ),
    )
    learner.add(
        "jiangsu",
        Achievement(
            kind="skill-level",
            title="物流服务师",
            english="Logistics Service Specialist",
            body=jiangsu,
            mark="86.5",
            skill=3,
            award="2021-11-18",
            number=lives.serials.skill("320000", 2021, 3),
            catalogue_title="物流服务师职业技能等级证书",
        ),
    )
    lives.training(learner, "anhui", 2023)
    anhui = words.UNIVERSITIES["anhui"][0]
    for place, (title, english, hours, mark) in enumerate(
        (
            ("采购与供应管理", "Purchasing and Supply", 36, "91"),
            ("物流系统规划", "Logistics Systems Planning", 54, "78.5"),
        )
    ):
        learner.add(
            "anhui",
            Achievement(
                kind="course",
                title=title,
                english=english,
                body=Body(anhui.name, anhui.code, "moe-school", "taught", "340000"),
                course_code=f"CE{2010 + place}",
                catalogue_version="2020",
                hours=hours,
                hour_kind="class",
                credit_bearing=True,
                mark=mark,
                attempt=1,
                start="2022-09",
                end="2023-01",
                award="2023-01-16",
            ),
        )
    lives.training(learner, "zhejiang", 2025)
    lives.leisure(learner, "zhejiang", 2025)
    return learner


def _oddities(lives: Lives, province: str, learners: list[Learner]) -> None:
    """Put in what every real archive holds: revoked, replaced, suspended, misprinted records."""
    rng = lives.rng
    kept = [(learner, made) for learner in learners for made in learner.achievements.get(province, [])]
    graduations = [(learner, made) for learner, made in kept if len(made.number) == 18]
    skills = [made for _, made in kept if made.kind == "skill-level" and made.award < "2025-06"]
    chosen = rng.sample(graduations, 5)
    for _, made in chosen[:2]:
        # The number says one year, the record another: a reader is warned, nobody repairs it.
        form, level = made.number[5], made.education
        assert made.body is not None
        made.number = lives.serials.graduation(made.body.code, form, int(made.end[:4]) - 1, level)
    for learner, made in chosen[2:]:
        _corrected(lives, province, learner, made)
    states = ("revoked",) * 4 + ("suspended", "under-correction")
    for made, state in zip(rng.sample(skills, len(states)), states, strict=True):
        made.state = state
        made.state_since = f"{int(made.award[:4]) + 1}-{rng.randint(1, 5):02d}-{rng.randint(10, 28)}"


def _corrected(lives: Lives, province: str, learner: Learner, made: Achievement) -> None:
    """Add the first print of ``made``, which bore a wrong name and was replaced."""
    misprint = learner.name[:-1] + lives.rng.choice("伟芳娜敏静强磊军")
    if misprint == learner.name:
        misprint = learner.name + "华"
    first_print = replace(
        made,
        holder_name=misprint,
        state="superseded",
        state_since=f"{int(made.end[:4])}-{lives.rng.randint(9, 12):02d}",
        superseded_by=made,
    )
    learner.achievements[province].insert(0, first_print)
