"""Whether two nodes hold the same federation secret, told without telling the secret."""

from __future__ import annotations

import hmac
from hashlib import sha256

from gateway.learners.subject_token import FederationSecret

LABEL = b"credit-exchange/epoch-check/v1"


def epoch_check(secret: FederationSecret, asker: str, answerer: str, content: bytes) -> bytes:
    """Return what shows ``answerer`` to hold ``secret``, 32 bytes (docs/protocol.md, section 8).

    HMAC-SHA-256 under the secret over ``label LF epoch LF asker LF answerer LF content``. The label keeps the
    value apart from every subject token, which begins with an identifier type; ``content``, which the asker
    chose at random, keeps an old value from being shown again. The secret is 32 random bytes: nothing
    can be found by trying.
    """
    message = b"\n".join((LABEL, secret.epoch.encode(), asker.encode(), answerer.encode(), content))
    return hmac.digest(secret.key, message, sha256)
