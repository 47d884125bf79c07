"""Nodes witness one another's logs: every peer holds a head that the log must continue."""

import pytest

from gateway.audit import AuditLog, Checkpoint, management_entry, open_checkpoint, verify_log
from gateway.audit.cosigned import best_cosigned_checkpoint
from gateway.audit.renaming import rename_log
from gateway.audit.witness import Witness
from gateway.errors import PeerFaultError, RefusedError
from gateway.signing.cosignature import cosignatures_of
from gateway.storage import witness_rows
from gateway.storage.engine import open_engine
from gateway.upkeep.own_log import ask_witnesses
from tests.federation.simulator import Federation, SimulatedNode


def cosigned(node: SimulatedNode) -> list[tuple[str, int]]:
    with node.log.reading() as connection:
        return [(row.witness, row.size) for row in witness_rows.read_newest_cosignatures(connection)]


def test_a_round_gets_the_newest_checkpoint_cosigned_by_every_peer(federation: Federation) -> None:
    shanghai = federation["shanghai"]
    federation["zhejiang"].ask()
    shanghai.witnessing.round()
    assert cosigned(shanghai) == [("audit.anhui.example/witness", 1), ("audit.zhejiang.example/witness", 1)]
    verifiers = [federation[n].province.witness.verifier for n in ("anhui", "zhejiang")]
    with shanghai.log.reading() as connection:
        note = best_cosigned_checkpoint(connection, 1)
    assert [c.name for c in cosignatures_of(note, verifiers)] == [v.name for v in verifiers]
    assert open_checkpoint(note, shanghai.log.origin, shanghai.log.verifier).size == 1


def test_rounds_go_on_from_what_each_witness_has_seen(federation: Federation) -> None:
    shanghai, zhejiang = federation["shanghai"], federation["zhejiang"]
    witnessing = shanghai.witnessing
    for expected in (1, 2, 3):
        zhejiang.ask("shanghai")
        witnessing.round()
        assert {size for _, size in cosigned(shanghai)} == {expected}
    shanghai.witnessing.round()  # one that has forgotten what its witnesses know
    assert zhejiang.witness.latest(shanghai.log.origin).size == 3


def test_a_head_that_only_a_message_showed_is_cosigned_too(federation: Federation) -> None:
    shanghai, zhejiang = federation["shanghai"], federation["zhejiang"]
    zhejiang.ask("shanghai")
    zhejiang.ask("shanghai")
    zhejiang.witnessing.round()
    assert zhejiang.witness.latest(shanghai.log.origin).size == 2
    assert zhejiang.witness.conflicts() == []
    # The asker's own head came with its request.
    shanghai.witnessing.round()
    assert shanghai.witness.latest(zhejiang.log.origin).size >= 1


def test_a_dead_peer_does_not_keep_the_others_from_cosigning(federation: Federation) -> None:
    shanghai = federation["shanghai"]
    federation["zhejiang"].ask("shanghai")
    shanghai.wire.faults["zhejiang"] = PeerFaultError("NO_ANSWER", "no answer")
    shanghai.witnessing.round()
    assert cosigned(shanghai) == [("audit.anhui.example/witness", 1)]


def test_a_restored_backup_is_found_out_at_the_start(federation: Federation) -> None:
    shanghai, zhejiang = federation["shanghai"], federation["zhejiang"]
    zhejiang.ask("shanghai")
    backup = shanghai.copy_log("backup.db")
    zhejiang.ask("shanghai")
    zhejiang.ask("shanghai")
    shanghai.witnessing.round()
    shanghai.open_log(backup)  # agrees with itself
    found, answered = ask_witnesses(
        list(shanghai.snapshot.roster.peers.values()), shanghai.wire, shanghai.log
    )
    assert answered == ["anhui", "zhejiang"]
    assert [c.holder for c in found] == ["anhui", "zhejiang"]
    assert "of 3 entries, the database has 1: the last 2 are missing here" in str(found[0].error)
    assert "accept-rollback" in str(found[0].error)


def test_a_running_node_stops_appending_when_a_witness_holds_more(federation: Federation) -> None:
    shanghai, zhejiang = federation["shanghai"], federation["zhejiang"]
    zhejiang.ask("shanghai")
    backup = shanghai.copy_log("backup.db")
    zhejiang.ask("shanghai")
    shanghai.witnessing.round()
    shanghai.open_log(backup)
    shanghai.witnessing.round()
    (result,) = zhejiang.ask("shanghai").peers
    assert result.outcome == "AUDIT_UNAVAILABLE"
    assert shanghai.log.size == 1


def test_an_intact_log_holds_what_its_witnesses_hold(federation: Federation) -> None:
    shanghai = federation["shanghai"]
    federation["zhejiang"].ask("shanghai")
    shanghai.witnessing.round()
    federation["zhejiang"].ask("shanghai")
    peers = list(shanghai.snapshot.roster.peers.values())
    assert ask_witnesses(peers, shanghai.wire, shanghai.log) == ([], ["anhui", "zhejiang"])


