"""Is one certificate valid? The status and nothing else, signed and logged like any exchange."""

from dataclasses import replace

import pytest

from creditexchange.v1.exchange_pb2 import (
    CertificateAnswerBody,
    CertificateReference,
    VerifyCertificateRequest,
    VerifyCertificateResponse,
)
from creditexchange.v1.record_pb2 import (
    RECORD_STATE_EXPIRED,
    RECORD_STATE_REVOKED,
    RECORD_STATE_UNSPECIFIED,
    RECORD_STATE_VALID,
    LearningRecord,
)
from gateway.audit.commitment import CERTIFICATE, open_items
from gateway.audit.entry import parse_leaf
from gateway.errors import PeerFaultError
from gateway.exchange.asking.question import PeerResult
from gateway.exchange.collect_evidence import Collector
from gateway.exchange.evidence_bundle import parse_bundle, verify_bundle
from gateway.exchange.messages import QUERY_RECORDS, VERIFY_CERTIFICATE
from gateway.learners.subject_token import subject_token
from gateway.policy.purposes import KINDS
from gateway.records.source import StoredRecord
from gateway.signing import dsse
from gateway.storage import audit_rows
from gateway.storage.witness_rows import put_card
from tests.federation.simulator import (
    LEARNER,
    SECRET,
    STRANGER,
    Federation,
    SimulatedNode,
    draft,
    make_federation,
)

NUMBER, CODE, NAME = "3101120240001", "10246", "复旦大学"
REFERENCE = CertificateReference(number=NUMBER, issuer=CODE)


def hold(node: SimulatedNode, state: int = RECORD_STATE_VALID, expires: tuple[int, ...] = ()) -> None:
    """Put one certificate of the learner on the node's shelf."""
    record = LearningRecord(record_id="c1", kind=KINDS["skill-level"], source_node=node.node_id)
    record.certificate.number = NUMBER
    issuer = record.issuers.add()
    issuer.identifiers.add(scheme="moe-school", value=CODE)
    issuer.names.add(language="zh-Hans", text=NAME)
    record.status.state = state
    for part, value in zip(("year", "month", "day"), expires, strict=False):
        setattr(record.certificate.expire_date, part, value)
    node.shelf.records[subject_token(SECRET, "resident-id", LEARNER)] = [
        StoredRecord(
            "c1", record.kind, record.SerializeToString(), node.snapshot.scheme.reference.digest, b"{}"
        )
    ]


@pytest.fixture
def federation(tmp_path) -> Federation:
    made = make_federation(tmp_path, "zhejiang", "shanghai")
    hold(made["shanghai"])
    return made


def ask_about(
    federation: Federation, reference: CertificateReference = REFERENCE, **changes: object
) -> PeerResult:
    (result,) = federation["zhejiang"].ask("shanghai", certificate=reference, **changes).peers
    return result


@pytest.mark.parametrize("issuer", [CODE, NAME])
def test_a_known_certificate_has_its_state_and_nothing_else(federation: Federation, issuer: str) -> None:
    result = ask_about(federation, CertificateReference(number=NUMBER, issuer=issuer))
    assert (result.outcome, result.receipt_verified) == ("OK", True)
    assert result.certificate is not None
    assert (result.certificate.is_known, result.certificate.state) == (True, RECORD_STATE_VALID)
    assert result.records == ()
    assert [field.name for field in CertificateAnswerBody.DESCRIPTOR.fields] == [
        "is_known", "state", "query_body_digest",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("reference", "learner"),
    [
        (CertificateReference(number="3101120240002", issuer=CODE), LEARNER),
        (CertificateReference(number=NUMBER, issuer="10335"), LEARNER),
        (CertificateReference(number=NUMBER, issuer="复旦"), LEARNER),
        (REFERENCE, STRANGER),
    ],
)
def test_whatever_does_not_fit_is_simply_not_known(
    federation: Federation, reference: CertificateReference, learner: str
) -> None:
    result = ask_about(federation, reference, learner_identifier=learner)
    assert result.certificate is not None
    assert (result.outcome, result.certificate.is_known) == ("OK", False)
    assert result.certificate.state == RECORD_STATE_UNSPECIFIED


@pytest.mark.parametrize(
    ("state", "expires", "expected"),
    [
        (RECORD_STATE_REVOKED, (), RECORD_STATE_REVOKED),
        (RECORD_STATE_VALID, (2026, 11, 24), RECORD_STATE_VALID),
        (RECORD_STATE_VALID, (2026, 11, 23), RECORD_STATE_EXPIRED),
        (RECORD_STATE_VALID, (2026, 11), RECORD_STATE_VALID),
        (RECORD_STATE_VALID, (2025,), RECORD_STATE_EXPIRED),
        (RECORD_STATE_REVOKED, (2025,), RECORD_STATE_REVOKED),
    ],
)
def test_the_state_is_that_of_today(
    federation: Federation, state: int, expires: tuple[int, ...], expected: int
) -> None:
    hold(federation["shanghai"], state, expires)
    result = ask_about(federation)
    assert result.certificate is not None
    assert result.certificate.state == expected


