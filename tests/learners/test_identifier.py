import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CallerError
from gateway.learners.identifier import check_character, mask, normalise
from gateway.learners.subject_token import FederationSecret, subject_token

SECRET = FederationSecret("2026", bytes(range(32)))


@pytest.mark.parametrize("identifier", ["11010519491231002X", "440524188001010014"])
def test_published_numbers_are_accepted(identifier: str) -> None:
    assert normalise("resident-id", identifier) == identifier


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("11010519491231002x", "11010519491231002X"),
        (" 11010519491231002X ", "11010519491231002X"),
        ("１１０１０５１９４９１２３１００２Ｘ", "11010519491231002X"),
        ("110105491231002", "11010519491231002X"),
    ],
    ids=["lower-case x", "spaces", "full width", "fifteen digits"],
)
def test_one_learner_has_one_form(written: str, meant: str) -> None:
    assert normalise("resident-id", written) == meant
    assert subject_token(SECRET, "resident-id", written) == subject_token(SECRET, "resident-id", meant)


@pytest.mark.parametrize(
    ("identifier", "complaint"),
    [
        ("440524188001010019", "check character"),
        ("1101051949123100", "18 characters"),
        ("", "18 characters"),
        ("11010519491331" + "0021", "check character|date of birth"),
        ("A10105194912310021", "18 characters"),
    ],
)
def test_a_malformed_number_is_refused_without_repeating_it(identifier: str, complaint: str) -> None:
    with pytest.raises(CallerError, match=complaint) as error:
        normalise("resident-id", identifier)
    assert not identifier or identifier not in str(error.value)


@given(
    st.integers(min_value=0, max_value=10**11),
    st.integers(min_value=0, max_value=16),
    st.integers(min_value=1, max_value=9),
)
def test_no_single_wrong_digit_passes(serial: int, position: int, change: int) -> None:
    first = f"990001{1950 + serial % 60}0{1 + serial % 9}1{serial % 10}{serial % 1000:03}"
    good = first + check_character(first)
    normalise("resident-id", good)
    bad = good[:position] + str((int(good[position]) + change) % 10) + good[position + 1 :]
    with pytest.raises(CallerError):
        normalise("resident-id", bad)


def test_unknown_types_are_refused() -> None:
    with pytest.raises(CallerError, match="unknown identifier type"):
        normalise("tax-number", "1")


def test_the_type_is_part_of_the_token() -> None:
    assert subject_token(SECRET, "passport", "E12345678") != subject_token(
        SECRET, "student-number", "E12345678"
    )


def test_a_secret_does_not_print_itself() -> None:
    assert "00010203" not in repr(SECRET)
    assert "x00" not in repr(SECRET)


def test_a_masked_identifier_cannot_be_read() -> None:
    assert mask("11010519491231002X") == "110*************2X"
    assert mask("123") == "***"
