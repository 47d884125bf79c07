"""Attacks on one node's audit log, and what catches each (docs/audit.md, "Attacks").

The attacker has full write access to the database; where it says so, the log's key as well. Attacks
that the log's own verification catches are in tests/audit/test_tampering.py, entry by entry.
"""

from hashlib import sha256

import pytest

from gateway.audit import verify_log
from gateway.exchange.asking.ask import ask
from gateway.signing.envelope import open_envelope
from gateway.signing.signed_note import NoteSigner
from gateway.storage import audit_rows, evidence_rows, reconcile_rows
from gateway.storage.engine import open_engine
from gateway.upkeep.own_log import ask_witnesses
from tests.audit.drafts import as_attacker
from tests.federation.simulator import LEARNER, Federation, SimulatedNode, make_federation


@pytest.fixture
def federation(tmp_path) -> Federation:
    made = make_federation(tmp_path, "zhejiang", "shanghai", "anhui")
    made["shanghai"].put(LEARNER, "Algebra", "Statistics")
    for _ in range(3):
        made["zhejiang"].ask("shanghai")
    made["shanghai"].witnessing.round()
    return made


def report_on(node: SimulatedNode, *held: str):
    engine = open_engine(f"sqlite:///{node.database}")
    try:
        return verify_log(engine, node.log.verifier.vkey, held=held)
    finally:
        engine.dispose()


def held_of(node: SimulatedNode, holder: SimulatedNode) -> str:
    return holder.witness.cosigned_note(node.log.origin)


def rounds(federation: Federation, *names: str) -> None:
    for name in names:
        federation[name].witnessing.round()


def conflicts(node: SimulatedNode) -> int:
    return len(node.witness.conflicts())


def truncate(node: SimulatedNode, size: int) -> None:
    """Cut the tail off so that nothing inside the database shows it: old checkpoints are signed too."""
    with as_attacker(node.database) as connection:
        (note,) = connection.execute("SELECT note FROM audit_checkpoint WHERE size = ?", (size,)).fetchone()
        nodes = size - size.bit_count()
        connection.execute("DELETE FROM audit_entry WHERE idx >= ?", (size,))
        connection.execute("DELETE FROM audit_checkpoint WHERE size > ?", (size,))
        connection.execute("DELETE FROM audit_node WHERE position >= ?", (nodes,))
        leaves = connection.execute("SELECT leaf_hash FROM audit_entry ORDER BY idx").fetchall()
        root = note.split("\n")[2]
        from base64 import b64decode

        edge = leaves[0][0] if size == 1 else b64decode(root)
        assert size in (1, 2)
        connection.execute(
            "UPDATE audit_tree SET size = ?, root = ?, edge = ?", (size, b64decode(root), edge)
        )
    connection.close()


def test_a_truncated_tail_is_caught_by_what_peers_hold(federation: Federation) -> None:
    """`audit verify --ask-peers`, and the next start."""
    shanghai, zhejiang = federation["shanghai"], federation["zhejiang"]
    held = held_of(shanghai, zhejiang)
    truncate(shanghai, 2)
    assert report_on(shanghai).ok  # inside the database there is nothing to see
    report = report_on(shanghai, held)
    assert report.first_bad == 2
    shanghai.open_log(shanghai.database)
    peers = list(shanghai.snapshot.roster.peers.values())
    found, _ = ask_witnesses(peers, shanghai.wire, shanghai.log)
    assert {c.holder for c in found} == {"anhui", "zhejiang"}


def test_a_rolled_back_log_is_caught_at_the_start_and_by_peers_that_it_talks_to(
    federation: Federation,
) -> None:
    """`serve`, and the witness rounds of every peer."""
    shanghai, zhejiang = federation["shanghai"], federation["zhejiang"]
    backup = shanghai.copy_log("backup.db")
    zhejiang.ask("shanghai")
    rounds(federation, "shanghai")
    shanghai.open_log(backup)
    # Whoever holds the database and the keys starts it without our check, and answers.
    assert zhejiang.ask("shanghai").peers[0].outcome == "OK"
    rounds(federation, "zhejiang")
    assert conflicts(zhejiang) == 1


def test_two_histories_for_two_peers_are_found_when_the_peers_compare(federation: Federation) -> None:
    """`audit witness`, with the log's key in the attacker's hand."""
    shanghai, zhejiang, anhui = (federation[n] for n in ("shanghai", "zhejiang", "anhui"))
    one, other = shanghai.database, shanghai.copy_log("other.db")
    zhejiang.ask("shanghai")
    rounds(federation, "zhejiang")
    shanghai.open_log(other)
    anhui.ask("shanghai")
    anhui.ask("shanghai")
    rounds(federation, "anhui")  # compares with what Zhejiang has cosigned
    assert conflicts(anhui) == 1
    (conflict,) = anhui.witness.conflicts()
    assert conflict.source == "zhejiang"
    shanghai.open_log(one)
    rounds(federation, "zhejiang")
    assert conflicts(zhejiang) == 1


