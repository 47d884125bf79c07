"""What an attacker would try at the console's door: forged forms, planted sessions, other hosts, roles."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

import pytest
from starlette.routing import Mount, Route

from gateway.clock import system_clock
from gateway.peers.card import read_card_file
from gateway.peers.roster import load_roster
from gateway.storage.engine import open_engine
from gateway.telemetry.sampling import Sampler, TrafficHistory
from gateway.web.console.app import ConsoleSettings, make_console
from gateway.web.console.sources import Sources
from gateway.web.site.security import BODY_BYTES_MAX
from gateway.web.site.server import SiteServer, bind
from gateway.web.site.sessions import SessionLimits
from tests.processes.provinces import ProcessNode, introduce, make_node

KEY = "the-key-of-the-run-folder"
COOKIE = "console-zhejiang"
OPEN = {
    "/",
    "/preferences",
    "/sign-in",
    "/enter/{secret}",
    "/sign-in/provider",
    "/sign-in/callback",
    "/links",
}
"""Routes that answer whoever asks; each has a test below."""


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    cookies: dict[str, str]
    text: str


@dataclass
class Site:
    """A console on a real port, with a clock that can be set."""

    port: int
    sources: Sources
    now: list[datetime]
    app: object = None
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, *, body: str = "", cookie: str = "", **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if cookie:
            sent["Cookie"] = f"{COOKIE}={cookie}"
        connection.request(method, path, body.encode() if body else None, sent)
        response = connection.getresponse()
        set_cookies = response.headers.get_all("set-cookie") or []
        got = {name: morsel.value for line in set_cookies for name, morsel in SimpleCookie(line).items()}
        text = response.read().decode()
        connection.close()
        return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, got, text)

    def link(self, role: str = "operator") -> str:
        made = self.ask("POST", "/links", Authorization=f"Bearer {KEY}", X_Role=role)
        assert made.status == 200
        return re.search(r"/enter/[\w-]+", made.text)[0]

    def sign_in(self, role: str = "operator", cookie: str = "") -> str:
        entered = self.ask("GET", self.link(role), cookie=cookie)
        assert (entered.status, entered.headers["location"]) == (303, "/now")
        return entered.cookies[COOKIE]

    def csrf(self, cookie: str) -> str:
        return re.search(r'name="csrf" value="([\w-]+)"', self.ask("GET", "/trust", cookie=cookie).text)[1]

    def later(self, **span: float) -> None:
        self.now[0] += timedelta(**span)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> ProcessNode:
    parent = tmp_path_factory.mktemp("door")
    own = make_node(parent, "zhejiang", records=False)
    introduce(own, make_node(parent, "shanghai", secret_from=own, records=False))
    _ = own.card  # writes card.json
    return own


@contextmanager
def served(node: ProcessNode, **settings: object) -> Iterator[Site]:
    config, folder = node.config, node.folder
    now = [system_clock()]
    history = TrafficHistory()
    engine = open_engine(folder.database_url(config.database.url))
    sources = Sources(
        node_id="zhejiang",
        root=folder.root,
        card=partial(read_card_file, folder.card),
        roster=partial(load_roster, folder.peers, "zhejiang"),
        scheme_files=lambda: {"zhejiang": folder.scheme},
        database=engine,
        connect=lambda: None,
        history=history,
        sampler=Sampler("127.0.0.1:1", (), history),
        clock=lambda: now[0],
    )
    listening = bind("127.0.0.1:0", "console.listen")
    port = listening.getsockname()[1]
    given = ConsoleSettings(port, KEY, UTC, SessionLimits())
    app = make_console(sources, replace(given, **settings))
    server = SiteServer(app, listening)
    server.start()
    try:
        yield Site(port, sources, now, app)
    finally:
        server.stop()
        engine.dispose()


@pytest.fixture
def site(node: ProcessNode) -> Iterator[Site]:
    with served(node) as running:
        yield running


def routes(site: Site) -> list[Route]:
    found = [route for route in site.app.app.routes if not isinstance(route, Mount)]
    assert len(found) > 12
    return found


def path_of(route: Route) -> str:
    return route.path.replace("{index}", "0").replace("{peer}", "shanghai").replace("{secret}", "x")


def test_nothing_but_the_door_answers_who_is_not_signed_in(site: Site) -> None:
    closed = [route for route in routes(site) if route.path not in OPEN]
    for route in closed:
        method = "POST" if "POST" in route.methods else "GET"
        for cookie in ("", "A" * 43):
            answer = site.ask(method, path_of(route), cookie=cookie)
            assert (answer.status, answer.headers["location"]) == (303, "/sign-in"), route.path
            assert answer.text == ""
        part = site.ask(method, path_of(route), HX_Request="true")
        assert (part.status, part.headers["hx-redirect"], part.text) == (204, "/sign-in", "")
    assert {route.path for route in routes(site)} - {route.path for route in closed} == OPEN


def test_a_link_signs_in_once_here_and_for_ten_minutes(site: Site) -> None:
    link = site.link()
    assert site.ask("GET", link).status == 303
    assert site.ask("GET", link).status == 403
    late = site.link()
    site.later(minutes=10)
    assert site.ask("GET", late).status == 403
    assert site.ask("GET", "/enter/" + "A" * 43).status == 403
    assert site.ask("POST", "/links", Authorization="Bearer wrong").status == 403
    assert site.ask("POST", "/links").status == 403
    assert site.ask("POST", "/links", Authorization=f"Bearer {KEY}", X_Role="root").status == 400


def test_a_link_does_not_work_through_the_proxy(node: ProcessNode) -> None:
    with served(node, url="https://console.example") as site:
        link = site.link()
        assert site.ask("GET", link, Host="console.example").status == 403
        entered = site.ask("GET", link)  # still there for who is on the machine
        assert entered.status == 303
        line = entered.headers["set-cookie"]
        assert line.startswith("__Host-console-zhejiang=")
        assert "Secure" in line
        assert "strict-transport-security" in entered.headers


def test_a_planted_session_is_never_adopted(site: Site) -> None:
    planted = "P" * 43
    name = site.sign_in(cookie=planted)
    assert name != planted
    assert site.ask("GET", "/now", cookie=planted).status == 303
    again = site.sign_in(cookie=name)  # signing in anew ends the session that the browser had
    assert again != name
    assert site.ask("GET", "/now", cookie=name).status == 303
    assert site.ask("GET", "/now", cookie=again).status == 200


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(site: Site) -> None:
    line = site.ask("GET", site.link()).headers["set-cookie"]
    assert "HttpOnly" in line
    assert "SameSite=lax" in line
    assert "Path=/" in line


def test_a_session_ends_when_idle_and_in_any_case_and_polling_keeps_nothing_alive(site: Site) -> None:
    idle = site.sign_in()
    for _ in range(4):  # the overview asks every five seconds by itself
        site.later(minutes=8)
        polled = site.ask("GET", "/now/live", cookie=idle, HX_Request="true")
    assert (polled.status, polled.headers["hx-redirect"]) == (204, "/sign-in")
    busy = site.sign_in()
    for _ in range(24):
        site.later(minutes=19)
        assert site.ask("GET", "/now", cookie=busy).status == 200
    site.later(minutes=25)  # eight hours and a minute
    assert site.ask("GET", "/now", cookie=busy).status == 303


def test_signing_out_ends_the_session_itself(site: Site) -> None:
    name = site.sign_in()
    assert site.ask("POST", "/sign-out", body=urlencode({"csrf": site.csrf(name)}), cookie=name).status == 303
    assert site.ask("GET", "/now", cookie=name).status == 303


@pytest.mark.parametrize("path", ["/sign-out", "/peers/shanghai/doctor", "/trust/shanghai/reconcile"])
def test_a_form_of_another_site_does_nothing(site: Site, path: str) -> None:
    mine, other = site.sign_in(), site.sign_in()
    good = urlencode({"csrf": site.csrf(mine)})
    forged = [
        site.ask("POST", path, cookie=mine),
        site.ask("POST", path, body="csrf=", cookie=mine),
        site.ask("POST", path, body=urlencode({"csrf": site.csrf(other)}), cookie=mine),
        site.ask("POST", path, body=good, cookie=mine, Sec_Fetch_Site="cross-site"),
        site.ask("POST", path, body=good, cookie=mine, Sec_Fetch_Site="same-site"),
        site.ask("POST", path, body=good, cookie=mine, Origin="https://evil.example"),
        site.ask("POST", path, body=good, cookie=mine, Origin="null"),
    ]
    assert [answer.status for answer in forged] == [403] * len(forged)
    assert site.ask("GET", path, cookie=mine).status == 405
    assert site.ask("GET", "/now", cookie=mine).status == 200  # nobody was signed out


@pytest.mark.parametrize(
    ("role", "forbidden"),
    [
        (
            "viewer",
            {
                "/exchanges",
                "/exchanges/{index}",
                "/config",
                "/peers/{peer}/doctor",
                "/trust/{peer}/reconcile",
            },
        ),
        ("auditor", {"/peers/{peer}/doctor"}),
        ("operator", set()),
    ],
)
def test_a_role_opens_what_it_is_for_and_no_more(site: Site, role: str, forbidden: set[str]) -> None:
    name = site.sign_in(role)
    form = urlencode({"csrf": site.csrf(name)})
    refused = set()
    for route in routes(site):
        if route.path in OPEN | {"/sign-out"}:
            continue
        if "POST" in route.methods:
            answer = site.ask("POST", path_of(route), body=form, cookie=name)
        else:
            answer = site.ask("GET", path_of(route), cookie=name)
        if answer.status == 403:
            refused.add(route.path)
            assert "Your role does not allow this." in answer.text
    assert refused == forbidden
    shown = site.ask("GET", "/trust", cookie=name).text
    assert ('href="/exchanges"' in shown) == ("/exchanges" not in forbidden)
    assert ("/reconcile" in shown) == ("/trust/{peer}/reconcile" not in forbidden)


def test_another_name_for_this_address_is_refused(site: Site) -> None:
    name = site.sign_in()
    for host in ("evil.example", f"evil.example:{site.port}", f"127.0.0.1:{site.port + 1}", ""):
        answer = site.ask("GET", "/now", cookie=name, Host=host)
        assert answer.status in (400, 421), host
        assert "zhejiang" not in answer.text


class Markup(HTMLParser):
    """Collects what a strict policy forbids, and addresses of other hosts."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in names):
            self.wrong.append(tag)
        for name, value in attrs:
            if name == "style" or name.startswith("on"):
                self.wrong.append(f"{tag} {name}")
            if name in ("src", "href", "action") and re.match(r"\w+:|//", value or ""):
                self.wrong.append(f"{tag} {value}")


