"""Sign-in at a real OpenID Connect provider, and at one that lies."""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from gateway.clock import system_clock
from gateway.web.console.roles import role_of_claims
from gateway.web.site.openid_connect import OpenIdConnect, Provider, SignInError
from tests.ports import free_port
from tests.processes.provinces import ProcessNode, make_node
from tests.web.console_federation import RunningConsole, console_of
from tests.web.openid_provider import openid_provider

HERE = Path(__file__).parent
SECRET = secrets.token_urlsafe(24)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> ProcessNode:
    own = make_node(tmp_path_factory.mktemp("oidc"), "zhejiang", records=False)
    _ = own.card
    secret = own.folder.key("console-client.secret")
    secret.touch(mode=0o600)
    secret.write_text(SECRET + "\n", encoding="ascii")
    return own


PEOPLE = {
    "alice": {"name": "alice of the test", "groups": ["gateway-operators", "staff"]},
    "bob": {"name": "bob of the test", "groups": ["staff"]},
}


@pytest.fixture(scope="module")
def console(node: ProcessNode) -> Iterator[RunningConsole]:
    issuer, port = free_port(), free_port()
    settings = (
        f'listen = "127.0.0.1:{port}"\n[console.oidc]\nissuer = "http://127.0.0.1:{issuer}"\n'
        'client_id = "console"\nclient_secret_file = "keys/console-client.secret"\n'
        'roles = { gateway-operators = "operator" }\n'
    )
    with (
        console_of(node, settings, listen=port) as running,
        openid_provider(issuer, "console", f"{running.url}/sign-in/callback", SECRET, PEOPLE),
    ):
        yield running


def browser() -> httpx2.Client:
    return httpx2.Client(timeout=30, trust_env=False, follow_redirects=False)


def until(client: httpx2.Client, url: str, stop: str) -> httpx2.Response:
    """Follow redirects until one leads to ``stop``, which is not opened; or to a page."""
    for _ in range(12):
        response = client.get(url)
        if not response.is_redirect:
            return response
        url = urljoin(url, response.headers["location"])
        if stop and urlsplit(url).path == stop:
            return response
    raise AssertionError(url)


def sign_in_there(client: httpx2.Client, console: RunningConsole, name: str) -> str:
    """Do what a person does at the provider; the URL with which it sends the browser back."""
    page = until(client, f"{console.url}/sign-in/provider", "/sign-in/callback")
    for _ in range(3):  # log in, then agree
        action = unescape(re.search(r'action="([^"]+)"', page.text)[1])
        prompt = re.search(r'name="prompt" value="(\w+)"', page.text)[1]
        form = {"prompt": prompt} | ({"login": name, "password": "any"} if prompt == "login" else {})
        answer = client.post(urljoin(str(page.url), action), data=form)
        url = urljoin(str(page.url), answer.headers["location"])
        page = until(client, url, "/sign-in/callback")
        if page.is_redirect:
            return urljoin(url, page.headers["location"])
    raise AssertionError(page.text)


def test_the_provider_says_who_and_node_toml_what_they_may(console: RunningConsole) -> None:
    with browser() as alice:
        back = sign_in_there(alice, console, "alice")
        assert alice.get(back).headers["location"] == "/now"
        page = alice.get(f"{console.url}/config")
        assert page.status_code == 200
        assert "alice of the test" in page.text
        assert alice.get(back).status_code == 403  # a code and a state work once


def test_who_has_no_role_stays_outside(console: RunningConsole) -> None:
    with browser() as bob:
        answer = bob.get(sign_in_there(bob, console, "bob"))
        assert answer.status_code == 403
        assert "nothing in node.toml gives you a role" in answer.text
        assert bob.get(f"{console.url}/now").headers["location"] == "/sign-in"


def test_a_sign_in_that_another_browser_began_is_refused(console: RunningConsole) -> None:
    with browser() as attacker, browser() as victim:
        back = sign_in_there(attacker, console, "alice")
        refused = victim.get(back)  # the attacker's code, put under the victim
        assert refused.status_code == 403
        assert "not begun here" in refused.text
        assert not [cookie for cookie in victim.cookies.jar if cookie.name == "console-zhejiang"]


@dataclass
class Lie:
    """What a provider says that ought not to be believed."""

    name: str
    claims: dict[str, object]
    header: dict[str, str] | None = None
    other_key: bool = False


