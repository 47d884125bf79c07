"""How the commands reach the registry of their node: the one place that knows of node folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.cli.output import folder_at
from gateway.learners.subject_token import FederationSecret
from gateway.records import Registry
from gateway.records.records_key import KEY_FILE
from gateway.schemes import Scheme, load_scheme


@dataclass(frozen=True, slots=True)
class OpenRegistry:
    """What the commands need of their node."""

    registry: Registry
    scheme: Scheme
    secrets: Sequence[FederationSecret]
    """The live ones, the newest first; before them one that is announced, so that records are found by it."""
    node_id: str
    records_key_file: Path
    """Made when a command first needs it."""
    contexts: Path
    """Folder of JSON-LD contexts; it need not be there."""


@contextmanager
def open_registry(node: Path) -> Iterator[OpenRegistry]:
    """Open the registry of the node in folder ``node``: the one place that knows of node folders.

    Raises:
        OperatorError: something in the folder is missing or wrong.
    """
    from gateway.node.config import load_config
    from gateway.node.state import load_secrets, next_secret
    from gateway.node.stores import registry_of

    folder = folder_at(node)
    config = load_config(folder.root)
    scheme, coming = load_scheme(folder.scheme), next_secret(folder)
    secrets = [*([coming] if coming is not None else []), *load_secrets(folder, config).values()]
    with registry_of(folder, config) as registry:
        try:
            key_file = folder.key(KEY_FILE)
            yield OpenRegistry(registry, scheme, secrets, config.node.id, key_file, folder.root / "contexts")
        finally:
            registry.close()
