"""What the fuzzer found, each by the shortest way to it. All were errors of libraries that came out."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2

from creditexchange.v1 import change_pb2, consent_pb2
from creditexchange.v1.exchange_pb2 import RecordQuery
from creditexchange.v1.node_pb2 import NodeCard
from gateway.errors import CardError, EnvelopeError, RefusedError
from gateway.exchange.evidence_bundle import BundleError
from gateway.exchange.messages import (
    CHANGE_NOTICE_TYPE,
    CONSENT_REVOCATION_TYPE,
    NOTIFY_CHANGE,
    REVOKE_CONSENT,
)
from gateway.peers.roster import Roster
from gateway.peers.tls_identity import TlsIdentities
from gateway.signing.cosignature import TIME_S_MAX, CosignatureVerifier
from gateway.signing.signed_note import NoteError
from tests.federation.provinces import NOW
from tests.fuzz import make_corpus
from tests.fuzz.__main__ import COMMITTED
from tests.fuzz.keys import province
from tests.fuzz.message_targets import METHOD_NAMES, card, handler, status
from tests.fuzz.text_targets import bundle

NO_TIMES = [(2**62, 0), (-(2**40), 0), (1_800_000_000, -5), (1_800_000_000, 2**31 - 1)]


def no_time(stamp: Timestamp, seconds: int, nanos: int) -> None:
    stamp.seconds, stamp.nanos = seconds, nanos


def card_with(change: Callable[[NodeCard], None]) -> bytes:
    made = NodeCard.FromString(province("zhejiang").card().message.payload)
    change(made)
    return made.SerializeToString()


@pytest.mark.parametrize("time", NO_TIMES)
@pytest.mark.parametrize("member", ["issue_time", "expire_time"])
def test_a_card_whose_times_are_none_is_refused(member: str, time: tuple[int, int]) -> None:
    payload = card_with(lambda made: no_time(getattr(made, member), *time))
    with pytest.raises(EnvelopeError, match=f"{member} is no time"):
        card(payload)


def test_a_card_whose_key_begins_at_no_time_is_refused() -> None:
    with pytest.raises(EnvelopeError, match="start_time is no time"):
        card(card_with(lambda made: no_time(made.keys[0].start_time, *NO_TIMES[0])))


def test_a_card_whose_authority_has_no_readable_key_is_refused() -> None:
    """The certificate parses; its key is only read when the peers' list is built, which every start does."""
    der = province("zhejiang").ca.public_bytes(Encoding.DER)
    point = province("zhejiang").ca_key.public_key().public_numbers()
    broken = der.replace(point.x.to_bytes(32, "big"), bytes(32))
    assert x509.load_der_x509_certificate(broken)

    def change(made: NodeCard) -> None:
        made.tls_ca_certificates[0] = broken

    with pytest.raises(CardError, match="one is no X"):
        card(card_with(change))


def other_version(certificate: x509.Certificate) -> bytes:
    """The same certificate as of a version that X.509 does not have."""
    version = b"\xa0\x03\x02\x01"
    der = certificate.public_bytes(Encoding.DER)
    assert version + b"\x02" in der
    return der.replace(version + b"\x02", version + b"\x2e", 1)


def test_a_certificate_of_an_unknown_version_is_refused_as_an_authority_and_as_a_leaf() -> None:
    shanghai = province("shanghai")

    def change(made: NodeCard) -> None:
        made.tls_ca_certificates[0] = other_version(shanghai.ca)

    with pytest.raises(CardError, match="one is no X"):
        card(card_with(change))
    text = b64encode(other_version(shanghai.leaf()))
    pem = b"-----BEGIN CERTIFICATE-----\n" + text + b"\n-----END CERTIFICATE-----\n"
    with pytest.raises(RefusedError) as refused:
        TlsIdentities().prove(pem, Roster.of([shanghai.peer()]), NOW)
    assert refused.value.reason == "UNKNOWN_PEER"


@pytest.mark.parametrize("time", NO_TIMES)
def test_a_notice_of_a_change_at_no_time_is_refused(time: tuple[int, int]) -> None:
    body = change_pb2.ChangeNoticeBody(notice_id=bytes(16))
    change = body.changes.add(exchange_id=bytes(16), commitment=bytes(32), state=1)
    no_time(change.change_time, *time)
    notice = change_pb2.ChangeNotice(
        header=make_corpus.header_for(NOTIFY_CHANGE), body=body.SerializeToString()
    )
    message = make_corpus.signed(CHANGE_NOTICE_TYPE, notice.SerializeToString())
    request = change_pb2.NotifyChangeRequest(message=message).SerializeToString()
    with pytest.raises(RefusedError) as refused:
        handler(bytes([METHOD_NAMES.index(NOTIFY_CHANGE)]) + request)
    assert refused.value.reason == "MALFORMED_MESSAGE"


@pytest.mark.parametrize("time", NO_TIMES)
def test_a_revocation_at_no_time_is_refused(time: tuple[int, int]) -> None:
    statement = consent_pb2.ConsentRevocation(consent_id=bytes(16), issuing_node_id="zhejiang")
    statement.revoke_time.FromDatetime(datetime(2026, 11, 23, tzinfo=UTC))
    no_time(statement.consent_end_time, *time)
    message = make_corpus.signed(CONSENT_REVOCATION_TYPE, statement.SerializeToString())
    request = consent_pb2.RevokeConsentRequest(message=message).SerializeToString()
    with pytest.raises(RefusedError) as refused:
        handler(bytes([METHOD_NAMES.index(REVOKE_CONSENT)]) + request)
    assert refused.value.reason == "MALFORMED_MESSAGE"


def test_a_bundle_whose_request_was_made_at_no_time_proves_nothing() -> None:
    made = json.loads((COMMITTED / "bundle" / "valid-1").read_bytes())
    query = RecordQuery.FromString(b64decode(made["request"]["payload"]))
    query.header.issue_time.seconds = 2**62
    made["request"]["payload"] = b64encode(query.SerializeToString()).decode()
    with pytest.raises(BundleError, match="is no time"):
        bundle(rfc8785.dumps(made) + b"\n")


def test_a_peer_that_says_come_back_in_an_eternity_is_a_peer_without_details() -> None:
    stated = status_pb2.Status(code=8, message="x")
    info = error_details_pb2.ErrorInfo(reason="RATE_EXCEEDED", domain="creditexchange.v1")
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.seconds = 2**62
    for detail in (info, retry):
        stated.details.add().Pack(detail)
    status(stated.SerializeToString())


def test_a_witness_cannot_sign_at_a_time_that_cannot_be_shown() -> None:
    signer, text = province("zhejiang").witness, "audit.example\n1\nAAAA\n"
    verifier = CosignatureVerifier.from_vkey(signer.verifier.vkey)
    for time_s in (TIME_S_MAX, TIME_S_MAX + 1):
        line = signer.signature_line(text, time_s)
        signature = b64decode(line.rsplit(" ", 1)[1])[4:]
        if time_s == TIME_S_MAX:
            assert datetime.fromtimestamp(verifier.verify(signature, text), UTC).year == 9999
            continue
        with pytest.raises(NoteError, match="malformed"):
            verifier.verify(signature, text)
