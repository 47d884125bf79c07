"""Invented lives: who studied what, where and when, in no province's words yet.

Everything follows from one seed. A life is built forwards from the date of birth, so that ages, studies
and certificates hold together; nothing is awarded after `LAST_DAY`.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from random import Random

import example_words as words
from example_numbers import Serials, resident_id, social_credit_code

LAST_DAY = date(2026, 6, 15)
"""The day on which the example data was drawn up."""


@dataclass(frozen=True, slots=True)
class Body:
    """An institution as a record names it."""

    name: str
    code: str
    code_scheme: str
    role: str
    region: str


@dataclass(slots=True)
class Achievement:
    """One achievement in the words of the shared model; dates as the source would print them."""

    kind: str
    title: str
    english: str = ""
    body: Body | None = None
    course_code: str = ""
    catalogue_version: str = ""
    field_code: str = ""
    hours: int = 0
    hour_kind: str = ""
    credit_bearing: bool = False
    hours_stated: bool = True
    mark: str = ""
    """A percentage such as "87.5", or "exempt", "deferred", "absent"; "" = not graded."""
    attempt: int = 0
    education: str = ""
    degree: str = ""
    skill: int = 0
    x_level: str = ""
    start: str = ""
    end: str = ""
    award: str = ""
    number: str = ""
    catalogue_title: str = ""
    expires: str = ""
    state: str = "valid"
    state_since: str = ""
    superseded_by: Achievement | None = None
    part_of: Achievement | None = None
    holder_name: str = ""
    """Only where it differs from the learner's name: a misprint that was corrected later."""
    originals: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Learner:
    """An invented person with achievements, by the province that keeps them."""

    identifier: str
    name: str
    born: date
    path: words.Path = words.PATHS["services"]
    """What they go on to, by what they learnt last."""
    achievements: dict[str, list[Achievement]] = field(default_factory=dict)

    def add(self, province: str, achievement: Achievement) -> Achievement:
        """Keep ``achievement`` in ``province`` and return it."""
        self.achievements.setdefault(province, []).append(achievement)
        return achievement


def day_in(rng: Random, year: int, month: int) -> date:
    """Return a day of that month, never after `LAST_DAY`."""
    day = rng.randint(1, calendar.monthrange(year, month)[1])
    return min(date(year, month, day), LAST_DAY)


def assessor(province: str, name: str, number: int, role: str = "awarded") -> Body:
    """Return an invented body of ``province`` with a social credit code of the synthetic range."""
    region = words.REGIONS[province]
    code = social_credit_code(int(region[:2]), int(region[:2]) * 1000 + number)
    return Body(words.PROVINCE_NAMES[province] + name, code, "uscc", role, region)


