"""Ids of exchanges grow with time, so that they are neighbours in the logs' indexes (RFC 9562, section 5.7)."""

import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import from_unix_ms, new_exchange_id, unix_ms
from tests.federation.provinces import NOW
from tests.federation.simulator import Federation

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANTS = st.integers(0, 32_000_000_000_000_000).map(lambda us: EPOCH + timedelta(microseconds=us))


@given(INSTANTS)
def test_they_are_uuids_of_version_7(now: datetime) -> None:
    made = uuid.UUID(bytes=new_exchange_id(now))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == unix_ms(now)


def test_the_vector_of_the_rfc_begins_alike() -> None:
    """RFC 9562, appendix A.6: Tuesday, February 22, 2022 2:22:22.00 PM GMT-05:00."""
    vector = uuid.UUID("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")
    made = new_exchange_id(datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC))
    assert made[:6] == vector.bytes[:6]


@given(INSTANTS, st.integers(1, 10**6))
def test_a_later_one_is_greater(now: datetime, milliseconds: int) -> None:
    assert new_exchange_id(now) < new_exchange_id(now + timedelta(milliseconds=milliseconds))


@given(st.integers(0, 250_000_000_000_000))
def test_an_instant_comes_back_to_the_millisecond(milliseconds: int) -> None:
    assert unix_ms(from_unix_ms(milliseconds)) == milliseconds


def test_those_of_one_instant_differ() -> None:
    assert len({new_exchange_id(NOW) for _ in range(2_000)}) == 2_000


def test_an_asker_uses_them(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    zhejiang.ask("shanghai")
    federation.pass_time(5)
    zhejiang.ask("shanghai")
    first, second = (uuid.UUID(hex=entry["exchange_id"]) for entry in shanghai.entries())
    assert (first.version, second.version) == (7, 7)
    assert (second.int >> 80) - (first.int >> 80) == 5_000
