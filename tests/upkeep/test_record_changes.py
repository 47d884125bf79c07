"""Who was given a record learns that it changed: the right peers, once, until they confirm, and nobody else."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from creditexchange.v1.archive_pb2 import ListHeardChangesRequest
from creditexchange.v1.change_pb2 import NotifyChangeRequest
from creditexchange.v1.exchange_pb2 import CertificateReference
from creditexchange.v1.record_pb2 import RECORD_STATE_REVOKED, RECORD_STATE_VALID, LearningRecord
from gateway.audit.entry import parse_leaf
from gateway.audit.erasure import erase_learner
from gateway.errors import PeerFaultError
from gateway.learners.subject_token import subject_token
from gateway.records import Registry, import_file
from gateway.records.ruling import Ruling
from gateway.rpc.heard_changes import heard_changes_message
from gateway.storage import audit_rows, notice_rows
from gateway.storage.engine import open_engine
from gateway.storage.migrate import upgrade
from gateway.upkeep.notices import Notices
from gateway.upkeep.record_changes import RecordChanges
from tests.exchange import bulk_asking
from tests.federation.simulator import LEARNER, SECRET, STRANGER, Federation, SimulatedNode

REVOKED = Ruling("revoked", "withdrawn", "2026-11-01")
HEADER = "record_id,learner_id,learner_id_type,kind,title,certificate_number,issuer_name,award_date,status\n"


@dataclass
class Issuer:
    """A province whose records stand in a real registry."""

    node: SimulatedNode
    registry: Registry
    folder: Path

    def take(self, *rows: str, replace: bool = False) -> None:
        path = self.folder / "rows.csv"
        path.write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding="utf-8")
        refusals: list = []
        report = import_file(
            path, self.registry, self.node.snapshot.scheme, SECRET, self.node.node_id, self.node.clock,
            replace=replace, report=refusals.append,
        )  # fmt: skip
        assert report.kept, refusals

    def rule(self, record_id: str, ruling: Ruling | None) -> None:
        assert self.registry.rule(record_id, ruling, self.node.snapshot.scheme, self.node.node_id)

    def tell(self) -> tuple[int, int]:
        """Return how many notices were queued, and how many were confirmed."""
        queued = RecordChanges(self.node.log, self.registry, self.node.clock).round()
        notices = Notices(self.node.log, self.node.wire, self.node.metrics, self.node.clock)
        return queued, notices.deliver(self.node.snapshot)


def row(record_id: str, title: str = "Algebra", learner: str = LEARNER, number: str = "") -> str:
    kind = "职业技能等级证书" if number else "课程"
    return f"{record_id},{learner},resident-id,{kind},{title},{number},Example Institute,2024-06-30,有效"


@pytest.fixture
def issuer(federation: Federation, tmp_path: Path) -> Iterator[Issuer]:
    node = federation["shanghai"]
    node.snapshot = type(node.snapshot)(
        **{**vars(node.snapshot), "scheme": federation["zhejiang"].snapshot.scheme}
    )
    engine = open_engine(f"sqlite:///{tmp_path / 'records.db'}")
    upgrade(engine, "records")
    registry = Registry(engine, node.clock)
    node.shelf = registry
    made = Issuer(node, registry, tmp_path)
    made.take(row("R1"), row("R2", "Topology"), row("R3", learner=STRANGER), row("R4", number="4404"))
    yield made
    registry.close()
    engine.dispose()


def heard(node: SimulatedNode) -> list[tuple[str, str, int]]:
    found = heard_changes_message(ListHeardChangesRequest(), node.asking).changes
    return [(change.node_id, change.record_id, change.state) for change in found]


def test_who_was_given_a_record_hears_of_its_revocation_and_others_do_not(
    federation: Federation, issuer: Issuer
) -> None:
    (result,) = federation["zhejiang"].ask("shanghai").peers
    assert len(result.records) == 3
    federation["anhui"].ask("shanghai", learner_identifier=STRANGER)

    issuer.rule("R2", REVOKED)

    assert issuer.tell() == (1, 1)
    assert heard(federation["zhejiang"]) == [("shanghai", "R2", RECORD_STATE_REVOKED)]
    assert heard(federation["anhui"]) == []
    (change,) = heard_changes_message(ListHeardChangesRequest(), federation["zhejiang"].asking).changes
    assert change.exchange_id == result.exchange_id


def test_it_is_told_once(federation: Federation, issuer: Issuer) -> None:
    federation["zhejiang"].ask("shanghai")
    issuer.rule("R1", REVOKED)

    assert [issuer.tell(), issuer.tell()] == [(1, 1), (0, 0)]


def test_a_correction_is_told_and_the_next_answer_is_not(federation: Federation, issuer: Issuer) -> None:
    federation["zhejiang"].ask("shanghai")
    issuer.take(row("R1", "Linear Algebra"), replace=True)
    federation["anhui"].ask("shanghai")

    assert issuer.tell() == (1, 1)
    assert heard(federation["zhejiang"]) == [("shanghai", "R1", RECORD_STATE_VALID)]
    assert heard(federation["anhui"]) == []


def test_what_is_imported_again_unchanged_is_no_change(federation: Federation, issuer: Issuer) -> None:
    federation["zhejiang"].ask("shanghai")
    issuer.take(row("R1"), row("R2", "Topology"), row("R5", "Analysis"))

    assert issuer.tell() == (0, 0)


def test_lifting_a_ruling_is_told_as_well(federation: Federation, issuer: Issuer) -> None:
    issuer.rule("R1", REVOKED)
    issuer.tell()
    federation["zhejiang"].ask("shanghai")
    federation.pass_time(60)
    issuer.rule("R1", None)

    assert issuer.tell() == (1, 1)
    assert heard(federation["zhejiang"]) == [("shanghai", "R1", RECORD_STATE_VALID)]


def test_who_asked_about_a_certificate_hears_that_its_state_changed(
    federation: Federation, issuer: Issuer
) -> None:
    record = LearningRecord.FromString(
        next(r for r in issuer.registry.list_() if r.record_id == "R4").translated
    )
    issuers = [name.text for each in record.issuers for name in each.names]
    reference = CertificateReference(number="4404", issuer=issuers[0])
    (result,) = federation["zhejiang"].ask("shanghai", certificate=reference).peers
    assert result.certificate.is_known

    issuer.rule("R1", REVOKED)
    assert issuer.tell() == (0, 0)
    issuer.rule("R4", REVOKED)
    assert issuer.tell() == (1, 1)

    assert heard(federation["zhejiang"]) == [("shanghai", "", RECORD_STATE_REVOKED)]


def test_who_asked_in_bulk_hears_of_the_one_record(federation: Federation, issuer: Issuer) -> None:
    assert bulk_asking.ask(federation["zhejiang"], "shanghai", [STRANGER, LEARNER]).result.outcome == "OK"

    issuer.rule("R2", REVOKED)

    assert issuer.tell() == (1, 1)
    assert heard(federation["zhejiang"]) == [("shanghai", "R2", RECORD_STATE_REVOKED)]


def test_several_exchanges_with_one_peer_are_one_notice(federation: Federation, issuer: Issuer) -> None:
    for _ in range(3):
        federation["zhejiang"].ask("shanghai")
    issuer.rule("R1", REVOKED)

    assert issuer.tell() == (1, 1)
    assert len(heard(federation["zhejiang"])) == 3


def test_a_notice_waits_for_a_peer_that_is_away(federation: Federation, issuer: Issuer) -> None:
    federation["zhejiang"].ask("shanghai")
    issuer.rule("R1", REVOKED)
    issuer.node.wire.faults["zhejiang"] = PeerFaultError("UNREACHABLE", "no connection")
    assert issuer.tell() == (1, 0)
    issuer.node.wire.faults.clear()
    federation.pass_time(86_400)

    assert issuer.tell() == (0, 1)
    assert len(heard(federation["zhejiang"])) == 1


def test_a_confirmation_that_is_lost_changes_nothing_twice(federation: Federation, issuer: Issuer) -> None:
    federation["zhejiang"].ask("shanghai")
    issuer.rule("R1", REVOKED)

    def lost(_response: bytes) -> bytes:
        raise PeerFaultError("NO_ANSWER", "no answer")

    issuer.node.wire.response_tampering = lost
    assert issuer.tell() == (1, 0)
    issuer.node.wire.response_tampering = lambda response: response
    assert issuer.tell() == (0, 1)

    assert len(heard(federation["zhejiang"])) == 1
    assert actions(federation["zhejiang"]).count("change-notice") == 1


def test_a_crash_before_the_change_is_forgotten_queues_nothing_twice(
    federation: Federation, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation["zhejiang"].ask("shanghai")
    issuer.rule("R1", REVOKED)
    with monkeypatch.context() as crash:
        crash.setattr(issuer.registry, "forget_changes", lambda _until: None)
        RecordChanges(issuer.node.log, issuer.registry, issuer.node.clock).round()

    assert issuer.tell()[1] == 1
    assert issuer.tell() == (0, 0)
    assert len(heard(federation["zhejiang"])) == 1


def test_nobody_is_told_of_what_was_erased(federation: Federation, issuer: Issuer) -> None:
    federation["zhejiang"].ask("shanghai")
    token = subject_token(SECRET, "resident-id", LEARNER)
    erase_learner(issuer.node.log, issuer.node.clock, [token], "learner-request")
    issuer.rule("R1", REVOKED)

    assert issuer.tell()[0] == 0


def test_the_notice_says_nothing_about_a_person(federation: Federation, issuer: Issuer) -> None:
    federation["zhejiang"].ask("shanghai")
    issuer.rule("R1", REVOKED)
    issuer.tell()

    _, request = issuer.node.wire.carried[-1]
    payload = NotifyChangeRequest.FromString(request).message.payload
    assert b"\x02R1" not in payload  # as a field: two bytes alone stand in random ones now and then
    assert b"Algebra" not in payload
    assert subject_token(SECRET, "resident-id", LEARNER) not in payload


def test_a_peer_that_gave_nothing_is_heard_about_nothing(federation: Federation, issuer: Issuer) -> None:
    """Anhui copies Shanghai's notice about an exchange that was none of its own."""
    federation["zhejiang"].ask("shanghai")
    issuer.rule("R1", REVOKED)
    RecordChanges(issuer.node.log, issuer.registry, issuer.node.clock).round()
    anhui = federation["anhui"]
    with issuer.node.log.reading() as connection:
        copied = notice_rows.read_pending_notices(
            connection, "/creditexchange.v1.ChangeNoticeService/NotifyChange", 10
        )
    anhui.log.transact(lambda transaction: notice_rows.insert_notices(transaction, copied, 1))

    assert Notices(anhui.log, anhui.wire, anhui.metrics, anhui.clock).deliver(anhui.snapshot) == 1
    assert heard(federation["zhejiang"]) == []
    assert issuer.tell() == (0, 1), "the true one still counts"
    assert len(heard(federation["zhejiang"])) == 1


def actions(node: SimulatedNode) -> list[str]:
    with node.log.reading() as connection:
        rows = audit_rows.read_entries_before(connection, 10**6, 100)
    return [parse_leaf(each.leaf).draft.action for each in rows]
