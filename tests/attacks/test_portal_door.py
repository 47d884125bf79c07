"""Visitors of the verifiers' page who are up to something; the node behind the page counts what reaches it."""

from __future__ import annotations

import gzip
import http.client
import socket
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import pytest

from gateway.clock import system_clock
from gateway.exports.status import LIST_BITS
from gateway.peers.roster import Roster
from gateway.web.portal import checking
from gateway.web.portal.app import PortalSettings, make_portal
from gateway.web.portal.checking import KnownIssuer
from gateway.web.portal.nodes import KnownNodes
from gateway.web.site.server import SiteServer, bind
from gateway.web.site.sessions import SessionLimits
from tests.exports.documents import office, record
from tests.federation.simulator import make_federation

CODE = urlencode({"code": "ZX1SHANGHAI.0", "organisation": "A school"})
FORM = "application/x-www-form-urlencoded"
CHECKS_A_MINUTE = 20


@dataclass
class Desk:
    """The portal of a node that does not run, on a real port."""

    port: int
    asked: list[None] = field(default_factory=list)
    """One for each time that a page turned to the node."""

    def ask(
        self, method: str, path: str, body: bytes = b"", kind: str = FORM, **headers: str
    ) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = {"Content-Type": kind} | {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body or None, sent)
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
        connection.close()
        return response.status, {name.lower(): value for name, value in response.headers.items()}, text

    def bring(self, document: bytes) -> tuple[int, str]:
        """Upload a document as a browser does."""
        head = b'--b\r\nContent-Disposition: form-data; name="document"; filename="a.json"\r\n\r\n'
        status, _, text = self.ask(
            "POST", "/verify/document", head + document + b"\r\n--b--\r\n", "multipart/form-data; boundary=b"
        )
        return status, text


@contextmanager
def portal(issuers: tuple[KnownIssuer, ...] = (), checks: int = CHECKS_A_MINUTE) -> Iterator[Desk]:
    listening = bind("127.0.0.1:0", "portal.listen")
    desk = Desk(listening.getsockname()[1])

    def connect() -> None:
        desk.asked.append(None)

    nodes = KnownNodes("shanghai", {}, lambda: Roster.of([]))
    settings = PortalSettings(desk.port, UTC, SessionLimits(), checks, ("course",), issuers)
    server = SiteServer(
        make_portal(nodes, cast(Any, connect), cast(Any, None), system_clock, settings), listening
    )
    server.start()
    try:
        yield desk
    finally:
        server.stop()


@pytest.fixture
def desk() -> Iterator[Desk]:
    with portal() as running:
        yield running


def test_a_form_of_another_site_redeems_no_code(desk: Desk) -> None:
    for evil in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ):
        assert desk.ask("POST", "/verify/code", CODE.encode(), **evil)[0] == 403
    assert desk.asked == []
    status, _, _ = desk.ask("POST", "/verify/code", CODE.encode(), Origin=f"http://127.0.0.1:{desk.port}")
    assert (status, len(desk.asked)) == (503, 1)


def test_a_name_that_was_pointed_here_gets_nothing(desk: Desk) -> None:
    for host in ("evil.example", f"evil.example:{desk.port}", f"127.0.0.1:{desk.port + 1}"):
        assert desk.ask("GET", "/verify", Host=host)[0] == 421
    assert desk.ask("GET", "/verify")[0] == 200


def test_every_answer_carries_the_policy_and_no_path_leaves_the_folder(desk: Desk) -> None:
    outside = [
        f"/{folder}/{way}{name}"
        for folder in ("static", "portal")
        for way in ("../", "%2e%2e/", "..%2f", "%2e%2e%2f", "/", "..%5c")
        for name in ("app.py", "words.toml")
    ]
    for path in ("/", "/verify", "/nowhere", "/v1/searches", "/static/site.css", *outside):
        status, headers, text = desk.ask("GET", path)
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert headers["x-content-type-options"] == "nosniff"
        assert status == (200 if path in ("/", "/verify", "/static/site.css") else 404), path
        assert "import" not in text or status == 200


def test_what_a_visitor_writes_never_becomes_markup(desk: Desk) -> None:
    attack = '"><script>alert(1)</script>'
    for path, fields in (
        ("/verify/code", {"code": attack, "organisation": attack}),
        ("/verify/document", {"passphrase": attack, "document": attack}),
    ):
        assert "<script>alert" not in desk.ask("POST", path, urlencode(fields).encode())[2]
    assert "<script>alert" not in desk.ask("GET", f"/verify/{'%3Cscript%3Ealert(1)'}")[2]
    assert "<script>alert" not in desk.bring(f'{{"type": ["{attack}"]}}'.encode())[1]


def test_checks_are_bounded_whoever_asks() -> None:
    """Nobody who tries codes or documents gets further by new connections or names."""
    with portal(checks=3) as desk:
        told = [
            desk.ask("POST", "/verify/code", CODE.encode(), X_Forwarded_For=f"10.0.0.{n}")[0]
            for n in range(6)
        ]
    assert told == [503, 503, 503, 422, 422, 422]
    assert len(desk.asked) == 3


def test_a_result_is_found_under_no_name_that_was_guessed(desk: Desk) -> None:
    for name in ("0" * 32, "verifier", "../verify", "%00", "A" * 500):
        assert desk.ask("GET", f"/verify/{name}")[0] in (404, 422), name
    assert desk.asked == []


@pytest.mark.parametrize("is_known", [False, True])
def test_a_document_makes_the_portal_call_nobody_whom_its_operator_does_not_know(
    tmp_path: Path, is_known: bool
) -> None:
    """Whoever brings a document would else choose where this machine connects to (SSRF)."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        domain = f"localhost:{listening.getsockname()[1]}"
        document = office(make_federation(tmp_path, "zhejiang", "shanghai")["zhejiang"], domain).export(
            "clr", record(1)
        )
        page = f"http://127.0.0.1:{listening.getsockname()[1]}"
        known = (KnownIssuer("zhejiang", domain, page),) if is_known else ()
        checking_s, checking.CALL_S = checking.CALL_S, 0.3  # nobody answers there
        try:
            with portal(known) as desk:
                assert desk.bring(document)[0] == 503  # it verifies; that it was looked at cannot be logged
        finally:
            checking.CALL_S = checking_s
        if is_known:
            listening.accept()[0].close()
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_a_status_list_that_unpacks_without_end_is_cut_off() -> None:
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    assert len(bomb) < checking.LIST_BYTES_MAX
    with pytest.raises(ValueError, match="another length"):
        checking._unpacked("u" + urlsafe_b64encode(bomb).rstrip(b"=").decode())
    fitting = gzip.compress(bytes(LIST_BITS // 8))
    assert checking._unpacked("u" + urlsafe_b64encode(fitting).rstrip(b"=").decode()) == bytes(LIST_BITS // 8)
