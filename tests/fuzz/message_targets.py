"""Signed messages and what peers send. Signatures are made anew, so that what lies behind them is reached."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from hashlib import sha256
from typing import Any

import grpc
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.rpc import status_pb2

from creditexchange.v1 import audit_pb2, change_pb2, code_pb2, consent_pb2, exchange_pb2, node_pb2
from creditexchange.v1.envelope_pb2 import Header, Opening, SignedMessage
from creditexchange.v1.exchange_pb2 import QueryRecordsResponse, RecordQuery, RecordQueryBody
from gateway.audit.commitment import SUBJECT_TOKEN, commitments_root
from gateway.exchange import messages
from gateway.exchange.answering.handlers import peer_handlers, stream_handlers
from gateway.exchange.asking.compose import Composed, sign_query
from gateway.exchange.asking.verify import verify_answer, verify_refusal
from gateway.learners.subject_token import subject_token
from gateway.peers.card import CARD_PAYLOAD_TYPE, verify_card, verify_card_json
from gateway.peers.roster import Peer
from gateway.policy.consent import CONSENT_TYPE, ConsentUse, parse_consent, verify_consent
from gateway.policy.purposes import KINDS, LEGAL_BASES
from gateway.rpc.methods import METHODS
from gateway.rpc.status import fault_of
from gateway.signing import dsse
from gateway.signing.envelope import open_envelope, parse, parse_strictly, seal, signed_digest
from gateway.signing.suites import VerifyingKey
from tests.federation.provinces import NOW
from tests.federation.simulator import EMPLOYMENT, LEARNER, SECRET, STATUTE, Federation, incoming
from tests.fuzz.keys import federation, province, scratch, seed

EXECUTIONS_A_LOG = 5_000
"""After so many a log is begun anew: it would fill the memory."""

REQUESTS: Mapping[str, Any] = {
    f"/{file.DESCRIPTOR.package}.{service.name}/{method.name}": getattr(file, method.input_type.name)
    for file in (exchange_pb2, audit_pb2, change_pb2, consent_pb2, code_pb2, node_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
METHOD_NAMES = tuple(sorted(method.name for method in METHODS))


@cache
def peer_of(node_id: str) -> Peer:
    return province(node_id).peer()


def envelope(data: bytes) -> None:
    message = parse_strictly(SignedMessage, data, "message")
    peer = peer_of("zhejiang")
    open_envelope(message, messages.RECORD_QUERY_TYPE, lambda key_id: peer.message_key(key_id, NOW))


def card(data: bytes) -> None:
    """``data`` is a card's payload, signed here by the key that the invented province has."""
    made = verify_card(seal(data, CARD_PAYLOAD_TYPE, [province("zhejiang").message_key]))
    use_card(made)


def card_json(data: bytes) -> None:
    use_card(verify_card_json(data, "fuzz"))


def use_card(made: Any) -> None:
    """What a node does with each card that it accepted."""
    made.message_suites(NOW)
    assert made.log_verifier.name == made.log_origin
    assert made.ca_pem.startswith(b"-----BEGIN")
    assert made.witness_verifier is None or made.witness_verifier.name
    for ca in made.cas:
        ca.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def consent(data: bytes) -> None:
    """``data`` is what a consent says."""
    issuer = province("zhejiang")
    message = seal(data, CONSENT_TYPE, [issuer.message_key])
    token = subject_token(SECRET, "resident-id", LEARNER)
    verify_consent(
        parse_consent(message.SerializeToString()),
        ConsentUse("zhejiang", "shanghai", token, "2026", EMPLOYMENT, [KINDS["course"]]),
        find_key=lambda i: (key := peer_of("zhejiang").message_key(i, NOW)) and ("zhejiang", key),
        issuers={"zhejiang"},
        is_revoked=lambda *_: False,
        now=NOW,
        skew_s=30,
    )


@dataclass
class Handling:
    """A node that is asked, and how often it was."""

    federation: Federation
    count: int = 0


_handling: list[Handling] = []


def handling() -> Handling:
    if not _handling or _handling[0].count >= EXECUTIONS_A_LOG:
        federation.cache_clear()
        scratch.cache_clear()
        for old in _handling:
            for node in old.federation.nodes.values():
                node.log.close()
                node.log._database.dispose()
            shutil.rmtree(node.database.parent)
        _handling[:] = [Handling(federation())]
    _handling[0].count += 1
    return _handling[0]


