"""Dates with the precision the source gave, and the days that they can mean."""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import lru_cache

from creditexchange.v1.record_pb2 import PartialDate
from gateway.schemes.untranslatable import UntranslatableError

YEAR_MIN, YEAR_MAX = 1900, 2100
DATES_REMEMBERED = 16_384
"""Days of 45 years: the dates of records repeat."""

_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)

Days = tuple[date, date]
"""First and last day of a span, both included."""


@lru_cache(DATES_REMEMBERED)
def parse_date(column: str, text: str) -> PartialDate:
    """Return a date with the precision of ``text``: YYYY, YYYY-MM or YYYY-MM-DD. Do not change it.

    Raises:
        UntranslatableError: another form, or a day that does not exist.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        raise UntranslatableError(column, "write a date as YYYY, YYYY-MM or YYYY-MM-DD")
    year, month, day = (int(part or 0) for part in match.groups())
    stated = PartialDate(year=year, month=month, day=day)
    if days_of(stated) is None or (match[2] and not month) or (match[3] and not day):
        raise UntranslatableError(column, f"no such day between {YEAR_MIN} and {YEAR_MAX}")
    return stated


def days_of(stated: PartialDate) -> Days | None:
    """Return the days that ``stated`` can mean; ``None`` when it states nothing or no such day exists.

    ``2024-06`` means 1 to 30 June. A peer may send any number, so nothing here raises.
    """
    year, month, day = stated.year, stated.month, stated.day
    if not YEAR_MIN <= year <= YEAR_MAX or (day and not month):
        return None
    try:
        if day:
            return (only := date(year, month, day)), only
        if not month:
            return date(year, 1, 1), date(year, 12, 31)
        after = date(year + month // 12, month % 12 + 1, 1) if month <= 12 else None
        return (date(year, month, 1), after - timedelta(days=1)) if after else None
    except (ValueError, OverflowError):
        return None
