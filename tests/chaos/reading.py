"""A reading of an audit log that shares no code with the node: only its published formats.

RFC 6962 section 2 (tree, inclusion proofs), C2SP signed-note (checkpoints), DSSE v1 (signed messages). The
tables are read with the drivers themselves; nothing is written.
"""

from __future__ import annotations

import json
import sqlite3
from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key


class WrongError(Exception):
    """Something that was to be proved is not true."""


def leaf_hash(leaf: bytes) -> bytes:
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """A growing Merkle tree: the root of each size is computed as RFC 6962, section 2.1 defines it.

    Complete subtrees are remembered by (height, place), so that growing a long log stays cheap.
    """

    def __init__(self) -> None:
        self.leaves: list[bytes] = []
        self._complete: dict[tuple[int, int], bytes] = {}

    def grow(self, hashes: Iterable[bytes]) -> None:
        self.leaves.extend(hashes)

    def root(self, size: int | None = None) -> bytes:
        size = len(self.leaves) if size is None else size
        if size > len(self.leaves):
            raise WrongError(f"there is no tree of {size} entries, only of {len(self.leaves)}")
        return self._range(0, size) if size else sha256(b"").digest()

    def _range(self, start: int, end: int) -> bytes:
        count = end - start
        if count == 1:
            return self.leaves[start]
        split = 1 << (count - 1).bit_length() - 1
        if count != split * 2:
            return node_hash(self._range(start, start + split), self._range(start + split, end))
        key = (count.bit_length(), start)
        if key not in self._complete:
            self._complete[key] = node_hash(
                self._range(start, start + split), self._range(start + split, end)
            )
        return self._complete[key]


def root_by_proof(hashed: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Return the root to which an inclusion proof leads, by RFC 9162, section 2.1.3.2."""
    if not 0 <= index < size:
        raise WrongError(f"a proof for entry {index} of a tree of {size}")
    at, last, root = index, size - 1, hashed
    for sibling in proof:
        if last == 0:
            raise WrongError("the proof is too long")
        if at & 1 or at == last:
            root = node_hash(sibling, root)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise WrongError("the proof is too short")
    return root


@dataclass(frozen=True)
class LogKey:
    """The key of one log, by what its card states: ``NAME+KEYID+BASE64`` (C2SP signed-note)."""

    name: str
    key_id: bytes
    public: Ed25519PublicKey

    @classmethod
    def of(cls, vkey: str) -> LogKey:
        name, hex_id, encoded = vkey.split("+", 2)
        typed = b64decode(encoded)
        if sha256(name.encode() + b"\n" + typed).digest()[:4].hex() != hex_id or typed[:1] != b"\x01":
            raise WrongError(f"the log key of {name} is malformed")
        return cls(name, bytes.fromhex(hex_id), Ed25519PublicKey.from_public_bytes(typed[1:]))

    def read(self, note: str) -> tuple[int, bytes]:
        """Return size and root of a checkpoint after its signature was verified."""
        body, _, lines = note.partition("\n\n")
        for line in lines.splitlines():
            mark, name, encoded = line.split(" ")
            signed = b64decode(encoded)
            if (mark, name, signed[:4]) != ("—", self.name, self.key_id):
                continue
            try:
                self.public.verify(signed[4:], f"{body}\n".encode())
            except InvalidSignature as error:
                raise WrongError(
                    f"a checkpoint of {self.name} has a signature that does not verify"
                ) from error
            origin, size, root = body.split("\n")[:3]
            if origin != self.name:
                raise WrongError(f"a checkpoint of {origin} is signed by the key of {self.name}")
            return int(size), b64decode(root)
        raise WrongError(f"a checkpoint is not signed by {self.name}")


def signed_bytes(payload_type: str, payload: bytes) -> bytes:
    """DSSE v1, "PAE": what a signature of a message is over."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


@dataclass(frozen=True)
class MessageKey:
    """A signing key of one node; its id is the SHA-256 of its SubjectPublicKeyInfo."""

    key_id: str
    public: Ed25519PublicKey

    @classmethod
    def of(cls, spki: bytes) -> MessageKey:
        public = load_der_public_key(spki)
        assert isinstance(public, Ed25519PublicKey)
        spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return cls(f"sha256:{sha256(spki).hexdigest()}", public)

    def verify(self, signature: bytes, payload_type: str, payload: bytes) -> None:
        try:
            self.public.verify(signature, signed_bytes(payload_type, payload))
        except InvalidSignature as error:
            raise WrongError("the signature of an answer does not verify") from error


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a log as anybody would read it."""

    index: int
    leaf: bytes
    members: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.members.get(name)

    @property
    def is_answer(self) -> bool:
        return (self["kind"], self["role"], self["outcome"]) == ("exchange", "answerer", "OK")

    @property
    def is_acceptance(self) -> bool:
        return (self["kind"], self["role"], self["outcome"]) == ("exchange", "asker", "OK")


def entry_of(index: int, leaf: bytes) -> Entry:
    try:
        members = json.loads(leaf)
    except ValueError as error:
        raise WrongError(f"entry {index} is not JSON") from error
    if not isinstance(members, dict):
        raise WrongError(f"entry {index} is no object")
    return Entry(index, leaf, members)


class Store(Protocol):
    """The tables of one node, by its own database's driver."""

    def snapshot(self) -> AbstractContextManager[None]:
        """All reads inside see one moment."""
        ...

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return what ``statement`` (with ``?`` for values) selects."""
        ...

    def close(self) -> None: ...


class SqliteStore:
    def __init__(self, file: Path) -> None:
        self._connection = sqlite3.connect(file, timeout=30, isolation_level=None)
        self._connection.execute("PRAGMA query_only = ON")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement, values).fetchall()

    def close(self) -> None:
        self._connection.close()


class PostgresStore:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        rows = self._connection.execute(statement.replace("?", "%s"), values).fetchall()
        return [tuple(bytes(cell) if isinstance(cell, memoryview) else cell for cell in row) for row in rows]

    def close(self) -> None:
        self._connection.close()
