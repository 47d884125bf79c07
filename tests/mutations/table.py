"""Measures of docs/threat-model.md, each with a small patch that takes it away and the test that must then fail.

Checks of the answering side's steps are taken out one by one in tests/conformance/test_broken_nodes.py, and
those of the asking side in tests/conformance/test_lying_server.py: they are not repeated here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from tests.mutations import doors
from tests.mutations.patching import Mutation, both, first, nothing, patched, yes

ANYTHING = re.compile(r"[\s\S]*")


def no_limit(option: str) -> Callable[[], None]:
    """The server's options without one of them, and grpcio's default with a much larger value in its place."""

    def take_away() -> None:
        from gateway.rpc import server

        real = server._limit_options
        server._limit_options = lambda limits: [
            (name, 1 << 24 if name == option else value) for name, value in real(limits)
        ]

    return take_away


def many_slots() -> None:
    from threading import BoundedSemaphore

    from gateway.rpc.guard import Guard

    real = Guard.__post_init__

    def prepare(self: Guard) -> None:
        real(self)
        self._slots = BoundedSemaphore(10_000)

    Guard.__post_init__ = prepare  # type: ignore[method-assign]


def many_streams() -> None:
    from contextlib import nullcontext

    from gateway.rpc.guard import Guard

    Guard._one_stream_more = lambda _self, _peer: nullcontext()  # type: ignore[assignment,method-assign]


def telling_defects() -> None:
    from gateway.errors import RefusedError
    from gateway.rpc import guard

    guard.incident_of = lambda defect, _method: RefusedError(
        "INTERNAL", str(defect), details={"incident": "0" * 16}
    )


def revoked_consents_hold() -> None:
    from gateway.exchange.answering import authorise

    real = authorise.verify_consent
    authorise.verify_consent = lambda *args, **how: real(*args, **(how | {"is_revoked": lambda *_: False}))


def a_consent_grants() -> None:
    from gateway.policy.grants import Access

    real = Access.require_grant

    def require_grant(self: Access, *args: Any, **how: Any) -> None:
        if not how.get("has_consent"):
            real(self, *args, **how)

    Access.require_grant = require_grant  # type: ignore[assignment,method-assign]


def any_ciphertext_place() -> None:
    from gateway.audit import evidence

    real = evidence.AESGCM

    class Loose:
        def __init__(self, key: bytes) -> None:
            self._real = real(key)

        def encrypt(self, nonce: bytes, data: bytes, _aad: bytes | None) -> bytes:
            return self._real.encrypt(nonce, data, None)

        def decrypt(self, nonce: bytes, data: bytes, _aad: bytes | None) -> bytes:
            return self._real.decrypt(nonce, data, None)

    evidence.AESGCM = Loose  # type: ignore[assignment,misc]


def entities_welcome() -> None:
    import defusedxml.sax

    real = defusedxml.sax.parseString
    defusedxml.sax.parseString = lambda content, handler, **_: real(
        content, handler, forbid_dtd=False, forbid_entities=False, forbid_external=False
    )


def released_before_durable() -> None:
    from gateway.combining import Combiner

    real = Combiner.submit_all

    def submit_all(self: Any, items: Any, size_bytes: int = 0) -> Any:
        from gateway.audit.log import Appended

        receipt = import_module("creditexchange.v1.envelope_pb2").Receipt()
        outcomes = real(self, items, size_bytes)  # whatever kept one from being durable
        return [Appended(0, 0, receipt) if isinstance(each, Exception) else each for each in outcomes]

    Combiner.submit_all = submit_all  # type: ignore[method-assign]


def together(node: Any) -> Any:
    from gateway.exchange.answering import handlers

    return handlers._together(node)


def one_defect_for_all() -> None:
    from gateway.exchange.answering import answer

    answer._each = lambda _name, step, states: [(query, step(query, state)) for query, state in states]


def anybodys_records() -> None:
    from creditexchange.v1.record_pb2 import LearningRecord
    from gateway.exchange.asking import verify

    verify._records = lambda openings, _body, _composed: tuple(
        LearningRecord.FromString(opening.item) for opening in openings
    )


def open_key_files() -> None:
    from gateway.signing import key_files

    key_files.stat.S_IMODE = lambda _mode: 0o600  # type: ignore[assignment]


def any_time() -> None:
    from datetime import UTC, datetime

    for module in ("signing.envelope", "peers.card", "exchange.evidence_bundle"):
        patched(f"gateway.{module}:instant", lambda stamp, _what: stamp.ToDatetime(UTC))()
    for module in ("notices", "revocations"):
        patched(f"gateway.exchange.answering.{module}:instant", lambda stamp, _what: stamp.ToDatetime(UTC))()
    assert datetime


def names_alone_prove() -> None:
    patched("gateway.peers.tls_identity:is_issued_by", yes)()


MUTATIONS: Mapping[str, Mutation] = {
    **doors.MUTATIONS,
    "signatures": Mutation(
        patched("gateway.signing.suites:VerifyingKey.verify", nothing),
        ("tests/signing/test_envelope.py::test_no_single_flipped_bit_passes",),
    ),
    "second-signatures": Mutation(
        patched("gateway.signing.envelope:_require_suites", nothing),
        (
            "tests/attacks/test_two_signatures.py::test_a_question_is_refused",
            "tests/attacks/test_two_signatures.py::test_a_stripped_card_is_refused",
        ),
    ),
    "unknown-fields": Mutation(
        patched("gateway.signing.envelope:_require_known_fields", nothing),
        ("tests/signing/test_envelope.py::test_strict_parsing_refuses_unknown_fields_at_any_depth",),
    ),
    "tls-authority": Mutation(
        names_alone_prove,
        (
            "tests/peers/test_tls_identity.py::test_a_leaf_in_another_nodes_name_proves_nothing",
            "tests/rpc/test_peer_port.py::test_a_certificate_that_one_peers_ca_issued_in_anothers_name_is_refused",
        ),
    ),
    "rates": Mutation(
        patched("gateway.policy.rates:CallRates.admit_call", nothing),
        (
            "tests/rpc/test_peer_port.py::test_a_peer_beyond_its_rate_is_told_when_to_come_back",
            "tests/rpc/test_peer_port.py::test_messages_that_do_not_verify_use_up_a_bucket_of_their_own",
        ),
    ),
    "message-size": Mutation(
        both(no_limit("grpc.max_receive_message_length"), no_limit("grpc.max_send_message_length")),
        ("tests/rpc/test_peer_port.py::test_a_message_over_the_limit_is_refused_and_one_below_is_not",),
    ),
    "metadata-size": Mutation(
        both(no_limit("grpc.max_metadata_size"), no_limit("grpc.absolute_max_metadata_size")),
        ("tests/rpc/test_peer_port.py::test_too_much_metadata_is_refused",),
    ),
    "calls-at-once": Mutation(
        many_slots,
        (
            "tests/rpc/test_peer_port.py::test_calls_beyond_the_limit_are_refused_at_once_and_say_when_to_come_back",
        ),
    ),
    "streams-at-once": Mutation(
        many_streams,
        ("tests/rpc/test_bulk_stream.py::test_slow_readers_leave_room_for_everybody_else",),
    ),
    "defects-hidden": Mutation(
        telling_defects,
        ("tests/rpc/test_peer_port.py::test_a_defect_shows_an_incident_and_nothing_of_what_it_held",),
    ),
    "consent-covers": Mutation(
        patched("gateway.policy.consent:_require_covered", nothing),
        (
            "tests/policy/test_consent.py::test_each_rule_refuses_by_its_own_name",
            "tests/exchange/test_consent_exchange.py::test_a_deputy_cannot_use_a_consent_that_was_shown_to_it",
        ),
    ),
    "consent-revoked": Mutation(
        revoked_consents_hold,
        (
            "tests/exchange/test_consent_exchange.py::test_what_was_taken_back_is_refused_once_the_peer_was_told",
        ),
    ),
    "grants": Mutation(
        patched("gateway.policy.grants:Access.require_grant", nothing),
        ("tests/policy/test_grants.py::test_only_what_is_written_is_granted",),
    ),
    "grants-not-widened": Mutation(
        a_consent_grants, ("tests/policy/test_grants.py::test_a_consent_never_widens_a_grant",)
    ),
    "commitments": Mutation(
        patched("gateway.exchange.answering.bulk_authorise:require_root", nothing),
        ("tests/attacks/test_bulk.py::test_what_is_sent_is_what_was_signed",),
    ),
    "answers-bound": Mutation(
        patched("gateway.exchange.asking.verify:require_bound_header", nothing),
        ("tests/exchange/test_asking.py::test_a_lie_is_caught_named_and_logged",),
    ),
    "receipts": Mutation(
        patched("gateway.audit.receipt:verify_inclusion", nothing),
        ("tests/audit/test_receipt.py::test_a_changed_receipt_is_refused",),
    ),
    "own-records-only": Mutation(
        anybodys_records,
        ("tests/exchange/test_asking.py::test_a_record_in_another_provinces_name_is_refused",),
    ),
    "defects-apart": Mutation(
        one_defect_for_all,
        ("tests/exchange/test_answering_together.py::test_a_defect_met_by_one_query_is_its_own",),
    ),
    "sources-apart": Mutation(
        patched("gateway.exchange.answering.handlers:_alone", together),
        ("tests/exchange/test_answering_together.py::test_a_slow_foreign_source_holds_up_nobody_else",),
    ),
    "durable-first": Mutation(
        released_before_durable,
        ("tests/audit/test_failing_disk.py::test_a_disk_that_cannot_be_written",),
    ),
    "witness-proofs": Mutation(
        patched("gateway.audit.witness:verify_growth", nothing),
        ("tests/upkeep/test_witnessing.py::test_a_witness_refuses_as_the_protocol_says",),
    ),
    "rollback-asked": Mutation(
        patched("gateway.upkeep.own_log:ask_witnesses", lambda *_: ([], [])),
        ("tests/attacks/test_audit_log.py::test_a_truncated_tail_is_caught_by_what_peers_hold",),
    ),
    "evidence-in-place": Mutation(
        any_ciphertext_place,
        ("tests/audit/test_evidence.py::test_a_ciphertext_opens_only_beside_its_own_leaf",),
    ),
    "erased-from-files": Mutation(
        patched("gateway.audit.log:scrub", yes),
        ("tests/upkeep/test_erasure.py::test_what_is_erased_is_gone_from_the_raw_files",),
    ),
    "no-entities": Mutation(
        entities_welcome,
        ("tests/transcripts/test_transcripts.py::test_entities_and_document_types_are_refused",),
    ),
    "workbook-bounds": Mutation(
        patched("gateway.records.intake.workbook:WorkbookFile._check_archive", nothing),
        ("tests/records/test_uploads.py::test_a_workbook_cannot_attack_the_reader",),
    ),
    "no-formulas": Mutation(
        both(
            patched("gateway.exports.formula_safe:inert", first),
            patched("gateway.exports.plain:inert", first),
        ),
        (
            "tests/records/test_commands.py::test_no_cell_of_a_report_is_a_formula",
            "tests/exports/test_plain.py::test_no_cell_is_a_formula",
        ),
    ),
    "terminal": Mutation(
        patched("gateway.cli.output:harmless", first),
        ("tests/attacks/test_names.py::test_nothing_that_a_peer_wrote_steers_the_terminal",),
    ),
    "printable-names": Mutation(
        patched("gateway.peers.card:_is_shown_as_it_is", yes),
        (
            "tests/attacks/test_names.py::test_a_card_whose_name_for_people_is_not_what_it_looks_like_is_refused",
        ),
    ),
    "ascii-ids": Mutation(
        patched("gateway.peers.card:NODE_ID_PATTERN", ANYTHING),
        ("tests/attacks/test_names.py::test_a_card_in_a_name_that_looks_like_anothers_is_refused",),
    ),
    "plain-key-ids": Mutation(
        patched("gateway.peers.card:KEY_ID_PATTERN", ANYTHING),
        ("tests/attacks/test_names.py::test_a_signature_that_nothing_proves_cannot_break_the_peers_file",),
    ),
    "one-owner": Mutation(
        patched("gateway.peers.roster:_claim", nothing),
        (
            "tests/peers/test_roster.py::test_two_peers_with_one_key_are_refused",
            "tests/peers/test_roster.py::test_two_peers_with_one_tls_authority_are_refused",
        ),
    ),
    "steady-clock": Mutation(
        patched("gateway.node.steadiness:Steadiness.is_proved", yes),
        ("tests/node/test_steadiness.py::test_a_message_stays_seen_though_the_clock_was_ahead_for_a_while",),
    ),
    "newer-cards": Mutation(
        patched("gateway.peers.onboarding:require_acceptable", nothing),
        ("tests/peers/test_roster.py::test_an_older_card_is_refused_and_a_newer_one_taken",),
    ),
    "fingerprints": Mutation(
        patched("gateway.peers.fingerprint:require_fingerprint", nothing),
        ("tests/peers/test_card.py::test_only_the_cards_own_fingerprint_is_accepted",),
    ),
    "private-files": Mutation(
        open_key_files, ("tests/signing/test_key_files.py::test_a_key_that_others_can_touch_is_refused",)
    ),
    "published-keys": Mutation(
        patched("gateway.signing.key_files:PUBLISHED_KEY_IDS", frozenset()),
        ("tests/signing/test_key_files.py::test_a_key_printed_in_a_standard_is_refused",),
    ),
    "times-are-times": Mutation(
        any_time,
        (
            "tests/fuzz/test_findings.py::test_a_card_whose_times_are_none_is_refused",
            "tests/fuzz/test_findings.py::test_a_notice_of_a_change_at_no_time_is_refused",
            "tests/fuzz/test_findings.py::test_a_revocation_at_no_time_is_refused",
            "tests/fuzz/test_findings.py::test_a_bundle_whose_request_was_made_at_no_time_proves_nothing",
        ),
    ),
}
"""By name; docs/threat-model.md names each beside its threat."""
