"""Section 4, commitments: openings lead to what was signed."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from creditexchange.v1.envelope_pb2 import Opening
from gateway.conformance.case import query
from gateway.conformance.draft import Draft
from gateway.conformance.expectation import refused
from gateway.conformance.session import body_of, opening
from gateway.conformance.wire import commitments_root

SECTION = "4 Commitments"

MISMATCH = refused("COMMITMENT_MISMATCH")


def _set_root(root: Callable[[], bytes]) -> Callable[[Draft], None]:
    def change(draft: Draft) -> None:
        body_of(draft).subjects_root = root()

    return change


def _committed(made: Callable[[Opening], Opening]) -> Callable[[Draft], None]:
    """Replace the subject's opening by one that the root is true of."""

    def change(draft: Draft) -> None:
        draft.openings = [made(draft.openings[0])]
        body_of(draft).subjects_root = commitments_root(draft.openings)

    return change


def _drop(draft: Draft) -> None:
    draft.openings = []


def _twice(draft: Draft) -> None:
    draft.openings = [draft.openings[0], draft.openings[0]]


def _surplus(draft: Draft) -> None:
    draft.openings.append(opening("subject-token", secrets.token_bytes(32)))


def _other_item(draft: Draft) -> None:
    draft.openings[0].item = secrets.token_bytes(32)


def _other_key(draft: Draft) -> None:
    draft.openings[0].key = secrets.token_bytes(32)


def _relabelled(draft: Draft) -> None:
    draft.openings[0].item_type = "record"


def _consent_uncommitted(draft: Draft) -> None:
    draft.openings.append(opening("consent", b"a consent"))


def _consent_missing(draft: Draft) -> None:
    body_of(draft).consent_commitment = secrets.token_bytes(32)


CASES = (
    query(
        "commitment-root-wrong",
        SECTION,
        "a root that no opening leads to",
        MISMATCH,
        _set_root(lambda: secrets.token_bytes(32)),
    ),
    query(
        "commitment-root-short",
        SECTION,
        "a root of 31 bytes",
        refused("MALFORMED_MESSAGE"),
        _set_root(lambda: secrets.token_bytes(31)),
    ),
    query("commitment-opening-missing", SECTION, "no opening", MISMATCH, _drop),
    query("commitment-opening-twice", SECTION, "the subject's opening twice", MISMATCH, _twice),
    query("commitment-opening-surplus", SECTION, "a second subject's opening", MISMATCH, _surplus),
    query("commitment-item-other", SECTION, "an opening with another item", MISMATCH, _other_item),
    query("commitment-key-other", SECTION, "an opening with another key", MISMATCH, _other_key),
    query("commitment-type-relabelled", SECTION, "an opening under another item type", MISMATCH, _relabelled),
    query(
        "commitment-type-wrong",
        SECTION,
        "an opening of type record that the root is true of",
        MISMATCH,
        _committed(lambda o: Opening(item_type="record", key=o.key, item=o.item)),
    ),
    query(
        "commitment-key-31-bytes",
        SECTION,
        "an opening whose key has 31 bytes, true to the root",
        refused("MALFORMED_MESSAGE", "COMMITMENT_MISMATCH"),
        _committed(lambda o: Opening(item_type=o.item_type, key=o.key[:31], item=o.item)),
    ),
    query(
        "commitment-key-empty",
        SECTION,
        "an opening without key, true to the root",
        refused("MALFORMED_MESSAGE", "COMMITMENT_MISMATCH"),
        _committed(lambda o: Opening(item_type=o.item_type, item=o.item)),
    ),
    query(
        "commitment-token-31-bytes",
        SECTION,
        "a subject token of 31 bytes, true to the root",
        MISMATCH,
        _committed(lambda o: Opening(item_type=o.item_type, key=o.key, item=o.item[:31])),
    ),
    query(
        "commitment-token-33-bytes",
        SECTION,
        "a subject token of 33 bytes, true to the root",
        MISMATCH,
        _committed(lambda o: Opening(item_type=o.item_type, key=o.key, item=o.item + b"\0")),
    ),
    query(
        "commitment-consent-uncommitted",
        SECTION,
        "a consent that was not committed to",
        MISMATCH,
        _consent_uncommitted,
    ),
    query(
        "commitment-consent-missing",
        SECTION,
        "a commitment to a consent that is not there",
        MISMATCH,
        _consent_missing,
    ),
)