LIES = [
    Lie("the truth", {}),
    Lie("another nonce", {"nonce": "n"}),
    Lie("another audience", {"aud": "other"}),
    Lie("another issuer", {"iss": "https://evil.example"}),
    Lie("another party", {"aud": ["console", "other"], "azp": "other"}),
    Lie("expired", {"exp": 1_000_000_000}),
    Lie("not signed", {}, {"alg": "none"}),
    Lie("signed with the public key as a shared one", {}, {"alg": "HS256"}),
    Lie("signed by somebody else", {}, other_key=True),
]


@contextmanager
def lying_provider(lie: Lie) -> Iterator[tuple[str, dict[str, str]]]:
    """A provider whose every answer is well-formed, and whose ID token lies; yields it and its nonce."""
    key = RSAKey.generate_key(2048, {"kid": "k", "use": "sig"})
    nonce: dict[str, str] = {}

    class Handler(BaseHTTPRequestHandler):
        def reply(self, data: object) -> None:
            body = json.dumps(data).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            if self.path == "/keys":
                self.reply({"keys": [key.as_dict(private=False)]})
            else:
                ends = {"authorization_endpoint": "a", "token_endpoint": "token", "jwks_uri": "keys"}
                self.reply({"issuer": issuer, **{k: f"{issuer}/{v}" for k, v in ends.items()}})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            now = int(system_clock().timestamp())
            claims = {"iss": issuer, "aud": "console", "sub": "x", "iat": now, "exp": now + 60} | nonce
            claims |= lie.claims
            self.reply({"access_token": "t", "token_type": "Bearer", "id_token": token(claims)})

        def log_message(self, *_arguments: object) -> None:
            pass

    def token(claims: dict[str, object]) -> str:
        if lie.header == {"alg": "none"}:
            return jwt.encode({"alg": "none"}, claims, OctKey.generate_key(256), algorithms=["none"])
        if lie.header == {"alg": "HS256"}:
            shared = OctKey.import_key(key.as_pem(private=False) + b"")
            return jwt.encode({"alg": "HS256", "kid": "k"}, claims, shared)
        signer = RSAKey.generate_key(2048) if lie.other_key else key
        return jwt.encode({"alg": "RS256", "kid": "k"}, claims, signer)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield issuer, nonce
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.name)
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_an_id_token_is_believed_only_when_all_of_it_holds(lie: Lie) -> None:
    with lying_provider(lie) as (issuer, nonce):
        provider = Provider(issuer, "console", "", (), "console.oidc")
        connect = OpenIdConnect(provider, "http://127.0.0.1/sign-in/callback", system_clock)
        url, shown = connect.begin()
        sent = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert sent["code_challenge_method"] == "S256"
        nonce["nonce"] = sent["nonce"]
        back = {"state": sent["state"], "code": "c"}
        if lie.name == "the truth":
            assert connect.finish(back, shown)["sub"] == "x"
            return
        with pytest.raises(SignInError, match="does not verify"):
            connect.finish(back, shown)


def test_a_provider_that_is_away_or_calls_itself_otherwise_is_named() -> None:
    away = OpenIdConnect(
        Provider(f"http://127.0.0.1:{free_port()}", "c", "", (), "console.oidc"), "r", system_clock
    )
    with pytest.raises(SignInError, match="cannot be reached"):
        away.begin()
    with lying_provider(LIES[0]) as (issuer, _):
        other = OpenIdConnect(Provider(issuer + "/", "c", "", (), "console.oidc"), "r", system_clock)
        with pytest.raises(SignInError, match="calls itself otherwise"):
            other.begin()


def test_of_several_roles_the_one_that_may_most_counts_and_no_claim_is_no_role() -> None:
    roles = {"a": "viewer", "b": "operator", "c": "auditor"}
    assert role_of_claims({"groups": ["a", "b", "c"]}, "groups", roles) == "operator"
    assert role_of_claims({"realm": {"roles": ["c"]}}, "realm.roles", roles) == "auditor"
    assert role_of_claims({"groups": "a"}, "groups", roles) == "viewer"
    for claims in ({}, {"groups": None}, {"groups": ["d", 3, None]}, {"groups": {"a": 1}}):
        assert role_of_claims(claims, "groups", roles) == ""
