"""``demo``: four provinces on this machine, one lost certificate found again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.errors import CallerError


def demo(
    folder: Annotated[Path, typer.Option(help="Where the four nodes are made.")] = Path(".demo"),
    configuration: Annotated[
        Path, typer.Option("--config", help="Folder with one ready example node a province.")
    ] = Path("node_config"),
    keep: Annotated[bool, typer.Option("--keep", help="Leave the nodes running.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Stop nodes that an earlier --keep left.")] = False,
) -> None:
    """Make four nodes as separate processes on loopback and find a lost certificate.

    Fresh keys each time; ports are chosen among free ones. Zhejiang's node asks the other three
    for the records of an invented learner. DIR/demo.json says where everything is.
    """
    from gateway.node.demo import run_demo, stop_demo

    if stop:
        stop_demo(folder.resolve())
        return
    if not configuration.is_dir():
        raise CallerError(
            f"{configuration} is no folder.", remedy="Run the demo in the project's folder, or give --config."
        )
    run_demo(folder.resolve(), configuration.resolve(), keep=keep)
