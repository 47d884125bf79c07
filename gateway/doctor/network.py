"""The way to one endpoint: its name, and a TCP connection to it."""

from __future__ import annotations

import errno
import ipaddress
import socket
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Thread

from gateway.clock import monotonic_s
from gateway.doctor.step import Side, Step

NAME_S_MAX = 5.0
"""How long a name may take to be looked up, seconds."""
CONNECT_S_MAX = 3.0
"""How long a connection may take, seconds. A lost first packet is sent again after one second."""

NAME = "name"
CONNECTION = "connection"


@dataclass(frozen=True, slots=True)
class Place:
    """Host and port of an endpoint."""

    host: str
    port: int

    @classmethod
    def of(cls, endpoint: str) -> Place:
        """Take an endpoint of a card apart."""
        host, port = endpoint.rsplit(":", 1)
        return cls(host.strip("[]"), int(port))

    def connect(self, timeout_s: float) -> socket.socket:
        """Return a connected socket. Raises ``OSError``."""
        return socket.create_connection((self.host, self.port), timeout_s)


def look_up(endpoint: str) -> Step:
    """Look up the name of an endpoint."""
    host = Place.of(endpoint).host
    step = Step(NAME, f"look up {host}", "", "at least one address")
    if _is_address(host):
        return Step(NAME, f"{host} is an address", "nothing to look up", "a name or an address")
    try:
        found = _addresses(host)
    except TimeoutError:
        return step.found(
            "NAME_NO_REPLY",
            Side.OURS,
            "Look at this machine's DNS settings: its name server does not reply.",
            seen=f"no reply within {NAME_S_MAX:g} s",
        )
    except socket.gaierror as error:
        return _unknown(step, host, error)
    except UnicodeError:
        return step.found("NAME_UNKNOWN", Side.THEIRS, _RENAME, seen="this can be no name")
    return Step(NAME, step.tried, ", ".join(found), step.expected)


def connect(endpoint: str) -> Step:
    """Open a TCP connection to an endpoint and close it."""
    place = Place.of(endpoint)
    step = Step(CONNECTION, f"open a TCP connection to {endpoint}", "", "it opens")
    started_s = monotonic_s()
    try:
        place.connect(CONNECT_S_MAX).close()
    except ConnectionRefusedError:
        return step.found(
            "CONNECTION_REFUSED",
            Side.THEIRS,
            f"Have the peer's operator start the node, or correct the endpoint {endpoint} in its node.toml "
            "([card] endpoints) and send you the new card: nothing listens there.",
            seen="refused: that machine is there, and nothing listens on that port",
        )
    except TimeoutError:
        return step.found(
            "CONNECTION_NO_REPLY",
            Side.NETWORK,
            f"Have TCP port {place.port} to {place.host} opened in the firewalls on the way.",
            seen=f"no reply within {CONNECT_S_MAX:g} s: packets are dropped on the way",
        )
    except OSError as error:
        return _no_way(step, place, error)
    took_ms = 1000 * (monotonic_s() - started_s)
    return Step(CONNECTION, step.tried, f"open after {took_ms:.0f} ms", step.expected)


_RENAME = (
    "Have the peer's operator correct the endpoint in its node.toml ([card] endpoints) or in its "
    "DNS, and send you "
    "the new card."
)


def _no_way(step: Step, place: Place, error: OSError) -> Step:
    if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        remedy = f"Have the route from this machine to {place.host} mended."
        return step.found("NO_ROUTE", Side.NETWORK, remedy, seen="there is no route to that address")
    return step.found(
        "CONNECTION_FAILED",
        Side.NETWORK,
        f"Look at the network between this machine and {place.host}.",
        seen=f"the system says: {error.strerror or type(error).__name__}",
    )


def _unknown(step: Step, host: str, error: socket.gaierror) -> Step:
    if error.errno == socket.EAI_AGAIN:
        return step.found(
            "NAME_NO_REPLY",
            Side.OURS,
            f"Look at this machine's DNS settings: no name server could say whether {host} exists.",
            seen="no name server answered",
        )
    return step.found("NAME_UNKNOWN", Side.THEIRS, _RENAME, seen="there is no such name")


def _addresses(host: str) -> list[str]:
    """Return the addresses of ``host``. Raises ``TimeoutError`` too: the resolver has no limit of its own."""
    result: Future[list[str]] = Future()

    def resolve() -> None:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            result.set_result(sorted({str(address[4][0]) for address in found}))
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits
            result.set_exception(error)

    Thread(target=resolve, name="look-up", daemon=True).start()
    return result.result(NAME_S_MAX)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
