"""A real Prometheus on loopback with the shortened rules, and what it sees."""

from __future__ import annotations

import json
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from gateway.clock import monotonic_s
from tests.ports import free_port
from tests.telemetry.scaled_rules import write_short_rules

LOOK_S = 0.5


@dataclass
class Prometheus:
    """Asks the server, and remembers which alerts have ever been firing."""

    url: str
    fired: dict[str, set[str]] = field(default_factory=dict)
    """Instances by alert."""
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def get(self, path: str, **query: str):
        with urllib.request.urlopen(
            f"{self.url}{path}?{urllib.parse.urlencode(query)}", timeout=20
        ) as answer:
            return json.load(answer)["data"]

    def watch(self) -> None:
        while not self._stopped.wait(LOOK_S):
            alerts = self.get("/api/v1/alerts")["alerts"]
            with self._changed:
                for alert in alerts:
                    if alert["state"] == "firing":
                        labels = alert["labels"]
                        self.fired.setdefault(labels["alertname"], set()).add(labels.get("instance", ""))
                self._changed.notify_all()

    def await_fired(self, *names: str, timeout_s: float = 90) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: set(names) <= self.fired.keys(), timeout_s)

    def await_scraped(self, count: int, timeout_s: float = 60) -> None:
        end_s = monotonic_s() + timeout_s
        while monotonic_s() < end_s:
            targets = self.get("/api/v1/targets")["activeTargets"]
            if [t["health"] for t in targets] == ["up"] * count:
                return
            self._stopped.wait(LOOK_S)
        raise AssertionError(targets)

    def metric_names(self) -> set[str]:
        """Every metric that a node's page describes, as Prometheus has read it."""
        return {row["metric"] for row in self.get("/api/v1/targets/metadata")}


@contextmanager
def prometheus(folder: Path, targets: Mapping[str, str]) -> Iterator[Prometheus]:
    """Run it over ``targets``: metrics addresses by node id."""
    folder.mkdir()
    rules = write_short_rules(folder)
    config = {
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [
            {
                "job_name": "credit-gateway",
                "static_configs": [
                    {"targets": [address], "labels": {"instance": node}} for node, address in targets.items()
                ],
            }
        ],
    }
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address={address}",
            ],
            stdout=log,
            stderr=log,
        )
    server = Prometheus(f"http://{address}")
    watcher = threading.Thread(target=server.watch, daemon=True)
    try:
        _await_ready(server, process)
        watcher.start()
        yield server
    finally:
        server._stopped.set()
        if watcher.is_alive():
            watcher.join(timeout=20)
        process.terminate()
        process.wait(timeout=20)


def _await_ready(server: Prometheus, process: subprocess.Popen[bytes]) -> None:
    end_s = monotonic_s() + 40
    while monotonic_s() < end_s and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{server.url}/-/ready", timeout=2):
                return
        except OSError:
            threading.Event().wait(0.2)
    raise AssertionError("Prometheus does not start")
