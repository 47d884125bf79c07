"""Exact amounts and their rounding."""

import ast
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gateway.schemes
from gateway.schemes.ratio import AmountError, Rounding, exact_text, parse_amount, parse_ratio, read_exact
from tests.schemes.samples import many_cases

amounts = st.decimals(0, 1_000_000, places=9, allow_nan=False).map(lambda d: format(d, "f"))
ratios = st.fractions(Fraction(1, 999), 999_999_999, max_denominator=999_999_999)


@pytest.mark.parametrize(
    "text", ["", ".", ".5", "2.", "+1", "-1", "1_0", "1e3", "NaN", "∞", "2,5", "２", "٣", "1 0"]
)
def test_only_plain_decimals_are_amounts(text: str) -> None:
    with pytest.raises(AmountError):
        parse_amount(text)


@pytest.mark.parametrize("text", ["0", "0/1", "1/0", "-1", "1/-2", "1/2/3", "16 ", "", "9" * 10, "1/1.5"])
def test_only_positive_ratios_are_ratios(text: str) -> None:
    with pytest.raises(AmountError):
        parse_ratio(text)


def test_ratios_as_decimal_and_as_fraction_are_the_same() -> None:
    assert parse_ratio("22.5") == parse_ratio("45/2") == Fraction(45, 2)


@many_cases
@given(amounts)
def test_amounts_are_exact(text: str) -> None:
    assert read_exact(exact_text(parse_amount(text))) == parse_amount(text) == Fraction(text)


@many_cases
@given(amounts, ratios)
def test_what_is_written_can_be_read_without_loss(text: str, ratio: Fraction) -> None:
    for value in (parse_amount(text) * ratio, parse_amount(text) / ratio):
        assert read_exact(exact_text(value)) == value


def test_the_largest_product_is_exact() -> None:
    value = parse_amount("999999.999999999") * parse_ratio("999999999.999999999/999999999")
    assert read_exact(exact_text(value)) == value


def test_long_decimals_are_written_as_fractions() -> None:
    value = Fraction(1, 2**30)
    assert exact_text(value) == "1/1073741824"
    assert read_exact(exact_text(value)) == value


@pytest.mark.parametrize(
    "text", ["1/" + "9" * 10_000, "9" * 10_000, "1/0", "1.5/2", "１", "1/²", "1.", "-1", "", " 1", "1/2/3"]
)
def test_what_a_peer_may_send_instead_of_an_amount(text: str) -> None:
    with pytest.raises(AmountError):
        read_exact(text)


@many_cases
@given(
    st.fractions(0, 10_000, max_denominator=1_000),
    st.fractions(Fraction(1, 100), 10, max_denominator=100),
    st.sampled_from(["floor", "half_up", "half_even"]),
)
def test_rounding_gives_the_nearest_or_the_lower_multiple(value: Fraction, step: Fraction, mode: str) -> None:
    rounding = Rounding(step, mode)  # type: ignore[arg-type]
    rounded = rounding.round(value)
    assert (rounded / step).denominator == 1
    assert rounding.round(rounded) == rounded
    if mode == "floor":
        assert rounded <= value < rounded + step
    else:
        assert abs(rounded - value) <= step / 2


@pytest.mark.parametrize(
    ("mode", "results"),
    [("floor", ["0", "0", "1", "2"]), ("half_up", ["0.5", "1", "2", "2.5"])],
)
def test_modes_without_ties(mode: str, results: list[str]) -> None:
    values = [Fraction("0.49"), Fraction("0.99"), Fraction("1.99"), Fraction("2.49")]
    step = Fraction(1) if mode == "floor" else Fraction(1, 2)
    assert [exact_text(Rounding(step, mode).round(v)) for v in values] == results  # type: ignore[arg-type]


def test_ties_to_even_and_up() -> None:
    ties = [Fraction("0.25"), Fraction("0.75"), Fraction("1.25"), Fraction("1.75")]
    half = Fraction(1, 2)
    assert [exact_text(Rounding(half, "half_up").round(v)) for v in ties] == ["0.5", "1", "1.5", "2"]
    assert [exact_text(Rounding(half, "half_even").round(v)) for v in ties] == ["0", "1", "1", "2"]


def test_no_binary_floating_point_anywhere() -> None:
    folder = Path(gateway.schemes.__file__).parent
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant):
                assert not isinstance(node.value, float), f"{path.name}:{node.lineno}"
                assert not isinstance(node.value, complex), f"{path.name}:{node.lineno}"
            if isinstance(node, ast.Name):  # neither called nor handed on; `float` may stand in a type test
                assert node.id not in {"round", "math", "cmath", "numpy"}, f"{path.name}:{node.lineno}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "float", f"{path.name}:{node.lineno}"
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                assert not names & {"math", "cmath", "statistics", "numpy"}, f"{path.name}:{node.lineno}"
