"""Tiles as a directory: written so that any static web server can publish it, verified by re-hashing.

Writing is incremental. Full tiles are written once; every file comes into place by a rename, the
checkpoint last: an interrupted export leaves what was published before valid, and the next one goes on.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.audit.checkpoint import Checkpoint, open_checkpoint, origin_of, size_of
from gateway.audit.merkle import HASH_BYTES, append, leaf_hash, node_hash, root_from_edge
from gateway.audit.tiles import (
    LEVEL_STEP,
    TILE_HASHES,
    StoredTiles,
    Tile,
    TileError,
    bundle,
    parse_path,
    tiles_of,
    unbundle,
)
from gateway.errors import CallerError
from gateway.signing.cosignature import CosignatureVerifier, cosignatures_of
from gateway.signing.signed_note import (
    NOTE_BYTES_MAX,
    NoteVerifier,
    Verifiers,
    all_verifiers,
    open_note,
    parse_note,
)

CHECKPOINT = "checkpoint"
POLICY = "policy"
FILE_BYTES_MAX = TILE_HASHES * (2 + 65_535)

Progress = Callable[[int, int], None]
"""Takes files done and files in all."""


@dataclass(frozen=True, slots=True)
class TileReport:
    """What a verified directory holds."""

    checkpoint: Checkpoint
    files: int
    cosigned_by: tuple[str, ...]
    """Names of those witnesses that have signed the checkpoint."""


def policy_text(log: NoteVerifier, witnesses: Sequence[CosignatureVerifier], quorum: int) -> str:
    """Return a C2SP tlog-policy: the log, its witnesses by name, and how many of them must have signed."""
    witnesses = sorted(witnesses, key=lambda witness: witness.name)
    names = [f"w{number}" for number in range(1, len(witnesses) + 1)]
    lines = [f"log {log.vkey}"]
    lines += [f"witness {name} {witness.vkey}" for name, witness in zip(names, witnesses, strict=True)]
    if quorum:
        lines += [f"group witnesses {quorum} {' '.join(names)}", "quorum witnesses"]
    else:
        lines += ["quorum none"]
    return "\n".join(lines) + "\n"


def export_tiles(
    tiles: StoredTiles, note: str, policy: str, directory: Path, progress: Progress = lambda *_: None
) -> int:
    """Write what ``directory`` lacks of the log up to the checkpoint ``note``; return how many files.

    Raises:
        CallerError: the directory holds a larger log, another one, or cannot be written.
        TileError: the stored log lacks something.
    """
    old_size = published_size(directory, origin_of(note), size_of(note))
    wanted = list(tiles_of(size_of(note)))
    written = 0
    try:
        for done, tile in enumerate(wanted):
            written += _put(directory / tile.path, tiles, tile)
            progress(done, len(wanted))
        _write(directory / POLICY, policy.encode())
        _write(directory / CHECKPOINT, note.encode())
        _remove_outgrown(directory, old_size, size_of(note))
    except OSError as error:
        raise CallerError(f"{directory} cannot be written: {error.strerror}.") from error
    progress(len(wanted), len(wanted))
    return written


def verify_tiles(
    directory: Path,
    log: Verifiers,
    witnesses: Sequence[CosignatureVerifier] = (),
    progress: Progress = lambda *_: None,
) -> TileReport:
    """Verify a published log by hashing everything in it up to the signed checkpoint.

    The keys come from the caller: an export must never bring its own trust root. Every file must be
    one that a log of this size has, and every signature line be by one of the keys.

    Raises:
        TileError: a file is missing, superfluous or altered; the text names it.
        NoteError, ProofError: the checkpoint is not acceptable.
    """
    note = _read(directory, CHECKPOINT, NOTE_BYTES_MAX).decode("utf-8", "replace")
    logs = all_verifiers(log)
    checkpoint = open_checkpoint(note, logs[0].name, logs)
    cosigned = cosignatures_of(note, witnesses)
    if len(parse_note(note).signatures) != len(cosigned) + len(open_note(note, logs)[1]):
        raise TileError("checkpoint: a signature line is by a key that was not named.")
    signed = [witness for witness in witnesses if witness.name in {c.name for c in cosigned}]
    policies = [policy_text(key, signed, quorum) for key in logs for quorum in range(len(signed) + 1)]
    if _read(directory, POLICY, NOTE_BYTES_MAX).decode("utf-8", "replace") not in policies:
        raise TileError("policy: it is not about the keys that were named.")
    narrower = _require_files(directory, {tile.path: tile for tile in tiles_of(checkpoint.size)})
    files = _Rehash(directory, checkpoint, progress).run()
    for tile, wider in narrower:
        _require_prefix(directory, tile, wider)
    return TileReport(checkpoint, files + len(narrower), tuple(c.name for c in cosigned))


class _Rehash:
    """Hashes leaves into tiles, tiles into tiles above, and holds each against its file."""

    def __init__(self, directory: Path, checkpoint: Checkpoint, progress: Progress) -> None:
        self._directory = directory
        self._checkpoint = checkpoint
        self._progress = progress
        self._open: list[list[bytes]] = []
        """The hashes of the tile of each level that is not full yet."""
        self._counts: list[int] = []
        """How many tiles of each level are full."""
        self._edge: list[bytes] = []
        self._files = 0

    def run(self) -> int:
        """Return how many files were verified.

        Raises:
            TileError: a file is not what it should be.
        """
        index = 0
        for tile in tiles_of(self._checkpoint.size):
            if tile.level is not None:
                break
            leaves = unbundle(_read(self._directory, tile.path, FILE_BYTES_MAX))
            if len(leaves) != tile.width:
                raise TileError(f"{tile.path}: it holds {len(leaves)} entries, not {tile.width}.")
            self._files += 1
            for leaf in leaves:
                hashed = leaf_hash(leaf)
                append(self._edge, index, hashed)
                index += 1
                self._add(0, hashed)
            self._progress(index, self._checkpoint.size)
        for level, hashes in enumerate(self._open):
            if hashes:
                self._close(level, hashes)
        if root_from_edge(self._edge) != self._checkpoint.root:
            raise TileError("the entries do not lead to the root of the signed checkpoint.")
        return self._files

    def _add(self, level: int, hashed: bytes) -> None:
        if level == len(self._open):
            self._open.append([])
            self._counts.append(0)
        hashes = self._open[level]
        hashes.append(hashed)
        if len(hashes) == TILE_HASHES:
            self._close(level, hashes)
            self._counts[level] += 1
            root = _subtree_root(hashes)
            hashes.clear()
            self._add(level + 1, root)

    def _close(self, level: int, hashes: list[bytes]) -> None:
        tile = Tile(level, self._counts[level], len(hashes))
        if _read(self._directory, tile.path, FILE_BYTES_MAX) != b"".join(hashes):
            raise TileError(f"{tile.path}: it is not what its entries hash to.")
        self._files += 1


def _subtree_root(hashes: list[bytes]) -> bytes:
    """Return the root over 256 hashes, a complete subtree."""
    for _ in range(LEVEL_STEP):
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


def _require_files(directory: Path, expected: Mapping[str, Tile]) -> list[tuple[Tile, Tile]]:
    """Return the narrower tiles that ``directory`` has kept, each with the one that it is a part of.

    Raises:
        TileError: there is a file that no log of this size has, or has had.
    """
    partial = {(tile.level, tile.index): tile for tile in expected.values() if tile.width < TILE_HASHES}
    narrower = []
    for path in _files_below(directory):
        if path in (CHECKPOINT, POLICY) or path in expected:
            continue
        try:
            tile = parse_path(path)
        except TileError:
            tile = None
        wider = None if tile is None else partial.get((tile.level, tile.index))
        if tile is None or wider is None or tile.width > wider.width:
            raise TileError(f"{path}: a log of this size has no such file.")
        narrower.append((tile, wider))
    return narrower


def _require_prefix(directory: Path, tile: Tile, wider: Tile) -> None:
    """Return if a tile of an earlier checkpoint is the beginning of the present one, which was verified."""
    content = _read(directory, wider.path, FILE_BYTES_MAX)
    if tile.level is None:
        expected = bundle(unbundle(content)[: tile.width])
    else:
        expected = content[: tile.width * HASH_BYTES]
    if _read(directory, tile.path, FILE_BYTES_MAX) != expected:
        raise TileError(f"{tile.path}: it is not the beginning of {wider.path}.")


def _files_below(directory: Path) -> Iterator[str]:
    for path in directory.rglob("*"):
        if path.is_symlink() or not path.is_dir():
            yield path.relative_to(directory).as_posix()


def _read(directory: Path, path: str, bytes_max: int) -> bytes:
    try:
        with (directory / path).open("rb") as file:
            content = file.read(bytes_max + 1)
    except OSError as error:
        raise TileError(f"{path}: it is missing or cannot be read.") from error
    if len(content) > bytes_max:
        raise TileError(f"{path}: it is too long.")
    return content


def published_size(directory: Path, log_origin: str, log_size: int) -> int:
    """Return the size that is published there already; 0 for none.

    Raises:
        CallerError: the directory holds another log, a larger one, or other files.
    """
    try:
        published = (directory / CHECKPOINT).read_text(encoding="utf-8")
    except FileNotFoundError:
        if directory.is_dir() and any(directory.iterdir()) and not (directory / "tile").is_dir():
            raise CallerError(
                f"{directory} holds other files.", remedy="Name an empty or new directory."
            ) from None
        return 0
    except (OSError, UnicodeDecodeError) as error:
        raise CallerError(f"{directory / CHECKPOINT} cannot be read.") from error
    origin, size, *_ = [*published.split("\n", 2), "", ""]
    if origin != log_origin or not size.isdecimal():
        raise CallerError(f"{directory} holds another log, {origin!r}.", remedy="Name another directory.")
    if int(size) > log_size:
        raise CallerError(
            f"{directory} holds {size} entries, this log has {log_size}.",
            remedy="Was the database restored from a backup? Run `credit-gateway audit verify --ask-peers`.",
        )
    return int(size)


def _put(path: Path, tiles: StoredTiles, tile: Tile) -> int:
    if path.exists():
        return 0
    _write(path, tiles.content(tile))
    return 1


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(content)
    fresh.replace(path)


def _remove_outgrown(directory: Path, old_size: int, size: int) -> None:
    """Remove partial tiles whose full one is there, and what an interrupted export left.

    Until then they stay: somebody may be reading by an earlier checkpoint.
    """
    full = {tile.path for tile in tiles_of(size) if tile.width == TILE_HASHES}
    for tile in tiles_of(old_size) if old_size != size else ():
        whole = Tile(tile.level, tile.index, TILE_HASHES).path
        if tile.width < TILE_HASHES and whole in full:
            shutil.rmtree(directory / f"{whole}.p", ignore_errors=True)
    for left in directory.rglob(".*.new"):
        left.unlink(missing_ok=True)
