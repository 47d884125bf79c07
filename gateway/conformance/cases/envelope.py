"""Section 2, envelope: signatures, keys, payload types, unknown fields."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from creditexchange.v1.envelope_pb2 import SignedMessage
from creditexchange.v1.exchange_pb2 import QueryRecordsRequest
from gateway.conformance.case import Case, echo, query, tampered
from gateway.conformance.draft import QUERY_RECORDS, UNKNOWN_FIELD, Draft, Tampering
from gateway.conformance.expectation import Reply, answered, refused
from gateway.conformance.session import Session
from gateway.conformance.wire import payload_type, signed_bytes
from gateway.signing.suites import SigningKey

SECTION = "2 Envelope"

MALFORMED = refused("MALFORMED_MESSAGE")
INVALID = refused("INVALID_SIGNATURE")
UNKNOWN_KEY = refused("UNKNOWN_KEY")


def _replaced(change: Callable[[bytes], bytes]) -> Callable[[Session], Tampering]:
    def tamper(message: SignedMessage) -> None:
        message.signatures[0].signature = change(message.signatures[0].signature)

    return lambda _session: tamper


def _resigned(key: Callable[[Session], SigningKey], key_id: str = "") -> Callable[[Session], Tampering]:
    """Sign with another key, under its own key id or ``message``: that of the card's message key."""

    def of(session: Session) -> Tampering:
        def tamper(message: SignedMessage) -> None:
            signer = key(session)
            named = session.identity.message.key_id if key_id == "message" else signer.key_id
            signature = signer.sign(signed_bytes(message.payload_type, message.payload))
            if named == message.signatures[0].key_id:
                message.signatures[0].signature = signature
                return
            del message.signatures[:]
            message.signatures.add(key_id=named, signature=signature)

        return tamper

    return of


def _signed_over(data: Callable[[SignedMessage], bytes]) -> Callable[[Session], Tampering]:
    def of(session: Session) -> Tampering:
        def tamper(message: SignedMessage) -> None:
            message.signatures[0].signature = session.identity.message.sign(data(message))

        return tamper

    return of


def _always(tamper: Tampering) -> Callable[[Session], Tampering]:
    return lambda _session: tamper


def _drop(message: SignedMessage) -> None:
    del message.signatures[:]


def _twice(message: SignedMessage) -> None:
    message.signatures.add().CopyFrom(message.signatures[0])


def _beside(count: int) -> Callable[[Session], Tampering]:
    """Add ``count`` signatures by keys that nobody knows."""

    def tamper(message: SignedMessage) -> None:
        for _ in range(count):
            stranger = SigningKey.generate()
            message.signatures.add(key_id=stranger.key_id, signature=secrets.token_bytes(64))

    return _always(tamper)


def _upper_case(message: SignedMessage) -> None:
    for signature in message.signatures:
        prefix, digits = signature.key_id.split(":")
        signature.key_id = f"{prefix}:{digits.upper()}"


def _huge_key_id(message: SignedMessage) -> None:
    for length, signature in enumerate(message.signatures, 3_000):
        signature.key_id = "../" * length


def _payload_changed(message: SignedMessage) -> None:
    flipped = bytearray(message.payload)
    flipped[-1] ^= 1
    message.payload = bytes(flipped)


def _sign_again(session: Session, message: SignedMessage) -> None:
    signed = signed_bytes(message.payload_type, message.payload)
    keys = (session.identity.message, *session.identity.further_message)
    for signature, key in zip(message.signatures, keys, strict=True):
        signature.signature = key.sign(signed)


def _empty_payload(session: Session) -> Tampering:
    def tamper(message: SignedMessage) -> None:
        message.payload = b""
        _sign_again(session, message)

    return tamper


def _garbage_payload(session: Session) -> Tampering:
    def tamper(message: SignedMessage) -> None:
        message.payload = b"\xff" * 40
        _sign_again(session, message)

    return tamper


def _typed(name: str) -> Callable[[Draft], None]:
    def change(draft: Draft) -> None:
        draft.type_ = payload_type(name) if name.isascii() else name

    return change


def _echo_with_stranger(session: Session) -> Sequence[Reply]:
    return [session.send(session.echo(), _beside(1)(session))]


def _unknown_field(part: str) -> Callable[[Draft], None]:
    def change(draft: Draft) -> None:
        setattr(draft, part, UNKNOWN_FIELD)

    return change


def _garbage_body(draft: Draft) -> None:
    draft.body, draft.after_body = None, b"\xff" * 20


