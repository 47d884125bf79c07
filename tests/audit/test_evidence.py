"""Openings at rest: encrypted, bound to their entry, erasable, findable only with the node's key."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

from gateway.audit import Evidence, EvidenceError
from gateway.audit.evidence import RETENTION_MS, EvidenceVault
from tests.audit.drafts import EVIDENCE_KEY, answered, evidence

VAULT = EvidenceVault(EVIDENCE_KEY)
DRAFT = answered()


def test_openings_come_back() -> None:
    given = evidence()
    sealed = VAULT.seal(DRAFT, given, 1_000)
    assert sealed is not None
    assert sealed.expires_at == 1_000 + RETENTION_MS
    opened = VAULT.open(DRAFT, sealed)
    assert list(opened.request) == given.request_openings
    assert list(opened.answer) == given.answer_openings


def test_without_openings_nothing_is_sealed() -> None:
    assert VAULT.seal(DRAFT, Evidence(request_message=b"signed"), 0) is None


def test_every_entry_has_a_key_of_its_own() -> None:
    given = evidence()
    one, other = VAULT.seal(DRAFT, given, 0), VAULT.seal(DRAFT, given, 0)
    assert one is not None
    assert other is not None
    assert one.wrapped_key != other.wrapped_key
    assert one.nonce != other.nonce
    assert one.ciphertext != other.ciphertext


@pytest.mark.parametrize(
    "other",
    [
        answered(),
        replace(DRAFT, role="asker"),
    ],
)
def test_a_ciphertext_opens_only_beside_its_own_leaf(other) -> None:
    sealed = VAULT.seal(DRAFT, evidence(), 0)
    assert sealed is not None
    with pytest.raises(EvidenceError, match="altered"):
        VAULT.open(other, sealed)


@pytest.mark.parametrize("name", ["nonce", "ciphertext", "wrapped_key"])
def test_altered_bytes_do_not_open(name: str) -> None:
    sealed = VAULT.seal(DRAFT, evidence(), 0)
    assert sealed is not None
    value = bytearray(getattr(sealed, name))
    value[-1] ^= 1
    with pytest.raises(EvidenceError):
        VAULT.open(DRAFT, replace(sealed, **{name: bytes(value)}))
    with pytest.raises(EvidenceError):
        VAULT.open(DRAFT, replace(sealed, **{name: b""}))


def test_another_nodes_key_does_not_open() -> None:
    sealed = VAULT.seal(DRAFT, evidence(), 0)
    assert sealed is not None
    with pytest.raises(EvidenceError, match="another evidence key"):
        EvidenceVault(bytes(32)).open(DRAFT, sealed)


def test_the_evidence_key_itself_encrypts_nothing() -> None:
    sealed = VAULT.seal(DRAFT, evidence(), 0)
    assert sealed is not None
    with pytest.raises(InvalidUnwrap):
        aes_key_unwrap(EVIDENCE_KEY, sealed.wrapped_key)


def test_subject_refs_need_the_key() -> None:
    token = b"t" * 32
    assert VAULT.subject_ref(token) == EvidenceVault(EVIDENCE_KEY).subject_ref(token)
    assert VAULT.subject_ref(token) != EvidenceVault(bytes(32)).subject_ref(token)
    assert token not in VAULT.subject_ref(token)


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        EvidenceVault(b"short")


def test_evidence_does_not_show_openings() -> None:
    assert "record one" not in repr(evidence())
