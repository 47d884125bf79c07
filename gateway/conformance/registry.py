"""Every case, in the order of docs/protocol.md."""

from __future__ import annotations

from gateway.conformance.case import Case
from gateway.conformance.cases import (
    audit_log,
    bulk,
    certificates,
    codes,
    commitments,
    echoes,
    envelope,
    header,
    locations,
    node_cards,
    notices,
    queries,
    refusals,
    replay,
    suites,
    transport,
    witness,
)

CASES: tuple[Case, ...] = (
    *transport.CASES,
    *envelope.CASES,
    *suites.CASES,
    *header.CASES,
    *replay.CASES,
    *commitments.CASES,
    *queries.CASES,
    *certificates.CASES,
    *bulk.CASES,
    *locations.CASES,
    *refusals.CASES,
    *node_cards.CASES,
    *echoes.CASES,
    *audit_log.CASES,
    *witness.CASES,
    *notices.CASES,
    *codes.CASES,
)
"""Ids are unique: they name the cases in reports for good."""

if len({case.id for case in CASES}) != len(CASES):
    raise AssertionError("two cases have one id")
