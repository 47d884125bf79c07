"""``console``: the operators' web pages, and the one-time link that signs in to them."""

from __future__ import annotations

import importlib.util
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.output import NodeOption, Output, OutputOption, folder_at, print_json, say
from gateway.errors import CallerError, OperatorError
from gateway.node.config import load_config

if TYPE_CHECKING:
    from gateway.cli.console_serving import Link

NEEDED = ("authlib", "httpx2", "jinja2", "starlette", "uvicorn")


class ConsoleRole(str, Enum):  # noqa: UP042 - typer shows the values of str enums
    """What a one-time link lets one do."""

    viewer = "viewer"
    auditor = "auditor"
    operator = "operator"


def console_pages(
    role: Annotated[ConsoleRole, typer.Option(help="What the link lets one do.")] = ConsoleRole.operator,
    listen: Annotated[
        str, typer.Option(help="Loopback address and port, instead of [console] listen; port 0 = any.")
    ] = "",
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Serve the operators' web pages until Ctrl-C, and print a link that signs in once.

    Where a console of this node runs already, for example as a service, only a new link is printed. The
    link works once, for ten minutes, in a browser on this machine. Viewers see the state of the
    federation; auditors also exchanges and configuration; operators may have peers examined. The
    console reads the node's folder and database and holds no key of the node. docs/console.md says
    what each page answers.

    Example: credit-gateway console --node .demo/zhejiang
    """
    _require_installed()
    from gateway.cli.console_serving import find_console, serving_console, until_ended, wait_for_end

    folder = folder_at(node)
    config = load_config(folder.root)
    if listen and not listen.startswith(("127.0.0.1:", "localhost:", "[::1]:")):
        raise CallerError("--listen: only a loopback address.", remedy="Write 127.0.0.1:PORT.")
    found = find_console(folder)
    link = found.make_link(role.value) if found is not None else None
    if link is not None:
        _show(link, output)
        return
    with until_ended(), serving_console(folder, config, listen) as running:
        link = running.make_link(role.value)
        if link is None:
            raise OperatorError("the console does not answer on its own address.")
        _show(link, output)
        if output is Output.table:
            say("Ctrl-C ends the console; the node goes on.")
        wait_for_end()


def _require_installed() -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise OperatorError(
            f"the console needs packages that are not installed: {', '.join(missing)}.",
            remedy="Install the extra: pip install 'credit-exchange-gateway[console]'.",
        )


def _show(link: Link, output: Output) -> None:
    if output is Output.json:
        print_json({"console": link.console, "link": link.url, "seconds": link.seconds})
        return
    say(f"Console: {link.console}")
    say(f"Sign in once, within {link.seconds // 60} minutes, in a browser on this machine:")
    say(f"  {link.url}")
