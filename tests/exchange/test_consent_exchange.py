"""Consent in the whole exchange: given, shown, taken back, and what becomes of one that is misused."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from creditexchange.v1.consent_pb2 import (
    LEARNER_AUTHENTICATION_IN_PERSON,
    ListRevocationsRequest,
    ListRevocationsResponse,
    RevokeConsentRequest,
)
from creditexchange.v1.envelope_pb2 import SignedMessage
from creditexchange.v1.exchange_pb2 import CertificateReference
from gateway.audit import AuditLog
from gateway.audit.commitment import CONSENT, commitment, open_items
from gateway.audit.entry import parse_leaf
from gateway.audit.erasure import erase_learner
from gateway.audit.evidence_rotation import rotate_evidence_key
from gateway.errors import CallerError, PeerFaultError
from gateway.exchange.answering.answer import answer_query
from gateway.exchange.answering.refuse import SignedRefusalError
from gateway.exchange.answering.revocations import signed_revocation
from gateway.exchange.consents import (
    ConsentTerms,
    find_issued,
    grant_consent,
    held_consents,
    issued_rows,
    revoke_consent,
)
from gateway.exchange.messages import LIST_REVOCATIONS, REVOKE_CONSENT
from gateway.learners.subject_token import FederationSecret, subject_token
from gateway.peers.roster import SUSPENDED, Peer, Roster
from gateway.policy.consent import read_consent
from gateway.policy.grants import Access, AccessFile
from gateway.policy.purposes import KINDS, LEGAL_BASES, PURPOSES
from gateway.signing.suites import SigningKey
from gateway.storage import audit_rows, evidence_rows
from gateway.storage.consent_rows import RevokedRow, is_revoked
from gateway.upkeep.consent_revocations import ConsentRevocations
from tests.federation.provinces import NOW
from tests.federation.simulator import (
    EMPLOYMENT,
    LEARNER,
    SECRET,
    STRANGER,
    Federation,
    SimulatedNode,
    draft,
    incoming,
)

BASIS = LEGAL_BASES["consent"]
COURSE, SKILL, DEGREE = KINDS["course"], KINDS["skill-level"], KINDS["degree"]


def token_of(identifier: str = LEARNER) -> bytes:
    return subject_token(SECRET, "resident-id", identifier)


def demand_consent(node: SimulatedNode, *issuers: str) -> None:
    grants = [
        {"peer": peer, "purposes": ["employment"], "kinds": ["course", "skill-level", "degree"]}
        for peer in node.snapshot.roster.peers
    ]
    file = AccessFile.model_validate({"grant": grants, "consent": {"issuers": issuers}})
    node.adopt(access=Access.of(file))


@pytest.fixture
def federation(federation: Federation) -> Federation:
    """The usual federation, in which nobody answers without the learner's consent."""
    for node in federation.nodes.values():
        demand_consent(node)
    return federation


def grant(node: SimulatedNode, **changes: object) -> SignedMessage:
    facts: dict[str, object] = {
        "subject_token": token_of(),
        "federation_epoch": "2026",
        "asker": "zhejiang",
        "organisation": "Zhejiang Employment Service",
        "answerers": ("shanghai",),
        "purpose": EMPLOYMENT,
        "kinds": (COURSE, SKILL),
        "ends": NOW + timedelta(days=30),
        "authentication": LEARNER_AUTHENTICATION_IN_PERSON,
    }
    return grant_consent(ConsentTerms(**(facts | changes)), node.snapshot, node.log, node.clock())


def id_of(message: SignedMessage) -> bytes:
    return read_consent(message).consent_id


def outcomes(node: SimulatedNode, *peers: str, **how: object) -> dict[str, str]:
    archive = node.ask(*peers, **({"legal_basis": BASIS} | how))
    return {result.node_id: result.outcome for result in archive.peers}


def revocations(node: SimulatedNode) -> ConsentRevocations:
    return ConsentRevocations(node.log, node.wire, node.metrics, node.clock)


def rule(
    asker: SimulatedNode, answerer: SimulatedNode, shown: SignedMessage, now: datetime = NOW, **body: object
) -> str:
    """What ``answerer`` says when ``asker`` shows a consent without having looked at it itself."""
    identifier = str(body.pop("identifier", LEARNER))
    query = draft(asker.node_id, answerer.node_id, now, identifier)
    openings = open_items(CONSENT, [shown.SerializeToString()])
    query.openings.extend(openings)
    query.body.consent_commitment = commitment(openings[0])
    query.body.legal_basis = BASIS
    for name, value in body.items():
        if isinstance(value, list):
            query.body.ClearField(name)
            getattr(query.body, name).extend(value)
        else:
            setattr(query.body, name, value)
    call = incoming(answerer, asker.node_id)
    try:
        answer_query(query.signed(asker.province), call, answerer.snapshot, answerer.answering)
    except SignedRefusalError as refused:
        return refused.details.get("rule", refused.reason)
    return "OK"


