from pathlib import Path

import pytest

from gateway.errors import ConfigError, RefusedError
from gateway.policy.grants import load_access
from gateway.policy.purposes import KINDS, LEGAL_BASES, PURPOSES

STATUTE = LEGAL_BASES["statutory-duty"]
FILE = """
[[grant]]
peer = "shanghai"
purposes = ["employment"]
kinds = ["degree", "skill-level"]
consent_required = false
statutory_basis = "a statute"

[[grant]]
peer = "shanghai"
purposes = ["personal-archive"]
kinds = ["degree"]

[[grant]]
peer = "jiangsu"
purposes = ["employment"]
kinds = []

[[rate]]
peer = "shanghai"
calls_per_second = 7
"""


def access(tmp_path: Path, text: str = FILE):
    (tmp_path / "access.toml").write_text(text)
    return load_access(tmp_path / "access.toml")


def outcome(
    tmp_path: Path, peer: str, purpose: str, kinds: list[str], basis: int = STATUTE, consent: bool = False
) -> str:
    try:
        access(tmp_path).require_grant(
            peer, PURPOSES[purpose], [KINDS[k] for k in kinds], legal_basis=basis, has_consent=consent
        )
    except RefusedError as error:
        return error.reason
    return "granted"


@pytest.mark.parametrize(
    ("peer", "purpose", "kinds", "expected"),
    [
        ("shanghai", "employment", ["degree"], "granted"),
        ("shanghai", "employment", ["degree", "skill-level"], "granted"),
        ("shanghai", "employment", ["degree", "course"], "KIND_NOT_GRANTED"),
        ("shanghai", "admission", ["degree"], "PURPOSE_NOT_GRANTED"),
        ("anhui", "employment", ["degree"], "PURPOSE_NOT_GRANTED"),
        ("jiangsu", "employment", ["degree"], "PURPOSE_NOT_GRANTED"),
        ("shanghai", "personal-archive", ["degree"], "CONSENT_REQUIRED"),
    ],
)
def test_only_what_is_written_is_granted(
    tmp_path: Path, peer: str, purpose: str, kinds: list[str], expected: str
) -> None:
    assert outcome(tmp_path, peer, purpose, kinds) == expected


def test_who_states_consent_must_send_it(tmp_path: Path) -> None:
    assert (
        outcome(tmp_path, "shanghai", "employment", ["degree"], LEGAL_BASES["consent"]) == "CONSENT_REQUIRED"
    )


def test_a_consent_never_widens_a_grant(tmp_path: Path) -> None:
    assert outcome(tmp_path, "shanghai", "personal-archive", ["degree"], consent=True) == "granted"
    assert outcome(tmp_path, "shanghai", "personal-archive", ["course"], consent=True) == "KIND_NOT_GRANTED"
    assert outcome(tmp_path, "shanghai", "admission", ["degree"], consent=True) == "PURPOSE_NOT_GRANTED"


def test_nobody_elses_consents_are_accepted_unless_it_is_written(tmp_path: Path) -> None:
    assert access(tmp_path).consent_issuers == frozenset()
    assert access(tmp_path, '[consent]\nissuers = ["jiangsu"]').consent_issuers == {"jiangsu"}


def test_an_empty_file_grants_nothing(tmp_path: Path) -> None:
    assert not access(tmp_path, "").grants


def test_rates_have_a_default(tmp_path: Path) -> None:
    found = access(tmp_path)
    assert (found.calls_per_second("shanghai"), found.calls_per_second("anhui")) == (7, 500)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            '[[grant]]\npeer="a"\npurposes=["emploiment"]\nkinds=[]',
            "grant.0.purposes.0.*emploiment.*employment",
        ),
        ('[[grant]]\npeer="a"\npurposes=[]\nkinds=["degrees"]', "grant.0.kinds.0.*degrees"),
        ('[[grant]]\npeer="a"\npurposes=[]\nkind=[]', "grant.0.kind"),
        ('[[grant]]\npeer="a"\npurposes=[]\nkinds=[]\nconsent_required=false', "statutory_basis"),
        ('[[rate]]\npeer="a"\ncalls_per_second=0', "rate.0.calls_per_second"),
        ("[[grant", "no TOML"),
    ],
)
def test_a_broken_file_names_its_place(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as error:
        access(tmp_path, text)
    assert "access.toml" in str(error.value)


def test_a_missing_file_is_no_empty_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is missing"):
        load_access(tmp_path / "access.toml")
