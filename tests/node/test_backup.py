"""A node is backed up while it runs and put back; what is damaged or dangerous is refused."""

import io
import json
import shutil
import stat
import tarfile
from pathlib import Path

import pytest

from gateway.clock import system_clock
from gateway.errors import CallerError
from gateway.node.backup import make_backup, restore_backup
from gateway.node.config import load_config
from gateway.node.folder import NodeFolder
from tests.processes.provinces import EXAMPLES, ProcessNode, cli, introduce, make_node


def quiet(_what: str, _done: int, _total: int) -> None:
    """Nobody watches."""


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """Zhejiang asked Shanghai, Shanghai was backed up while it ran, then Zhejiang asked again."""
    folder = tmp_path_factory.mktemp("backup")
    zhejiang = make_node(folder, "zhejiang")
    shanghai = make_node(folder, "shanghai", secret_from=zhejiang)
    introduce(zhejiang, shanghai)
    with shanghai.folder.config.open("a", encoding="utf-8") as config:
        config.write("\n[exchange]\nskew_s = 3\n")
    try:
        for node in (zhejiang, shanghai):
            node.start()
        zhejiang.query()
        archive = folder / "shanghai.tar.gz"
        made = cli("backup", str(archive), "--node", str(shanghai.folder.root))
        yield folder, zhejiang, shanghai, archive, made.stdout
    finally:
        for node in (zhejiang, shanghai):
            node.close()


def test_a_backup_is_whole_and_for_its_owner_only(story) -> None:
    _, _, _, archive, said = story
    assert "audit log of 1 entries" in said
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    with tarfile.open(archive) as tar:
        names = set(tar.getnames())
        manifest = json.load(tar.extractfile("manifest.json"))
    assert {"node.toml", "access.toml", "data/node.db", "data/records.db", "keys/log.pem"} <= names
    assert manifest["files"].keys() == names - {"manifest.json"}
    assert not list(archive.parent.glob("*.partial"))


def test_a_backup_replaces_nothing(story) -> None:
    _, _, shanghai, archive, _ = story
    before = archive.read_bytes()
    with pytest.raises(CallerError, match="exists already"):
        make_backup(shanghai.folder, archive, with_keys=True, now=system_clock(), progress=quiet)
    assert archive.read_bytes() == before


def test_keys_can_stay_where_they_are(story, tmp_path: Path) -> None:
    _, _, shanghai, _, _ = story
    archive = tmp_path / "without.tar.gz"
    made = make_backup(shanghai.folder, archive, with_keys=False, now=system_clock(), progress=quiet)
    assert not made.has_keys
    with tarfile.open(archive) as tar:
        assert not [name for name in tar.getnames() if name.startswith("keys/")]
    restored = NodeFolder(tmp_path / "back")
    assert not restore_backup(archive, restored, system_clock, quiet).has_keys
    assert not restored.keys.exists()


def test_departments_come_back_with_the_node(story, tmp_path: Path) -> None:
    _, _, shanghai, _, _ = story
    folder, archive = NodeFolder(tmp_path / "copy"), tmp_path / "departments.tar.gz"
    restore_backup(story[3], folder, system_clock, quiet)
    (folder.root / "sources").mkdir()
    shutil.copy(EXAMPLES / "departments" / "big-data-bureau.toml", folder.root / "sources")
    make_backup(folder, archive, with_keys=True, now=system_clock(), progress=quiet)
    back = NodeFolder(tmp_path / "back")
    restore_backup(archive, back, system_clock, quiet)
    assert load_config(back.root).records == load_config(folder.root).records
    assert len(load_config(back.root).records.sql) == len(shanghai.config.records.sql) + 1


def test_a_folder_with_something_in_it_is_left_alone(story) -> None:
    _, _, shanghai, archive, _ = story
    done = cli("restore", str(archive), "--node", str(shanghai.folder.root), check=2)
    assert "not empty" in done.stderr


def test_a_damaged_or_foreign_archive_is_refused(story, tmp_path: Path) -> None:
    _, _, _, archive, _ = story
    half = tmp_path / "half.tar.gz"
    half.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    text = tmp_path / "text.tar.gz"
    text.write_text("no archive", encoding="utf-8")
    for number, bad in enumerate(
        (half, text, _with_changed_file(archive, tmp_path), _with_outside(tmp_path))
    ):
        with pytest.raises(CallerError, match="no whole backup"):
            restore_backup(bad, NodeFolder(tmp_path / f"back{number}"), system_clock, quiet)
    assert not (tmp_path / "outside.toml").exists()


def _with_changed_file(archive: Path, folder: Path) -> Path:
    changed = folder / "changed.tar.gz"
    with tarfile.open(archive) as old, tarfile.open(changed, "w:gz") as new:
        for member in old.getmembers():
            content = old.extractfile(member).read()
            if member.name == "access.toml":
                content = content.replace(b"shanghai", b"shanghaj").replace(b"zhejiang", b"zhejianh")
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))
    return changed


def _with_outside(folder: Path) -> Path:
    """An archive that would write beside the folder."""
    target = folder / "outside.tar.gz"
    facts = {
        "format": "credit-gateway-backup/1",
        "node_id": "x",
        "made_at": "",
        "version": "",
        "entries": 0,
        "has_keys": False,
        "files": {"../outside.toml": "00" * 32},
        "left_out": [],
    }
    with tarfile.open(target, "w:gz") as tar:
        for name, content in (("manifest.json", json.dumps(facts).encode()), ("../outside.toml", b"x")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return target


def test_a_restored_node_serves_unless_peers_have_seen_more(story, tmp_path: Path) -> None:
    """The newest state comes back and serves; an older one is told apart by the peers and does not."""
    folder, zhejiang, shanghai, archive, _ = story
    newest = tmp_path / "newest.tar.gz"
    zhejiang.query()
    cli("audit", "witness", "--now", "--node", str(shanghai.folder.root))
    cli("backup", str(newest), "--node", str(shanghai.folder.root))
    shanghai.stop()
    away = folder / "away"
    shutil.move(shanghai.folder.root, away)
    root = str(shanghai.folder.root)

    cli("restore", str(archive), "--node", root)
    cli("init", root, "--id", "shanghai")
    done = cli("serve", "--node", root, check=2)
    assert "zhejiang holds a checkpoint of this log" in done.stderr
    shutil.rmtree(root)

    cli("restore", str(newest), "--node", root)
    cli("init", root, "--id", "shanghai")
    cli("audit", "verify", "--node", root)
    shanghai.start()
    answer = zhejiang.query(check=None)
    assert {peer["outcome"] for peer in answer["peers"]} <= {"OK", "ISSUED_BEFORE_START"}
    _until_ok(zhejiang)


def _until_ok(node: ProcessNode) -> None:
    """The fence falls once the tolerated skew is over."""
    from gateway.clock import monotonic_s

    end_s = monotonic_s() + 90
    while monotonic_s() < end_s:
        if {peer["outcome"] for peer in node.query(check=None)["peers"]} == {"OK"}:
            return
    raise AssertionError("the restored node does not answer")
