"""A proposal of a grant harms no access.toml, whatever stands in it, and grants nothing."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.grant_proposal import propose_grant
from gateway.policy.grants import load_access
from gateway.policy.purposes import KINDS, PURPOSES

GRANT = '[[grant]]\npeer = "anhui"\npurposes = ["employment"]\nkinds = ["course"]\n'
FILES = {
    "empty": "",
    "comments": "# 本省的授权\n# nothing yet",
    "a grant, no last line end": GRANT.rstrip("\n"),
    "a table at the end": f'{GRANT}\n[consent]\nissuers = ["jiangsu"]\n',
    "grants as an inline array": 'grant = [{ peer = "anhui", purposes = [], kinds = [] }]\n',
    "Windows line ends": GRANT.replace("\n", "\r\n"),
    "a text of several lines at the end": GRANT
    + 'consent_required = false\nstatutory_basis = """Agreement\n# 1/2026\n"""\n',
}


@pytest.fixture(params=FILES.values(), ids=FILES)
def access(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "access.toml"
    path.write_bytes(request.param.encode())
    return path


def test_what_stands_there_stays_and_nothing_is_granted(access: Path) -> None:
    text, before = access.read_bytes(), load_access(access)
    access.chmod(0o640)
    assert propose_grant(access, "shanghai")
    assert access.read_bytes().startswith(text)
    assert load_access(access) == before
    assert access.stat().st_mode & 0o777 == 0o640
    assert b"shanghai" in access.read_bytes()


def test_a_second_time_nothing_is_written(access: Path) -> None:
    propose_grant(access, "shanghai")
    text = access.read_bytes()
    assert not propose_grant(access, "shanghai")
    assert access.read_bytes() == text


def test_without_the_marks_it_is_a_grant_of_nothing_yet(access: Path) -> None:
    if access.read_text(encoding="utf-8").startswith("grant = ["):
        access.write_text("", encoding="utf-8")  # TOML allows no [[grant]] beside an inline array
    propose_grant(access, "shanghai")
    lines = access.read_text(encoding="utf-8").splitlines()
    at = next(i for i, line in enumerate(lines) if line == "# [[grant]]")
    lines[at : at + 5] = [line.removeprefix("# ") for line in lines[at : at + 5]]
    access.write_text("\n".join(lines), encoding="utf-8")
    assert load_access(access).of_peer("shanghai") == []
    agreed = "\n".join(lines).replace("purposes = []", 'purposes = ["employment"]', 1)
    access.write_text(agreed.replace("kinds = []", 'kinds = ["course"]', 1), encoding="utf-8")
    ((purpose, grant),) = load_access(access).of_peer("shanghai")
    assert (purpose, grant.kinds, grant.consent_required) == (
        PURPOSES["employment"],
        {KINDS["course"]},
        True,
    )


@pytest.mark.parametrize(
    "text", [GRANT.replace("anhui", "shanghai"), 'grant = [{ peer = "shanghai", purposes = [], kinds = [] }]']
)
def test_a_peer_with_a_grant_gets_no_proposal(tmp_path: Path, text: str) -> None:
    path = tmp_path / "access.toml"
    path.write_text(text)
    assert not propose_grant(path, "shanghai")
    assert path.read_text() == text


@pytest.mark.parametrize("broken", [b"[[grant]\n", b"\xff\xfe", b'x = """open', b"grants = 1\n"])
def test_a_broken_file_is_left_alone(tmp_path: Path, broken: bytes) -> None:
    path = tmp_path / "access.toml"
    path.write_bytes(broken)
    assert not propose_grant(path, "shanghai")
    assert path.read_bytes() == broken


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("access")


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    assert not propose_grant(tmp_path / "access.toml", "shanghai")
    assert not (tmp_path / "access.toml").exists()


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_no_text_of_an_operator_is_ever_changed(folder: Path, text: str) -> None:
    path = folder / "access.toml"
    path.write_bytes(text.encode())
    if propose_grant(path, "shanghai"):
        assert load_access(path).grants == {}
    assert path.read_bytes().startswith(text.encode())
