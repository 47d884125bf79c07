"""RFC 6962 trees against published vectors and against the definition written down naively."""

from base64 import b64decode
from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.audit.merkle import (
    EMPTY_ROOT,
    ProofError,
    append,
    consistency_proof,
    edge_nodes,
    inclusion_proof,
    leaf_hash,
    node_hash,
    require_edge,
    root_from_edge,
    tree_root,
    verify_consistency,
    verify_inclusion,
)

# transparency-dev/merkle testonly/constants.go
LEAVES = [
    bytes.fromhex(h)
    for h in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    bytes.fromhex(h)
    for h in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
INCLUSION_0_8 = [
    bytes.fromhex(h)
    for h in (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    )
]
CONSISTENCY_6_8 = [
    bytes.fromhex(h)
    for h in (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    )
]
# transparency-dev/tessera testdata/log
TESSERA_LEAVES = (
    b"one two three four five six seven eit nain ten ileven twelf threeten fourten fivten"
).split()


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """MTH, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def node_at(leaves: Sequence[bytes]):
    def at(level: int, index: int) -> bytes:
        start, end = index << level, (index + 1) << level
        assert end <= len(leaves), "only complete subtrees may be asked for"
        return naive_root(leaves[start:end])

    return at


def some_leaves(count: int) -> list[bytes]:
    return [b"entry %d" % n for n in range(count)]


@pytest.mark.parametrize("size", range(9))
def test_published_roots(size: int) -> None:
    assert tree_root(LEAVES[:size]) == ROOTS[size]


def test_published_proofs() -> None:
    at = node_at(LEAVES)
    assert inclusion_proof(0, 8, at) == INCLUSION_0_8
    assert consistency_proof(1, 8, at) == INCLUSION_0_8
    assert consistency_proof(6, 8, at) == CONSISTENCY_6_8
    verify_inclusion(leaf_hash(LEAVES[0]), 0, 8, INCLUSION_0_8, ROOTS[8])
    verify_consistency(6, 8, ROOTS[6], ROOTS[8], CONSISTENCY_6_8)


@pytest.mark.parametrize(
    ("size", "root"),
    [
        (5, "gy5gl3aksFyiCO95a/1vLXz88A3dRq+0l9Sxte8ZqZQ="),
        (15, "rKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs="),
    ],
)
def test_tessera_roots(size: int, root: str) -> None:
    assert tree_root(TESSERA_LEAVES[:size]) == b64decode(root)


def test_root_across_a_tile() -> None:
    """FiloSottile/sunlight cmd/skylight/testdata: 300 entries."""
    leaves = [b"record %d" % n for n in range(300)]
    assert tree_root(leaves) == b64decode("gw31yQrqZZCcEOPrzX+bpy3nJ6QgngTKn8G1m0i62uU=")
    assert tree_root(leaves[:256]).hex() == "dc9349f9787ed0086da6d97f679c51a5198f98e456e95b1d87fa3abc012fec31"


def test_appending_makes_every_complete_subtree_once() -> None:
    leaves = some_leaves(77)
    edge: list[bytes] = []
    made = {}
    for size, leaf in enumerate(leaves):
        for level, index, value in append(edge, size, leaf_hash(leaf)):
            made[level, index] = value
        assert root_from_edge(edge) == naive_root(leaves[: size + 1])
        require_edge(edge, size + 1)
    at = node_at(leaves)
    assert made == {(level, index): at(level, index) for level in range(1, 7) for index in range(77 >> level)}
    assert [at(*node) for node in edge_nodes(77)] == edge


@pytest.mark.parametrize("size", range(1, 34))
def test_every_inclusion_proof_verifies(size: int) -> None:
    leaves = some_leaves(size)
    at, root = node_at(leaves), naive_root(leaves)
    for index, leaf in enumerate(leaves):
        verify_inclusion(leaf_hash(leaf), index, size, inclusion_proof(index, size, at), root)


@pytest.mark.parametrize("size", range(1, 34))
def test_every_consistency_proof_verifies(size: int) -> None:
    leaves = some_leaves(size)
    at, root = node_at(leaves), naive_root(leaves)
    for old in range(1, size + 1):
        proof = consistency_proof(old, size, at)
        verify_consistency(old, size, naive_root(leaves[:old]), root, proof)


@given(st.integers(1, 400), st.data())
def test_proofs_of_any_size(size: int, data: st.DataObject) -> None:
    leaves = some_leaves(size)
    at, root = node_at(leaves), naive_root(leaves)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, at)
    verify_inclusion(leaf_hash(leaves[index]), index, size, proof, root)
    assert len(proof) <= size.bit_length()
    old = data.draw(st.integers(1, size))
    path = consistency_proof(old, size, at)
    verify_consistency(old, size, naive_root(leaves[:old]), root, path)


@given(st.integers(2, 100), st.data())
def test_a_proof_proves_nothing_else(size: int, data: st.DataObject) -> None:
    leaves = some_leaves(size)
    at, root = node_at(leaves), naive_root(leaves)
    index = data.draw(st.integers(0, size - 1))
    leaf, proof = leaf_hash(leaves[index]), inclusion_proof(index, size, at)
    other = data.draw(st.integers(0, size - 1).filter(lambda n: n != index))
    wrong = bytearray(b"".join(proof))
    wrong[data.draw(st.integers(0, len(wrong) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    changed = [bytes(wrong[n : n + 32]) for n in range(0, len(wrong), 32)]
    for args in (
        (leaf, other, size, proof, root),
        (leaf, index, size, changed, root),
        (leaf, index, size, proof[:-1], root),
        (leaf, index, size, [*proof, root], root),
        (leaf, index, size, [root, *proof], root),
        (leaf_hash(leaves[other]), index, size, proof, root),
        (leaf, index, size, proof, leaf),
    ):
        with pytest.raises(ProofError):
            verify_inclusion(*args)


@given(st.integers(2, 100), st.data())
def test_a_changed_consistency_proof_proves_nothing(size: int, data: st.DataObject) -> None:
    leaves = some_leaves(size)
    root = naive_root(leaves)
    old = data.draw(st.integers(1, size - 1))
    old_root, proof = naive_root(leaves[:old]), consistency_proof(old, size, node_at(leaves))
    wrong = bytearray(b"".join(proof))
    wrong[data.draw(st.integers(0, len(wrong) - 1))] ^= 1
    changed = [bytes(wrong[n : n + 32]) for n in range(0, len(wrong), 32)]
    forked = naive_root([b"another", *leaves[1:old]])
    assume(forked != old_root)
    for args in (
        (old, size, old_root, root, changed),
        (old, size, old_root, root, proof[:-1]),
        (old, size, old_root, root, [*proof, root]),
        (old, size, forked, root, proof),
        (old, size, old_root, old_root, proof),
    ):
        with pytest.raises(ProofError):
            verify_consistency(*args)


R1, R8 = ROOTS[1], ROOTS[8]
BAD = {
    "old size 0": (0, 8, EMPTY_ROOT, R8, []),
    "both sizes 0": (0, 0, EMPTY_ROOT, EMPTY_ROOT, []),
    "a shrinking tree": (8, 1, R8, R1, INCLUSION_0_8),
    "negative sizes": (-1, 8, R1, R8, INCLUSION_0_8),
    "equal sizes, a proof": (8, 8, R8, R8, [R1]),
    "equal sizes, other roots": (8, 8, R1, R8, []),
    "no proof": (6, 8, ROOTS[6], R8, []),
    "a short hash": (6, 8, ROOTS[6], R8, [CONSISTENCY_6_8[0][:31], *CONSISTENCY_6_8[1:]]),
    "a long root": (1, 8, R1 + b"\0", R8, INCLUSION_0_8),
    "a size no log has": (1, 2**63, R1, R8, INCLUSION_0_8),
}


@pytest.mark.parametrize("args", BAD.values(), ids=BAD)
def test_refused_consistency(args: tuple[int, int, bytes, bytes, list[bytes]]) -> None:
    with pytest.raises(ProofError):
        verify_consistency(*args)


def test_equal_trees_are_consistent_without_a_proof() -> None:
    verify_consistency(8, 8, R8, R8, [])
    assert consistency_proof(8, 8, node_at(LEAVES)) == []


@pytest.mark.parametrize(("index", "size"), [(-1, 8), (8, 8), (0, 0), (0, 2**63)])
def test_leaves_that_are_not_there(index: int, size: int) -> None:
    with pytest.raises(ProofError):
        verify_inclusion(R1, index, size, [], R1)
    if size < 100:
        with pytest.raises(ProofError):
            inclusion_proof(index, size, node_at(LEAVES))


@pytest.mark.parametrize(("old", "new"), [(0, 8), (9, 8), (-1, 8)])
def test_consistency_proofs_that_do_not_exist(old: int, new: int) -> None:
    with pytest.raises(ProofError):
        consistency_proof(old, new, node_at(LEAVES))


def test_hashes_of_another_length_are_refused() -> None:
    with pytest.raises(ProofError):
        verify_inclusion(R1[:31], 0, 1, [], R1)
    with pytest.raises(ProofError):
        verify_inclusion(R1, 0, 1, [], R1 + b"\0")
    with pytest.raises(ProofError):
        require_edge([R1[:31]], 1)
    with pytest.raises(ProofError):
        require_edge([R1, R1], 1)


def test_leaf_and_node_hashes_cannot_be_confused() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != node_hash(left, right)
