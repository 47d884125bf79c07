"""`python -m tests.fuzz.make_corpus`: write valid inputs of invented learners, from which the fuzzer starts."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from openpyxl import Workbook

from creditexchange.v1 import audit_pb2, change_pb2, code_pb2, consent_pb2
from creditexchange.v1.consent_pb2 import Consent
from creditexchange.v1.envelope_pb2 import Header, SignedMessage
from creditexchange.v1.exchange_pb2 import EchoQuery, QueryRecordsRequest
from gateway.audit.commitment import SUBJECT_TOKEN, commitments_root, open_items
from gateway.audit.proofs import prove_consistency
from gateway.audit.tiles import bundle as bundle_leaves
from gateway.exchange import messages
from gateway.exchange.answering.answer import answer_query
from gateway.exchange.answering.refuse import SignedRefusalError
from gateway.exchange.asking.compose import query_header
from gateway.exchange.collect_evidence import Collector
from gateway.exports.exporting import SAVED
from gateway.learners.subject_token import subject_token
from gateway.peers.roster import render_peer_file
from gateway.policy.learning_code import CODE_ID_BYTES, SECRET_BYTES, LearningCode
from gateway.policy.purposes import KINDS
from gateway.rpc.status import status_of
from gateway.signing import dsse
from gateway.signing.envelope import payload_type, seal
from gateway.storage import audit_rows
from gateway.storage.witness_rows import put_card
from gateway.web.add_checkpoint import render_body
from tests.exports.documents import office, record
from tests.federation.provinces import NOW
from tests.federation.simulator import (
    EMPLOYMENT,
    EXAMPLES,
    LEARNER,
    SECRET,
    draft,
    incoming,
)
from tests.fuzz.keys import federation, province, seed
from tests.fuzz.message_targets import METHOD_NAMES, composed
from tests.fuzz.page_targets import REQUESTS
from tests.fuzz.text_targets import verifier, vkey
from tests.records.synthetic import COLUMNS, learner_id, make_row
from tests.schemes.samples import simple_text
from tests.transcripts import documents

CORPUS = Path(__file__).parent / "corpus"


def consent_payload() -> bytes:
    made = Consent(
        consent_id=seed("consent")[:16],
        subject_token=subject_token(SECRET, "resident-id", LEARNER),
        issuing_node_id="zhejiang",
        asking_node_id="zhejiang",
        answering_node_ids=["shanghai"],
        federation_epoch="2026",
        asking_organisation="Example hospital",
        purpose=EMPLOYMENT,
        kinds=[KINDS["course"], KINDS["degree"]],
        authentication=1,
    )
    made.issue_time.FromDatetime(NOW)
    made.start_time.FromDatetime(NOW)
    made.end_time.FromDatetime(NOW + timedelta(days=30))
    return made.SerializeToString()


def signed(type_: str, payload: bytes) -> SignedMessage:
    return seal(payload, type_, [province("zhejiang").message_key])


def header_for(method: str) -> Header:
    zhejiang = federation()["zhejiang"]
    peer = zhejiang.snapshot.roster.peers["shanghai"]
    return query_header(peer, method, 1, zhejiang.snapshot, checkpoint="", now=NOW)


def bulk_request() -> bytes:
    made = draft("zhejiang", "shanghai", NOW)
    tokens = [subject_token(SECRET, "resident-id", learner) for learner in (LEARNER, learner_id(1))]
    made.openings = open_items(SUBJECT_TOKEN, tokens)
    made.query.header.method = messages.QUERY_IN_BULK
    made.body.subjects_root, made.body.subject_count = commitments_root(made.openings), 2
    return made.signed(province("zhejiang"))


def requests() -> Iterator[tuple[str, bytes]]:
    """One valid request a method."""
    for method in (messages.QUERY_RECORDS, messages.LOCATE_RECORDS):
        made = draft("zhejiang", "shanghai", NOW)
        made.query.header.method = method
        yield method, made.signed(province("zhejiang"))
    yield messages.QUERY_IN_BULK, bulk_request()
    made = draft("zhejiang", "shanghai", NOW)
    made.openings += open_items("creditexchange.v1.Consent", [consent_payload()])
    yield messages.QUERY_RECORDS, made.signed(province("zhejiang"))
    echo = EchoQuery(header=header_for(messages.ECHO), content=b"hello")
    message = signed(messages.ECHO_QUERY_TYPE, echo.SerializeToString())
    yield messages.ECHO, QueryRecordsRequest(message=message).SerializeToString()
    yield from audit_requests()
    redeem = next(name for name in METHOD_NAMES if name.endswith("/RedeemCode"))
    redemption = code_pb2.CodeRedemption(header=header_for(redeem), body=b"\x0a\x00")
    message = signed(payload_type("code-redemption"), redemption.SerializeToString())
    openings = open_items("learning-code", [b"\x0a\x04code"])
    yield redeem, code_pb2.RedeemCodeRequest(message=message, openings=openings).SerializeToString()
    yield from notices()


def audit_requests() -> Iterator[tuple[str, bytes]]:
    zhejiang = federation()["zhejiang"]
    note = zhejiang.log.latest_checkpoint()
    add = audit_pb2.AddCheckpointRequest(old_size=0, checkpoint=note)
    yield messages.ADD_CHECKPOINT, add.SerializeToString()
    origin = province("shanghai").log_origin
    proof = audit_pb2.GetConsistencyProofRequest(old_size=1, new_size=2, log_origin=origin)
    yield messages.GET_CONSISTENCY_PROOF, proof.SerializeToString()
    yield (
        messages.LIST_SHARED_ENTRIES,
        audit_pb2.ListSharedEntriesRequest(known_size=1, since_ms=1).SerializeToString(),
    )
    witnessed = audit_pb2.GetWitnessedCheckpointRequest(log_origin=province("zhejiang").log_origin)
    yield messages.GET_WITNESSED_CHECKPOINT, witnessed.SerializeToString()
    yield (
        messages.LIST_REVOCATIONS,
        consent_pb2.ListRevocationsRequest(since_ms=1, after_consent_id=bytes(16)).SerializeToString(),
    )


def notices() -> Iterator[tuple[str, bytes]]:
    body = audit_pb2.ErasureNoticeBody(
        notice_id=seed("notice")[:16], exchange_ids=[seed("exchange")[:16]], reason="learner-request"
    )
    erasure = audit_pb2.ErasureNotice(
        header=header_for(messages.NOTIFY_ERASURE), body=body.SerializeToString()
    )
    message = signed(messages.ERASURE_NOTICE_TYPE, erasure.SerializeToString())
    yield messages.NOTIFY_ERASURE, audit_pb2.NotifyErasureRequest(message=message).SerializeToString()
    changed = change_pb2.ChangeNoticeBody(notice_id=seed("changed")[:16])
    change = changed.changes.add(exchange_id=seed("exchange")[:16], commitment=seed("commitment"), state=1)
    change.change_time.FromDatetime(NOW)
    notice = change_pb2.ChangeNotice(
        header=header_for(messages.NOTIFY_CHANGE), body=changed.SerializeToString()
    )
    message = signed(messages.CHANGE_NOTICE_TYPE, notice.SerializeToString())
    yield messages.NOTIFY_CHANGE, change_pb2.NotifyChangeRequest(message=message).SerializeToString()
    revocation = consent_pb2.ConsentRevocation(consent_id=seed("consent")[:16], issuing_node_id="zhejiang")
    revocation.revoke_time.FromDatetime(NOW)
    revocation.consent_end_time.FromDatetime(NOW + timedelta(days=30))
    message = signed(messages.CONSENT_REVOCATION_TYPE, revocation.SerializeToString())
    yield messages.REVOKE_CONSENT, consent_pb2.RevokeConsentRequest(message=message).SerializeToString()


def message_seeds() -> Iterator[tuple[str, bytes]]:
    zhejiang, shanghai = federation()["zhejiang"], federation()["shanghai"]
    card = province("zhejiang").card()
    yield "card", card.message.payload
    yield "card-json", dsse.to_json(card.message).encode()
    yield "dsse-json", dsse.to_json(card.message).encode()
    yield "consent", consent_payload()
    yield "envelope", composed().message.SerializeToString()
    for method, request in requests():
        yield "handler", bytes([METHOD_NAMES.index(method)]) + request
    call = incoming(shanghai, "zhejiang")
    response = answer_query(composed().request, call, shanghai.snapshot, shanghai.answering)
    yield "answer", response
    refused = draft("zhejiang", "shanghai", NOW)
    refused.body.purpose = 99
    try:
        answer_query(refused.signed(province("zhejiang")), call, shanghai.snapshot, shanghai.answering)
    except SignedRefusalError as error:
        signed_refusal = error.signed or SignedMessage()
        yield "refusal", signed_refusal.payload
        error.retry_after_s = 5.0
        yield "status", dict(status_of(error).trailing_metadata)["grpc-status-details-bin"]
    spki = zhejiang.province.message_key.verifying.spki
    yield "public-key", bytes([len(spki) // 2]) + spki + zhejiang.province.message_key.sign(b"signed")


def keep_card(node_id: str) -> None:
    """Let Shanghai know a card as a running node does, for evidence."""
    card = province(node_id).card()
    text = dsse.to_json(card.message)
    federation()["shanghai"].log.transact(
        lambda transaction: put_card(transaction, bytes.fromhex(card.fingerprint), node_id, 1, text)
    )


def text_seeds() -> Iterator[tuple[str, bytes]]:
    zhejiang, shanghai = federation()["zhejiang"], federation()["shanghai"]
    for _ in range(3):
        zhejiang.ask("shanghai")
    note = shanghai.log.latest_checkpoint()
    shanghai.witnessing.round()
    for node_id in ("shanghai", "zhejiang"):
        keep_card(node_id)
    cosigned = zhejiang.witness.cosigned_note(province("shanghai").log_origin)
    yield "note", note.encode()
    yield "note", cosigned.encode()
    yield "verifier-key", vkey("shanghai").encode()
    yield "verifier-key", province("zhejiang").witness.verifier.vkey.encode()
    with shanghai.log.reading() as connection:
        rows = audit_rows.read_entries_before(connection, 10**6, 100)
        collector = Collector(connection, shanghai.log.vault, ("shanghai", "zhejiang"))
        bundle = collector.bundle(collector.find(rows[0].exchange_id), None)
        consistency = prove_consistency(connection, 1, 3)
    for row in rows[:2]:
        yield "leaf", row.leaf
    yield "bundle", bundle.render()
    yield "proof-file", bundle.proof.encode()
    yield "tile-leaves", bundle_leaves([row.leaf for row in rows])
    for path in ("tile/0/000", "tile/entries/x001/234.p/17", "tile/1/x001/x002/003"):
        yield "tile-path", path.encode()
    yield "witness-body", render_body(1, consistency, note)
    assert verifier().name in note
    uri = "pkcs11:token=province;object=message?module-path=/usr/lib/hsm.so&pin-source=file:keys/pin"
    yield "key-uri", uri.encode()
    yield "identifier", LEARNER.encode()


def file_seeds() -> Iterator[tuple[str, bytes]]:
    rows = [make_row(number) for number in range(3)]
    lines = [",".join(COLUMNS), *(",".join(row.get(c, "") for c in COLUMNS) for row in rows)]
    yield "csv", "\r\n".join(lines).encode()
    for province_ in ("zhejiang", "jiangsu"):
        for path in sorted((EXAMPLES / province_ / "records").glob("*.csv"))[:3]:
            yield "csv", b"\n".join(path.read_bytes().split(b"\n")[:4])
    yield "json-lines", "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
    yield "workbook", workbook(rows)
    yield "elmo", documents.elmo().encode()
    yield "elmo", documents.elmo(namespace=documents.ELMO_2).encode()
    yield "elmo", documents.signed_xml(documents.elmo())
    for document in (documents.achievement_credential(), documents.clr(), documents.learning_model()):
        yield "credential", json.dumps(document).encode()
    yield "credential", json.dumps(documents.signed_jcs(documents.clr())).encode()
    for name in ("zhejiang", "shanghai"):
        yield "node-toml", (EXAMPLES / name / "node.toml").read_bytes()
        yield "access", (EXAMPLES / name / "access.toml").read_bytes()
    yield "scheme", (EXAMPLES / "anhui" / "scheme.toml").read_bytes()
    yield "scheme", simple_text("cn-example").encode()
    card = province("zhejiang").card()
    yield "peer", render_peer_file(card, dsse.to_json(card.message), NOW).encode()


def page_seeds() -> Iterator[tuple[str, bytes]]:
    code = LearningCode("shanghai", seed("code")[:CODE_ID_BYTES], seed("secret")[:SECRET_BYTES])
    yield "learning-code", code.text.encode()
    yield "learning-code", code.typed.encode()
    age = (
        b"age-encryption.org/v1\n-> scrypt c2FsdHNhbHRzYWx0c2FsdA 1\n"
        + b"A" * 43
        + b"\n--- "
        + b"A" * 43
        + b"\n"
    )
    yield "archive-file", bytes([0]) + age + b"\0" * 32
    desk = office(federation()["zhejiang"])
    yield "archive-file", bytes([1]) + desk.export(SAVED, record(1))
    yield "archive-file", bytes([2]) + desk.export("clr", record(1))
    for path in sorted((EXAMPLES / "departments").glob("*.toml")):
        yield "department", path.read_bytes()
    bodies = {
        "/verify/code": (1, f"code={code.text}&organisation=A+school".encode()),
        "/verify/document": (
            2,
            b'--b\r\nContent-Disposition: form-data; name="document"; filename="a.json"\r\n\r\n{"type": []}\r\n--b--\r\n',
        ),
        "/v1/searches": (0, b'{"purpose": "employment", "kinds": ["course"], "peers": ["anhui"]}'),
        "/v1/codes/redemptions": (0, json.dumps({"code": code.text, "organisation": "A school"}).encode()),
        "/v1/accesses": (0, b"limit=3&cursor=x"),
        "/preferences": (0, b"language=zh&theme=dark&back=/verify"),
    }
    for number, (_, path_to) in enumerate(REQUESTS):
        if path_to in bodies:
            form, body = bodies[path_to]
            yield "page-request", bytes([number, form]) + body


def workbook(rows: list[dict[str, str]]) -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(COLUMNS)
    for row in rows:
        sheet.append([row.get(column, "") for column in COLUMNS])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def main() -> None:
    numbers: dict[str, int] = {}
    for seeds in (message_seeds, text_seeds, file_seeds, page_seeds):
        for name, data in seeds():
            numbers[name] = numbers.get(name, 0) + 1
            folder = CORPUS / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"valid-{numbers[name]}").write_bytes(data)


if __name__ == "__main__":
    main()
