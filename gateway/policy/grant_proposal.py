"""A proposal of a grant for a new peer, written into ``access.toml`` as comments: it grants nothing.

Comments, because they can do no harm: they go after whatever the operator wrote, in whatever form, change
nothing that is granted, and need no place of their own in the file.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from gateway.errors import ConfigError
from gateway.policy.grants import load_access
from gateway.policy.purposes import KINDS, PURPOSES

MARK = "# Proposal for peer {peer}:"


def propose_grant(path: Path, peer: str) -> bool:
    """Append a proposal for ``peer`` to ``access.toml``; return whether that was done.

    Nothing is written when the file has a grant or a proposal for the peer already, is missing or broken,
    or would not grant exactly the same afterwards.

    Raises:
        ConfigError: the file cannot be written.
    """
    try:
        load_access(path)
        with path.open(encoding="utf-8", newline="") as file:
            text = file.read()
    except (ConfigError, OSError):
        return False
    if MARK.format(peer=peer) in text or _names(text, peer):
        return False
    newline = "\r\n" if "\r\n" in text else "\n"
    added = newline.join(("" if text.endswith("\n") or not text else newline, *_lines(peer), ""))
    if tomllib.loads(text + added) != tomllib.loads(text):
        return False
    try:
        with path.open("ab") as file:
            file.write(added.encode("ascii"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from error
    return True


def _names(text: str, peer: str) -> bool:
    """Whether a grant for the peer stands in the file, be it one that is empty."""
    return any(entry.get("peer") == peer for entry in tomllib.loads(text).get("grant", []))


def _lines(peer: str) -> tuple[str, ...]:
    return (
        f"{MARK.format(peer=peer)} it grants nothing as long as these lines are comments.",
        "# Take the mark off the lines from [[grant]] on; write what you agreed on between the brackets.",
        f"# Purposes: {', '.join(PURPOSES)}.",
        f"# Kinds: {', '.join(KINDS)}.",
        "# [[grant]]",
        f'# peer = "{peer}"',
        "# purposes = []",
        "# kinds = []",
        "# consent_required = true",
    )
