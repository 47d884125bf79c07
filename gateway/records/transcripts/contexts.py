"""JSON-LD contexts, from a folder of the node only, and only the published ones.

A context decides which terms a signature covers. So none is ever fetched, and a file counts only if
its SHA-256 is that of the published document. The documents are their publishers'; the operator puts
them into the node's folder ``contexts/``, under any name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from gateway.errors import CallerError

CONTEXT_BYTES_MAX = 1024 * 1024
FILES_MAX = 100

_OB = "https://purl.imsglobal.org/spec/ob/v3p0"
_CLR = "https://purl.imsglobal.org/spec/clr/v2p0"

PINS: Mapping[str, tuple[str, ...]] = {
    "59955ced6697d61e03f2b2556febe5308ab16842846f5b586d7f1f7adec92734": (
        "https://www.w3.org/ns/credentials/v2",
    ),
    "3d0b277522ed24385c850b9882b9688687189b8f37a9bd9f1577e348b1019c44": (
        "https://www.w3.org/2018/credentials/v1",
    ),
    "c6e5073f4bd4bf6d08f245736e6f32c29b012860b18583644b2d71e1de862669": (
        "https://w3id.org/security/data-integrity/v1",
    ),
    "adefa50311393eb1bd788a38ac9fe2696c65367928f6996812cd54577394f4da": ("https://www.w3.org/ns/did/v1",),
    "b077fa134d909d92c1dcd1c153f2af1b244aeb415967fdc1467d7fc5dd48ac10": (f"{_OB}/context.json",),
    "cfc147db5fd5e3575b06bd471fe04784e92de69296f64a351b8dff0ec3372e9c": (f"{_OB}/context-3.0.1.json",),
    "bba433989e1e700ca60838a3c22378e7d8381aeb0c9590f9ddf84d1714f10296": (f"{_OB}/context-3.0.2.json",),
    "3d34f4d4ef1bce691106e63798beb5e7b862ba841423f5ee1e53ab7ddf3bca84": (f"{_OB}/context-3.0.3.json",),
    "146f85aa16effd7ca1da8056eb443f53ce1eca8a34186cb062832c0a97d889c3": (f"{_OB}/extensions.json",),
    "e198d7b517d74c5036434ce495086f67b10244709e9a3df9dcb7f8b1579b6167": (f"{_CLR}/context.json",),
    "880f1902d4158f2f33ce06af41b90719977cd1ea337a9de2e41edb3ff5e543d6": (f"{_CLR}/context-2.0.1.json",),
}
"""Addresses of the published contexts by SHA-256 of their documents."""


class Contexts:
    """The contexts that a node has."""

    def __init__(self, documents: Mapping[str, Any]) -> None:
        self._documents = dict(documents)

    def __contains__(self, address: str) -> bool:
        """Whether the context at this address is there."""
        return address in self._documents

    def load(self, address: str, _options: Any = None) -> dict[str, Any]:
        """Return a context as the JSON-LD processor asks for it; ``LookupError`` when it is not there."""
        return {"contextUrl": None, "documentUrl": address, "document": self._documents[address]}


def load_contexts(folder: Path | None, pins: Mapping[str, tuple[str, ...]] = PINS) -> Contexts:
    """Return the published contexts among the files of ``folder``; none when there is no such folder.

    Raises:
        CallerError: the folder has too many files, or one cannot be read.
    """
    documents: dict[str, Any] = {}
    if folder is None or not folder.is_dir():
        return Contexts(documents)
    files = sorted(path for path in folder.iterdir() if path.is_file())
    if len(files) > FILES_MAX:
        raise CallerError(f"{folder}: more than {FILES_MAX} files.", remedy="Keep contexts only there.")
    for path in files:
        try:
            with path.open("rb") as file:
                content = file.read(CONTEXT_BYTES_MAX + 1)
        except OSError as error:
            raise CallerError(f"{path}: {error.strerror}.", remedy="Check the file.") from error
        for address in pins.get(sha256(content).hexdigest(), ()):
            documents[address] = json.loads(content)
    return Contexts(documents)
