"""*Config*: what the node works with, from which file, since when; and what lies on the disk instead."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from starlette.responses import Response

from gateway.clock import from_unix_ms
from gateway.web.console.sources import Sources
from gateway.web.console.visits import Visit

RESTART_ONLY = "node.toml"


@dataclass(frozen=True, slots=True)
class ShownFile:
    """One file of the configuration."""

    name: str
    state: str
    """``loaded``, ``changed``, ``restart``, ``gone`` or ``new``."""
    loaded: datetime | None
    written: datetime | None
    digest: str


@dataclass(frozen=True)
class ConfigPage:
    """The configuration of the running node."""

    sources: Sources

    def show(self, visit: Visit) -> Response:
        """Every file."""
        loaded = self.sources.loaded()
        known = {file.name: file for file in loaded.files} if loaded else {}
        names = list(known)
        names += [name for name in self._on_disk() if name not in known]
        files = []
        for name in names:
            file = known.get(name)
            digest, written = _look(self.sources.root / name)
            files.append(
                ShownFile(
                    name=name,
                    state=_state(name, file.sha256 if file else "", digest, is_known=loaded is not None),
                    loaded=from_unix_ms(file.load_ms) if file else None,
                    written=written,
                    digest=(file.sha256 if file else digest)[:16],
                )
            )
        return visit.render(
            "config.html",
            files=files,
            root=str(self.sources.root),
            is_running=loaded is not None,
            started=from_unix_ms(loaded.start_ms) if loaded else None,
            version=loaded.version if loaded else "",
            problem=loaded.problem if loaded else "",
            refused=from_unix_ms(loaded.problem_ms) if loaded and loaded.problem else None,
        )

    def _on_disk(self) -> list[str]:
        peers = sorted((self.sources.root / "peers").glob("*.toml"))
        return [RESTART_ONLY, "scheme.toml", "access.toml", *(f"peers/{path.name}" for path in peers)]


def _look(path: Path) -> tuple[str, datetime | None]:
    """Return digest and time of a file; nothing when it is not there."""
    try:
        content = path.read_bytes()
        return sha256(content).hexdigest(), from_unix_ms(int(path.stat().st_mtime * 1000))
    except OSError:
        return "", None


def _state(name: str, loaded: str, on_disk: str, *, is_known: bool) -> str:
    if not is_known:
        return "not-running"
    if loaded == on_disk:
        return "loaded"
    if not on_disk:
        return "gone"
    if not loaded:
        return "new"
    return "restart" if name == RESTART_ONLY else "changed"
