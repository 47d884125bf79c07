"""Section 1, transport: TLS, deadlines, limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from gateway.conformance.case import Case, echo
from gateway.conformance.draft import ECHO, EXCHANGE, UNKNOWN_FIELD, Draft
from gateway.conformance.expectation import (
    DepartureError,
    Expectation,
    Reply,
    answered,
    no_entry,
    refused,
    require_answer,
    status,
)
from gateway.conformance.session import Session
from gateway.rpc.channels import TlsLeaf
from gateway.rpc.old_tls import call_over_tls_1_2

SECTION = "1 Transport"
HEALTH = "/grpc.health.v1.Health/Check"
SERVING = b"\x08\x01"
LIMIT_BYTES = 256 * 1024
PASSED_S = 95
"""How many days ago a leaf of 90 days was issued that has expired."""

LeafOf = Callable[[Session], TlsLeaf | None]


def _with_leaf(id_: str, sent: str, must: Expectation, leaf: LeafOf) -> Case:
    def run(session: Session) -> Sequence[Reply]:
        known = session.send(session.echo())  # that the node answers at all
        draft = session.echo().sign()
        connection = session.connect(leaf(session))
        try:
            raw = connection.call(draft.method, draft.request, 10)
        finally:
            connection.close()
        return [known, Reply(raw, ECHO, draft, session.card, session.clock())]

    return Case(id_, SECTION, sent, must, run)


def _expired(session: Session) -> TlsLeaf:
    return session.identity.leaf_named(
        session.clock() - timedelta(days=PASSED_S), session.identity.node_id, days=90
    )


def _old_tls(session: Session) -> Sequence[Reply]:
    known = session.send(session.echo())
    draft, identity = session.echo().sign(), session.identity
    raw = call_over_tls_1_2(
        session.endpoint, session.card.node_id, session.card.ca_pem, identity.leaf, ECHO, draft.request
    )
    return [known, Reply(raw, ECHO, draft, session.card, session.clock())]


def _deadline(id_: str, sent: str, must: Expectation, seconds: float | None) -> Case:
    return Case(id_, SECTION, sent, must, lambda session: [session.send(session.echo(), timeout_s=seconds)])


def _padded(size: int) -> Callable[[Draft, Session], None]:
    """Return a change that makes the request ``size`` bytes long by an unknown field, which is kept."""

    def change(draft: Draft, _session: Session) -> None:
        room = size - len(draft.sign().request) - len(UNKNOWN_FIELD) + 1
        draft.after_request = UNKNOWN_FIELD[:5] + _varint(room) + bytes(room)

    return change


def _varint(number: int) -> bytes:
    return bytes([number & 127 | 128, number >> 7 & 127 | 128, number >> 14])


def _is_serving(replies: Sequence[Reply]) -> None:
    if replies[-1].raw.code != "OK" or replies[-1].raw.body != SERVING:
        raise DepartureError("the health service does not say SERVING")


def _large_metadata(session: Session) -> Sequence[Reply]:
    request = session.echo().sign().request
    return [
        session.send(session.echo()),
        session.call(ECHO, request, metadata=(("x-filler", "y" * 20_000),)),
    ]


def _compressed(session: Session) -> Sequence[Reply]:
    """1 MiB that travels as a kilobyte: the limit holds for what is unpacked."""
    draft = session.echo()
    _padded(1024 * 1024)(draft, session)
    sent = draft.sign()
    raw = session.connection.call(ECHO, sent.request, 10, is_compressed=True)
    return [Reply(raw, ECHO, sent, session.card, session.clock())]


def _is_refused(replies: Sequence[Reply]) -> None:
    require_answer(replies[0])
    if replies[-1].raw.code == "OK":
        raise DepartureError("it was answered")


STRANGER = no_entry("UNKNOWN_PEER")

CASES = (
    Case(
        "transport-health",
        SECTION,
        "a call of the standard health service",
        Expectation("SERVING", _is_serving),
        lambda session: [session.call(HEALTH, b"")],
    ),
    Case(
        "transport-unknown-method",
        "6 Refusals",
        "a call of a method that no service has",
        status("UNIMPLEMENTED"),
        lambda session: [session.call(f"{EXCHANGE}/ListLearners", b"")],
    ),
    _with_leaf("transport-no-certificate", "no client certificate", STRANGER, lambda _session: None),
    _with_leaf(
        "transport-strange-authority",
        "a leaf in the own name by an authority that nobody accepted",
        STRANGER,
        lambda session: session.identity.leaf_named(session.clock(), session.identity.node_id, stranger=True),
    ),
    _with_leaf(
        "transport-foreign-name",
        "a leaf by the own authority in another node's name",
        STRANGER,
        lambda session: session.identity.leaf_named(session.clock(), "somebody-else"),
    ),
    _with_leaf(
        "transport-name-below",
        "a leaf by the own authority in a name below the own one",
        STRANGER,
        lambda session: session.identity.leaf_named(session.clock(), f"other.{session.identity.node_id}"),
    ),
    _with_leaf(
        "transport-two-names",
        "a leaf with two names, the first of them the own one",
        STRANGER,
        lambda session: session.identity.leaf_named(
            session.clock(), session.identity.node_id, f"other.{session.identity.node_id}"
        ),
    ),
    _with_leaf("transport-expired-leaf", "a leaf that has expired", STRANGER, _expired),
    Case("transport-tls-1-2", SECTION, "an echo over TLS 1.2", no_entry("TLS_TOO_OLD"), _old_tls),
    _deadline(
        "transport-deadline-missing",
        "no deadline",
        refused("DEADLINE_MISSING", metadata=["deadlineSecondsMax"]),
        None,
    ),
    _deadline(
        "transport-deadline-too-long",
        "a deadline of 60 s",
        refused("DEADLINE_TOO_LONG", metadata=["deadlineSecondsMax"]),
        60,
    ),
    _deadline("transport-deadline-longest", "a deadline of 30 s", answered(), 30),
    echo(
        "transport-message-large",
        SECTION,
        "a message of just under 256 KiB",
        answered(),
        _padded(LIMIT_BYTES - 64),
    ),
    echo(
        "transport-message-too-large",
        "6 Refusals",
        "a message of more than 256 KiB",
        status("RESOURCE_EXHAUSTED"),
        _padded(LIMIT_BYTES + 64),
    ),
    Case(
        "transport-message-compressed",
        "6 Refusals",
        "a message of 1 MiB, compressed to about 1 KiB",
        status("RESOURCE_EXHAUSTED", "UNIMPLEMENTED"),
        _compressed,
    ),
    Case(
        "transport-metadata-too-large",
        SECTION,
        "20,000 bytes of metadata",
        Expectation("a refusal", _is_refused),
        _large_metadata,
    ),
)
