"""Tiles: published layout and vectors; an export of which no byte can be changed unnoticed."""

from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import Checkpoint, stored_root
from gateway.audit.checkpoint import size_of
from gateway.audit.merkle import append, leaf_hash, root_from_edge
from gateway.audit.tile_directory import export_tiles, policy_text, verify_tiles
from gateway.audit.tiles import StoredTiles, Tile, TileError, bundle, parse_path, tiles_of, unbundle
from gateway.errors import CallerError, GatewayError
from gateway.signing.cosignature import CosignatureSigner
from gateway.signing.signed_note import NoteSigner
from gateway.storage import audit_rows
from gateway.storage.engine import reading, writing
from gateway.storage.node_tables import Database
from tests.audit.drafts import LOG_KEY, ORIGIN, answered, new_log, sqlite_at

SIGNER = NoteSigner(ORIGIN, LOG_KEY)
WITNESS = CosignatureSigner("audit.anhui.example/witness", LOG_KEY)


def store_of(path: Path, leaves: list[bytes]) -> tuple[Database, str]:
    """A log whose entries are these bytes, and its signed checkpoint."""
    engine = sqlite_at(path)
    new_log(engine).close()
    edge: list[bytes] = []
    nodes: list[bytes] = []
    rows = []
    for index, leaf in enumerate(leaves):
        nodes += [hashed for _, _, hashed in append(edge, index, leaf_hash(leaf))]
        rows.append((index, leaf, leaf_hash(leaf), b"", "", 0))
    with writing(engine) as transaction:
        audit_rows.insert_entries(transaction, rows)
        audit_rows.insert_nodes(transaction, 0, nodes)
    root = root_from_edge(edge)
    return engine, Checkpoint(ORIGIN, len(leaves), root).sign([SIGNER])


