"""Serves the console of one node: what it reads, where it listens, and how a second call finds it."""

from __future__ import annotations

import json
import secrets
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import urllib3

from gateway.cli.local_node import announced_node
from gateway.cli.sign_in_provider import sign_in_provider
from gateway.clock import system_clock
from gateway.errors import OperatorError
from gateway.node.config import NodeConfig
from gateway.node.folder import NodeFolder
from gateway.peers.card import read_card_file
from gateway.peers.roster import load_roster
from gateway.rpc.methods import METHODS
from gateway.signing.key_files import read_private_file, write_private_file
from gateway.storage.engine import open_engine
from gateway.storage.migrate import require_current
from gateway.telemetry.events import configure
from gateway.telemetry.sampling import Sampler, TrafficHistory
from gateway.web.console.app import ConsoleSettings, make_console
from gateway.web.console.sources import Sources
from gateway.web.site.server import SiteServer, bind
from gateway.web.site.sessions import SessionLimits

ANNOUNCEMENT = "console.json"
KEY_FILE = "console.key"
CALL_S = 3.0
EXCHANGE_METHODS = [method.name.rsplit("/", 1)[-1] for method in METHODS if method.is_logged]
"""What counts as traffic: calls that both sides log. Rounds of witnessing go on all the time."""
ENDING = frozenset({signal.SIGINT, signal.SIGTERM})


@dataclass(frozen=True, slots=True)
class Link:
    """A link that signs in once."""

    console: str
    url: str
    seconds: int


@dataclass(frozen=True, slots=True)
class RunningConsole:
    """A console that listens, and what it demands of whoever wants a link."""

    url: str
    key: str

    def make_link(self, role: str) -> Link | None:
        """Return a new link, or ``None`` when no console of this node answers there."""
        pool = urllib3.PoolManager(timeout=CALL_S, retries=False)
        headers = {"Authorization": f"Bearer {self.key}", "X-Role": role}
        try:
            response = pool.request("POST", f"{self.url}/links", headers=headers)
            if response.status != 200:
                return None
            made = json.loads(response.data)
            return Link(self.url, f"{self.url}{made['path']}", int(made["seconds"]))
        except (urllib3.exceptions.HTTPError, ValueError, KeyError, TypeError):
            return None
        finally:
            pool.clear()


def find_console(folder: NodeFolder) -> RunningConsole | None:
    """Return the console that was announced in the node's run folder; it may have been killed since."""
    try:
        url = json.loads((folder.run / ANNOUNCEMENT).read_text(encoding="utf-8"))["url"]
        return RunningConsole(str(url), read_private_file(folder.run / KEY_FILE).decode().strip())
    except (OSError, ValueError, KeyError, TypeError, OperatorError):
        return None


@contextmanager
def serving_console(folder: NodeFolder, config: NodeConfig, listen: str) -> Iterator[RunningConsole]:
    """Serve the console while the context lasts.

    Raises:
        OperatorError: the folder, its database or the address cannot be used.
    """
    with ExitStack() as stack:
        engine = open_engine(folder.database_url(config.database.url))
        stack.callback(engine.dispose)
        require_current(engine, "node")
        history = TrafficHistory()
        sampler = Sampler(config.listen.metrics, EXCHANGE_METHODS, history)
        sources = Sources(
            node_id=config.node.id,
            root=folder.root,
            card=partial(read_card_file, folder.card),
            roster=partial(load_roster, folder.peers, config.node.id, config.policy.required_suites),
            scheme_files=partial(_scheme_files, folder, config),
            database=engine,
            connect=partial(announced_node, folder),
            history=history,
            sampler=sampler,
            clock=system_clock,
        )
        sources.card()  # a node that was never made whole is said here, not on every page
        address = listen or config.console.listen
        listening = stack.enter_context(bind(address, "[console] listen"))
        port = listening.getsockname()[1]
        running = RunningConsole(f"http://{address.rsplit(':', 1)[0]}:{port}", secrets.token_urlsafe(32))
        server = SiteServer(make_console(sources, _settings(folder, config, port, running.key)), listening)
        configure(config.log.level)
        _announce(folder, running)
        stack.callback(_withdraw, folder)
        sampler.start()
        stack.callback(sampler.stop)
        server.start()
        stack.callback(server.stop)
        yield running


@contextmanager
def until_ended() -> Iterator[None]:
    """Keep SIGINT and SIGTERM from threads that begin inside, and wait for one of them at the end."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def wait_for_end() -> None:
    """Return when SIGINT or SIGTERM comes; inside :func:`until_ended`."""
    signal.sigwait(ENDING)


def _settings(folder: NodeFolder, config: NodeConfig, port: int, key: str) -> ConsoleSettings:
    table = config.console
    return ConsoleSettings(
        port=port,
        link_key=key,
        zone=ZoneInfo(table.time_zone),
        limits=SessionLimits(timedelta(minutes=table.idle_minutes), timedelta(hours=table.session_hours)),
        url=table.url,
        provider=sign_in_provider(folder, table.oidc, "console.oidc") if table.oidc is not None else None,
        claim=table.oidc.claim if table.oidc is not None else "",
        roles=table.oidc.roles if table.oidc is not None else {},
    )


def _scheme_files(folder: NodeFolder, config: NodeConfig) -> Mapping[str, Path]:
    others = sorted((folder.root / config.console.schemes).glob("*.toml"))
    return {config.node.id: folder.scheme, **{path.stem: path for path in others}}


def _announce(folder: NodeFolder, running: RunningConsole) -> None:
    _withdraw(folder)
    folder.run.mkdir(mode=0o700, exist_ok=True)
    write_private_file(folder.run / KEY_FILE, running.key.encode() + b"\n")
    (folder.run / ANNOUNCEMENT).write_text(json.dumps({"url": running.url}) + "\n", encoding="utf-8")


def _withdraw(folder: NodeFolder) -> None:
    for name in (ANNOUNCEMENT, KEY_FILE):
        (folder.run / name).unlink(missing_ok=True)
