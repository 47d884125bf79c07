"""What a Data Integrity proof of a JSON credential covers (W3C VC-DI-EDDSA): canonical forms and digests."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from gateway.records.transcripts.contexts import Contexts
from gateway.records.transcripts.tree import DocumentError

RDFC, JCS = "eddsa-rdfc-2022", "eddsa-jcs-2022"
UNNAMED_OBJECTS_MAX = 512
"""Objects without id. Canonical form of a graph of many can take for ever; a transcript has a few hundred."""

_UNDEFINED = "urn:x-undefined:"


def proof_digest(
    suite: str,
    document: dict[str, Any],
    options: dict[str, Any],
    contexts: Contexts,
    unnamed_max: int = UNNAMED_OBJECTS_MAX,
) -> bytes:
    """Return what an Ed25519 signature of ``suite`` is over; ``options`` is the proof without its value.

    Raises:
        DocumentError: there is no canonical form, or terms that no proof would cover.
    """
    if suite == RDFC:
        refuse_undefined(document, contexts)
        stated = options | {"@context": document.get("@context")}
        return (
            sha256(_canonical(stated, contexts, unnamed_max)).digest()
            + sha256(_canonical(document, contexts, unnamed_max)).digest()
        )
    return sha256(_jcs(options)).digest() + sha256(_jcs(document)).digest()


def missing_contexts(document: dict[str, Any], contexts: Contexts) -> list[str]:
    """Return the addresses of contexts that the document names and that are not there."""
    stated = [document.get("@context")]
    found: list[str] = []
    while stated:
        item = stated.pop()
        if isinstance(item, list):
            stated += item
        elif isinstance(item, str) and item not in contexts:
            found.append(item[:100])
    return sorted(found)


def _canonical(document: dict[str, Any], contexts: Contexts, unnamed_max: int) -> bytes:
    """Return the document's RDF dataset in canonical form (RDFC-1.0)."""
    from pyld import jsonld

    plain = _with_floats(document)
    if _unnamed(plain) > unnamed_max:
        raise DocumentError(f"it has more than {unnamed_max} objects without id.")
    options = {"algorithm": "URDNA2015", "format": "application/n-quads", "documentLoader": contexts.load}
    try:
        return str(jsonld.normalize(plain, options)).encode()
    except (jsonld.JsonLdError, LookupError, ValueError, TypeError, RecursionError) as error:
        raise DocumentError("it is no right JSON-LD, so its signature cannot fit.") from error


def refuse_undefined(document: dict[str, Any], contexts: Contexts) -> None:
    """Refuse terms that the contexts do not define: they are dropped before signing, so nobody did sign."""
    from pyld import jsonld

    stated = document.get("@context")
    open_ended = [{"@vocab": _UNDEFINED}, *(stated if isinstance(stated, list) else [stated])]
    try:
        expanded = jsonld.expand(
            _with_floats(document | {"@context": open_ended}), {"documentLoader": contexts.load}
        )
    except (jsonld.JsonLdError, LookupError, ValueError, TypeError, RecursionError) as error:
        raise DocumentError("it is no right JSON-LD, so its signature cannot fit.") from error
    names = sorted(_undefined_in(expanded))
    if names:
        shown = ", ".join(name[:40] for name in names[:5])
        raise DocumentError(f"it is signed, but no signature covers {shown}: anybody could have added it.")


def _undefined_in(value: Any) -> set[str]:
    found: set[str] = set()
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            found.update(name.removeprefix(_UNDEFINED) for name in item if name.startswith(_UNDEFINED))
            waiting += item.values()
    return found


def _with_floats(value: Any) -> Any:
    """Return a document as JSON-LD takes it, whose numbers are xsd:double; only a signature sees these."""
    from gateway.records.transcripts.json_tree import Number

    if isinstance(value, dict):
        return {name: _with_floats(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_with_floats(item) for item in value]
    if isinstance(value, Number):
        return float(value) if set(value) & set(".eE") else int(value)
    return value


def _unnamed(value: Any) -> int:
    count, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            count += "id" not in item and "@id" not in item
            waiting += item.values()
    return count


def _jcs(document: dict[str, Any]) -> bytes:
    import rfc8785

    try:
        return rfc8785.dumps(_with_floats(document))
    except (rfc8785.CanonicalizationError, ValueError) as error:
        raise DocumentError("it has no canonical form (RFC 8785), so its signature cannot fit.") from error