def test_every_answer_carries_the_policy_and_no_page_needs_an_exception(site: Site) -> None:
    name = site.sign_in()
    paths = [path_of(route) for route in routes(site) if "GET" in route.methods]
    paths += ["/static/site.css", "/static/htmx.min.js", "/console/proof.js", "/nowhere", "/static/../app.py"]
    for path in paths:
        answer = site.ask("GET", path, cookie=name)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "server" not in answer.headers
        markup = Markup()
        markup.feed(answer.text if answer.headers.get("content-type", "").startswith("text/html") else "")
        assert not markup.wrong, path
        if answer.headers.get("content-type", "").startswith("text/html"):
            assert answer.headers["cache-control"] == "no-store"


def test_going_back_never_leads_elsewhere(site: Site) -> None:
    for back in (
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "\r\nX: y",
    ):
        query = urlencode({"theme": "dark", "back": back})
        assert site.ask("GET", f"/preferences?{query}").headers["location"] == "/"
    kept = site.ask("GET", "/preferences?language=zh&back=/trust")
    assert (kept.headers["location"], kept.cookies["language"]) == ("/trust", "zh")


def test_what_a_visitor_writes_comes_back_as_text(site: Site) -> None:
    name = site.sign_in()
    attack = '"><script>alert(1)</script>'
    for path in ("/exchanges", "/schemes"):
        keys = ("peer", "purpose", "outcome", "exchange", "since", "kind", "credits", "grade")
        answer = site.ask("GET", f"{path}?{urlencode(dict.fromkeys(keys, attack))}", cookie=name)
        assert answer.status == 200
        assert "<script>alert" not in answer.text
    assert site.ask("GET", f"/peers/{'%3Cscript%3E'}", cookie=name).status == 404
    assert site.ask("GET", "/schemes?first=../../keys/message", cookie=name).status == 404


