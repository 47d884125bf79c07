"""One achievement as a province's own system wrote it, before any translation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LocalRecord:
    """The columns of the record layout (docs/records.md), verbatim. ``""`` = not stated.

    Words (``kind``, ``status``, levels, grades) are the province's own; its scheme maps them.
    Dates are ``YYYY``, ``YYYY-MM`` or ``YYYY-MM-DD``. Nothing here identifies the learner but
    ``holder_name``; identifiers are turned into subject tokens before a record is made.
    """

    record_id: str
    kind: str
    title: str
    title_en: str = ""
    holder_name: str = ""
    issuer_name: str = ""
    issuer_code: str = ""
    issuer_code_scheme: str = ""
    issuer_role: str = ""
    issuer_region: str = ""
    course_code: str = ""
    catalogue_version: str = ""
    field_scheme: str = ""
    field_code: str = ""
    credits: str = ""
    credit_unit: str = ""
    hours: str = ""
    hour_kind: str = ""
    grade: str = ""
    grade_scale: str = ""
    attempt: str = ""
    education_level: str = ""
    degree_level: str = ""
    skill_level: str = ""
    x_level: str = ""
    framework_level: str = ""
    start_date: str = ""
    end_date: str = ""
    award_date: str = ""
    certificate_number: str = ""
    certificate_code: str = ""
    expire_date: str = ""
    status: str = ""
    status_since: str = ""
    superseded_by: str = ""
    part_of: str = ""
    originals: tuple[tuple[str, str], ...] = ()
    """Further source members (columns named ``original.<name>``), in the source's order."""
