"""The evidence key is replaced: openings and learners are found under the new one, the old one opens nothing."""

from pathlib import Path

import pytest

from gateway.audit import AuditLog, EvidenceError, evidence_rotation, verify_log
from gateway.audit.entry import parse_leaf
from gateway.audit.evidence_rotation import rotate_evidence_key
from gateway.node.folder import EVIDENCE_KEY, PREVIOUS_EVIDENCE_KEY
from gateway.node.rotation import rotate_evidence
from gateway.storage import audit_rows, evidence_rows
from gateway.storage.engine import reading
from gateway.storage.node_tables import Database
from tests.audit.drafts import EVIDENCE_KEY as OLD
from tests.audit.drafts import LOG_KEY, ORIGIN, answered, at_noon, evidence, new_log, sqlite_at
from tests.processes.provinces import DEMO_LEARNER, cli, introduce, make_node

NEW = b"\x99" * 32
TOKENS = [bytes([number]) * 32 for number in range(7)]


@pytest.fixture
def engine(tmp_path: Path):
    engine = sqlite_at(tmp_path / "node.db")
    log = new_log(engine)
    for token in TOKENS:
        log.append(answered(), evidence=evidence(token))
    log.append(answered())
    log.close()
    yield engine
    engine.dispose()


def open_with(engine: Database, key: bytes, previous: bytes | None = None) -> AuditLog:
    return AuditLog.open(engine, ORIGIN, LOG_KEY, at_noon, key, previous_evidence_key=previous)


def opened(log: AuditLog, token: bytes) -> list[bytes]:
    """The request's items of every entry that is found about a learner."""
    found = []
    with log.reading() as connection:
        for ref in log.vault.subject_refs(token):
            for index in evidence_rows.read_indexes_of_subject(connection, ref):
                row = audit_rows.read_entry(connection, index)
                (part,) = evidence_rows.read_parts(connection, index)
                found += [o.item for o in log.vault.open(parse_leaf(row.leaf).draft, part).request]
    return found


def test_everything_is_found_under_the_new_key_alone(engine: Database) -> None:
    log = open_with(engine, NEW, OLD)
    told: list[tuple[int, int]] = []
    assert rotate_evidence_key(log, lambda done, total: told.append((done, total))) == 7
    assert told == [(7, 7)]
    log.close()
    log = open_with(engine, NEW)
    assert all(opened(log, token) == [token] for token in TOKENS)
    assert verify_log(engine, log.verifier.vkey).ok
    with log.reading() as connection:
        newest = audit_rows.read_entry(connection, 8)
    assert (parse_leaf(newest.leaf).draft.action, parse_leaf(newest.leaf).draft.count) == ("key-change", 7)
    log.close()
    old = open_with(engine, OLD)
    assert opened(old, TOKENS[0]) == []
    with old.reading() as connection:
        (part,) = evidence_rows.read_parts(connection, 0)
        draft = parse_leaf(audit_rows.read_entry(connection, 0).leaf).draft
    with pytest.raises(EvidenceError, match="another evidence key"):
        old.vault.open(draft, part)
    old.close()


def test_between_the_keys_nothing_is_lost(engine: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence_rotation, "PARTS_AT_ONCE", 2)
    log = open_with(engine, NEW, OLD)

    def interrupt(done: int, _total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotate_evidence_key(log, interrupt)
    assert all(opened(log, token) == [token] for token in TOKENS)
    log.append(answered(), evidence=evidence(b"\xaa" * 32))
    assert rotate_evidence_key(log) == 3
    assert all(opened(log, token) == [token] for token in [*TOKENS, b"\xaa" * 32])
    log.close()


def test_old_wrapped_keys_are_gone_from_the_files(engine: Database, tmp_path: Path) -> None:
    with reading(engine) as connection:
        wrapped = [evidence_rows.read_parts(connection, index)[0].wrapped_key for index in range(7)]
    log = open_with(engine, NEW, OLD)
    rotate_evidence_key(log)
    log.close()
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not any(key in content for key in wrapped)


def test_without_the_previous_key_nothing_is_changed(engine: Database) -> None:
    log = open_with(engine, NEW)
    with pytest.raises(EvidenceError, match="another evidence key"):
        rotate_evidence_key(log)
    log.close()
    log = open_with(engine, OLD)
    assert all(opened(log, token) == [token] for token in TOKENS)
    log.close()


def test_a_stopped_node_gets_a_new_evidence_key(tmp_path: Path) -> None:
    zhejiang = make_node(tmp_path, "zhejiang", records=False)
    shanghai = make_node(tmp_path, "shanghai", secret_from=zhejiang)
    introduce(zhejiang, shanghai)
    shanghai.start()
    root = str(zhejiang.folder.root)
    try:
        zhejiang.query("--peer", "shanghai")
        before = zhejiang.folder.key(EVIDENCE_KEY).read_bytes()
        said = cli("keys", "rotate", "evidence", "--node", root).stdout
        assert "1 data keys were wrapped anew" in said
        assert zhejiang.folder.key(EVIDENCE_KEY).read_bytes() != before
        assert not zhejiang.folder.key(PREVIOUS_EVIDENCE_KEY).exists()
        told = cli("audit", "subject", "--node", root, "--learner", DEMO_LEARNER).stdout
        assert "for a job application" in told
        # A run of an earlier version, killed between two renames: the next one finishes.
        zhejiang.folder.key(EVIDENCE_KEY).rename(zhejiang.folder.key(PREVIOUS_EVIDENCE_KEY))
        assert rotate_evidence(zhejiang.folder, lambda *_: None) == 1
        assert not zhejiang.folder.key(PREVIOUS_EVIDENCE_KEY).exists()
        told = cli("audit", "subject", "--node", root, "--learner", DEMO_LEARNER).stdout
        assert "for a job application" in told
        running = cli("keys", "rotate", "evidence", "--node", str(shanghai.folder.root))
        assert "the running node wraps every data key anew" in " ".join(running.stdout.split())
    finally:
        shanghai.close()
