"""Puts the portal together: the local API, the learners' pages, the verifiers' page, each behind a fence."""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from functools import partial

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.clock import Clock
from gateway.storage.node_tables import Database
from gateway.web.archive_api.app import make_api
from gateway.web.archive_api.idempotency import OnceOnly
from gateway.web.archive_api.operations import Operations
from gateway.web.archive_api.tokens import AccessTokens, TokenSettings
from gateway.web.archives.node_calls import Connect
from gateway.web.archives.searches import Searches
from gateway.web.portal.archive_page import ArchivePage
from gateway.web.portal.checking import Checker, KnownIssuer
from gateway.web.portal.nodes import KnownNodes
from gateway.web.portal.permission_pages import PermissionPages
from gateway.web.portal.sign_in import SignIn
from gateway.web.portal.verify_page import Rate, VerifyPage
from gateway.web.portal.visits import Door, LearnersOfSessions
from gateway.web.site.openid_connect import OpenIdConnect, Provider
from gateway.web.site.page import Pages
from gateway.web.site.preferences import keep_preferences
from gateway.web.site.provider_round import ProviderRound
from gateway.web.site.security import Fence
from gateway.web.site.sessions import SessionLimits, Sessions
from gateway.web.site.visiting import SessionCookie
from gateway.web.site.words import Words

DOCUMENT_BYTES_MAX = 4 * 1024 * 1024
API_PATHS = ("/v1/", "/openapi.json")


@dataclass(frozen=True)
class SignInSettings:
    """What node.toml says of the learners' sign-in."""

    provider: Provider
    claim: str
    identifier_type: str


@dataclass(frozen=True)
class PortalSettings:
    """What node.toml says of the portal."""

    port: int
    zone: tzinfo
    limits: SessionLimits
    checks_per_minute: int
    kinds: Sequence[str]
    """Kinds of record that archives are collected of."""
    issuers: Sequence[KnownIssuer]
    tokens: TokenSettings | None = None
    """``None`` = the local API is not served."""
    sign_in: SignInSettings | None = None
    """``None`` = learners' pages are not served."""
    url: str = ""
    """Under which URL it is reached through a proxy; empty = on this machine only."""


def portal_words() -> Words:
    """Return the portal's phrases."""
    site, portal = (importlib.resources.files(p) for p in ("gateway.web.site", "gateway.web.portal"))
    return Words.read(site / "words.toml", portal / "words.toml")


def make_portal(
    nodes: KnownNodes, connect: Connect, database: Database, clock: Clock, settings: PortalSettings
) -> ASGIApp:
    """Return all of it as an ASGI application."""
    searches = Searches(connect, clock, nodes.own)
    api = None
    if settings.tokens is not None:
        tokens, once = AccessTokens(settings.tokens, clock), OnceOnly(database, clock)
        api = make_api(Operations(nodes.own, connect, tokens, searches, once, clock, nodes.peer_ids))
    return Fork(api, _site(nodes, connect, searches, clock, settings))


@dataclass(frozen=True)
class Fork:
    """The API for programs on one side, pages for people on the other."""

    api: ASGIApp | None
    site: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        is_api = scope["type"] == "http" and scope["path"].startswith(API_PATHS)
        await (self.api if is_api and self.api is not None else self.site)(scope, receive, send)


def _site(
    nodes: KnownNodes, connect: Connect, searches: Searches, clock: Clock, settings: PortalSettings
) -> ASGIApp:
    pages = Pages(
        ("gateway.web.portal", "gateway.web.site"),
        portal_words(),
        {"node_id": nodes.own, "zone": str(settings.zone), "has_sign_in": settings.sign_in is not None},
        settings.zone,
    )
    is_secure = settings.url.startswith("https://")
    local = frozenset(f"{host}:{settings.port}" for host in ("127.0.0.1", "localhost", "[::1]"))
    hosts = local | {settings.url.partition("://")[2].lower()} if settings.url else local
    verify = VerifyPage(
        pages, connect, searches, nodes, Checker(settings.issuers, clock), Rate(settings.checks_per_minute)
    )
    cookie = SessionCookie.of_site(f"portal-{nodes.own}", is_secure=is_secure)
    door = Door(pages, Sessions(clock, settings.limits), LearnersOfSessions(), cookie)
    routes: list[BaseRoute] = [
        Route("/", partial(_home, door)),
        Route("/preferences", keep_preferences),
        Mount("/static", StaticFiles(packages=[("gateway.web.site", "static")])),
        Mount("/portal", StaticFiles(packages=[("gateway.web.portal", "static")])),
        *verify.routes(),
    ]
    if settings.sign_in is not None:
        base = settings.url or f"http://127.0.0.1:{settings.port}"
        provider = OpenIdConnect(settings.sign_in.provider, f"{base}/sign-in/callback", clock)
        sign_in = SignIn(
            door,
            pages,
            ProviderRound(provider, cookie),
            settings.sign_in.claim,
            settings.sign_in.identifier_type,
            searches,
        )
        routes += sign_in.routes()
        routes += _learner_routes(door, nodes, connect, searches, clock, settings.kinds)
    larger = {"/verify/document": DOCUMENT_BYTES_MAX}
    return Fence(Starlette(routes=routes), hosts, is_secure, larger, camera_at=("/verify",))


def _learner_routes(
    door: Door,
    nodes: KnownNodes,
    connect: Connect,
    searches: Searches,
    clock: Clock,
    kinds: Sequence[str],
) -> list[Route]:
    archive = ArchivePage(connect, searches, nodes, clock, kinds)
    permissions = PermissionPages(connect, nodes, clock)
    return [
        door.route("/archive", archive.show),
        door.route("/archive/part", archive.follow, is_poll=True),
        door.route("/archive/collect", archive.collect, is_act=True),
        door.route("/archive/record/{source}/{record}", archive.record),
        door.route("/archive/download", archive.download, is_act=True),
        door.route("/consents", permissions.consents),
        door.route("/consents/grant", permissions.grant, is_act=True),
        door.route("/consents/{consent}/revoke", permissions.revoke, is_act=True),
        door.route("/code", permissions.code),
        door.route("/code/make", permissions.make_code, is_act=True),
        door.route("/code/{code}/revoke", permissions.revoke_code, is_act=True),
        door.route("/accesses", permissions.accesses),
    ]


def _home(door: Door, request: Request) -> Response:
    if door.session_of(request) is not None:
        return RedirectResponse("/archive", status_code=303)
    return door.pages.render(request, "home.html")
