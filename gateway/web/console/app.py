"""Puts the console together: pages, door, fence."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from gateway.web.console.config_page import ConfigPage
from gateway.web.console.exchanges_page import ExchangesPage
from gateway.web.console.links import OneTimeLinks
from gateway.web.console.now_page import NowPage
from gateway.web.console.peers_page import PeersPage
from gateway.web.console.roles import AUDITING, EVERYBODY, OPERATING
from gateway.web.console.schemes_page import SchemesPage
from gateway.web.console.sign_in import SignIn
from gateway.web.console.sources import Sources
from gateway.web.console.trust_page import TrustPage
from gateway.web.console.visits import Door
from gateway.web.site.openid_connect import OpenIdConnect, Provider
from gateway.web.site.page import Pages
from gateway.web.site.preferences import keep_preferences
from gateway.web.site.provider_round import ProviderRound
from gateway.web.site.security import Fence
from gateway.web.site.sessions import SessionLimits, Sessions
from gateway.web.site.visiting import SessionCookie
from gateway.web.site.words import Words


@dataclass(frozen=True)
class ConsoleSettings:
    """What node.toml and the command line say of the console."""

    port: int
    link_key: str
    """What ``credit-gateway console`` shows to get a one-time link."""
    zone: tzinfo
    limits: SessionLimits
    url: str = ""
    """Under which URL it is reached through a proxy, without a path; empty = on this machine only."""
    provider: Provider | None = None
    claim: str = "groups"
    roles: Mapping[str, str] | None = None


def console_words() -> Words:
    """Return the console's phrases."""
    site, console = (importlib.resources.files(p) for p in ("gateway.web.site", "gateway.web.console"))
    return Words.read(site / "words.toml", console / "words.toml")


def make_console(sources: Sources, settings: ConsoleSettings) -> ASGIApp:
    """Return the console as an ASGI application."""
    pages = Pages(
        ("gateway.web.console", "gateway.web.site"),
        console_words(),
        {"node_id": sources.node_id, "zone": str(settings.zone)},
        settings.zone,
    )
    is_secure = settings.url.startswith("https://")
    sessions = Sessions(sources.clock, settings.limits)
    door = Door(pages, sessions, SessionCookie.of_site(f"console-{sources.node_id}", is_secure=is_secure))
    local = frozenset(f"{host}:{settings.port}" for host in ("127.0.0.1", "localhost", "[::1]"))
    sign_in = SignIn(
        door=door,
        pages=pages,
        links=OneTimeLinks(sources.clock),
        link_key=settings.link_key,
        local_hosts=local,
        provider=_provider(sources, settings, door.cookie),
        claim=settings.claim,
        roles=settings.roles or {},
    )
    hosts = local | {settings.url.partition("://")[2].lower()} if settings.url else local
    routes = [
        Route("/", _home),
        Route("/preferences", keep_preferences),
        Mount("/static", StaticFiles(packages=[("gateway.web.site", "static")])),
        Mount("/console", StaticFiles(packages=[("gateway.web.console", "static")])),
        *sign_in.routes(),
        *_routes(sources, settings, door),
    ]
    return Fence(Starlette(routes=routes), hosts, is_secure)


def _provider(sources: Sources, settings: ConsoleSettings, cookie: SessionCookie) -> ProviderRound | None:
    if settings.provider is None:
        return None
    base = settings.url or f"http://127.0.0.1:{settings.port}"
    provider = OpenIdConnect(settings.provider, f"{base}/sign-in/callback", sources.clock)
    return ProviderRound(provider, cookie)


def _routes(sources: Sources, settings: ConsoleSettings, door: Door) -> list[Route]:
    """Return the pages, each with whom it is for."""
    now, exchanges = NowPage(sources), ExchangesPage(sources, settings.zone)
    peers, trust = PeersPage(sources), TrustPage(sources)
    return [
        door.route("/now", now.show, EVERYBODY),
        door.route("/now/live", now.show, EVERYBODY, is_poll=True),
        door.route("/exchanges", exchanges.search, AUDITING),
        door.route("/exchanges/{index}", exchanges.entry, AUDITING),
        door.route("/peers", peers.show, EVERYBODY),
        door.route("/peers/{peer}", peers.peer, EVERYBODY),
        door.route("/peers/{peer}/doctor", peers.examine, OPERATING, is_act=True),
        door.route("/trust", trust.show, EVERYBODY),
        door.route("/trust/{peer}/reconcile", trust.reconcile, AUDITING, is_act=True),
        door.route("/schemes", SchemesPage(sources).show, EVERYBODY),
        door.route("/config", ConfigPage(sources).show, AUDITING),
    ]


def _home(_request: Request) -> Response:
    return RedirectResponse("/now", status_code=303)
