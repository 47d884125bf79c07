"""Erasure: gone from the files, proofs untouched, logged on both sides, told to peers until they confirm."""

import pytest

from creditexchange.v1.audit_pb2 import NotifyErasureRequest
from gateway.audit import verify_log
from gateway.audit.entry import parse_leaf
from gateway.audit.erasure import erase_expired, erase_learner
from gateway.clock import unix_ms
from gateway.errors import PeerFaultError
from gateway.exchange.messages import NOTIFY_ERASURE
from gateway.learners.subject_token import subject_token
from gateway.storage import audit_rows, evidence_rows
from gateway.storage.engine import open_engine, reading
from gateway.upkeep.notices import Notices
from tests.federation.simulator import LEARNER, SECRET, STRANGER, Federation, SimulatedNode

YEARS_4_S = 4 * 366 * 24 * 3600


def token_of(identifier: str = LEARNER) -> bytes:
    return subject_token(SECRET, "resident-id", identifier)


def secrets_of(node: SimulatedNode) -> list[bytes]:
    """What must be gone: wrapped keys, ciphertext, and the reference to the learner."""
    with node.log.reading() as connection:
        refs = [node.log.vault.subject_ref(token_of())]
        parts = evidence_rows.read_parts_of_subjects(connection, refs)
        sealed = [part for row in parts for part in evidence_rows.read_parts(connection, row.idx)]
    return [*refs, *(s.wrapped_key for s in sealed), *(s.ciphertext for s in sealed)]


def in_files(node: SimulatedNode, secret: bytes) -> bool:
    return any(secret in path.read_bytes() for path in node.database.parent.glob(f"{node.database.name}*"))


def notices(node: SimulatedNode) -> Notices:
    return Notices(node.log, node.wire, node.metrics, node.clock)


def management(node: SimulatedNode) -> list[tuple[str, str, str, int]]:
    with node.log.reading() as connection:
        rows = audit_rows.read_entries_before(connection, 10**6, 100)[::-1]
    drafts = [parse_leaf(row.leaf).draft for row in rows if b'"kind":"management"' in row.leaf]
    return [(draft.action, draft.reason, draft.peer, draft.count) for draft in drafts]


def is_intact(node: SimulatedNode) -> bool:
    engine = open_engine(f"sqlite:///{node.database}")
    try:
        return verify_log(engine, node.log.verifier.vkey, held=[node.log.latest_checkpoint()]).ok
    finally:
        engine.dispose()


@pytest.mark.parametrize("side", ["zhejiang", "shanghai"])
def test_what_is_erased_is_gone_from_the_raw_files(federation: Federation, side: str) -> None:
    federation["zhejiang"].ask("shanghai")
    node = federation[side]
    secrets = secrets_of(node)
    assert len(secrets) == 3
    assert all(in_files(node, secret) for secret in secrets)
    erased = erase_learner(node.log, node.clock, [token_of()], "learner-request")
    assert (erased.parts, erased.notices, erased.is_gone) == (1, 1, True)
    assert not any(in_files(node, secret) for secret in secrets)
    assert is_intact(node)
    assert management(node) == [("erasure", "learner-request", "", 1)]


def test_others_are_not_touched(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    zhejiang.ask("shanghai", learner_identifier=STRANGER)
    zhejiang.ask("shanghai")
    erase_learner(zhejiang.log, zhejiang.clock, [token_of()], "learner-request")
    with zhejiang.log.reading() as connection:
        assert evidence_rows.read_parts(connection, 0) != []
        assert evidence_rows.read_parts(connection, 1) == []


def test_erasing_about_nobody_is_logged_all_the_same(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    erased = erase_learner(zhejiang.log, zhejiang.clock, [token_of(STRANGER)], "learner-request")
    assert (erased.parts, erased.notices) == (0, 0)
    assert management(zhejiang) == [("erasure", "learner-request", "", 0)]


def test_retention_erases_what_is_old_and_tells_nobody(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    zhejiang.ask("shanghai")
    assert erase_expired(zhejiang.log, zhejiang.clock, unix_ms(zhejiang.clock())).parts == 0
    federation.pass_time(YEARS_4_S)
    erased = erase_expired(zhejiang.log, zhejiang.clock, unix_ms(zhejiang.clock()))
    assert (erased.parts, erased.notices) == (1, 0)
    assert management(zhejiang) == [("erasure", "retention", "", 1)]
    with zhejiang.log.reading() as connection:
        assert evidence_rows.read_parts(connection, 0) == []


def test_peers_are_told_by_signed_notice_and_confirm(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    zhejiang.ask()
    erase_learner(zhejiang.log, zhejiang.clock, [token_of()], "learner-request")
    assert notices(zhejiang).deliver(zhejiang.snapshot) == 2
    assert notices(zhejiang).deliver(zhejiang.snapshot) == 0
    assert sorted(management(zhejiang)[1:]) == [
        ("erasure-notice", "confirmed", "anhui", 1),
        ("erasure-notice", "confirmed", "shanghai", 1),
    ]
    for peer in ("anhui", "shanghai"):
        assert management(federation[peer]) == [("erasure-notice", "learner-request", "zhejiang", 1)]


def test_a_notice_waits_for_a_peer_that_is_away(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    zhejiang.ask()
    erase_learner(zhejiang.log, zhejiang.clock, [token_of()], "learner-request")
    zhejiang.wire.faults["anhui"] = PeerFaultError("UNREACHABLE", "no connection")
    assert notices(zhejiang).deliver(zhejiang.snapshot) == 1
    zhejiang.wire.faults.clear()
    federation.pass_time(3600)  # a fresh header each time
    assert notices(zhejiang).deliver(zhejiang.snapshot) == 1
    assert len(management(federation["anhui"])) == 1


def test_a_confirmation_that_is_lost_leads_to_one_entry_at_the_peer(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    zhejiang.ask("shanghai")
    erase_learner(zhejiang.log, zhejiang.clock, [token_of()], "learner-request")

    def lost(_response: bytes) -> bytes:
        raise PeerFaultError("NO_ANSWER", "no answer")

    zhejiang.wire.response_tampering = lost
    assert notices(zhejiang).deliver(zhejiang.snapshot) == 0
    zhejiang.wire.response_tampering = lambda response: response
    assert notices(zhejiang).deliver(zhejiang.snapshot) == 1
    assert len(management(federation["shanghai"])) == 1


def test_a_confirmation_of_somebody_else_is_not_believed(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    zhejiang.ask("shanghai")
    erase_learner(zhejiang.log, zhejiang.clock, [token_of()], "learner-request")
    zhejiang.wire.response_tampering = lambda response: response[:-1] + bytes([response[-1] ^ 1])
    assert notices(zhejiang).deliver(zhejiang.snapshot) == 0
    assert len(management(zhejiang)) == 1


def test_a_malformed_notice_is_refused(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    with pytest.raises(PeerFaultError) as fault:
        zhejiang.wire.call(zhejiang.snapshot.roster.peers["shanghai"], NOTIFY_ERASURE, b"\xff", 5)
    assert fault.value.outcome == "MALFORMED_MESSAGE"
    empty = NotifyErasureRequest().SerializeToString()
    with pytest.raises(PeerFaultError) as fault:
        zhejiang.wire.call(zhejiang.snapshot.roster.peers["shanghai"], NOTIFY_ERASURE, empty, 5)
    assert fault.value.outcome == "MALFORMED_MESSAGE"
    engine = open_engine(f"sqlite:///{federation['shanghai'].database}")
    with reading(engine) as connection:
        assert audit_rows.read_last_index(connection) == -1
    engine.dispose()
