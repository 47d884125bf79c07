"""The open HTTP page of a node: its log (C2SP tlog-tiles), its witness (C2SP tlog-witness), its credentials.

Everything on it is public by design: leaves say nothing about persons. It has no sign-in and reads
nothing but proofs; writing is only what a witness writes.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from waitress import wasyncore
from waitress.server import create_server

from gateway.audit import AuditLog, Witness
from gateway.audit.checkpoint import size_of
from gateway.audit.cosigned import cosigned_checkpoint
from gateway.audit.tiles import StoredTiles, TileError
from gateway.errors import AlreadyRunningError, GatewayError, RefusedError
from gateway.signing.signed_note import Verifiers
from gateway.storage import witness_rows
from gateway.web.add_checkpoint import BODY_BYTES_MAX, parse_body
from gateway.web.credential_page import CredentialPages

THREADS = 4
CONNECTIONS_MAX = 200
LOOP_S = 30.0
"""How long the loop sleeps when nothing happens, seconds."""
SOURCE = "http"
IMMUTABLE = ("Cache-Control", "public, max-age=31536000, immutable")
FRESH = ("Cache-Control", "no-cache")
SHORT = ("Cache-Control", "public, max-age=60")

STATUS = {
    "MALFORMED_MESSAGE": "400 Bad Request",
    "CHECKPOINT_UNSIGNED": "403 Forbidden",
    "UNKNOWN_LOG": "404 Not Found",
    "CHECKPOINT_OUTDATED": "409 Conflict",
    "CHECKPOINT_INCONSISTENT": "422 Unprocessable Content",
    "AUDIT_UNAVAILABLE": "503 Service Unavailable",
}
"""The status of every refusal (tlog-witness, "add-checkpoint")."""

_WITNESSED = re.compile(r"/([0-9a-f]{64})/checkpoint")


@dataclass(frozen=True)
class Page:
    """What one request is answered."""

    body: bytes
    status: str = "200 OK"
    kind: str = "text/plain; charset=utf-8"
    cache: tuple[str, str] = FRESH


NOT_FOUND = Page(b"not found\n", "404 Not Found")


@dataclass(frozen=True)
class LogPage:
    """The WSGI application."""

    log: AuditLog
    witness: Witness
    verifiers: Callable[[], Mapping[str, Verifiers]]
    """The logs that are cosigned, by origin."""
    credentials: CredentialPages | None = None
    """What verifiers of credentials look up."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        try:
            page = self._answer(environ)
        except RefusedError as refused:
            page = _refused(refused)
        except GatewayError:
            page = Page(b"this cannot be read just now\n", "503 Service Unavailable")
        headers = [
            ("Content-Type", page.kind),
            ("Content-Length", str(len(page.body))),
            ("X-Content-Type-Options", "nosniff"),
            page.cache,
        ]
        start_response(page.status, headers)
        return [page.body]

    def _answer(self, environ: WSGIEnvironment) -> Page:
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        if method == "POST" and path == "/add-checkpoint":
            body: Any = environ["wsgi.input"]
            return self._add_checkpoint(body.read(BODY_BYTES_MAX + 1))
        if method not in ("GET", "HEAD"):
            return Page(b"only GET, and POST of add-checkpoint\n", "405 Method Not Allowed")
        if path == "/checkpoint":
            return self._checkpoint()
        if path.startswith("/tile/"):
            return self._tile(path[1:])
        document = self.credentials.find(path) if self.credentials is not None else None
        if document is not None:
            return Page(document[0], kind=document[1], cache=SHORT)
        found = _WITNESSED.fullmatch(path)
        return self._witnessed(found.group(1)) if found else NOT_FOUND

    def _checkpoint(self) -> Page:
        self.log.refresh()
        with self.log.reading() as connection:
            note = cosigned_checkpoint(connection, self.log.latest_checkpoint())
        return Page(note.encode()) if note else NOT_FOUND

    def _tile(self, path: str) -> Page:
        self.log.refresh()
        with self.log.reading() as connection:
            tiles = StoredTiles(connection, size_of(self.log.latest_checkpoint()))
            try:
                content = tiles.read(path)
            except TileError:
                return NOT_FOUND
        return Page(content, kind="application/octet-stream", cache=IMMUTABLE)

    def _witnessed(self, digest: str) -> Page:
        with self.log.reading() as connection:
            rows = witness_rows.list_witnessed(connection)
        for row in rows:
            if row.origin_digest == digest:
                return Page((row.note + row.line).encode())
        return NOT_FOUND

    def _add_checkpoint(self, body: bytes) -> Page:
        if len(body) > BODY_BYTES_MAX:
            return Page(b"the body is too large\n", "413 Content Too Large")
        submitted = parse_body(body)
        verifier = self.verifiers().get(submitted.origin)
        if verifier is None:
            raise RefusedError("UNKNOWN_LOG", "this witness does not cosign that log.")
        line = self.witness.add_checkpoint(
            verifier, submitted.old_size, submitted.proof, submitted.note, source=SOURCE
        )
        return Page(line.encode())


class LogServer:
    """Serves a :class:`LogPage` on an address of its own."""

    def __init__(self, page: LogPage, address: str) -> None:
        """Bind ``address``.

        Raises:
            AlreadyRunningError: it cannot be listened on.
        """
        host, port = address.rsplit(":", 1)
        family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
        try:
            listening = socket.create_server((host.strip("[]"), int(port)), family=family)
        except OSError as error:
            raise AlreadyRunningError(
                f"the audit page's address {address} cannot be listened on.",
                remedy="Another program has the port. Stop it, or change audit.listen in node.toml.",
            ) from error
        self._open: Any = {}
        """Waitress's sockets by descriptor."""
        self._server: Any = create_server(
            page,
            map=self._open,
            sockets=[listening],
            threads=THREADS,
            connection_limit=CONNECTIONS_MAX,
            max_request_body_size=BODY_BYTES_MAX + 1,
            max_request_header_size=8 * 1024,
            channel_timeout=30,
            ident=None,
            clear_untrusted_proxy_headers=True,
        )
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="log-page", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and give the port back."""
        self._is_stopping = True
        self._server.trigger.pull_trigger()
        self._thread.join(timeout=5)
        self._server.task_dispatcher.shutdown(timeout=5)
        wasyncore.close_all(self._open)

    def _run(self) -> None:
        while not self._is_stopping:
            wasyncore.loop(timeout=LOOP_S, map=self._open, count=1)


def _refused(refused: RefusedError) -> Page:
    status = STATUS.get(refused.reason, "500 Internal Server Error")
    if refused.reason == "CHECKPOINT_OUTDATED":
        return Page(f"{refused.details['size']}\n".encode(), status, "text/x.tlog.size")
    return Page(f"{refused.message}\n".encode(), status)