def test_without_consent_nobody_is_asked_and_nobody_answers(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    assert outcomes(zhejiang) == {"shanghai": "CONSENT_MISSING_HERE", "anhui": "CONSENT_MISSING_HERE"}
    assert not zhejiang.wire.carried
    statute = LEGAL_BASES["statutory-duty"]
    assert outcomes(zhejiang, "shanghai", legal_basis=statute) == {"shanghai": "CONSENT_REQUIRED"}


def test_a_held_consent_is_found_and_opens_the_named_node_only(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    grant(zhejiang)
    archive = zhejiang.ask(legal_basis=BASIS)
    assert {r.node_id: (r.outcome, len(r.records)) for r in archive.peers} == {
        "shanghai": ("OK", 2),
        "anhui": ("CONSENT_MISSING_HERE", 0),
    }
    assert [peer for peer, _ in zhejiang.wire.carried] == ["shanghai"]


def test_every_node_is_asked_when_the_learner_said_so(federation: Federation) -> None:
    grant(federation["zhejiang"], answerers=())
    assert outcomes(federation["zhejiang"]) == {"shanghai": "OK", "anhui": "OK"}


def test_a_consent_in_a_file_is_shown_whoever_issued_it(federation: Federation) -> None:
    shown = grant(federation["shanghai"])
    assert outcomes(federation["zhejiang"], "shanghai", consent=shown) == {"shanghai": "OK"}


def test_a_certificate_is_asked_for_with_consent_as_well(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    asked = {"certificate": CertificateReference(number="1", issuer="an issuer"), "kinds": (COURSE,)}
    assert outcomes(zhejiang, "shanghai", **asked) == {"shanghai": "CONSENT_MISSING_HERE"}
    grant(zhejiang)
    assert outcomes(zhejiang, "shanghai", **asked) == {"shanghai": "OK"}


def test_kinds_that_are_left_open_are_those_of_the_consent(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    federation["shanghai"].put(LEARNER, "bachelor", kind=DEGREE)
    grant(zhejiang, kinds=(COURSE,))
    every = {"kinds": tuple(KINDS.values())}
    assert outcomes(zhejiang, "shanghai", **every) == {"shanghai": "CONSENT_MISSING_HERE"}
    archive = zhejiang.ask("shanghai", legal_basis=BASIS, is_narrowed=True, **every)
    assert {entry.record.kind for entry in archive.records} == {COURSE}


def test_both_sides_keep_the_consent_as_evidence_and_neither_signs_it_away(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    shown = grant(zhejiang)
    result = zhejiang.ask("shanghai", legal_basis=BASIS).peers[0]
    for node in (zhejiang, shanghai):
        with node.log.reading() as connection:
            (row,) = audit_rows.read_entries_of_exchange(connection, result.exchange_id)
            (part,) = evidence_rows.read_parts(connection, row.idx)
            signed = evidence_rows.read_signed(connection, row.idx)
        opened = node.log.vault.open(parse_leaf(row.leaf).draft, part).request
        assert [o.item for o in opened if o.item_type == CONSENT] == [shown.SerializeToString()]
        assert signed is not None
        assert shown.payload not in signed.request_message
        assert token_of() not in signed.request_message


def test_a_consent_of_a_third_node_counts_only_where_the_operator_wrote_it(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    shown = grant(federation["anhui"])
    assert outcomes(zhejiang, "shanghai", consent=shown) == {"shanghai": "CONSENT_INVALID"}
    assert rule(zhejiang, shanghai, shown) == "unknown-issuer"
    demand_consent(shanghai, "anhui")
    assert outcomes(zhejiang, "shanghai", consent=shown) == {"shanghai": "OK"}


def test_what_the_asker_would_not_show_the_answerer_refuses(federation: Federation) -> None:
    zhejiang, shanghai, anhui = (federation[i] for i in ("zhejiang", "shanghai", "anhui"))
    shown = grant(zhejiang)
    assert rule(zhejiang, shanghai, shown) == "OK"
    assert rule(zhejiang, shanghai, shown, identifier=STRANGER) == "other-learner"
    assert rule(anhui, shanghai, shown) in {"other-asker", "unknown-issuer"}
    assert rule(zhejiang, anhui, shown) == "other-answerer"
    assert rule(zhejiang, shanghai, shown, kinds=[COURSE, DEGREE]) == "kind"
    assert shanghai.shelf.asked == 1
    assert anhui.shelf.asked == 0


def test_a_deputy_cannot_use_a_consent_that_was_shown_to_it(federation: Federation) -> None:
    """Shanghai got Zhejiang's consent with a query; Anhui accepts Zhejiang's consents from anybody."""
    shown = grant(federation["zhejiang"], answerers=("shanghai", "anhui"))
    demand_consent(federation["anhui"], "zhejiang")
    assert rule(federation["shanghai"], federation["anhui"], shown) == "other-asker"


def test_a_consent_never_widens_a_grant(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    admission = PURPOSES["admission"]
    wide = grant(zhejiang, purpose=admission)
    assert rule(zhejiang, shanghai, wide, purpose=admission) == "PURPOSE_NOT_GRANTED"
    wide = grant(zhejiang, kinds=tuple(KINDS.values()))
    assert rule(zhejiang, shanghai, wide, kinds=list(KINDS.values())) == "KIND_NOT_GRANTED"
    shanghai.adopt(access=Access.of(AccessFile()))
    assert rule(zhejiang, shanghai, grant(zhejiang)) == "PURPOSE_NOT_GRANTED"


def test_a_suspended_issuer_vouches_for_nobody(federation: Federation) -> None:
    shown = grant(federation["anhui"])
    shanghai = federation["shanghai"]
    demand_consent(shanghai, "anhui")
    peers = [
        replace(peer, state=SUSPENDED) if peer.node_id == "anhui" else peer
        for peer in shanghai.snapshot.roster.peers.values()
    ]
    shanghai.adopt(roster=Roster.of(peers))
    assert rule(federation["zhejiang"], shanghai, shown) == "unknown-issuer"


def test_a_consent_ends_by_itself(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    shown = grant(zhejiang, ends=NOW + timedelta(hours=1))
    federation.pass_time(3600)
    assert outcomes(zhejiang, "shanghai") == {"shanghai": "CONSENT_MISSING_HERE"}
    assert rule(zhejiang, federation["shanghai"], shown, now=zhejiang.clock()) == "expired"


def test_what_was_taken_back_is_refused_once_the_peer_was_told(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    shown = grant(zhejiang)
    assert revoke_consent(id_of(shown), zhejiang.snapshot, zhejiang.log, NOW) == 1
    assert outcomes(zhejiang, "shanghai") == {"shanghai": "CONSENT_MISSING_HERE"}
    assert len(revocations(zhejiang).deliver(zhejiang.snapshot)) == 1
    assert len(revocations(zhejiang).deliver(zhejiang.snapshot)) == 0
    assert rule(zhejiang, shanghai, shown) == "revoked"


def test_taking_back_twice_changes_nothing(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    shown = grant(zhejiang)
    revoke_consent(id_of(shown), zhejiang.snapshot, zhejiang.log, NOW)
    size = zhejiang.log.size
    assert revoke_consent(id_of(shown), zhejiang.snapshot, zhejiang.log, NOW) == 0
    assert zhejiang.log.size == size
    with pytest.raises(CallerError, match="issued no consent"):
        revoke_consent(bytes(16), zhejiang.snapshot, zhejiang.log, NOW)


def test_a_peer_that_was_away_is_told_later(federation: Federation) -> None:
    zhejiang, shanghai, anhui = (federation[i] for i in ("zhejiang", "shanghai", "anhui"))
    shown = grant(zhejiang, answerers=())
    revoke_consent(id_of(shown), zhejiang.snapshot, zhejiang.log, NOW)
    zhejiang.wire.faults["shanghai"] = PeerFaultError("UNREACHABLE", "no connection")
    assert revocations(zhejiang).deliver(zhejiang.snapshot) == [("anhui", id_of(shown))]
    assert zhejiang.metrics.registry.get_sample_value("credit_gateway_consent_revocations_pending") == 1
    assert rule(zhejiang, anhui, shown) == "revoked"
    zhejiang.wire.faults.clear()
    federation.pass_time(3600)
    assert len(revocations(zhejiang).deliver(zhejiang.snapshot)) == 1
    assert rule(zhejiang, shanghai, shown, now=zhejiang.clock()) == "revoked"


def test_a_node_that_was_away_asks_for_what_it_missed(federation: Federation) -> None:
    zhejiang, shanghai, anhui = (federation[i] for i in ("zhejiang", "shanghai", "anhui"))
    shown = grant(zhejiang)
    revoke_consent(id_of(shown), zhejiang.snapshot, zhejiang.log, NOW)
    asking = revocations(shanghai)
    assert asking.pull(shanghai.snapshot.roster.peers["zhejiang"]) == 1
    assert asking.pull(shanghai.snapshot.roster.peers["zhejiang"]) == 0
    assert rule(zhejiang, shanghai, shown) == "revoked"
    # Whom it does not concern hears nothing of it.
    assert revocations(anhui).pull(anhui.snapshot.roster.peers["zhejiang"]) == 0


def test_many_revocations_come_page_by_page(federation: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.exchange.answering.revocations.REVOCATIONS_MAX", 3)
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    for _ in range(10):
        revoke_consent(id_of(grant(zhejiang)), zhejiang.snapshot, zhejiang.log, NOW)
    shanghai.wire.carried.clear()
    assert revocations(shanghai).pull(shanghai.snapshot.roster.peers["zhejiang"]) == 10
    assert len(shanghai.wire.carried) == 4


def test_a_peer_whose_pages_never_end_is_left(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    revoke_consent(id_of(grant(zhejiang)), zhejiang.snapshot, zhejiang.log, NOW)

    first: list[bytes] = []

    def endless(response: bytes) -> bytes:
        """The first page again and again, each time with more to come."""
        page = ListRevocationsResponse.FromString(response)
        page.has_more = True
        first.append(page.SerializeToString())
        return first[0]

    shanghai.wire.response_tampering = endless
    with pytest.raises(PeerFaultError, match="not in order"):
        revocations(shanghai).pull(shanghai.snapshot.roster.peers["zhejiang"])


def revocation_by(node: SimulatedNode, issuer: str, consent_id: bytes) -> bytes:
    row = RevokedRow(issuer, consent_id, 1_700_000_000_000, 1_900_000_000_000)
    return RevokeConsentRequest(message=signed_revocation(row, node.snapshot)).SerializeToString()


def test_nobody_takes_back_what_another_node_issued(federation: Federation) -> None:
    zhejiang, shanghai, anhui = (federation[i] for i in ("zhejiang", "shanghai", "anhui"))
    shown = grant(zhejiang)
    to_shanghai = anhui.snapshot.roster.peers["shanghai"]
    for request, outcome in (
        (revocation_by(anhui, "zhejiang", id_of(shown)), "MALFORMED_MESSAGE"),
        (revocation_by(zhejiang, "zhejiang", id_of(shown)), "UNKNOWN_KEY"),
        (b"\xff", "MALFORMED_MESSAGE"),
        (b"", "MALFORMED_MESSAGE"),
    ):
        with pytest.raises(PeerFaultError) as fault:
            anhui.wire.call(to_shanghai, REVOKE_CONSENT, request, 5)
        assert fault.value.outcome == outcome
    anhui.wire.call(to_shanghai, REVOKE_CONSENT, revocation_by(anhui, "anhui", id_of(shown)), 5)
    assert rule(zhejiang, shanghai, shown) == "OK"
    with shanghai.log.reading() as connection:
        assert is_revoked(connection, "anhui", id_of(shown))


def test_a_receipt_that_was_changed_is_not_believed(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    revoke_consent(id_of(grant(zhejiang)), zhejiang.snapshot, zhejiang.log, NOW)
    zhejiang.wire.response_tampering = lambda response: response[:-1] + bytes([response[-1] ^ 1])
    assert len(revocations(zhejiang).deliver(zhejiang.snapshot)) == 0
    zhejiang.wire.response_tampering = lambda response: response
    assert len(revocations(zhejiang).deliver(zhejiang.snapshot)) == 1


def test_a_malformed_wish_for_revocations_is_refused(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    for request in (b"\xff", ListRevocationsRequest(after_consent_id=b"x").SerializeToString(),
                    ListRevocationsRequest(since_ms=2**63).SerializeToString()):  # fmt: skip
        with pytest.raises(PeerFaultError) as fault:
            zhejiang.wire.call(zhejiang.snapshot.roster.peers["shanghai"], LIST_REVOCATIONS, request, 5)
        assert fault.value.outcome == "MALFORMED_MESSAGE"


def test_revocations_are_forgotten_when_time_alone_refuses(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    shown = grant(zhejiang)
    revoke_consent(id_of(shown), zhejiang.snapshot, zhejiang.log, NOW)
    revocations(zhejiang).round(zhejiang.snapshot)
    federation.pass_time(32 * 24 * 3600)
    for node in (zhejiang, shanghai):
        revocations(node).round(node.snapshot)
        with node.log.reading() as connection:
            assert not is_revoked(connection, "zhejiang", id_of(shown))
    assert rule(zhejiang, shanghai, shown, now=zhejiang.clock()) == "expired"


def in_files(node: SimulatedNode, secret: bytes) -> bool:
    return any(secret in path.read_bytes() for path in node.database.parent.glob(f"{node.database.name}*"))


def test_a_kept_consent_is_encrypted_and_erased_with_its_learner(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    shown = grant(zhejiang)
    assert [held.message for held in held_consents(zhejiang.log, [token_of()])] == [shown]
    assert held_consents(zhejiang.log, [token_of(STRANGER)]) == []
    for personal in (token_of(), b"Zhejiang Employment Service"):
        assert not in_files(zhejiang, personal)
    erased = erase_learner(zhejiang.log, zhejiang.clock, [token_of()], "learner-request")
    assert (erased.parts, erased.notices) == (1, 0)
    assert find_issued(zhejiang.log, id_of(shown)) is None
    assert [row.consent_id for row in issued_rows(zhejiang.log)] == [id_of(shown)]
    # It can still be taken back: then everybody is told, since whom it concerned is forgotten.
    assert revoke_consent(id_of(shown), zhejiang.snapshot, zhejiang.log, NOW) == 2


def test_a_kept_consent_outlives_the_evidence_key(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    shown = grant(zhejiang)
    zhejiang.log.close()
    engine = zhejiang.log._database
    facts = (engine, zhejiang.province.log_origin, zhejiang.province.log_key.private, zhejiang.clock)
    log = AuditLog.open(*facts, b"\x99" * 32, previous_evidence_key=bytes(32))
    assert rotate_evidence_key(log) == 1
    log.close()
    zhejiang.log = AuditLog.open(*facts, b"\x99" * 32)
    assert [held.message for held in held_consents(zhejiang.log, [token_of()])] == [shown]


def test_what_another_consent_hides_is_not_taken_for_it(federation: Federation) -> None:
    """Who can write to the database swaps the ciphertexts of two consents: neither is read as the other."""
    zhejiang = federation["zhejiang"]
    first, second = grant(zhejiang), grant(zhejiang, purpose=PURPOSES["admission"])
    with zhejiang.log._database.begin() as connection:
        for table in ("evidence", "evidence_key"):
            for old, new in ((0, 9), (1, 0), (9, 1)):
                connection.exec_driver_sql(f"UPDATE {table} SET idx = {new} WHERE idx = {old}")
    assert find_issued(zhejiang.log, id_of(first)) is None
    assert find_issued(zhejiang.log, id_of(second)) is None


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"asker": "henan"}, "unknown node 'henan'"),
        ({"answerers": ("henan",)}, "unknown node 'henan'"),
        ({"ends": NOW}, "past, or too far"),
        ({"ends": NOW + timedelta(days=400)}, "past, or too far"),
        ({"organisation": " "}, "malformed"),
        ({"kinds": ()}, "malformed"),
        ({"authentication": 0}, "malformed"),
    ],
)
def test_terms_that_nobody_could_rely_on_are_not_signed(
    federation: Federation, changes: dict[str, object], complaint: str
) -> None:
    zhejiang = federation["zhejiang"]
    with pytest.raises(CallerError, match=complaint):
        grant(zhejiang, **changes)
    assert zhejiang.log.size == 0


def test_a_consent_of_an_earlier_epoch_is_asked_for_again(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    shown = grant(zhejiang)
    both = {"2027": FederationSecret("2027", bytes(32)), "2026": SECRET}
    for node in (zhejiang, shanghai):
        node.adopt(secrets=both)
    assert outcomes(zhejiang, "shanghai", consent=shown) == {"shanghai": "OK"}  # while that is still live
    assert rule(zhejiang, shanghai, shown, federation_epoch="2027") == "epoch"
    zhejiang.adopt(secrets={"2027": both["2027"]})
    assert outcomes(zhejiang, "shanghai", consent=shown) == {"shanghai": "CONSENT_MISSING_HERE"}


def test_a_held_consent_outlives_the_key_that_signed_it(federation: Federation) -> None:
    zhejiang, shanghai, fresh = federation["zhejiang"], federation["shanghai"], SigningKey.generate()
    demand_consent(shanghai, "zhejiang")
    grant(zhejiang)
    zhejiang.adopt(message_keys=(fresh,))
    card = zhejiang.province.card(serial=2, message_key=fresh)
    others = [peer for peer in shanghai.snapshot.roster.peers.values() if peer.node_id != "zhejiang"]
    shanghai.adopt(roster=Roster.of([*others, Peer(card, "active", NOW, card.endpoints)]))
    assert outcomes(zhejiang, "shanghai") == {"shanghai": "OK"}
