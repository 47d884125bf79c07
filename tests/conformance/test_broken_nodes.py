"""A real node with one check taken out fails exactly the cases that are about that check."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import grpc
import pytest

from gateway.audit import Appended, AuditLog, SeenMessage, group, witness
from gateway.clock import monotonic_s
from gateway.conformance.draft import UNKNOWN_FIELD
from gateway.conformance.registry import CASES
from gateway.exchange import learning_codes
from gateway.exchange.answering import admit as admit_step
from gateway.exchange.answering import (
    answer,
    audit_log,
    authorise,
    bulk,
    bulk_authorise,
    card,
    echo,
    handlers,
    log,
    notices,
    redemptions,
    refuse,
    seal,
)
from gateway.exchange.answering import open as open_step
from gateway.exchange.messages import ExchangeSettings, Opened
from gateway.peers import tls_identity
from gateway.peers.card import CardKey
from gateway.peers.roster import Peer
from gateway.policy import rates
from gateway.policy.grants import Access
from gateway.rpc import guard, status
from gateway.signing import envelope
from gateway.signing.envelope import OpenedEnvelope, parse
from tests.conformance.node_under_test import UnderTest, make_under_test, outcomes, serving

Break = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture(scope="module")
def shanghai(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UnderTest]:
    under_test = make_under_test(tmp_path_factory.mktemp("broken"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rates, "FAILED_SIGNATURES_PER_10_S", 10_000)  # several runs in a row
        patch.setattr(learning_codes, "WRONG_CODES_PER_MINUTE_MAX", 10_000)
        with serving(under_test):
            yield under_test


@dataclass
class Broken:
    """A check that is taken out, and the cases that must notice."""

    name: str
    take_out: Break
    noticed_by: set[str]


def admitting(change: Callable[[Any, Any], tuple[Any, Any]]) -> Break:
    """Let the step admit see another message or another snapshot than what came."""
    real = admit_step.admit

    def admit(opened, snapshot, audit):
        admitted = real(*change(opened, snapshot), audit)
        return replace(admitted, opened=opened)

    def take_out(patch: pytest.MonkeyPatch) -> None:
        for module in (answer, admit_step):
            patch.setattr(module, "admit", admit)

    return take_out


def setting(target: object, name: str, value: object) -> Break:
    return lambda patch: patch.setattr(target, name, value)


def any_audience(opened, snapshot):
    return opened, replace(snapshot, node_id=opened.header.audience)


def any_method(opened, snapshot):
    header = type(opened.header)()
    header.CopyFrom(opened.header)
    header.method = opened.call.method
    return replace(opened, header=header), snapshot


def any_time(opened, snapshot):
    return opened, replace(snapshot, settings=ExchangeSettings(skew_s=10**6))


def no_replay_guard(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(AuditLog, "has_seen", lambda _self, _id: False)
    for module in (log, redemptions):
        patch.setattr(module, "SeenMessage", lambda _id, until: SeenMessage(secrets.token_bytes(16), until))


def no_signature(message, expected_type, find_key) -> OpenedEnvelope:
    """Everything that open_envelope does but to verify."""
    real_key = find_key

    class Trusting:
        def __init__(self, key) -> None:
            self.key_id, self.suite, self.required_suites = key.key_id, key.suite, key.required_suites

        def verify(self, _signature: bytes, _data: bytes) -> None:
            """Believe it."""

    return OPEN_ENVELOPE(message, expected_type, lambda i: (key := real_key(i)) and Trusting(key))


OPEN_ENVELOPE = open_step.open_envelope


def receipts_of_the_entry_before(patch: pytest.MonkeyPatch) -> None:
    real, before = AuditLog.append_all, []

    def append_all(self, entries):
        outcomes = real(self, entries)
        for at, outcome in enumerate(outcomes):
            if isinstance(outcome, Appended):
                before.append(outcome)
                outcomes[at] = before[max(0, len(before) - 2)]
        return outcomes

    patch.setattr(AuditLog, "append_all", append_all)


def a_new_answer_to_each_retry(patch: pytest.MonkeyPatch) -> None:
    real = log._answer

    def fresh(translated, snapshot):
        body, openings, count = real(translated, snapshot)
        return body + UNKNOWN_FIELD[:-4] + secrets.token_bytes(4), openings, count

    patch.setattr(log, "_answer", fresh)
    patch.setattr(group, "find_second_answers", lambda *_: set())  # the log would refuse it too


def any_role(self, key_id, now):
    found = self.card.keys.get(key_id)
    return replace(found.key, required_suites=self.card.message_suites(now)) if found else None


def unbound(patch: pytest.MonkeyPatch) -> None:
    real = seal.answer_header

    def header(*args):
        made = real(*args)
        made.request_digest = secrets.token_bytes(32)
        return made

    for module in (seal, refuse, echo, notices, redemptions):
        patch.setattr(module, "answer_header", header)


def any_tls(self, context, snapshot) -> Peer:
    return self._identities.prove(
        b"".join(context.auth_context()["x509_pem_cert"]), snapshot.roster, self.clock()
    )


def one_sequence_off(patch: pytest.MonkeyPatch) -> None:
    real = Opened.entry

    def entry(self, *args):
        return replace(real(self, *args), peer_seq=self.header.pair_sequence + 1)

    patch.setattr(Opened, "entry", entry)


SIGNATURES = {
    "envelope-key-wrong",
    "envelope-payload-flipped",
    "envelope-signature-empty",
    "envelope-signature-extended",
    "envelope-signature-flipped",
    "envelope-signature-truncated",
    "envelope-signed-as-other-type",
    "envelope-signed-bare",
    "refusal-unsigned-signature",
    "suites-confused-ecdsa-p256",
    "suites-confused-ml-dsa-65",
    "suites-confused-sm2",
    "suites-swapped",
}

AUDIENCE = {
    "code-audience",
    "header-audience-missing",
    "header-audience-other",
    "header-order-audience-second",
    "refusal-states-audience",
    "refusal-unsigned-echo",
}
METHOD = {
    "header-method-called-other",
    "header-method-missing",
    "header-method-of-echo",
    "header-method-short",
    "refusal-states-method",
}
HEADER = {
    "header-exchange-id-17-bytes",
    "header-exchange-id-missing",
    "header-expire-time-missing",
    "header-issue-time-missing",
    "header-message-id-15-bytes",
    "header-message-id-missing",
    "header-nanos-out-of-range",
    "header-pair-sequence-missing",
    "header-pair-sequence-too-large",
    "header-protocol-version-missing",
    "header-sender-missing",
    "refusal-unsigned-header",
}
ROOT = {
    "commitment-item-other",
    "commitment-key-31-bytes",
    "commitment-key-empty",
    "commitment-key-other",
    "commitment-root-wrong",
    "commitment-type-relabelled",
    "commitment-type-wrong",
}
GRANTS = {
    "bulk-purpose-not-granted",
    "query-consent-required-by-basis",
    "query-consent-required-by-grant",
    "query-kind-not-granted",
    "query-purpose-not-granted",
}
ENTRY = {
    "answer-receipt-entry",
    "bulk-receipt",
    "bulk-purpose-not-granted",
    "certificate-receipt-entry",
    "location-receipt-entry",
    "refusal-receipt-entry",
}
BOUND = {
    "answer-bound",
    "certificate-bound",
    "location-bound",
    "code-redeemed",
    "echo-bound",
    "change-confirmed",
    "change-told-twice",
    "erasure-confirmed",
    "erasure-told-twice",
    "header-version-refused-readably",
    "refusal-bound",
}
REFUSAL = {
    "bulk-purpose-not-granted",
    "header-version-refused-readably",
    "refusal-bound",
    "refusal-receipt-checkpoint",
    "refusal-receipt-entry",
    "refusal-receipt-log",
    "refusal-signed",
    "refusal-states-reason",
    "refusal-timely",
    "shared-ours",
}
CONSISTENCY = {"log-consistency", "log-consistency-from-nothing", "shared-continue"}


UNKNOWN_FIELDS = {
    "certificate-field-in-reference",
    "envelope-field-in-body",
    "change-field-in-body",
    "code-field-in-body",
    "erasure-field-in-body",
    "log-field-in-request",
    "card-unknown-field",
}


def accepting_unknown_fields(patch: pytest.MonkeyPatch) -> None:
    for module in (authorise, open_step, notices, redemptions):
        patch.setattr(module, "parse_strictly", parse)


def good_for_ever(patch: pytest.MonkeyPatch) -> None:
    real = learning_codes._judge
    patch.setattr(learning_codes, "_judge", lambda *args: "" if (rule := real(*args)) == "used" else rule)


def any_card(patch: pytest.MonkeyPatch) -> None:
    real = card.answer_card
    patch.setattr(handlers, "answer_card", lambda _request, snapshot: real(b"", snapshot))


def not_found(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(status.CODES, "WRONG_AUDIENCE", grpc.StatusCode.NOT_FOUND)


def a_conflict_is_a_retry(patch: pytest.MonkeyPatch) -> None:
    real = AuditLog.find_exchange

    class AnyBody(bytes):
        __hash__ = None
        __ne__ = lambda _self, _other: False  # noqa: E731

    def find(self, *args):
        found = real(self, *args)
        return found and replace(found, query_body=AnyBody())

    patch.setattr(AuditLog, "find_exchange", find)


def first_name(leaf):
    return ALTERNATIVE_NAMES(leaf)[:1]


ALTERNATIVE_NAMES = tls_identity._alternative_names

NODES = (
    Broken(
        "no replay guard",
        no_replay_guard,
        {"replay-raced", "replay-same", "replay-signed-anew", "bulk-replayed", "code-replay"},
    ),
    Broken("audience unchecked", admitting(any_audience), AUDIENCE),
    Broken("method unchecked", admitting(any_method), METHOD),
    Broken(
        "version unchecked",
        setting(admit_step, "_require_version", lambda *_: None),
        {"header-order-version-first", "header-version-unknown", "header-version-refused-readably"},
    ),
    Broken("window unchecked", setting(admit_step, "WINDOW_S_MAX", 10**6), {"header-window-too-long"}),
    Broken(
        "times unchecked",
        admitting(any_time),
        {"header-expired", "header-issued-in-future", "refusal-states-time"},
    ),
    Broken("signature unchecked", setting(open_step, "open_envelope", no_signature), SIGNATURES),
    Broken(
        "missing signatures unnoticed",
        setting(envelope, "_require_suites", lambda *_: None),
        {"suites-first-missing", "suites-second-missing", "suites-second-unknown"},
    ),
    Broken(
        "key role unchecked",
        setting(Peer, "message_key", any_role),
        {"envelope-key-of-log", "envelope-key-of-witness", "card-key-not-live-yet"},
    ),
    Broken(
        "TLS identity and sender unchecked",
        setting(Opened, "authenticated", True),
        {"header-sender-is-answerer", "header-sender-other", "refusal-unsigned-mismatch"},
    ),
    Broken("header unchecked", setting(open_step, "_require_header", lambda _h: None), HEADER),
    Broken("unknown fields accepted", accepting_unknown_fields, UNKNOWN_FIELDS),
    Broken(
        "keys used before their time", setting(CardKey, "is_live", lambda *_: True), {"card-key-not-live-yet"}
    ),
    Broken("a card to everybody", any_card, {"card-known", "card-unknown-field"}),
    Broken("root unchecked", setting(authorise, "require_root", lambda *_: None), ROOT),
    Broken("grants ignored", setting(Access, "require_grant", lambda *_, **__: None), GRANTS),
    Broken(
        "consents unverified", setting(authorise, "verify_shown", lambda *_: None), {"query-consent-invalid"}
    ),
    Broken("root of other records", setting(log, "commitments_root", lambda _o: bytes(32)), {"answer-whole"}),
    Broken("codes good for ever", good_for_ever, {"code-used"}),
    Broken(
        "secrets of codes unchecked",
        setting(learning_codes, "secret_hash", lambda _secret: bytes(32)),
        {"code-altered", "code-redeemed"},  # what the altered one used up is not good any more
    ),
    Broken("quotas ignored", setting(answer, "charge_of", lambda *_: None), {"quota-exceeded"}),
    Broken("receipts of another entry", receipts_of_the_entry_before, ENTRY),
    Broken("entries of another number", one_sequence_off, ENTRY),
    Broken(
        "root unchecked in bulk",
        setting(bulk_authorise, "require_root", lambda *_: None),
        {"bulk-root-wrong", "bulk-openings-swapped"},
    ),
    Broken(
        "exchange id reused in bulk", setting(bulk, "_require_new", lambda *_: None), {"bulk-exchange-again"}
    ),
    Broken("any number in bulk", setting(bulk_authorise, "BULK_SUBJECTS_MAX", 10**6), {"bulk-too-many"}),
    Broken("retry answered differently", a_new_answer_to_each_retry, {"retry-same-answer"}),
    Broken("exchange id reused", a_conflict_is_a_retry, {"exchange-conflict"}),
    Broken("answers unbound", unbound, BOUND),
    Broken("refusals neither signed nor logged", setting(refuse, "_draft", lambda _owed: None), REFUSAL),
    Broken("another status", not_found, AUDIENCE),
    Broken(
        "deadline unchecked",
        setting(guard, "_require_deadline", lambda _c: monotonic_s() + 10),
        {"transport-deadline-missing", "transport-deadline-too-long"},
    ),
    Broken("TLS version unchecked", setting(guard.Guard, "_identify", any_tls), {"transport-tls-1-2"}),
    Broken(
        "first TLS name taken",
        setting(tls_identity, "_alternative_names", first_name),
        {"transport-two-names"},
    ),
    Broken(
        "epoch checks that never change",
        setting(echo, "epoch_check", lambda *_: bytes(32)),
        {"echo-epoch-checks-fresh"},
    ),
    Broken("echo of any length", setting(echo, "CONTENT_BYTES_MAX", 10**6), {"echo-content-too-long"}),
    Broken(
        "consistency proofs wrong",
        setting(audit_log, "prove_consistency", lambda *_: [bytes(32)]),
        CONSISTENCY,
    ),
    Broken(
        "shared entries unproved", setting(audit_log, "prove_inclusion", lambda *_: []), {"shared-proved"}
    ),
    Broken(
        "witness believes every proof",
        setting(witness, "verify_growth", lambda *_: None),
        {"witness-proof-wrong"},
    ),
)


IS_WHOLE = bool(os.environ.get("BROKEN_NODES_WHOLE"))
"""Run every case against every broken node, as ``make broken-nodes`` does."""
SHARE = 8


def chosen(number: int) -> list[str]:
    """The cases that must notice, and every eighth of the others: each other one meets many broken nodes."""
    noticing = NODES[number].noticed_by
    others = [case.id for case in CASES if case.id not in noticing]
    return [] if IS_WHOLE else [*noticing, *others[number % SHARE :: SHARE]]


@pytest.mark.parametrize("number", range(len(NODES)), ids=[broken.name for broken in NODES])
def test_the_right_cases_notice(shanghai: UnderTest, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    NODES[number].take_out(monkeypatch)
    failed = outcomes(shanghai.run(*chosen(number)), "failed")
    assert set(failed) == NODES[number].noticed_by, failed