@pytest.fixture
def small(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A cosigned log of three entries, exported."""
    engine = sqlite_at(tmp_path / "small.db")
    log = new_log(engine)
    for number in range(3):
        log.append(answered(peer_seq=number + 1))
    note = log.latest_checkpoint()
    note += WITNESS.signature_line(note.split("\n\n")[0] + "\n", 1_800_000_000)
    directory = tmp_path / "tiles"
    with reading(engine) as connection:
        export_tiles(
            StoredTiles(connection, size_of(note)),
            note,
            policy_text(SIGNER.verifier, [WITNESS.verifier], 1),
            directory,
        )
    yield directory, note
    log.close()
    engine.dispose()


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0, 256), "tile/0/000"),
        (Tile(0, 1234067, 256), "tile/0/x001/x234/067"),
        (Tile(1, 999, 17), "tile/1/999.p/17"),
        (Tile(None, 1000, 1), "tile/entries/x001/000.p/1"),
    ],
)
def test_paths_are_those_of_the_specification(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert parse_path(path) == tile


@pytest.mark.parametrize(
    "path",
    ["tile/0/0", "tile/0/x000/001", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/64/000",
     "tile/00/000", "tile/entries/../../etc", "tile/0/000/", "tile/0/x001", "checkpoint", "tile/0/０００"],
)  # fmt: skip
def test_other_paths_are_no_tiles(path: str) -> None:
    with pytest.raises(TileError):
        parse_path(path)


def test_a_log_of_70000_entries_has_the_tiles_of_the_specification() -> None:
    paths = [tile.path for tile in tiles_of(70_000)]
    assert paths[273] == "tile/entries/273.p/112"
    assert paths[274:][273] == "tile/0/273.p/112"
    assert paths[-3:] == ["tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"]
    assert len(paths) == 274 + 274 + 2 + 1


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_bundles_survive_writing_and_reading(leaves: list[bytes]) -> None:
    assert unbundle(bundle(leaves)) == leaves


def test_a_cut_bundle_is_refused() -> None:
    content = bundle([b"one", b"two"])
    for length in (1, 4, 6, len(content) - 1):
        with pytest.raises(TileError):
            unbundle(content[:length])


def test_the_published_tree_of_300_records(tmp_path: Path) -> None:
    """FiloSottile/sunlight, cmd/skylight/testdata: entries ``record 0`` … ``record 299``."""
    engine, note = store_of(tmp_path / "node.db", [b"record %d" % at for at in range(300)])
    assert note.split("\n")[2] == "gw31yQrqZZCcEOPrzX+bpy3nJ6QgngTKn8G1m0i62uU="
    with reading(engine) as connection:
        tiles = StoredTiles(connection, 300)
        assert tiles.read("tile/1/000.p/1").hex() == (
            "dc9349f9787ed0086da6d97f679c51a5198f98e456e95b1d87fa3abc012fec31"
        )
        assert len(tiles.read("tile/0/000")) == 256 * 32
        assert unbundle(tiles.read("tile/entries/001.p/44"))[-1] == b"record 299"
        assert tiles.read("tile/0/001.p/40") == tiles.read("tile/0/001.p/44")[: 40 * 32]
        for path in ("tile/0/001", "tile/0/001.p/45", "tile/1/000.p/2", "tile/2/000.p/1", "tile/0/002.p/1"):
            with pytest.raises(TileError):
                tiles.read(path)
    engine.dispose()


def test_a_large_log_is_exported_and_verified_over_three_levels(tmp_path: Path) -> None:
    engine, note = store_of(tmp_path / "node.db", [b"%d" % at for at in range(70_000)])
    directory = tmp_path / "tiles"
    policy = policy_text(SIGNER.verifier, [], 0)
    with reading(engine) as connection:
        assert export_tiles(StoredTiles(connection, 70_000), note, policy, directory) == 551
    report = verify_tiles(directory, SIGNER.verifier)
    assert (report.checkpoint.size, report.files) == (70_000, 551)
    content = bytearray((directory / "tile/1/000").read_bytes())
    content[5000] ^= 1
    (directory / "tile/1/000").write_bytes(content)
    with pytest.raises(TileError, match="tile/1/000: it is not what its entries hash to"):
        verify_tiles(directory, SIGNER.verifier)
    engine.dispose()


def test_every_byte_of_an_export_counts(small: tuple[Path, str]) -> None:
    directory, _ = small
    assert verify_tiles(directory, SIGNER.verifier, [WITNESS.verifier]).cosigned_by == (WITNESS.name,)
    flips = 0
    for path in [path for path in directory.rglob("*") if path.is_file()]:
        content = path.read_bytes()
        for at in range(len(content)):
            path.write_bytes(content[:at] + bytes([content[at] ^ 0x20]) + content[at + 1 :])
            with pytest.raises(GatewayError):
                verify_tiles(directory, SIGNER.verifier, [WITNESS.verifier])
            flips += 1
        path.write_bytes(content)
    assert flips > 1_500
    verify_tiles(directory, SIGNER.verifier, [WITNESS.verifier])


def test_files_too_many_and_too_few_are_named(small: tuple[Path, str]) -> None:
    directory, _ = small
    (directory / "tile/0/001.p").mkdir()
    (directory / "tile/0/001.p/1").write_bytes(bytes(32))
    with pytest.raises(TileError, match=r"tile/0/001.p/1: a log of this size has no such file"):
        verify_tiles(directory, SIGNER.verifier, [WITNESS.verifier])
    (directory / "tile/0/001.p/1").unlink()
    (directory / "tile/0/001.p").rmdir()
    (directory / "tile/0/000.p/3").unlink()
    with pytest.raises(TileError, match=r"tile/0/000.p/3: it is missing"):
        verify_tiles(directory, SIGNER.verifier, [WITNESS.verifier])


def test_the_keys_come_from_the_caller(small: tuple[Path, str]) -> None:
    directory, _ = small
    with pytest.raises(TileError, match="a key that was not named"):
        verify_tiles(directory, SIGNER.verifier)
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    stranger = NoteSigner(ORIGIN, Ed25519PrivateKey.generate())
    with pytest.raises(GatewayError, match="no signature line of the note is by a known key"):
        verify_tiles(directory, stranger.verifier, [WITNESS.verifier])


def test_an_export_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    engine, note = store_of(tmp_path / "node.db", [b"%d" % at for at in range(600)])
    directory, policy = tmp_path / "tiles", policy_text(SIGNER.verifier, [], 0)
    root = b64decode(note.split("\n")[2])
    assert len(root) == 32

    def interrupt(done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with reading(engine) as connection:
        tiles = StoredTiles(connection, 600)
        with pytest.raises(KeyboardInterrupt):
            export_tiles(tiles, note, policy, directory, interrupt)
        assert not (directory / "checkpoint").exists()
        written = len([path for path in directory.rglob("*") if path.is_file()])
        assert export_tiles(tiles, note, policy, directory) == len(list(tiles_of(600))) - written
        verify_tiles(directory, SIGNER.verifier)
        assert export_tiles(tiles, note, policy, directory) == 0
    engine.dispose()


def test_partial_tiles_stay_until_the_full_one_is_there(tmp_path: Path) -> None:
    """Somebody may be reading by an earlier checkpoint (C2SP tlog-tiles, "Partial tiles")."""
    engine, _ = store_of(tmp_path / "node.db", [b"%d" % at for at in range(300)])
    directory, policy = tmp_path / "tiles", policy_text(SIGNER.verifier, [], 0)
    for size in (250, 255, 256, 280, 300):
        with reading(engine) as connection:
            note = Checkpoint(ORIGIN, size, stored_root(connection, size)).sign([SIGNER])
            export_tiles(StoredTiles(connection, size), note, policy, directory)
        assert verify_tiles(directory, SIGNER.verifier).checkpoint.size == size
        if size == 255:
            assert {path.name for path in directory.glob("tile/0/000.p/*")} == {"250", "255"}
    assert not (directory / "tile/0/000.p").exists()
    assert not (directory / "tile/entries/000.p").exists()
    assert {path.name for path in directory.glob("tile/0/001.p/*")} == {"24", "44"}
    flip = directory / "tile/entries/001.p/24"
    flip.write_bytes(flip.read_bytes()[:-1] + b"x")
    with pytest.raises(TileError, match=r"tile/entries/001.p/24: it is not the beginning"):
        verify_tiles(directory, SIGNER.verifier)
    engine.dispose()


def test_an_export_never_goes_back(small: tuple[Path, str], tmp_path: Path) -> None:
    directory, _ = small
    engine, note = store_of(tmp_path / "other.db", [b"one"])
    with reading(engine) as connection, pytest.raises(CallerError, match="holds 3 entries, this log has 1"):
        export_tiles(StoredTiles(connection, 1), note, "", directory)
    (directory / "checkpoint").write_text("audit.other.example\n1\n\n")
    with reading(engine) as connection, pytest.raises(CallerError, match="holds another log"):
        export_tiles(StoredTiles(connection, 1), note, "", directory)
    engine.dispose()


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    engine, note = store_of(tmp_path / "other.db", [b"one"])
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "diary.txt").write_text("mine")
    with reading(engine) as connection, pytest.raises(CallerError, match="holds other files"):
        export_tiles(StoredTiles(connection, 1), note, "", tmp_path / "home")
    engine.dispose()
