"""What visitors and local applications hand in: learning codes, documents, forms, JSON; and departments' files."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

from gateway.errors import GatewayError
from gateway.exports.archive_file import decrypt
from gateway.exports.archive_package import open_package
from gateway.node.config import CONFIG_FILE, load_config
from gateway.peers.roster import Roster
from gateway.policy.learning_code import parse_code, parse_code_name
from gateway.web.archive_api.app import make_api
from gateway.web.archive_api.idempotency import OnceOnly
from gateway.web.archive_api.operations import SCOPE_OF, Operations
from gateway.web.archive_api.tokens import Principal
from gateway.web.archives.searches import Searches
from gateway.web.portal.app import Fork, PortalSettings, make_portal
from gateway.web.portal.checking import Checker
from gateway.web.portal.nodes import KnownNodes
from gateway.web.site.sessions import SessionLimits
from tests.federation.provinces import NOW
from tests.federation.simulator import EXAMPLES, LEARNER
from tests.fuzz.keys import scratch

PORT = 8443
SEARCH = "0" * 32
REQUESTS = (
    ("POST", "/verify/code"),
    ("POST", "/verify/document"),
    ("POST", "/v1/searches"),
    ("POST", "/v1/consents"),
    ("POST", "/v1/codes"),
    ("POST", "/v1/codes/redemptions"),
    ("POST", "/v1/exports"),
    ("GET", "/v1/accesses"),
    ("GET", "/v1/consents"),
    ("GET", f"/v1/searches/{SEARCH}/records"),
    ("GET", "/preferences"),
    ("GET", "/verify"),
)
FORMS = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b")
SERVED = (502, 503, 504)
"""What is said while the node behind the pages is away; any other 5xx is a defect."""
PASSPHRASE = "an invented passphrase"


def away() -> None:
    """No node runs behind these pages."""


@cache
def site() -> Fork:
    """The portal with its API, for which every token is good."""
    nodes = KnownNodes("shanghai", {}, lambda: Roster.of([]))
    settings = PortalSettings(PORT, UTC, SessionLimits(), 1 << 40, ("course",), ())
    pages = cast(Fork, make_portal(nodes, cast(Any, away), cast(Any, None), lambda: NOW, settings)).site
    principal = Principal("desk", "desk", frozenset(SCOPE_OF.values()), None)
    tokens = SimpleNamespace(
        settings=SimpleNamespace(issuer="https://id.example"), principal=lambda _: principal
    )
    searches = Searches(cast(Any, away), lambda: NOW, "shanghai")
    ops = Operations(
        "shanghai",
        cast(Any, away),
        cast(Any, tokens),
        searches,
        OnceOnly(cast(Any, None), lambda: NOW),
        lambda: NOW,
        set,
    )
    return Fork(make_api(ops), pages)


@cache
def loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


async def answered(method: str, path: str, kind: str, content: bytes) -> int:
    """Send one request, as the server would pass it on; return the status of the answer."""
    is_query = method == "GET"
    headers = [
        (b"host", f"127.0.0.1:{PORT}".encode()),
        (b"content-type", kind.encode()),
        (b"learner-identifier", LEARNER.encode()),
        (b"authorization", b"Bearer x"),
    ]
    if not is_query:
        headers.append((b"content-length", str(len(content)).encode()))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": bytes(b for b in content if 0x20 < b < 0x7F) if is_query else b"",  # as h11 takes it
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", PORT),
    }
    statuses: list[int] = []
    events = [{"type": "http.request", "body": b"" if is_query else content, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return events.pop() if events else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await site()(scope, receive, send)
    (status,) = statuses
    return status


def page_request(data: bytes) -> None:
    """First byte: where to; second: in which form; the rest is the body, or the query."""
    method, path = REQUESTS[(data[0] if data else 0) % len(REQUESTS)]
    kind = FORMS[(data[1] if len(data) > 1 else 0) % len(FORMS)]
    with warnings.catch_warnings():
        # Starlette leaves the file of an upload that breaks off to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        status = loop().run_until_complete(answered(method, path, kind, data[2:]))
    assert status < 500 or status in SERVED, (method, path, status)


def learning_code(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    with suppress(GatewayError):
        parse_code_name(text)
    code = parse_code(text)
    assert parse_code(code.text) == code


def archive_file(data: bytes) -> None:
    """First byte: as it lies on a disk, as it is inside, or as somebody brings it to the verifiers' page."""
    way, content = (data[0] if data else 0) % 3, data[1:]
    if way == 0:
        decrypt(content, PASSPHRASE)
    elif way == 1:
        open_package(content)
    else:
        Checker((), lambda: NOW).check(content, PASSPHRASE)


def department(data: bytes) -> None:
    folder = scratch() / "node"
    (folder / "sources").mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).write_bytes((EXAMPLES / "zhejiang" / "node.toml").read_bytes())
    (folder / "sources" / "bureau.toml").write_bytes(data)
    load_config(folder)


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "archive-file": archive_file,
    "department": department,
    "learning-code": learning_code,
    "page-request": page_request,
}