def test_both_sides_log_it_and_neither_log_says_which_certificate(federation: Federation) -> None:
    ask_about(federation)
    federation.pass_time(600)
    assert federation["zhejiang"].reconcile("shanghai").findings == 0
    for node in federation.nodes.values():
        with node.log.reading() as connection:
            row = audit_rows.read_entry(connection, 0)
        assert row is not None
        entry = parse_leaf(row.leaf).draft
        assert (entry.method, entry.outcome, entry.count) == (VERIFY_CERTIFICATE, "OK", 1)
        assert NUMBER.encode() not in node.database.read_bytes()


@pytest.mark.parametrize("side", ["zhejiang", "shanghai"])
def test_it_is_evidence_like_any_exchange(federation: Federation, side: str) -> None:
    ask_about(federation)
    node = federation[side]
    for other in federation.nodes.values():
        card = other.province.card()
        text = dsse.to_json(card.message)
        node.log.transact(
            lambda transaction, card=card, text=text: put_card(
                transaction, bytes.fromhex(card.fingerprint), card.node_id, 1, text
            )
        )
    with node.log.reading() as connection:
        row = audit_rows.read_entry(connection, 0)
        assert row is not None
        bundle = Collector(connection, node.log.vault, ("shanghai", "zhejiang")).bundle(row)
    report = verify_bundle(parse_bundle(bundle.render()))
    assert (report.entry.method, report.entry.count) == (VERIFY_CERTIFICATE, 1)
    assert NUMBER.encode() not in bundle.render() + bundle.request.payload


def test_a_kind_that_is_not_granted_is_refused(federation: Federation) -> None:
    assert ask_about(federation, kinds=(KINDS["graduation"],)).outcome == "KIND_NOT_GRANTED"


def test_a_retry_gets_the_same_answer(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    made = draft("zhejiang", "shanghai", shanghai.clock())
    opened = open_items(CERTIFICATE, [REFERENCE.SerializeToString()])
    from gateway.audit.commitment import commitment
    from gateway.clock import new_id

    made.body.certificate_commitment = commitment(opened[0])
    made.openings += opened
    made.query.header.method = VERIFY_CERTIFICATE
    peer = zhejiang.snapshot.roster.peers["shanghai"]
    answers = []
    for sequence in (1, 2):
        made.query.header.message_id, made.query.header.pair_sequence = new_id(), sequence
        request = VerifyCertificateRequest.FromString(made.signed(zhejiang.province)).SerializeToString()
        response = zhejiang.wire.call(peer, VERIFY_CERTIFICATE, request, 5)
        answers.append(VerifyCertificateResponse.FromString(response).message.payload)
        hold(shanghai, RECORD_STATE_REVOKED)
    assert len(answers) == 2
    from creditexchange.v1.exchange_pb2 import CertificateAnswer

    bodies = {CertificateAnswer.FromString(answer).body for answer in answers}
    assert len(bodies) == 1


@pytest.mark.parametrize(
    ("method", "with_commitment", "item", "reason"),
    [
        (VERIFY_CERTIFICATE, False, REFERENCE.SerializeToString(), "COMMITMENT_MISMATCH"),
        (VERIFY_CERTIFICATE, True, None, "COMMITMENT_MISMATCH"),
        (VERIFY_CERTIFICATE, True, b"", "MALFORMED_MESSAGE"),
        (VERIFY_CERTIFICATE, True, CertificateReference(number="1").SerializeToString(), "MALFORMED_MESSAGE"),
        (VERIFY_CERTIFICATE, True, b"\xff", "MALFORMED_MESSAGE"),
        (QUERY_RECORDS, True, REFERENCE.SerializeToString(), "MALFORMED_MESSAGE"),
    ],
)
def test_a_question_that_is_not_well_formed_is_refused(
    federation: Federation, method: str, with_commitment: bool, item: bytes | None, reason: str
) -> None:
    from gateway.audit.commitment import commitment

    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    made = draft("zhejiang", "shanghai", shanghai.clock())
    made.query.header.method = method
    opened = open_items(CERTIFICATE, [item if item is not None else b"other"])
    if with_commitment:
        made.body.certificate_commitment = commitment(opened[0])
    if item is not None:
        made.openings += opened
    peer = zhejiang.snapshot.roster.peers["shanghai"]
    with pytest.raises(PeerFaultError) as fault:
        zhejiang.wire.call(peer, method, made.signed(zhejiang.province), 5)
    assert fault.value.outcome == reason


def test_an_answer_to_another_question_is_not_believed(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    kept: list[bytes] = []
    zhejiang.wire.response_tampering = lambda response: (kept.append(response), response)[1]
    ask_about(federation)
    zhejiang.wire.response_tampering = lambda _response: kept[0]
    result = ask_about(federation, CertificateReference(number="9", issuer=CODE))
    assert result.outcome == "ANSWER_NOT_BOUND"
    assert replace(result).certificate is None
