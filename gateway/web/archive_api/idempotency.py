"""``Idempotency-Key``: what was done once is not done again, and is answered as before.

The header follows draft-ietf-httpapi-idempotency-key-header. An answer may hold a learning code, which
this node keeps nowhere else in the clear: it is stored encrypted under a key that follows from the
caller's own, of which only a digest is stored.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.clock import Clock, unix_ms
from gateway.storage import idempotent_rows
from gateway.storage.engine import reading, writing
from gateway.storage.idempotent_rows import IdempotentRow
from gateway.storage.node_tables import Database
from gateway.web.archive_api.problems import ProblemError
from gateway.web.archive_api.tokens import Principal

KEPT_FOR = timedelta(hours=24)
STUCK_AFTER = timedelta(minutes=2)
"""After so long a call that was begun and never answered is taken over: its process ended."""
_KEY = re.compile(r'"?([\x21\x23-\x5b\x5d-\x7e]{16,128})"?')
_NONCE_BYTES = 12


@dataclass(frozen=True)
class OnceOnly:
    """Keeps what callers did, for a day."""

    database: Database
    clock: Clock

    def call(
        self, key: str | None, principal: Principal, operation: str, body: Any, act: Callable[[], Any]
    ) -> tuple[Any, bool]:
        """Return what ``act`` returns, or returned for the same key before, and whether it is a replay.

        Without a key it is simply done. ``act`` must return what JSON can hold.

        Raises:
            ProblemError: the key is malformed, was used for another request, or is being worked on.
        """
        if key is None:
            return act(), False
        found = _KEY.fullmatch(key)
        if found is None:
            raise ProblemError(
                "invalid-argument", "Idempotency-Key: 16 to 128 visible characters, at random."
            )
        secret = found[1].encode()
        tag = sha256(f"{principal.name}\0{operation}\0".encode() + secret).digest()
        text = json.dumps(body, sort_keys=True, separators=(",", ":"))
        fingerprint = hmac.digest(secret, text.encode(), "sha256")
        replay = self._begin(IdempotentRow(tag, fingerprint, unix_ms(self.clock()), b""))
        if replay is not None:
            return json.loads(_decrypt(secret, tag, replay)), True
        try:
            answer = act()
        except BaseException:
            with writing(self.database) as transaction:
                idempotent_rows.delete_call(transaction, tag)
            raise
        with writing(self.database) as transaction:
            idempotent_rows.update_answer(transaction, tag, _encrypt(secret, tag, json.dumps(answer)))
        return answer, False

    def forget_old(self) -> None:
        """Forget what is older than a day."""
        before = unix_ms(self.clock() - KEPT_FOR)
        with writing(self.database) as transaction:
            idempotent_rows.delete_calls(transaction, before)

    def _begin(self, row: IdempotentRow) -> bytes | None:
        """Take a call on; return the stored answer where it was done before."""
        self.forget_old()
        with writing(self.database) as transaction:
            if idempotent_rows.insert_call(transaction, row):
                return None
        with reading(self.database) as connection:
            known = idempotent_rows.read_call(connection, row.tag)
        if known is None:
            raise ProblemError("conflict", "The same request was being worked on and failed; send it again.")
        if not hmac.compare_digest(known.fingerprint, row.fingerprint):
            raise ProblemError("idempotency-key-reused", "Use a new Idempotency-Key for another request.")
        if known.answer:
            return known.answer
        if known.begun_at > unix_ms(self.clock() - STUCK_AFTER):
            raise ProblemError(
                "conflict",
                "The first request with this key is not answered yet.",
                headers={"Retry-After": "1"},
            )
        with writing(self.database) as transaction:
            idempotent_rows.delete_call(transaction, row.tag)
            idempotent_rows.insert_call(transaction, row)
        return None


def _cipher(secret: bytes, tag: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, salt=tag, info=b"idempotent answer").derive(secret))


def _encrypt(secret: bytes, tag: bytes, text: str) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + _cipher(secret, tag).encrypt(nonce, text.encode(), tag)


def _decrypt(secret: bytes, tag: bytes, stored: bytes) -> bytes:
    return _cipher(secret, tag).decrypt(stored[:_NONCE_BYTES], stored[_NONCE_BYTES:], tag)
