"""A network of its own: hosts as network namespaces on one bridge, with addresses that exist only there."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

SWITCH = "cg-switch"


def run(*command: str, check: bool = True) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, (command, done.stderr)
    return done.stdout


@dataclass
class Host:
    """One namespace with one cable to the switch."""

    name: str
    address: str
    log: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        return f"cg-{self.name}"

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def run(self, *command: str) -> str:
        return run("ip", "netns", "exec", self.namespace, *command)

    def cable(self, state: str) -> None:
        """Plug the cable in (``up``) or pull it (``down``), at the switch's end."""
        run("ip", "-n", SWITCH, "link", "set", f"to-{self.name}", state)

    @property
    def log_text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""


class Network:
    """Hosts by name; all of it is gone after :meth:`close`."""

    def __init__(self, addresses: dict[str, str], logs: Path) -> None:
        self.hosts = {name: Host(name, address, logs / f"{name}.log") for name, address in addresses.items()}
        self._remove()
        run("ip", "netns", "add", SWITCH)
        run("ip", "-n", SWITCH, "link", "add", "bridge", "type", "bridge")
        run("ip", "-n", SWITCH, "link", "set", "bridge", "up")
        for host in self.hosts.values():
            self._plug_in(host)

    def _plug_in(self, host: Host) -> None:
        space, port = host.namespace, f"to-{host.name}"
        run("ip", "netns", "add", space)
        run("ip", "-n", SWITCH, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space)
        run("ip", "-n", SWITCH, "link", "set", port, "master", "bridge", "up")
        run("ip", "-n", space, "link", "set", "lo", "up")
        run("ip", "-n", space, "link", "set", "eth0", "up")
        run("ip", "-n", space, "address", "add", f"{host.address}/24", "dev", "eth0")

    def close(self) -> None:
        for host in self.hosts.values():
            for process in host.processes:
                if process.poll() is None:
                    process.terminate()
        for host in self.hosts.values():
            for process in host.processes:
                try:
                    process.wait(timeout=60)
                except subprocess.TimeoutExpired:
                    process.kill()
        self._remove()

    def _remove(self) -> None:
        names: Sequence[str] = [SWITCH, *(host.namespace for host in self.hosts.values())]
        for name in names:
            run("ip", "netns", "del", name, check=False)
