"""Unified social credit codes (GB 32100): published vectors, and every single slip."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.schemes.institution_code import is_social_credit_code
from tests.schemes.samples import many_cases

RIGHT = ["91350100M000100Y43", "51420000MJH200395N", "123100000000001900", "1233000000000006X9"]


@pytest.mark.parametrize("code", RIGHT)
def test_right_codes(code: str) -> None:
    assert is_social_credit_code(code)


@pytest.mark.parametrize(
    "code",
    [
        "",
        "91350100M000100Y4Z",
        "91350100M000100Y4",
        "91350100m000100y43",
        "9135010OM000100Y43",
        "９1350100M000100Y43",
    ],
)
def test_wrong_codes(code: str) -> None:
    assert not is_social_credit_code(code)


@many_cases
@given(st.sampled_from(RIGHT), st.integers(0, 17), st.sampled_from("0123456789ABCDEFGHJKLMNPQRTUWXY"))
def test_one_wrong_character_is_always_seen(code: str, place: int, character: str) -> None:
    changed = code[:place] + character + code[place + 1 :]
    assert is_social_credit_code(changed) == (changed == code)
