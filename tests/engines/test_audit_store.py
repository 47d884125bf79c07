"""What the audit log promises, on every engine."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from gateway.audit import (
    AuditLog,
    EvidenceError,
    PeerReceipt,
    leaf_hash,
    management_entry,
    open_checkpoint,
    rebuild_leaf,
    verify_consistency,
    verify_inclusion,
    verify_log,
    verify_receipt,
)
from gateway.audit.erasure import Erased, erase_expired, erase_learner
from gateway.audit.group import PendingEntry
from gateway.audit.merkle import consistency_proof
from gateway.errors import AuditLogError, RefusedError, StorageError
from gateway.signing.signed_note import parse_note
from gateway.storage import audit_rows, evidence_rows, message_ids
from gateway.storage.engine import reading, writing
from gateway.storage.migrate import require_current, upgrade
from gateway.storage.node_tables import NODE_METADATA, Database
from tests.audit.drafts import (
    EVIDENCE_KEY,
    LOG_KEY,
    NOW,
    ORIGIN,
    answered,
    at_noon,
    evidence,
    new_log,
    open_log,
    seen,
)


def test_migrations_make_the_declared_tables(engine: Database) -> None:
    upgrade(engine, "node")
    upgrade(engine, "node")
    require_current(engine, "node")
    with reading(engine) as connection:
        opts = {
            "version_table": "schema_version_node",
            "include_name": lambda name, kind, _: kind != "table" or not name.endswith("_default"),
        }
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, NODE_METADATA) == []


@pytest.mark.parametrize("table", ["audit_entry", "audit_node", "audit_checkpoint"])
@pytest.mark.parametrize("act", ["DELETE FROM {}", "UPDATE {} SET {}"])
def test_what_was_appended_cannot_be_changed_by_mistake(engine: Database, table: str, act: str) -> None:
    log = new_log(engine)
    for _ in range(2):
        log.append(answered())
    log.close()
    column = {"audit_entry": "leaf = leaf", "audit_node": "hash = hash", "audit_checkpoint": "note = note"}[
        table
    ]
    with pytest.raises(StorageError) as refused, writing(engine) as transaction:
        transaction.execute(text(act.format(table, column)))
    assert isinstance(refused.value.__cause__, DBAPIError)
    assert "append-only" in str(refused.value.__cause__)


def test_an_empty_log(engine: Database) -> None:
    log = new_log(engine)
    assert (log.size, log.latest_checkpoint(), log.origin) == (0, "", ORIGIN)
    assert not log.has_seen(bytes(16))
    assert log.find_exchange("zhejiang", bytes(16)) is None
    assert verify_log(engine, log.verifier.vkey).ok
    log.close()


def test_a_receipt_proves_that_the_exchange_was_logged(engine: Database) -> None:
    log = new_log(engine)
    drafts = [answered() for _ in range(9)]
    receipts = [log.append(draft).receipt for draft in drafts]
    assert [r.leaf_index for r in receipts] == list(range(9))
    for draft, receipt in zip(drafts, receipts, strict=True):
        checkpoint = verify_receipt(draft, receipt, log.verifier.vkey)
        assert checkpoint.size == receipt.leaf_index + 1
    assert log.latest_checkpoint() == receipts[-1].checkpoint
    report = verify_log(engine, log.verifier.vkey, held=[r.checkpoint for r in receipts])
    assert (report.ok, report.entries, report.checkpoints) == (True, 9, 9)
    log.close()


def test_a_reopened_log_goes_on(engine: Database) -> None:
    log = new_log(engine)
    first = log.append(answered()).receipt
    log.close()
    again = open_log(engine)
    assert (again.size, again.latest_checkpoint()) == (1, first.checkpoint)
    draft = answered()
    second = again.append(draft).receipt
    verify_receipt(draft, second, again.verifier.vkey)
    again.close()


def test_consistency_from_stored_nodes(engine: Database) -> None:
    log = new_log(engine)
    notes = [log.append(answered()).receipt.checkpoint for _ in range(13)]
    heads = [open_checkpoint(note, ORIGIN, log.verifier) for note in notes]
    with reading(engine) as connection:
        for old in heads:
            proof = consistency_proof(
                old.size, 13, lambda level, index: audit_rows.read_hash(connection, level, index) or b""
            )
            verify_consistency(old.size, 13, old.root, heads[-1].root, proof)
    log.close()


def test_every_kind_of_entry_is_appended(engine: Database) -> None:
    log = new_log(engine)
    log.append(management_entry("erasure", reason="request-of-learner", count=2))
    log.append(answered(kind="no-answer", role="asker", answer_digest=b"", outcome="TIMED_OUT"))
    assert verify_log(engine, log.verifier.vkey).ok
    log.close()


def test_a_message_id_is_accepted_once(engine: Database) -> None:
    log = new_log(engine)
    once = seen()
    log.append(answered(), seen=once)
    assert log.has_seen(once.message_id)
    with pytest.raises(RefusedError) as refused:
        log.append(answered(), seen=once)
    assert refused.value.reason == "REPLAYED_MESSAGE"
    assert log.size == 1
    log.close()
    again = open_log(engine)
    assert again.has_seen(once.message_id)
    with pytest.raises(RefusedError, match="seen before"):
        again.append(answered(), seen=once)
    again.close()


def test_message_ids_are_forgotten_when_time_refuses_them(engine: Database) -> None:
    now = [NOW]
    log = new_log(engine, lambda: now[0])
    short, long = seen(seconds=30), seen(seconds=90)
    log.append(answered(), seen=short)
    log.append(answered(), seen=long)
    assert log.purge_seen() == 0
    now[0] += timedelta(seconds=60)
    assert log.purge_seen() == 1
    assert (log.has_seen(short.message_id), log.has_seen(long.message_id)) == (False, True)
    log.close()


def test_logged_at_never_goes_back(engine: Database) -> None:
    now = [NOW]
    log = new_log(engine, lambda: now[0])
    first = log.append(answered())
    now[0] -= timedelta(hours=1)
    assert log.append(answered()).logged_at_ms == first.logged_at_ms
    log.close()
    again = open_log(engine, lambda: now[0])
    assert again.append(answered()).logged_at_ms == first.logged_at_ms
    assert verify_log(engine, again.verifier.vkey).ok
    again.close()


def test_pair_sequences_have_no_gaps_and_survive(engine: Database) -> None:
    log = new_log(engine)
    assert log.next_pair_sequences([]) == {}
    assert log.next_pair_sequences(["anhui", "jiangsu"]) == {"anhui": 1, "jiangsu": 1}
    assert log.next_pair_sequence("anhui") == 2
    log.close()
    again = open_log(engine)
    assert again.next_pair_sequences(["anhui", "jiangsu", "anhui"]) == {"anhui": 3, "jiangsu": 2}
    again.close()


def test_a_retry_finds_the_first_answer(engine: Database) -> None:
    log = new_log(engine)
    draft, given = answered(), evidence()
    log.append(draft, evidence=given)
    found = log.find_exchange("zhejiang", draft.exchange_id)
    assert found is not None
    assert (found.query_body, found.answer_body, found.record_count) == (b"query body", b"answer body", 2)
    assert list(found.openings) == given.answer_openings
    assert log.find_exchange("anhui", draft.exchange_id) is None
    log.close()


def test_a_refusal_is_no_earlier_answer(engine: Database) -> None:
    log = new_log(engine)
    draft = answered(outcome="OVERLOADED", count=0)
    log.append(draft, evidence=evidence())
    assert log.find_exchange("zhejiang", draft.exchange_id) is None
    own = answered(role="asker", exchange_id=draft.exchange_id)
    log.append(own, evidence=evidence())
    assert log.find_exchange("zhejiang", draft.exchange_id) is None
    log.close()


def test_an_erased_answer_is_not_given_again(engine: Database) -> None:
    log = new_log(engine)
    draft, other = answered(), answered()
    log.append(draft, evidence=evidence(b"a" * 32))
    log.append(other, evidence=evidence(b"b" * 32))
    ref = log._vault.subject_ref(b"a" * 32)
    with reading(engine) as connection:
        assert evidence_rows.read_indexes_of_subject(connection, ref) == [0]
    assert erase_learner(log, at_noon, [b"a" * 32], "learner-request") == Erased(1, 1, is_gone=True)
    with reading(engine) as connection:
        assert evidence_rows.read_indexes_of_subject(connection, ref) == []
    with pytest.raises(RefusedError) as refused:
        log.find_exchange("zhejiang", draft.exchange_id)
    assert refused.value.reason == "EXCHANGE_CONFLICT"
    assert log.find_exchange("zhejiang", other.exchange_id) is not None
    assert verify_log(engine, log.verifier.vkey).ok
    log.close()


def test_expired_openings_are_erased(engine: Database) -> None:
    log = new_log(engine)
    draft = answered()
    log.append(draft, evidence=evidence())
    assert erase_expired(log, at_noon, 0) == Erased(0, 0, is_gone=True)
    assert erase_expired(log, at_noon, 2**60) == Erased(1, 0, is_gone=True)
    with reading(engine) as connection:
        assert evidence_rows.read_parts(connection, 0) == []
        assert evidence_rows.read_signed(connection, 0) is not None
    assert verify_log(engine, log.verifier.vkey).entries == 2
    log.close()


def test_another_evidence_key_does_not_open(engine: Database) -> None:
    log = new_log(engine)
    draft = answered()
    log.append(draft, evidence=evidence())
    log.close()
    stranger = AuditLog.open(engine, ORIGIN, LOG_KEY, at_noon, bytes(32))
    with pytest.raises(EvidenceError, match="another evidence key"):
        stranger.find_exchange("zhejiang", draft.exchange_id)
    stranger.close()


def test_nothing_personal_stands_in_the_clear(engine: Database) -> None:
    token, secret = b"subject-token-of-somebody-000000", b"a diploma of somebody"
    log = new_log(engine)
    given = evidence(token)
    given.answer_openings[0].item = secret  # type: ignore[index]
    log.append(answered(), evidence=given)
    log.close()
    with reading(engine) as connection:
        for table in NODE_METADATA.sorted_tables:
            for row in connection.execute(table.select()):
                stored = b"".join(bytes(v) if isinstance(v, bytes) else str(v).encode() for v in row)
                assert token not in stored, table.name
                assert secret not in stored, table.name


def test_a_store_born_with_its_keys_has_no_fence(engine: Database) -> None:
    log = new_log(engine)
    assert log.fence_until is None
    log.close()


def test_a_younger_store_fences_off_what_it_cannot_know(engine: Database) -> None:
    AuditLog.create(engine, ORIGIN, clock=at_noon, skew_s=30)
    log = open_log(engine)
    assert log.fence_until == NOW + timedelta(seconds=30)
    log.close()
    later = open_log(engine, lambda: NOW + timedelta(hours=1))
    assert later.fence_until == NOW + timedelta(seconds=30)
    later.close()


def test_a_store_without_its_mark_gets_a_fence(engine: Database) -> None:
    new_log(engine).close()
    with writing(engine) as transaction:
        transaction.execute(text("DELETE FROM node_fact"))
    for hours in (2, 3):
        log = open_log(engine, lambda hours=hours: NOW + timedelta(hours=hours))
        assert log.fence_until == NOW + timedelta(hours=2, seconds=30)
        log.close()


def test_creating_again_keeps_what_is_there(engine: Database) -> None:
    log = new_log(engine)
    log.append(answered())
    log.close()
    AuditLog.create(engine, ORIGIN, clock=at_noon)
    again = open_log(engine)
    assert (again.size, again.fence_until) == (1, None)
    again.close()
    with pytest.raises(AuditLogError, match="holds the log"):
        AuditLog.create(engine, "audit.other.example", clock=at_noon)


def test_opening_what_is_not_there(engine: Database) -> None:
    with pytest.raises(StorageError):
        open_log(engine)
    upgrade(engine, "node")
    with pytest.raises(AuditLogError, match="no audit log"):
        open_log(engine)
    with pytest.raises(AuditLogError, match="no audit log"):
        verify_log(engine, "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")


def test_another_log_key_does_not_open(engine: Database) -> None:
    log = new_log(engine)
    log.append(answered())
    log.close()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    with pytest.raises(AuditLogError, match="newest checkpoint"):
        AuditLog.open(engine, ORIGIN, Ed25519PrivateKey.generate(), at_noon, EVIDENCE_KEY)


def test_the_checkpoint_names_one_key(engine: Database) -> None:
    log = new_log(engine)
    note = log.append(answered()).receipt.checkpoint
    assert [line.name for line in parse_note(note).signatures] == [ORIGIN]
    log.close()


def test_many_threads_share_commits_and_one_copy_of_a_message_wins(engine: Database) -> None:
    """64 threads append 50 entries each; every tenth message id is sent by eight threads at once."""
    log = new_log(engine)
    threads, each = 64, 50
    contested = {(group, n): seen() for group in range(threads // 8) for n in range(0, each, 10)}
    released, refused, wrong = [], [], []
    start = threading.Barrier(threads)

    def work(number: int) -> None:
        start.wait()
        for n in range(each):
            draft = answered(peer_seq=number * each + n + 1)
            guard = contested.get((number // 8, n)) or seen()
            try:
                receipt = log.append(draft, seen=guard, evidence=evidence() if n % 5 == 0 else None).receipt
                released.append((draft, receipt, guard.message_id))
            except RefusedError as error:
                (refused if error.reason == "REPLAYED_MESSAGE" else wrong).append(guard.message_id)

    workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert wrong == []
    assert len(refused) == len(contested) * 7
    assert (
        len({message_id for _, _, message_id in released}) == len(released) == threads * each - len(refused)
    )
    assert sorted(r.leaf_index for _, r, _ in released) == list(range(len(released)))
    heads = {}
    for draft, receipt, _ in released:
        if receipt.checkpoint not in heads:
            heads[receipt.checkpoint] = open_checkpoint(receipt.checkpoint, ORIGIN, log.verifier)
        head = heads[receipt.checkpoint]
        leaf = leaf_hash(rebuild_leaf(draft, receipt.logged_at_ms))
        verify_inclusion(leaf, receipt.leaf_index, head.size, list(receipt.inclusion_proof), head.root)
    assert len(heads) < len(released), "groups formed"
    assert log.size == len(released)
    report = verify_log(engine, log.verifier.vkey, held=list(heads))
    assert (report.ok, report.entries) == (True, len(released))
    log.close()


def test_several_processes_share_one_log(opening_engine: Callable[[], Database]) -> None:
    """Two logs over one store, as two processes have them, take turns and race."""
    first_engine, second_engine = opening_engine(), opening_engine()
    first, second = new_log(first_engine), open_log(second_engine)
    drafts = []
    for log in (first, second, second, first):
        draft = answered()
        verify_receipt(draft, log.append(draft).receipt, log.verifier.vkey)
        drafts.append(draft)
    once = seen()
    outcomes: list[str] = []

    def work(log: AuditLog) -> None:
        for _ in range(10):
            log.append(answered())
        try:
            log.append(answered(), seen=once)
            outcomes.append("OK")
        except RefusedError as error:
            outcomes.append(error.reason)

    workers = [threading.Thread(target=work, args=(log,)) for log in (first, second)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(outcomes) == ["OK", "REPLAYED_MESSAGE"]
    assert first.next_pair_sequence("anhui") + second.next_pair_sequence("anhui") == 3
    assert max(first.size, second.size) == 25
    report = verify_log(first_engine, first.verifier.vkey)
    assert (report.ok, report.entries) == (True, 25)
    first.close()
    second.close()


def test_a_store_that_was_rolled_back_is_not_appended_to(opening_engine: Callable[[], Database]) -> None:
    engine = opening_engine()
    log = new_log(engine)
    log.append(answered())
    with writing(engine) as transaction:
        tree = audit_rows.read_tree(transaction, ORIGIN)
    log.append(answered())
    assert tree is not None
    with writing(engine) as transaction:
        audit_rows.update_tree(transaction, ORIGIN, tree)
    for _ in range(2):
        with pytest.raises(RefusedError) as refused:
            log.append(answered())
        assert refused.value.reason == "AUDIT_UNAVAILABLE"
        assert "rolled back" in str(refused.value.__cause__)
    log.close()
    with pytest.raises(AuditLogError):
        open_log(engine)


def test_a_broken_connection_is_replaced(opening_engine: Callable[[], Database]) -> None:
    engine = opening_engine()
    log = new_log(engine)
    log.append(answered())
    assert not log.has_seen(bytes(16))
    connection = log._reads._opened[1]  # type: ignore[index]
    connection.connection.dbapi_connection.close()  # type: ignore[union-attr]
    with pytest.raises(RefusedError) as refused:
        log.has_seen(bytes(16))
    assert refused.value.reason == "AUDIT_UNAVAILABLE"
    assert not log.has_seen(bytes(16))
    log.close()


def test_facts_and_ids(engine: Database) -> None:
    upgrade(engine, "node")
    with writing(engine) as transaction:
        assert message_ids.get_fact(transaction, "x") is None
        message_ids.put_fact(transaction, "x", "1")
        message_ids.put_fact(transaction, "x", "2")
        assert message_ids.get_fact(transaction, "x") == "2"
        assert message_ids.insert_new_ids(transaction, []) == set()
        assert message_ids.insert_new_ids(transaction, [(b"a", 1), (b"b", 1)]) == {b"a", b"b"}
        assert message_ids.insert_new_ids(transaction, [(b"b", 1), (b"c", 1)]) == {b"c"}


def test_an_asker_keeps_the_peers_receipt(engine: Database) -> None:
    log = new_log(engine)
    answerers = answered()
    theirs = log.append(answerers).receipt
    checkpoint = verify_receipt(answerers, theirs, log.verifier.vkey)
    mine = answered(
        role="asker",
        peer_receipt=PeerReceipt(theirs.log_origin, theirs.leaf_index),
        peer_checkpoint=checkpoint,
    )
    log.append(mine)
    assert verify_log(engine, log.verifier.vkey).ok
    log.close()


def test_an_exchange_is_not_answered_twice_differently(engine: Database) -> None:
    log = new_log(engine)
    first = answered()
    log.append(first, seen=seen())
    second = replace(first, answer_digest=b"x" * 32)
    with pytest.raises(RefusedError, match="send it again") as refused:
        log.append(second, seen=seen())
    assert refused.value.retry_after_s
    log.append(first)
    log.append(replace(second, asker="anhui"))
    log.append(replace(second, outcome="OVERLOADED"))
    log.append(replace(second, role="asker"))
    assert log.size == 5
    log.close()


def test_of_two_racing_answers_the_first_is_logged(engine: Database) -> None:
    log = new_log(engine)
    first = answered()
    second = replace(first, answer_digest=b"x" * 32)
    outcomes = log._commit([PendingEntry(draft, None, None) for draft in (first, second, first, answered())])
    assert [isinstance(outcome, RefusedError) for outcome in outcomes] == [False, True, False, False]
    assert log.size == 3
    log.close()
