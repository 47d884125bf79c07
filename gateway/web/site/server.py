"""Serves a site on an address of its own, in the foreground or in a thread."""

from __future__ import annotations

import socket
import threading

import uvicorn
from starlette.types import ASGIApp

from gateway.clock import monotonic_s
from gateway.errors import AlreadyRunningError

CONNECTIONS_MAX = 100
START_S = 10.0


def bind(address: str, key: str) -> socket.socket:
    """Return a listening socket for ``address``; port 0 takes any that is free.

    Raises:
        AlreadyRunningError: it cannot be listened on; the text names ``key`` of node.toml.
    """
    host, port = address.rsplit(":", 1)
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), int(port)), family=family)
    except OSError as error:
        raise AlreadyRunningError(
            f"the address {address} cannot be listened on.",
            remedy=f"Another program has the port. Stop it, or change {key} in node.toml.",
        ) from error


class SiteServer:
    """A site on a socket that is bound already."""

    def __init__(self, site: ASGIApp, listening: socket.socket) -> None:
        config = uvicorn.Config(
            site,
            access_log=False,
            date_header=False,
            h11_max_incomplete_event_size=32 * 1024,
            http="h11",
            lifespan="off",
            limit_concurrency=CONNECTIONS_MAX,
            log_config=None,
            loop="asyncio",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=3,
            timeout_keep_alive=15,
            ws="none",
        )
        self._server = uvicorn.Server(config)
        self._listening = listening
        self._thread = threading.Thread(target=self.run, name="site", daemon=True)

    def run(self) -> None:
        """Serve until :meth:`stop`, or until a signal when this is the main thread."""
        self._server.run([self._listening])

    def start(self) -> None:
        """Serve in a thread, and return when pages are answered."""
        self._thread.start()
        end_s = monotonic_s() + START_S
        while not self._server.started and monotonic_s() < end_s:
            self._thread.join(0.01)

    def stop(self) -> None:
        """Stop serving and give the port back."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self._listening.close()
