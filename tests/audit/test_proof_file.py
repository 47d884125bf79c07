"""``.tlog-proof`` files: one form, and nothing else is accepted."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import Checkpoint, ProofError, leaf_hash, tree_root
from gateway.audit.merkle import append, inclusion_proof, root_from_edge
from gateway.audit.proof_file import ProofFile, parse_proof_file, verify_proof_file
from gateway.errors import GatewayError
from gateway.signing.signed_note import NoteSigner

SIGNER = NoteSigner("audit.zhejiang.example/2026", Ed25519PrivateKey.from_private_bytes(b"\7" * 32))


def tree_of(size: int):
    leaves = [b"leaf %d" % at for at in range(size)]

    def node_at(level: int, index: int) -> bytes:
        edge: list[bytes] = []
        for position, leaf in enumerate(leaves[index << level : index + 1 << level]):
            append(edge, position, leaf_hash(leaf))
        return root_from_edge(edge)

    return leaves, node_at, Checkpoint(SIGNER.name, size, tree_root(leaves)).sign([SIGNER])


def file_of(size: int, index: int, extra: bytes | None = None) -> tuple[bytes, ProofFile]:
    leaves, node_at, note = tree_of(size)
    return leaves[index], ProofFile(index, tuple(inclusion_proof(index, size, node_at)), note, extra)


@given(st.integers(1, 40).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))))
def test_a_proof_survives_writing_and_reading(place: tuple[int, int]) -> None:
    leaf, file = file_of(*place)
    assert parse_proof_file(file.render()) == file
    assert verify_proof_file(file.render(), leaf, SIGNER.verifier).size == place[0]


def test_an_extra_line_is_kept_and_proves_nothing() -> None:
    leaf, file = file_of(5, 2, b"hint")
    assert "\nextra aGludA==\n" in file.render()
    assert parse_proof_file(file.render()).extra == b"hint"
    verify_proof_file(file.render(), leaf, SIGNER.verifier)


def test_another_leaf_does_not_verify() -> None:
    _, file = file_of(5, 2)
    with pytest.raises(ProofError):
        verify_proof_file(file.render(), b"leaf 3", SIGNER.verifier)


def test_no_byte_can_be_changed() -> None:
    leaf, file = file_of(5, 2)
    content = file.render().encode()
    for at in range(len(content)):
        altered = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        with pytest.raises(GatewayError):
            verify_proof_file(altered.decode("utf-8", "replace"), leaf, SIGNER.verifier)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2"),
        ("index 2", "index 02"),
        ("index 2", "index +2"),
        ("index 2", "index -2"),
        ("index 2", "index 2 "),
        ("index 2\n", ""),
        ("index 2\n", "index 2\nAAAA\n"),
        ("index 2\n", "extra !\nindex 2\n"),
        ("index 2\n", "index 2\nextra aGludA==\n"),
        ("index 2\n", "index 2\r\n"),
        ("\n\n", "\n"),
    ],
)
def test_malformed_files_are_refused(old: str, new: str) -> None:
    leaf, file = file_of(5, 2)
    text = file.render()
    assert old in text
    with pytest.raises(GatewayError):
        verify_proof_file(text.replace(old, new, 1), leaf, SIGNER.verifier)