class Lives:
    """Makes learners, one after another, from one random source."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.serials = Serials()
        self._taken: set[str] = set()

    # --- the person -------------------------------------------------------------------------------

    def person(self, born_from: int, born_to: int) -> Learner:
        """Return somebody born in those years, with nothing achieved yet."""
        rng = self.rng
        man = rng.random() < 0.5
        born = day_in(rng, rng.randint(born_from, born_to), rng.randint(1, 12))
        identifier = ""
        while not identifier or identifier in self._taken:
            identifier = resident_id(rng.randint(1, 98), born, rng.randrange(int(man), 1000, 2))
        self._taken.add(identifier)
        rare = rng.random() < 0.01
        surname = rng.choice(words.RARE_SURNAMES if rare else words.SURNAMES)
        given = words.GIVEN_MALE if man else words.GIVEN_FEMALE
        first = "".join(rng.choice(given) for _ in range(1 if rng.random() < 0.25 else 2))
        return Learner(identifier, surname + first, born)

    def mark(self) -> str:
        """Return a percentage that passes, one in seven of them with a half."""
        value = min(99, max(60, round(self.rng.gauss(79, 9))))
        return f"{value}.5" if self.rng.random() < 0.15 else str(value)

    # --- education --------------------------------------------------------------------------------

    def study(self, learner: Learner, province: str, level: str, end: int, form: str = "1") -> Achievement:
        """Add graduation, degree and courses of a programme that ended in the summer of ``end``."""
        rng = self.rng
        higher = level != "associate"
        school = rng.choice((words.UNIVERSITIES if higher else words.COLLEGES)[province])
        major = rng.choice(words.BACHELOR_MAJORS if higher else words.ASSOCIATE_MAJORS)
        return self.programme(learner, province, level, end, form, school, major, rng.choice((1, 1, 2)))

    def programme(
        self,
        learner: Learner,
        province: str,
        level: str,
        end: int,
        form: str,
        school: words.School,
        major: words.Major,
        courses: int,
        *,
        is_smooth: bool = False,
    ) -> Achievement:
        """Add one programme of one school and return its graduation; smooth = every course at once passed."""
        rng = self.rng
        learner.path = words.PATHS[major.path]
        years = {"master": 3, "bachelor": 4 if form == "1" else 3, "associate": 3}[level]
        body = Body(school.name_in(end), school.code, "moe-school", "awarded", words.REGIONS[province])
        awarded = day_in(rng, end, 6)
        coded = end >= (2024 if level == "associate" else 2014)
        title = major.former if major.former and end < 2024 else major.title
        graduation = Achievement(
            kind="graduation",
            title=title,
            body=body,
            field_code=major.code if coded else "",
            education=level,
            start=f"{end - years}-09-01",
            end=f"{end}-06",
            award=awarded.isoformat() if rng.random() < 0.85 else f"{end}-06",
            number=self.serials.graduation(school.code, form, end, level),
            catalogue_title=_graduation_title(level, form),
        )
        learner.add(province, graduation)
        if level != "associate" and (form == "1" or rng.random() < 0.4):
            self._degree(learner, province, level, end, school, major, graduation)
        pool = (
            [*major.courses, *rng.sample(words.COMMON_COURSES, 2)]
            if level != "master"
            else list(major.courses)
        )
        for course in rng.sample(pool, min(courses, len(pool))):
            made = self._course(course, major, graduation)
            if not is_smooth:
                self._trouble(learner, province, made, form)
            learner.add(province, made)
        return graduation

    def _degree(
        self,
        learner: Learner,
        province: str,
        level: str,
        end: int,
        school: words.School,
        major: words.Major,
        graduation: Achievement,
    ) -> None:
        digit = {"master": "3", "bachelor": "4"}[level]
        learner.add(
            province,
            Achievement(
                kind="degree",
                title=DEGREE_FIELDS[major.degree_field] + {"master": "硕士", "bachelor": "学士"}[level],
                body=graduation.body,
                field_code=digit + major.degree_field,
                degree=level,
                award=graduation.award,
                number=self.serials.degree(school.code, end, level),
                catalogue_title={"master": "硕士学位证书", "bachelor": "学士学位证书"}[level],
            ),
        )

    def _course(self, course: words.Course, major: words.Major, graduation: Achievement) -> Achievement:
        rng = self.rng
        begun = int(graduation.start[:4])
        year = rng.randint(begun, int(graduation.end[:4]) - 1)
        version = max(v for v in CATALOGUE_VERSIONS if v <= max(begun, CATALOGUE_VERSIONS[0]))
        # One code, two worths: from the version of 2020 on the courses of 64 hours have 48.
        hours = 48 if course.hours == 64 and version >= 2020 else course.hours
        common = course in words.COMMON_COURSES
        letters = "GG" if common else major.letters
        place = (words.COMMON_COURSES if common else major.courses).index(course) + 1
        taught = graduation.body
        assert taught is not None
        return Achievement(
            kind="course",
            title=course.title,
            english=course.english,
            body=Body(taught.name, taught.code, taught.code_scheme, "taught", taught.region),
            course_code=f"{letters}{1000 + 10 * place}",
            catalogue_version=str(version),
            hours=hours,
            hour_kind="class",
            credit_bearing=True,
            hours_stated=rng.random() < 0.85,
            mark=self.mark(),
            attempt=1,
            start=f"{year}-09",
            end=f"{year + 1}-01",
            award=day_in(rng, year + 1, 1).isoformat() if rng.random() < 0.7 else f"{year + 1}-01",
            part_of=graduation,
        )

    def _trouble(self, learner: Learner, province: str, made: Achievement, form: str) -> None:
        """Let one course in ten be exempted, deferred or passed in a second attempt only."""
        lot = self.rng.random()
        if form == "5" and lot < 0.15:
            made.mark, made.attempt = "exempt", 0
        elif lot < 0.03:
            made.mark, made.award, made.attempt = "deferred", "", 0
        elif lot < 0.10:
            self._failed_before(learner, province, made)

    def _failed_before(self, learner: Learner, province: str, passed: Achievement) -> None:
        """Add the attempt that failed, and move the one that passed to the next summer."""
        mark = str(self.rng.randint(31, 59)) if self.rng.random() < 0.8 else "absent"
        learner.add(province, replace(passed, mark=mark))
        year = int(passed.end[:4])
        passed.attempt, passed.start, passed.end = 2, f"{year}-02", f"{year}-06"
        passed.award = f"{year}-06"

    def school_leaving(self, learner: Learner, province: str) -> Achievement:
        """Add the end of a secondary vocational school at eighteen."""
        end = learner.born.year + 18
        number = self.serials.local(f"{words.REGIONS[province][:2]}Z", end)
        subject = self.rng.choice(list(words.SECONDARY_SUBJECTS))
        learner.path = words.PATHS[words.SECONDARY_SUBJECTS[subject]]
        return learner.add(
            province,
            Achievement(
                kind="graduation",
                title=subject,
                body=assessor(province, "示例中等职业学校", 3),
                education="secondary-vocational",
                start=f"{end - 3}-09",
                end=f"{end}-06",
                award=f"{end}-06",
                number=number,
                catalogue_title="中等职业教育毕业证书",
            ),
        )

    # --- work -------------------------------------------------------------------------------------

    def career(self, learner: Learner, province: str, first_year: int, steps: int) -> None:
        """Add trainings and the skill certificates that follow them, levels rising with the years."""
        rng = self.rng
        occupation = words.OCCUPATIONS[rng.choice(learner.path.occupations)]
        year = max(2020, first_year)
        for level in occupation.levels[:steps]:
            if year > 2025:
                break
            self.skill_level(learner, province, occupation, level, year)
            year += rng.randint(1, 3)

    def skill_level(
        self, learner: Learner, province: str, occupation: words.Occupation, level: int, year: int
    ) -> Achievement:
        """Add a training and, some weeks later, the skill certificate."""
        rng = self.rng
        trained = day_in(rng, year, rng.randint(1, 8))
        name = SKILL_NAMES[level]
        learner.add(
            province,
            Achievement(
                kind="training",
                title=f"{occupation.training}（{name}）",
                body=assessor(province, "示例职业培训学校", 2, "taught"),
                hours=rng.choice((40, 60, 80, 120, 160)),
                hour_kind="class",
                mark="pass",
                start=(trained - timedelta(days=rng.randint(10, 40))).isoformat(),
                end=trained.isoformat(),
                award=trained.isoformat(),
            ),
        )
        awarded = min(trained + timedelta(days=rng.randint(20, 110)), LAST_DAY)
        return learner.add(
            province,
            Achievement(
                kind="skill-level",
                title=occupation.title,
                english=occupation.english,
                body=assessor(province, "示例职业技能评价中心", 1),
                mark=self.mark() if rng.random() < 0.6 else "pass",
                skill=level,
                award=awarded.isoformat(),
                number=self.serials.skill(words.REGIONS[province], awarded.year, level),
                catalogue_title=f"{occupation.title}职业技能等级证书",
            ),
        )

    def x_certificate(self, learner: Learner, province: str, year: int) -> None:
        """Add a 1+X certificate of ``year``, if one that fits the learner's studies existed by then."""
        rng = self.rng
        titles = [title for title in learner.path.x_certificates if words.X_CERTIFICATES[title][1] <= year]
        if not titles:
            return
        choice = rng.choice(titles)
        learner.add(
            province,
            Achievement(
                kind="x-certificate",
                title=f"{choice}职业技能等级证书",
                english=words.X_CERTIFICATES[choice][0],
                body=assessor(province, "示例培训评价组织", 4),
                mark=self.mark() if rng.random() < 0.5 else "pass",
                x_level=rng.choice(("junior", "intermediate", "intermediate", "senior")),
                award=f"{year}-12" if rng.random() < 0.4 else day_in(rng, year, 12).isoformat(),
                number=self.serials.local(f"X{words.REGIONS[province][:2]}", year),
                catalogue_title=f"{choice}职业技能等级证书",
            ),
        )

    def placement(self, learner: Learner, province: str, end: int) -> Achievement:
        """Add the placement in the last term of a college programme, counted in weeks."""
        weeks = self.rng.choice((4, 6, 8))
        return learner.add(
            province,
            Achievement(
                kind="experience",
                title="岗位实习",
                body=assessor(province, "示例实习企业", 8, "assessed"),
                hours=weeks,
                hour_kind="week",
                mark="pass",
                start=f"{end}-03",
                end=f"{end}-05",
            ),
        )

    def qualification(self, learner: Learner, province: str, year: int) -> Achievement:
        """Add a vocational qualification; those of the skilled trades expire after six years."""
        rng = self.rng
        title = rng.choice(learner.path.qualifications)
        group, english = words.QUALIFICATIONS[title]
        awarded = day_in(rng, year, rng.randint(3, 6) if year == 2026 else rng.randint(3, 12))
        made = Achievement(
            kind="vocational-qualification",
            title=title,
            english=english,
            body=assessor(province, f"示例{group}资格考试中心", words.QUALIFICATION_BODIES[group]),
            award=awarded.isoformat(),
            number=self.serials.local(f"ZG{words.REGIONS[province][:2]}", year),
            catalogue_title=title,
        )
        if group == "技能人员":
            made.expires = date(year + 6, awarded.month, min(awarded.day, 28)).isoformat()
            if made.expires <= LAST_DAY.isoformat():
                made.state, made.state_since = "expired", made.expires
        return learner.add(province, made)

    def training(self, learner: Learner, province: str, year: int) -> Achievement:
        """Add a training with hours and without credits."""
        rng = self.rng
        end = day_in(rng, year, rng.randint(2, 5 if year == 2026 else 11))
        return learner.add(
            province,
            Achievement(
                kind="training",
                title=rng.choice(words.TRAININGS),
                body=assessor(province, "示例继续教育基地", 6, "taught"),
                hours=rng.choice((16, 24, 30, 50, 72, 90)),
                hour_kind="class",
                mark=rng.choice(("pass", "pass", "")),
                start=(end - timedelta(days=rng.randint(2, 25))).isoformat(),
                end=end.isoformat(),
                award=end.isoformat() if rng.random() < 0.6 else end.isoformat()[:7],
            ),
        )

    def leisure(self, learner: Learner, province: str, year: int) -> Achievement:
        """Add a course of culture and leisure."""
        rng = self.rng
        return learner.add(
            province,
            Achievement(
                kind="leisure",
                title=rng.choice(words.LEISURE),
                body=assessor(province, "示例社区学院", 7, "taught"),
                hours=rng.choice((8, 10, 12, 20)),
                hour_kind="clock",
                end=f"{year}-{rng.randint(1, 5):02d}" if year == 2026 else f"{year}-{rng.randint(1, 12):02d}",
            ),
        )


SKILL_NAMES = {5: "初级工", 4: "中级工", 3: "高级工", 2: "技师", 1: "高级技师"}

CATALOGUE_VERSIONS = (2005, 2012, 2016, 2020, 2023)
"""Years of the course catalogues."""

DEGREE_FIELDS = {"04": "教育学", "05": "文学", "07": "理学", "08": "工学", "12": "管理学"}
"""Second and third digit of GB/T 6864."""


def _graduation_title(level: str, form: str) -> str:
    education = {"1": "普通高等教育", "5": "成人高等教育"}[form]
    return education + {"master": "硕士研究生", "bachelor": "本科", "associate": "专科"}[level] + "毕业证书"
