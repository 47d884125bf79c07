"""A certificate that stands for courses: each course once, each level where it may."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from creditexchange.v1.record_pb2 import (
    CODE_LIST_CERTIFICATE,
    LEVEL_FRAMEWORK_X_CERTIFICATE,
    VALUE_STATE_TRANSLATED,
    LearningRecord,
    LocalView,
)
from gateway.schemes.counting_rules import ReplacedCourse, ReplacementRule
from gateway.schemes.scheme import Scheme


@dataclass(frozen=True, slots=True)
class Granted:
    """The courses for which one certificate stands, and what they count."""

    unit: str
    credits: Fraction
    courses: tuple[tuple[str, str], ...]
    """Code of each course, with the reason why the certificate may not replace it."""


class Replacing:
    """Which courses of one learner certificates have replaced so far."""

    def __init__(self, scheme: Scheme, taken: set[str]) -> None:
        self._rules = scheme.counting.replacements
        self._taken = taken
        """Courses that the learner passed."""
        self._replaced: set[str] = set()

    def grant(self, record: LearningRecord, view: LocalView) -> Granted | None:
        """Return what the certificate of ``record`` replaces; ``None`` when no rule names it."""
        rule = self._rule(record, view)
        if rule is None:
            return None
        levels = {level.code for level in record.levels if level.framework == LEVEL_FRAMEWORK_X_CERTIFICATE}
        credits_, courses = Fraction(0), []
        for course in rule.courses:
            reason = self._denied(course, levels)
            if not reason:
                self._replaced.add(course.code)
                credits_ += course.credits
            courses.append((course.code, reason))
        return Granted(rule.unit, credits_, tuple(courses))

    def _rule(self, record: LearningRecord, view: LocalView) -> ReplacementRule | None:
        """Find the rule by the certificate's code in this scheme's own list."""
        for code, value in zip(record.codes, view.codes, strict=False):
            if code.list == CODE_LIST_CERTIFICATE and value.state == VALUE_STATE_TRANSLATED:
                return self._rules.get(value.value)
        return None

    def _denied(self, course: ReplacedCourse, levels: set[str]) -> str:
        if course.levels and not course.levels & levels:
            return "level-not-sufficient"
        if course.code in self._replaced:
            return "course-already-replaced"
        return "course-already-passed" if course.code in self._taken else ""