def test_history_rewritten_with_the_logs_key_is_caught_by_every_witness(federation: Federation) -> None:
    """With the key in hand the log agrees with itself; what others hold does not."""
    shanghai, zhejiang = federation["shanghai"], federation["zhejiang"]
    held = held_of(shanghai, zhejiang)
    database = shanghai.database.with_name("rewritten.db")
    province = shanghai.province
    from gateway.audit import AuditLog

    engine = open_engine(f"sqlite:///{database}")
    AuditLog.create(engine, province.log_origin, clock=shanghai.clock, born_with_keys=True)
    engine.dispose()
    shanghai.open_log(database)
    for _ in range(3):  # other exchanges in the place of those that were there
        assert zhejiang.ask("shanghai").peers[0].outcome == "OK"
    assert report_on(shanghai).ok
    assert not report_on(shanghai, held).ok
    found, _ = ask_witnesses(list(shanghai.snapshot.roster.peers.values()), shanghai.wire, shanghai.log)
    assert "another history" in str(found[0].error)
    rounds(federation, "zhejiang")
    assert conflicts(zhejiang) >= 1


def test_an_answer_that_was_not_logged_is_refused_in_that_very_exchange(federation: Federation) -> None:
    """`query`: without the log's key there is no receipt."""
    shanghai, zhejiang = federation["shanghai"], federation["zhejiang"]
    genuine = shanghai.log._signers[0]
    shanghai.log._signers = (NoteSigner(genuine.name, federation["anhui"].province.log_key.private),)
    (result,) = zhejiang.ask("shanghai").peers
    assert (result.outcome, result.records) == ("RECEIPT_INVALID", ())


def test_an_answer_logged_in_a_throw_away_copy_is_found_out_by_the_witness(federation: Federation) -> None:
    """With the log's key a receipt can be made; the head it leads to is never seen again."""
    shanghai, zhejiang = federation["shanghai"], federation["zhejiang"]
    honest, thrown = shanghai.database, shanghai.copy_log("thrown.db")
    shanghai.open_log(thrown)
    assert zhejiang.ask("shanghai").peers[0].outcome == "OK"
    shanghai.open_log(honest)
    rounds(federation, "zhejiang")
    assert conflicts(zhejiang) == 1
    federation.pass_time(600)
    zhejiang.reconcile("shanghai")
    with zhejiang.log.reading() as connection:
        assert [f.kind for f in reconcile_rows.list_findings(connection, "shanghai", 9)] == ["only-ours"]


def test_logging_an_answer_that_was_never_given_is_a_difference(federation: Federation) -> None:
    """`audit reconcile` on both sides."""
    shanghai, zhejiang = federation["shanghai"], federation["zhejiang"]

    def withheld(_response: bytes) -> bytes:
        from gateway.errors import PeerFaultError

        raise PeerFaultError("NO_ANSWER", "no answer")

    zhejiang.wire.response_tampering = withheld
    zhejiang.ask("shanghai")
    zhejiang.wire.response_tampering = lambda response: response
    federation.pass_time(600)
    for node, peer in ((zhejiang, "shanghai"), (shanghai, "zhejiang")):
        assert node.reconcile(peer).findings == 1


def test_who_denies_having_asked_has_signed_the_question(federation: Federation) -> None:
    """`audit reconcile` names it; the evidence of the other side holds the asker's signature."""
    shanghai, zhejiang = federation["shanghai"], federation["zhejiang"]
    before = zhejiang.copy_log("before.db")
    zhejiang.ask("shanghai")
    zhejiang.open_log(before)
    federation.pass_time(600)
    assert shanghai.reconcile("zhejiang").findings == 1
    with shanghai.log.reading() as connection:
        (finding,) = reconcile_rows.list_findings(connection, "zhejiang", 9)
        signed = evidence_rows.read_signed(connection, finding.our_idx)
        row = audit_rows.read_entry(connection, finding.our_idx)
    assert finding.kind == "only-ours"
    assert signed is not None
    assert row is not None
    from creditexchange.v1.envelope_pb2 import SignedMessage
    from gateway.exchange.messages import RECORD_QUERY_TYPE

    message = SignedMessage.FromString(signed.request_message)
    opened = open_envelope(
        message, RECORD_QUERY_TYPE, lambda key: zhejiang.province.peer().message_key(key, shanghai.clock())
    )
    assert opened.digest.hex().encode() in row.leaf
    assert sha256(signed.answer_body).hexdigest().encode() in row.leaf
    assert ask is not None