CASES = (
    tampered("envelope-signature-missing", SECTION, "a message without signature", MALFORMED, _always(_drop)),
    tampered("envelope-five-signatures", SECTION, "a message with five signatures", MALFORMED, _beside(4)),
    tampered("envelope-two-by-one-key", SECTION, "two signatures by one key", MALFORMED, _always(_twice)),
    tampered("envelope-payload-empty", SECTION, "a signed empty payload", MALFORMED, _empty_payload),
    tampered(
        "envelope-payload-garbage",
        SECTION,
        "a signed payload that does not parse",
        MALFORMED,
        _garbage_payload,
    ),
    Case(
        "envelope-message-missing",
        SECTION,
        "a request without signed message",
        MALFORMED,
        lambda session: [session.call(QUERY_RECORDS, QueryRecordsRequest().SerializeToString())],
    ),
    Case(
        "envelope-request-garbage",
        SECTION,
        "a request that does not parse",
        MALFORMED,
        lambda session: [session.call(QUERY_RECORDS, b"\xff" * 64)],
    ),
    Case(
        "envelope-request-truncated",
        SECTION,
        "a request that lacks its last byte",
        MALFORMED,
        lambda session: [session.call(QUERY_RECORDS, session.query().sign().request[:-1])],
    ),
    query(
        "envelope-type-of-echo",
        SECTION,
        "a query signed with the payload type of an echo",
        refused("WRONG_PAYLOAD_TYPE", metadata=["payloadType", "expected"]),
        _typed("echo-query"),
    ),
    query(
        "envelope-type-of-card",
        SECTION,
        "a query signed with the payload type of a card",
        refused("WRONG_PAYLOAD_TYPE", metadata=["payloadType", "expected"]),
        _typed("node-card"),
    ),
    query(
        "envelope-type-not-ascii",
        SECTION,
        "a payload type that is not ASCII",
        refused("MALFORMED_MESSAGE", "WRONG_PAYLOAD_TYPE"),
        _typed("学分"),
    ),
    tampered(
        "envelope-key-unknown",
        SECTION,
        "a signature by a key that no card lists",
        UNKNOWN_KEY,
        _resigned(lambda _session: SigningKey.generate()),
    ),
    tampered(
        "envelope-key-of-log",
        SECTION,
        "a signature by the card's key for its log",
        UNKNOWN_KEY,
        _resigned(lambda session: session.identity.log),
    ),
    tampered(
        "envelope-key-of-witness",
        SECTION,
        "a signature by the card's key for its witness",
        UNKNOWN_KEY,
        _resigned(lambda session: session.identity.witness),
    ),
    tampered(
        "envelope-key-id-upper-case", SECTION, "the key id in upper case", UNKNOWN_KEY, _always(_upper_case)
    ),
    tampered(
        "envelope-key-id-huge",
        SECTION,
        "a key id of 9,000 characters that reads like a path",
        refused("UNKNOWN_KEY", "MALFORMED_MESSAGE"),
        _always(_huge_key_id),
    ),
    tampered(
        "envelope-key-wrong",
        SECTION,
        "a signature by another key under the own key id",
        INVALID,
        _resigned(lambda _session: SigningKey.generate(), "message"),
    ),
    tampered(
        "envelope-signature-flipped",
        SECTION,
        "one bit of the signature is another",
        INVALID,
        _replaced(lambda signature: signature[:20] + bytes([signature[20] ^ 1]) + signature[21:]),
    ),
    tampered(
        "envelope-signature-empty", SECTION, "an empty signature", INVALID, _replaced(lambda _signature: b"")
    ),
    tampered(
        "envelope-signature-truncated",
        SECTION,
        "a signature of 63 bytes",
        INVALID,
        _replaced(lambda signature: signature[:-1]),
    ),
    tampered(
        "envelope-signature-extended",
        SECTION,
        "a signature of 65 bytes",
        INVALID,
        _replaced(lambda signature: signature + b"\0"),
    ),
    tampered(
        "envelope-payload-flipped",
        SECTION,
        "one bit of the signed payload is another",
        INVALID,
        _always(_payload_changed),
    ),
    tampered(
        "envelope-signed-bare",
        SECTION,
        "a signature over the payload without its encoding",
        INVALID,
        _signed_over(lambda message: message.payload),
    ),
    tampered(
        "envelope-signed-as-other-type",
        SECTION,
        "a signature over the encoding under another payload type",
        INVALID,
        _signed_over(lambda message: signed_bytes(payload_type("echo-query"), message.payload)),
    ),
    Case(
        "envelope-stranger-beside",
        SECTION,
        "a correct signature beside one by an unknown key",
        answered(),
        _echo_with_stranger,
    ),
    query(
        "envelope-field-in-body",
        SECTION,
        "an unknown field in the body of a query",
        MALFORMED,
        _unknown_field("after_body"),
    ),
    query("envelope-body-garbage", SECTION, "a body that does not parse", MALFORMED, _garbage_body),
    echo(
        "envelope-field-in-payload",
        SECTION,
        "an unknown field in the payload of an echo",
        answered(),
        lambda draft, _session: _unknown_field("after_payload")(draft),
    ),
    echo(
        "envelope-field-in-request",
        SECTION,
        "an unknown field beside the signed message",
        answered(),
        lambda draft, _session: _unknown_field("after_request")(draft),
    ),
)
