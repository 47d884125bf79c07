"""Whatever is done to a scheme file, the answer is a scheme or a list of complaints."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import SchemeError
from gateway.schemes import find_differences, move, parse_scheme
from tests.schemes.samples import NODE_CONFIG, POINTS_5, many_cases, shipped

TEXT = (NODE_CONFIG / "zhejiang" / "scheme.toml").read_text(encoding="utf-8") + POINTS_5
VALUES = ['"0"', '"1/3"', '"-1"', "1", "1.5", "nan", "true", "[]", "{}", '""', '"x"', "2024-01-01", "0001-01-01",
          "9999-12-31", '"100"', '["course"]', '"fail"', "[[1]]", "{ a = 1 }"]  # fmt: skip
lines = TEXT.split("\n")
assigned = [number for number, line in enumerate(lines) if " = " in line and not line.startswith("#")]


def parsed_or_refused(text: str) -> None:
    with suppress(SchemeError):
        scheme = parse_scheme(text, "scheme.toml")
        other = shipped("anhui")
        find_differences(scheme, other)
        move(scheme, other)


@many_cases
@given(st.lists(st.tuples(st.sampled_from(assigned), st.sampled_from(VALUES)), min_size=1, max_size=3))
def test_other_values(changes: list[tuple[int, str]]) -> None:
    changed = list(lines)
    for number, value in changes:
        changed[number] = f"{lines[number].partition(' = ')[0]} = {value}"
    parsed_or_refused("\n".join(changed))


@many_cases
@given(st.lists(st.tuples(st.integers(0, len(lines)), st.integers(1, 30)), min_size=1, max_size=3))
def test_lines_that_are_missing_or_twice(cuts: list[tuple[int, int]]) -> None:
    changed = list(lines)
    for place, count in cuts:
        piece = changed[place : place + count]
        if count % 2:
            del changed[place : place + count]
        else:
            changed[place:place] = piece
    parsed_or_refused("\n".join(changed))


@many_cases
@given(st.integers(0, len(TEXT)), st.text(max_size=5))
def test_text_that_is_inserted(place: int, text: str) -> None:
    parsed_or_refused(TEXT[:place] + text + TEXT[place:])
