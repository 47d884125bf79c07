"""Serves the portal of one node: what it reads and where it listens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from zoneinfo import ZoneInfo

from gateway.cli.local_node import announced_node
from gateway.cli.sign_in_provider import sign_in_provider
from gateway.clock import system_clock
from gateway.node.config import NodeConfig
from gateway.node.folder import NodeFolder
from gateway.node.portal_table import PortalOidcTable, PortalTable
from gateway.peers.roster import load_roster
from gateway.storage.engine import open_engine
from gateway.storage.migrate import require_current
from gateway.telemetry.events import configure
from gateway.web.archive_api.tokens import TokenSettings
from gateway.web.portal.app import PortalSettings, SignInSettings, make_portal
from gateway.web.portal.checking import KnownIssuer
from gateway.web.portal.nodes import KnownNodes
from gateway.web.site.server import SiteServer, bind
from gateway.web.site.sessions import SessionLimits


@dataclass(frozen=True, slots=True)
class RunningPortal:
    """A portal that listens, and what it serves."""

    url: str
    has_api: bool
    has_sign_in: bool


@contextmanager
def serving_portal(folder: NodeFolder, config: NodeConfig, listen: str) -> Iterator[RunningPortal]:
    """Serve the portal while the context lasts.

    Raises:
        OperatorError: the folder, its database or the address cannot be used.
    """
    table = config.portal
    with ExitStack() as stack:
        engine = open_engine(folder.database_url(config.database.url))
        stack.callback(engine.dispose)
        require_current(engine, "node")
        roster = partial(load_roster, folder.peers, config.node.id, config.policy.required_suites)
        nodes = KnownNodes(config.node.id, dict(config.node.names), roster)
        nodes.names()  # peers' cards that cannot be read are said here, not on every page
        address = listen or table.listen
        listening = stack.enter_context(bind(address, "[portal] listen"))
        port = listening.getsockname()[1]
        settings = _settings(folder, config, port)
        portal = make_portal(nodes, partial(announced_node, folder), engine, system_clock, settings)
        server = SiteServer(portal, listening)
        configure(config.log.level)
        server.start()
        stack.callback(server.stop)
        url = f"http://{address.rsplit(':', 1)[0]}:{port}"
        yield RunningPortal(url, settings.tokens is not None, settings.sign_in is not None)


def _settings(folder: NodeFolder, config: NodeConfig, port: int) -> PortalSettings:
    table = config.portal
    return PortalSettings(
        port=port,
        zone=ZoneInfo(config.console.time_zone),
        limits=SessionLimits(timedelta(minutes=table.idle_minutes), timedelta(hours=table.session_hours)),
        checks_per_minute=table.checks_per_minute,
        kinds=table.kinds,
        issuers=[KnownIssuer(i.node, i.domain, i.page or f"https://{i.domain}") for i in table.issuers],
        tokens=_tokens(table),
        sign_in=_sign_in(folder, table.oidc) if table.oidc is not None else None,
        url=table.url,
    )


def _tokens(table: PortalTable) -> TokenSettings | None:
    tokens = table.tokens
    if tokens is None:
        return None
    return TokenSettings(
        tokens.issuer,
        tokens.audience,
        frozenset(tokens.applications),
        tokens.learner_claim,
        tokens.identifier_type,
    )


def _sign_in(folder: NodeFolder, table: PortalOidcTable) -> SignInSettings:
    provider = sign_in_provider(folder, table, "portal.oidc")
    return SignInSettings(provider, table.learner_claim, table.identifier_type)