def test_a_peer_that_lies_about_our_log_cannot_stop_us(federation: Federation) -> None:
    shanghai, anhui = federation["shanghai"], federation["anhui"]
    federation["zhejiang"].ask("shanghai")
    forged = Checkpoint(shanghai.log.origin, 99, bytes(32)).sign([anhui.log._signers[0]])
    anhui.witness  # noqa: B018 - anhui's own state, written by hand
    anhui.log.transact(
        lambda transaction: witness_rows.put_witnessed(
            transaction,
            witness_rows.WitnessedRow(shanghai.log.origin, 99, bytes(32), forged, "", 0),
        )
    )
    peers = list(shanghai.snapshot.roster.peers.values())
    assert ask_witnesses(peers, shanghai.wire, shanghai.log)[0] == []
    shanghai.witnessing.round()
    assert shanghai.log.halted is None


@pytest.fixture
def witness(federation: Federation) -> Witness:
    return federation["zhejiang"].witness


def head(federation: Federation, size: int, root: bytes = bytes(32)) -> str:
    shanghai = federation["shanghai"]
    return Checkpoint(shanghai.log.origin, size, root).sign([shanghai.log._signers[0]])


def reason(witness: Witness, federation: Federation, old: int, proof: list[bytes], note: str) -> str:
    with pytest.raises(RefusedError) as refused:
        witness.add_checkpoint(federation["shanghai"].log.verifier, old, proof, note, source="test")
    return refused.value.reason


def test_a_witness_refuses_as_the_protocol_says(federation: Federation, witness: Witness) -> None:
    verifier = federation["shanghai"].log.verifier
    anhui = federation["anhui"].log
    assert reason(witness, federation, 0, [], "no note") == "MALFORMED_MESSAGE"
    assert reason(witness, federation, 2, [], head(federation, 1)) == "MALFORMED_MESSAGE"
    foreign = Checkpoint(verifier.name, 1, bytes(32)).sign([anhui._signers[0]])
    assert reason(witness, federation, 0, [], foreign) == "CHECKPOINT_UNSIGNED"
    assert reason(witness, federation, 0, [], head(federation, 0)) == "CHECKPOINT_INCONSISTENT"
    assert reason(witness, federation, 0, [bytes(32)], head(federation, 2)) == "CHECKPOINT_INCONSISTENT"
    witness.add_checkpoint(verifier, 0, [], head(federation, 2), source="test")
    assert reason(witness, federation, 0, [], head(federation, 3)) == "CHECKPOINT_OUTDATED"
    assert reason(witness, federation, 2, [bytes(32)], head(federation, 3)) == "CHECKPOINT_INCONSISTENT"
    assert witness.conflicts() == []  # a wrong proof alone may be anybody's mistake
    assert reason(witness, federation, 2, [], head(federation, 2, b"\1" * 32)) == "CHECKPOINT_INCONSISTENT"
    (conflict,) = witness.conflicts()
    assert {conflict.note, conflict.other_note} == {head(federation, 2), head(federation, 2, b"\1" * 32)}


def test_the_smaller_of_two_heads_at_once_never_takes_the_place_of_the_larger(
    federation: Federation, witness: Witness
) -> None:
    """As in the test of the reference implementation of the witness protocol."""
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    zhejiang.ask("shanghai")
    verifier, first = shanghai.log.verifier, shanghai.log.latest_checkpoint()
    witness.add_checkpoint(verifier, 0, [], first, source="test")
    zhejiang.ask("shanghai")
    second = shanghai.log.latest_checkpoint()
    zhejiang.ask("shanghai")
    third = shanghai.log.latest_checkpoint()
    audit = zhejiang.audit_of("shanghai")
    smaller, larger = audit.consistency_proof(1, 2), audit.consistency_proof(1, 3)
    witness.add_checkpoint(verifier, 1, larger, third, source="test")
    assert reason(witness, federation, 1, smaller, second) == "CHECKPOINT_OUTDATED"
    assert witness.latest(verifier.name).size == 3


def test_a_log_that_was_closed_is_not_accused_while_its_card_is_on_its_way(federation: Federation) -> None:
    """After an accepted rollback the old name proves nothing any more, and says so."""
    shanghai, zhejiang = federation["shanghai"], federation["zhejiang"]
    zhejiang.ask("shanghai")
    early = shanghai.log.latest_checkpoint()
    zhejiang.ask("shanghai")
    backup = shanghai.copy_log("backup.db")
    zhejiang.ask("shanghai")
    shanghai.witnessing.round()
    engine = open_engine(f"sqlite:///{backup}")
    entry = management_entry("restore", reason="rollback-accepted", count=1)
    origin, key = shanghai.log.origin, shanghai.province.log_key.private
    assert rename_log(engine, origin, f"{origin}/restored-1", key, shanghai.clock, entry) == 2
    shanghai.log = AuditLog.open(engine, f"{origin}/restored-1", key, shanghai.clock, bytes(32))
    zhejiang.log.heard.hear("shanghai", early)
    zhejiang.witnessing.round()
    assert zhejiang.witness.conflicts() == []
    assert early in zhejiang.log.heard.take()["shanghai"]  # looked at again once the card is there
    report = verify_log(engine, shanghai.log.verifier.vkey)
    assert (report.ok, report.entries) == (True, 3)