def handler(data: bytes) -> None:
    """The first byte names the method, the rest is its request; what is signed in it is signed anew."""
    method, content = METHOD_NAMES[(data[0] if data else 0) % len(METHOD_NAMES)], data[1:]
    now = handling()
    node = now.federation["shanghai"]
    content = signed_anew(REQUESTS[method], content, now.count)
    call = incoming(node, "zhejiang", method)
    if method in (streams := stream_handlers(node.answering)):
        for _ in streams[method](content, call, node.snapshot):
            pass
        return
    peer_handlers(node.answering, node.witness)[method](content, call, node.snapshot)


def signed_anew(kind: Any, content: bytes, count: int) -> bytes:
    """Give the request a message id that was not seen, and a signature that verifies."""
    request = parse(kind, content, "request")
    message = getattr(request, "message", None)
    if message is None or not message.payload or not message.payload_type.isascii():
        return content
    fresh = RecordQuery(header=Header(message_id=sha256(b"%d" % count).digest()[:16]))
    payload = message.payload
    if b"revocation" not in message.payload_type.encode():  # the only payload without a header
        payload += fresh.SerializeToString()
    message.CopyFrom(seal(payload, message.payload_type, [province("zhejiang").message_key]))
    return bytes(request.SerializeToString())


@cache
def composed() -> Composed:
    """The query that the corpus of answers is bound to."""
    opening = Opening(
        item_type=SUBJECT_TOKEN,
        key=seed("opening"),
        item=subject_token(SECRET, "resident-id", LEARNER),
    )
    body = RecordQueryBody(
        purpose=EMPLOYMENT,
        kinds=[KINDS["course"]],
        subjects_root=commitments_root([opening]),
        subject_count=1,
        federation_epoch="2026",
        legal_basis=LEGAL_BASES["statutory-duty"],
    ).SerializeToString(deterministic=True)
    assert LEGAL_BASES["statutory-duty"] == STATUTE
    header = Header(
        protocol_version=1,
        message_id=seed("message")[:16],
        exchange_id=seed("exchange")[:16],
        pair_sequence=1,
        sender="zhejiang",
        audience="shanghai",
        method=messages.QUERY_RECORDS,
    )
    header.issue_time.FromDatetime(NOW)
    header.expire_time.FromDatetime(NOW + timedelta(seconds=60))
    message = sign_query(header, body, federation()["zhejiang"].snapshot)
    return Composed(
        peer=peer_of("shanghai"),
        method=messages.QUERY_RECORDS,
        purpose=EMPLOYMENT,
        header=header,
        body=body,
        message=message,
        openings=(opening,),
        digest=signed_digest(message),
        subject_tokens=(opening.item,),
    )


def answer(data: bytes) -> None:
    """A peer's answer, signed by it whatever it says."""
    response = parse(QueryRecordsResponse, data, "response")
    if response.message.payload:
        signed = seal(
            response.message.payload, messages.RECORD_ANSWER_TYPE, [province("shanghai").message_key]
        )
        response.message.CopyFrom(signed)
    snapshot = federation()["zhejiang"].snapshot
    verify_answer(composed(), response.SerializeToString(), snapshot, NOW)


def refusal(data: bytes) -> None:
    """A peer's refusal: ``data`` is its payload."""
    if not data:
        return
    message = seal(data, messages.REFUSAL_TYPE, [province("shanghai").message_key])
    verify_refusal(composed(), message, "UNKNOWN_PURPOSE", federation()["zhejiang"].snapshot, NOW)


class StatusOfPeer(grpc.RpcError):
    """A call that failed with the details that a peer sent."""

    def __init__(self, details: bytes, stated: status_pb2.Status) -> None:
        self._details, self._stated = details, stated

    def code(self) -> Any:
        """The peer states it twice, and alike."""
        codes = {code.value[0]: code for code in grpc.StatusCode}
        return codes.get(self._stated.code, grpc.StatusCode.UNKNOWN)

    def details(self) -> str:
        return self._stated.message

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        return (("grpc-status-details-bin", self._details),)


def status(data: bytes) -> None:
    stated = parse(status_pb2.Status, data, "status")
    fault_of(StatusOfPeer(data, stated), 5.0)


def dsse_json(data: bytes) -> None:
    message = dsse.from_json(data)
    again = dsse.from_json(dsse.to_json(message))
    assert again == message


def public_key(data: bytes) -> None:
    """The first byte is the length of the key, which is followed by a signature."""
    length = 2 * data[0] if data else 0
    VerifyingKey.from_spki(data[1 : 1 + length]).verify(data[1 + length :], b"signed")


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "answer": answer,
    "card": card,
    "card-json": card_json,
    "consent": consent,
    "dsse-json": dsse_json,
    "envelope": envelope,
    "handler": handler,
    "public-key": public_key,
    "refusal": refusal,
    "status": status,
}
