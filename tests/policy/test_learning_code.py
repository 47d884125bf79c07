"""The learning code as text: what is drawn, typed, misread."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creditexchange.v1.operator_pb2 import IssueCodeRequest
from gateway.cli.audit_story import Language
from gateway.cli.code_view import code_words, qr_code, terminal_text, write_image
from gateway.errors import CallerError
from gateway.policy.learning_code import (
    LearningCode,
    code_name,
    new_code,
    parse_code,
    parse_code_name,
)
from tests.qr_reader import read_image, read_terminal

CODES = st.builds(
    LearningCode,
    st.from_regex(r"[a-z][a-z0-9]{1,8}(-[a-z0-9]{1,4})?", fullmatch=True),
    st.binary(min_size=5, max_size=5),
    st.binary(min_size=10, max_size=10),
)
VECTOR = LearningCode("zhejiang", bytes(range(5)), bytes(range(5, 15)))


def test_the_format_stays_what_it_is() -> None:
    assert VECTOR.text == "ZX1ZHEJIANG.000G40R40M30E209185GR38EK6"
    assert VECTOR.typed == "ZX1ZHEJIANG.000G-40R4-0M30-E209-185G-R38E-K6"
    assert code_name(VECTOR.code_id) == "000G40R4"


def spaced(typed: str) -> str:
    head, body = typed.split(".")
    return f"{head} . {body.replace('-', ' ')}"


@given(CODES)
def test_what_is_shown_is_read_back(code: LearningCode) -> None:
    for text in (code.text, code.typed, code.typed.lower(), f"  {spaced(code.typed)}\n"):
        assert parse_code(text) == code
    assert parse_code_name(code_name(code.code_id)) == code.code_id == parse_code_name(code.typed)
    assert re.fullmatch(r"[0-9A-Z.-]+", code.text)


@given(CODES, st.data())
def test_a_wrong_character_is_noticed_at_once(code: LearningCode, data: st.DataObject) -> None:
    at = data.draw(st.integers(3, len(code.text) - 1).filter(lambda i: code.text[i] not in ".-"))
    other = data.draw(st.sampled_from(string.digits + string.ascii_uppercase))
    changed = code.text[:at] + other + code.text[at + 1 :]
    try:
        read = parse_code(changed)
    except CallerError:
        return
    assert read == code  # O for 0, I or L for 1: that is how people read


@given(CODES, st.data())
def test_two_characters_that_change_places_are_noticed(code: LearningCode, data: st.DataObject) -> None:
    start = code.text.index(".") + 1
    at = data.draw(st.integers(start, len(code.text) - 2))
    a, b = code.text[at], code.text[at + 1]
    changed = code.text[:at] + b + a + code.text[at + 2 :]
    try:
        read = parse_code(changed)
    except CallerError:
        return
    assert read == code  # the same character twice, or a misread one among the check characters


@given(st.text(max_size=200))
def test_anything_else_is_no_code_and_is_not_repeated(text: str) -> None:
    with pytest.raises(CallerError) as caught:
        parse_code(text)
    assert len(text) < 8 or text not in str(caught.value)


def test_the_secret_does_not_slip_into_texts_about_the_code() -> None:
    code = new_code("zhejiang")
    assert repr(code.secret) not in repr(code)
    assert new_code("zhejiang") != code


@pytest.mark.parametrize(("issuer", "version"), [("anhui", 2), ("zhejiang", 2), ("inner-mongolia-bank", 3)])
def test_another_reader_reads_the_smallest_qr_code(tmp_path, issuer: str, version: int) -> None:
    code = new_code(issuer)
    drawn = qr_code(code.text)
    assert (drawn.version, drawn.mode, drawn.error) == (version, "alphanumeric", "M")
    write_image(code.text, tmp_path / "code.png", "png")
    assert parse_code(read_image(tmp_path / "code.png")) == code
    assert read_terminal(terminal_text(code.text)) == code.text
    with pytest.raises(CallerError, match="cannot be written"):
        write_image(code.text, tmp_path / "code.png", "png")


@pytest.mark.parametrize(
    ("scope", "language", "words"),
    [
        ({}, Language.en, ("a job application", "skill level", "whoever scans it first", "60 minutes")),
        ({"redeeming_node_id": "shanghai"}, Language.en, ("the node shanghai",)),
        ({"organisation": "shangai"}, Language.en, ("the organisation shangai",)),
        ({}, Language.zh, ("求职", "职业技能等级证书", "以先扫码者为准", "60 分钟")),
    ],
)
def test_the_learner_reads_what_the_code_permits(
    scope: dict[str, str], language: Language, words: tuple[str, ...]
) -> None:
    request = IssueCodeRequest(purpose=1, kinds=[7], consent_minutes=60, **scope)
    text = code_words(request, language)
    assert all(word in text for word in words), text
