"""A receipt for a leaf that the asker cannot rebuild proves nothing."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from creditexchange.v1.envelope_pb2 import Receipt
from gateway.audit import Checkpoint, EntryDraft, leaf_hash, rebuild_leaf, verify_receipt
from gateway.errors import GatewayError
from gateway.signing.signed_note import NoteSigner
from tests.audit.drafts import LOG_KEY, ORIGIN, answered, new_log, sqlite_at

VKEY = NoteSigner(ORIGIN, LOG_KEY).verifier.vkey
DRAFT = answered()


@pytest.fixture(scope="module")
def receipt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receipt]:
    engine = sqlite_at(Path(tmp_path_factory.mktemp("log")) / "node.db")
    log = new_log(engine)
    for _ in range(5):
        log.append(answered())
    yield log.append(DRAFT).receipt
    log.close()
    engine.dispose()


def test_the_asker_verifies_what_it_can_rebuild(receipt: Receipt) -> None:
    assert verify_receipt(DRAFT, receipt, VKEY).size == 6
    assert verify_receipt(replace(DRAFT, role="asker"), receipt, VKEY).size == 6


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": "OVERLOADED"},
        {"count": 3},
        {"asker": "anhui"},
        {"answerer": "anhui"},
        {"peer_seq": 8},
        {"purpose": "admission"},
        {"exchange_id": b"x" * 16},
        {"request_digest": b"x" * 32},
        {"answer_digest": b"x" * 32},
    ],
)
def test_another_exchange_is_not_proved(receipt: Receipt, changes: dict[str, object]) -> None:
    with pytest.raises(GatewayError):
        verify_receipt(replace(DRAFT, **changes), receipt, VKEY)  # type: ignore[arg-type]


def _changed(receipt: Receipt, change: Callable[[Receipt], object]) -> Receipt:
    copy = Receipt()
    copy.CopyFrom(receipt)
    change(copy)
    return copy


def _sign_another_root(receipt: Receipt) -> None:
    receipt.checkpoint = Checkpoint(ORIGIN, 6, bytes(32)).sign([NoteSigner(ORIGIN, LOG_KEY)])


def _sign_with_another_key(receipt: Receipt) -> None:
    stranger = NoteSigner(ORIGIN, Ed25519PrivateKey.generate())
    receipt.checkpoint = Checkpoint(ORIGIN, 1, leaf_hash(_leaf(DRAFT, receipt))).sign([stranger])
    receipt.leaf_index = 0
    del receipt.inclusion_proof[:]


def _leaf(draft: EntryDraft, receipt: Receipt) -> bytes:
    return rebuild_leaf(draft, receipt.logged_at_ms)


CHANGES: dict[str, Callable[[Receipt], object]] = {
    "another log": lambda r: setattr(r, "log_origin", "audit.other.example"),
    "another index": lambda r: setattr(r, "leaf_index", 3),
    "an index beyond the log": lambda r: setattr(r, "leaf_index", 6),
    "another time": lambda r: setattr(r, "logged_at_ms", r.logged_at_ms + 1),
    "a time no leaf holds": lambda r: setattr(r, "logged_at_ms", 2**60),
    "a proof too short": lambda r: r.inclusion_proof.pop(),
    "a proof too long": lambda r: r.inclusion_proof.append(bytes(32)),
    "a proof of short hashes": lambda r: r.inclusion_proof.append(b"x"),
    "no checkpoint": lambda r: setattr(r, "checkpoint", ""),
    "a checkpoint over another tree": _sign_another_root,
    "a checkpoint by another key": _sign_with_another_key,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_receipt_is_refused(receipt: Receipt, change: Callable[[Receipt], object]) -> None:
    with pytest.raises(GatewayError):
        verify_receipt(DRAFT, _changed(receipt, change), VKEY)
