"""Texts that strangers hand in: notes, proofs, leaves, tiles, bundles, bodies of HTTP, names and numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from functools import cache

from gateway.audit.checkpoint import open_checkpoint, origin_of, size_of
from gateway.audit.entry import leaf_bytes, parse_leaf
from gateway.audit.proof_file import parse_proof_file, verify_proof_file
from gateway.audit.tiles import bundle as bundle_leaves
from gateway.audit.tiles import parse_path, unbundle
from gateway.errors import GatewayError
from gateway.exchange.evidence_bundle import parse_bundle, verify_bundle
from gateway.learners.identifier import RESIDENT_ID, normalise
from gateway.signing.cosignature import CosignatureVerifier, cosignatures_of
from gateway.signing.key_uri import parse_key_uri
from gateway.signing.signed_note import NoteVerifier, parse_note
from gateway.web.add_checkpoint import parse_body, render_body
from tests.fuzz.keys import province


def text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


@cache
def verifier(node_id: str = "shanghai") -> NoteVerifier:
    return NoteVerifier.from_vkey(vkey(node_id))


@cache
def witness() -> CosignatureVerifier:
    return province("zhejiang").witness.verifier


def vkey(node_id: str) -> str:
    made = province(node_id)
    return NoteVerifier(made.log_origin, made.log_key.verifying.public).vkey


def note(data: bytes) -> None:
    """A checkpoint with its signature and cosignatures, as peers and strangers send it."""
    parse_note(data)
    cosignatures_of(text(data), [witness()])
    known = verifier()
    checkpoint = open_checkpoint(data, known.name, known)
    assert origin_of(text(data)) == checkpoint.origin
    assert size_of(text(data)) == checkpoint.size


def verifier_key(data: bytes) -> None:
    for kind in (NoteVerifier, CosignatureVerifier):
        try:
            made = kind.from_vkey(text(data))
        except GatewayError:
            continue
        assert made.vkey == text(data)


def proof_file(data: bytes) -> None:
    assert parse_proof_file(text(data)).render() == text(data)
    verify_proof_file(text(data), b"leaf", verifier())


def leaf(data: bytes) -> None:
    entry = parse_leaf(data)
    assert leaf_bytes(entry.draft, entry.logged_at_ms) == data


def bundle(data: bytes) -> None:
    verify_bundle(parse_bundle(data))


def tile_path(data: bytes) -> None:
    assert parse_path(text(data)).path == text(data)


def tile_leaves(data: bytes) -> None:
    assert bundle_leaves(unbundle(data)) == data


def witness_body(data: bytes) -> None:
    submitted = parse_body(data)
    assert render_body(submitted.old_size, submitted.proof, submitted.note) == data
    known = verifier()
    open_checkpoint(submitted.note, known.name, known)


def key_uri(data: bytes) -> None:
    with contextlib.suppress(ValueError):  # what pydantic turns into an error of node.toml
        parse_key_uri(text(data))


def identifier(data: bytes) -> None:
    normalise(RESIDENT_ID, text(data))


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "bundle": bundle,
    "identifier": identifier,
    "key-uri": key_uri,
    "leaf": leaf,
    "note": note,
    "proof-file": proof_file,
    "tile-leaves": tile_leaves,
    "tile-path": tile_path,
    "verifier-key": verifier_key,
    "witness-body": witness_body,
}
