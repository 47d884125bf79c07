"""What verifiers look up of an issuer: its DID document, the context of its terms, its status lists.

Part of the open page; all of it is public and says nothing about a person. Behind a proxy with TLS the
addresses are those that credentials name (``credentials.domain``).
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.clock import monotonic_s
from gateway.exports.issuer import DID_PATH, STATUS_PATH
from gateway.exports.issuing import Credentials
from gateway.exports.published_contexts import OWN_PATH, own_context

LIST_S = 10.0
"""How long a signed list is handed out before it is made again, seconds."""
LISTS_KEPT_MAX = 64
_LIST = re.compile(re.escape(STATUS_PATH) + r"/(revocation|suspension)/([1-9][0-9]{0,5})")

JSON_LD = "application/ld+json"
CREDENTIAL = "application/vc"


@dataclass
class CredentialPages:
    """The documents by path. Safe for threads."""

    credentials: Callable[[], Credentials]
    """Raises ``KeyFileError`` when the node has no key for credentials."""
    _lists: dict[str, tuple[float, bytes]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, path: str) -> tuple[bytes, str] | None:
        """Return content and media type of what lies at ``path``; ``None`` when nothing does.

        Raises:
            GatewayError: it cannot be made just now.
        """
        if path == OWN_PATH:
            return own_context(), JSON_LD
        if path == DID_PATH:
            issuer = self.credentials().issuer
            return (
                (json.dumps(issuer.did_document()).encode(), "application/did+json")
                if issuer.domain
                else None
            )
        wanted = _LIST.fullmatch(path)
        return self._status_list(path, wanted[1], int(wanted[2])) if wanted else None

    def _status_list(self, path: str, purpose: str, number: int) -> tuple[bytes, str] | None:
        with self._lock:
            made_s, content = self._lists.get(path, (0.0, b""))
            if not content or monotonic_s() - made_s > LIST_S:
                fresh = self.credentials().status_list(purpose, number)
                if fresh is None:
                    return None
                content = json.dumps(fresh).encode()
                if len(self._lists) >= LISTS_KEPT_MAX:
                    self._lists.clear()
                self._lists[path] = (monotonic_s(), content)
        return content, CREDENTIAL
