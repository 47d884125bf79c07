"""PKCS#11 URIs (RFC 7512) as key sources. Parsing only; a PIN inside a URI is refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes

SCHEME = "pkcs11:"
PATH_ATTRIBUTES = frozenset({"token", "serial", "object", "id", "type"})
QUERY_ATTRIBUTES = frozenset({"module-path", "pin-source"})


@dataclass(frozen=True, slots=True)
class KeyUri:
    """Which key in which token of which module."""

    module_path: str
    """The vendor's PKCS#11 library."""
    token: str
    """Label of the token."""
    serial: str
    """Serial number of the token; empty = any."""
    label: str
    """Label of the private key and its public key; empty = any."""
    id: bytes
    """CKA_ID of both; empty = any."""
    pin_source: str
    """File (mode 0600) with the PIN; empty = the environment variable."""

    def pin_file(self, folder: Path) -> Path | None:
        """Return the file with the PIN, relative to the node's ``folder``."""
        return folder / self.pin_source if self.pin_source else None

    def __str__(self) -> str:
        """Name the key for people."""
        return f"key {self.label or self.id.hex()} in token {self.token}"


def is_key_uri(text: str) -> bool:
    """Whether ``text`` is meant as a PKCS#11 URI."""
    return text.startswith(SCHEME)


def parse_key_uri(text: str) -> KeyUri:
    """Read a PKCS#11 URI.

    Raises:
        ValueError: it is malformed, names too little, holds a PIN, or an attribute that is not used here.
    """
    path, _, query = text.removeprefix(SCHEME).partition("?")
    facts = _attributes(path, ";", PATH_ATTRIBUTES)
    asked = _attributes(query, "&", QUERY_ATTRIBUTES)
    if facts.get("type", "private") != "private":
        raise ValueError("type must be private")
    if not facts.get("token") or not asked.get("module-path"):
        raise ValueError("token and module-path are needed: pkcs11:token=T;object=K?module-path=/path/lib.so")
    if not facts.get("object") and not facts.get("id"):
        raise ValueError("object or id is needed: they name the key")
    return KeyUri(
        module_path=unquote(asked["module-path"], errors="strict"),
        token=unquote(facts["token"], errors="strict"),
        serial=unquote(facts.get("serial", ""), errors="strict"),
        label=unquote(facts.get("object", ""), errors="strict"),
        id=unquote_to_bytes(facts.get("id", "")),
        pin_source=_file_of(unquote(asked.get("pin-source", ""), errors="strict")),
    )


def _attributes(text: str, separator: str, known: frozenset[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in text.split(separator) if text else ():
        name, equals, value = part.partition("=")
        if name == "pin-value":
            raise ValueError("pin-value puts the PIN into this file; use pin-source=file:NAME")
        if name not in known or not equals or not value:
            raise ValueError(f"attribute {name[:40]!r} is not used here; known: {', '.join(sorted(known))}")
        if name in found:
            raise ValueError(f"attribute {name} stands twice")
        found[name] = value
    return found


def _file_of(source: str) -> str:
    if source.startswith("|"):
        raise ValueError("pin-source runs no programs; name a file")
    return source.removeprefix("file:")
