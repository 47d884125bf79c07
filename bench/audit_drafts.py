"""Entries as the answering side logs them, and the key that signs the log of a measurement."""

from __future__ import annotations

import secrets

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit import EntryDraft
from gateway.clock import new_exchange_id, system_clock

ORIGIN = "audit.bench.example/2026"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


def draft() -> EntryDraft:
    """An entry as the answering side logs it."""
    return EntryDraft(
        kind="exchange",
        role="answerer",
        asker="zhejiang",
        answerer="shanghai",
        exchange_id=new_exchange_id(system_clock()),
        peer_seq=1,
        method="/creditexchange.v1.RecordExchangeService/QueryRecords",
        purpose="employment",
        outcome="OK",
        count=3,
        request_digest=secrets.token_bytes(32),
        answer_digest=secrets.token_bytes(32),
    )