@pytest.mark.parametrize("index", ["-1", "99999999999999999999999", "0x0", "１", "0"])
def test_an_entry_that_is_not_there_is_said_in_words(site: Site, index: str) -> None:
    from urllib.parse import quote

    answer = site.ask("GET", f"/exchanges/{quote(index)}", cookie=site.sign_in())
    assert answer.status == 404
    assert "the log has no such entry" in answer.text


def test_a_body_is_bounded(site: Site) -> None:
    name = site.sign_in()
    big = "csrf=" + "x" * BODY_BYTES_MAX
    assert site.ask("POST", "/sign-out", body=big, cookie=name).status == 413
    assert site.ask(
        "POST", "/sign-out", body="5\r\ncsrf=\r\n0\r\n\r\n", cookie=name, Transfer_Encoding="chunked"
    ).status in (400, 413)


def test_without_a_node_the_pages_say_so_and_stay_up(site: Site) -> None:
    name = site.sign_in()
    assert "The node does not run" in site.ask("GET", "/now", cookie=name).text
    assert "does not run" in site.ask("GET", "/config", cookie=name).text
    form = urlencode({"csrf": site.csrf(name)})
    asked = site.ask("POST", "/peers/shanghai/doctor", body=form, cookie=name)
    assert asked.status == 503
    assert "credit-gateway serve" in asked.text


def test_the_language_follows_the_browser_until_one_is_chosen(site: Site) -> None:
    assert "登录" in site.ask("GET", "/sign-in", Accept_Language="fr;q=0.9, zh-CN;q=0.8, en;q=0.7").text
    assert "Sign in" in site.ask("GET", "/sign-in", Accept_Language="en, zh;q=0.5").text
    assert "Sign in" in site.ask("GET", "/sign-in", Accept_Language="zh;q=0, *").text
    assert "登录" in site.ask("GET", "/sign-in", Accept_Language="en", Cookie="language=zh").text


@pytest.mark.parametrize(
    ("own", "published"),
    [
        ("htmx.min.js", "htmx.org/dist/htmx.min.js"),
        ("qr/index.js", "qr/index.js"),
        ("qr/decode.js", "qr/decode.js"),
    ],
)
def test_foreign_scripts_are_the_published_files(own: str, published: str) -> None:
    root = Path(__file__).parents[2]
    ours = root / "gateway" / "web" / "site" / "static" / own
    assert ours.read_bytes() == (root / "node_modules" / published).read_bytes(), "run `make web-scripts`"
