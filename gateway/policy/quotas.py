"""How many learners a peer may be answered about in one day, and when that day ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gateway.policy.purposes import PURPOSES

TIME_ZONE = "Asia/Shanghai"


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(f"unknown time zone {name[:40]!r}; write for example {TIME_ZONE!r}") from error
    return name


def _known_purpose(word: str) -> str:
    if word not in PURPOSES:
        raise ValueError(f"unknown purpose {word!r}; use one of: {', '.join(PURPOSES)}")
    return word


class QuotaEntry(BaseModel):
    """``[[quota]]``: about how many learners one peer is answered in one day."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    peer: str
    """Node id of the peer."""
    learners_per_day: int = Field(ge=0, le=1_000_000_000)
    """Learners that this node answers about in one day. Each answered query counts its learners; a retry
    and a refusal count nothing. 0 = none."""
    purposes: Annotated[
        tuple[Annotated[str, AfterValidator(_known_purpose)], ...] | None, Field(min_length=1)
    ] = None
    """The purposes that it counts together; left out, it counts all of them. Several quotas of one peer
    hold beside one another."""


class DayEntry(BaseModel):
    """``[day]``: when the day of the quotas begins."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    time_zone: Annotated[str, AfterValidator(_known_zone)] = TIME_ZONE
    """Name of the time zone whose midnight begins a new day, as the IANA time zone database has it."""


@dataclass(frozen=True, slots=True)
class Quota:
    """One quota, compiled."""

    purposes: frozenset[str]
    """Words of the purposes that it counts together; empty = all of them."""
    learners_per_day: int
    number: int
    """Which ``[[quota]]`` of the file it is, from 0."""


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the quotas."""

    name: str
    """ISO 8601, for example ``2026-11-25``."""
    ends: datetime
    """The next midnight, in the zone of the day."""


def day_at(now: datetime, time_zone: str) -> Day:
    """Return the day of ``time_zone`` in which ``now`` lies."""
    local = now.astimezone(ZoneInfo(time_zone))
    following = local.date() + timedelta(days=1)
    ends = datetime(following.year, following.month, following.day, tzinfo=ZoneInfo(time_zone))
    return Day(local.date().isoformat(), ends)


def days_before(now: datetime, days: int) -> str:
    """Return the name of a day that is ``days`` days past everywhere."""
    return (now.astimezone(UTC).date() - timedelta(days=days)).isoformat()
