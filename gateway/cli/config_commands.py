"""``config schema``: JSON Schema of each configuration file, for editors."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from gateway.cli.output import print_json
from gateway.node.config import NodeConfig
from gateway.peers.roster import PeerFile
from gateway.policy.grants import AccessFile
from gateway.schemes import scheme_json_schema

config_app = typer.Typer(
    help="The configuration files.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)


class ConfigFile(str, Enum):  # noqa: UP042 - typer shows the values of str enums
    """Files that have a schema."""

    node = "node"
    access = "access"
    scheme = "scheme"
    peer = "peer"


@config_app.command()
def schema(
    file: Annotated[
        ConfigFile, typer.Argument(help="Which file: node.toml, access.toml, scheme.toml or peers/ID.toml.")
    ] = ConfigFile.node,
) -> None:
    """Print the JSON Schema of a configuration file, with the meaning of every key.

    Editors use it to complete and check: save it and name it in the file's first line, for
    example `#:schema node.schema.json`.
    """
    schemas = {
        ConfigFile.node: NodeConfig.model_json_schema,
        ConfigFile.access: AccessFile.model_json_schema,
        ConfigFile.peer: PeerFile.model_json_schema,
        ConfigFile.scheme: scheme_json_schema,
    }
    print_json({"$schema": "https://json-schema.org/draft/2020-12/schema", **schemas[file]()})


@config_app.callback()
def _group() -> None:
    """The configuration files."""
