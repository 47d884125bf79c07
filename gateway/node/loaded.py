"""Remembers which files a running node took up, and when; what is broken since stays named."""

from __future__ import annotations

from hashlib import sha256

from gateway.clock import Clock
from gateway.node.folder import NodeFolder
from gateway.rpc.loaded_files import Loaded, LoadedFile

OWN_FILE = "node.toml"


class LoadedFiles:
    """What was read when the node started, and at each reload since."""

    def __init__(self, folder: NodeFolder, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        started = clock()
        self._loaded = Loaded(started=started)
        self.took_up()

    @property
    def now(self) -> Loaded:
        """What the node works with; an immutable value."""
        return self._loaded

    def took_up(self, *, is_whole: bool = True) -> None:
        """Note that all files were read and hold; unchanged ones keep their time.

        Unless ``is_whole``, something of node.toml takes a restart, and its earlier state is named.
        """
        names = [OWN_FILE, "scheme.toml", "access.toml"]
        names += [f"peers/{path.name}" for path in sorted(self._folder.peers.glob("*.toml"))]
        known = {file.name: file for file in self._loaded.files}
        now = self._clock()
        files = [
            old
            if (old := known.get(name)) and (old.sha256 == digest or (name == OWN_FILE and not is_whole))
            else LoadedFile(name, digest, now)
            for name, digest in _read(self._folder, names).items()
        ]
        self._loaded = Loaded(files, self._loaded.started)

    def refused(self, problem: str) -> None:
        """Note that changed files were refused and the earlier state holds."""
        before = self._loaded
        self._loaded = Loaded(before.files, before.started, problem, self._clock())


def _read(folder: NodeFolder, names: list[str]) -> dict[str, str]:
    """Return the digest of each file; of one that is gone, the digest of nothing."""
    digests = {}
    for name in names:
        try:
            content = (folder.root / name).read_bytes()
        except OSError:
            content = b""
        digests[name] = sha256(content).hexdigest()
    return digests
