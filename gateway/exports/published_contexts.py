"""The JSON-LD contexts of exported credentials: shipped, pinned by SHA-256, never fetched.

Own terms stand in ``contexts/credit-exchange-v1.json``. Its address is the issuer's own (the open page
serves it); whatever is served there, here only the shipped bytes count.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Any

from gateway.records.transcripts.contexts import PINS, Contexts

CREDENTIALS = "https://www.w3.org/ns/credentials/v2"
OPEN_BADGES = "https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.3.json"
CLR = "https://purl.imsglobal.org/spec/clr/v2p0/context-2.0.1.json"
OWN_PATH = "/credentials/context/v1.json"
OWN_WITHOUT_DOMAIN = "urn:credit-exchange:context:v1"
"""Address of the own context in credentials of a node that has no domain."""
OWN_SHA256 = "d826faac7444463bc6116be903e104b1a20c65cada8a89b227820e18d6fc676e"
"""SHA-256 of the own context; a test holds it."""

_OWN_ADDRESS = re.compile(rf"https://[a-z0-9.:-]{{1,253}}{re.escape(OWN_PATH)}")
_OWN_FILE = "credit-exchange-v1.json"


@cache
def own_context() -> bytes:
    """Return the bytes of the context that defines this project's terms."""
    return _read(_OWN_FILE)


def own_context_sri() -> str:
    """Return its digest as ``relatedResource`` states it (Subresource Integrity)."""
    return "sha256-" + b64encode(sha256(own_context()).digest()).decode()


def shipped_contexts() -> Contexts:
    """Return every context that an exported credential may name."""
    return _Shipped(_documents())


class _Shipped(Contexts):
    """The shipped contexts; the own one under the address of any issuer."""

    def __contains__(self, address: str) -> bool:
        return super().__contains__(_known(address))

    def load(self, address: str, _options: Any = None) -> dict[str, Any]:
        return super().load(_known(address)) | {"documentUrl": address}


def _known(address: str) -> str:
    return OWN_WITHOUT_DOMAIN if _OWN_ADDRESS.fullmatch(address) else address


@cache
def _documents() -> Mapping[str, Any]:
    documents: dict[str, Any] = {OWN_WITHOUT_DOMAIN: json.loads(own_context())}
    for name in ("credentials-v2.json", "open-badges-3.0.3.json", "clr-2.0.1.json"):
        content = _read(name)
        for address in PINS[sha256(content).hexdigest()]:
            documents[address] = json.loads(content)
    return documents


def _read(name: str) -> bytes:
    return (resources.files("gateway.exports") / "contexts" / name).read_bytes()
