"""``portal``: the local API, the learners' pages and the verifiers' page of one node."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.output import NodeOption, Output, OutputOption, folder_at, print_json, say
from gateway.errors import CallerError, OperatorError
from gateway.node.config import load_config

NEEDED = ("authlib", "fastapi", "httpx2", "jinja2", "python_multipart", "starlette", "uvicorn")


def portal(
    listen: Annotated[
        str, typer.Option(help="Loopback address and port, instead of [portal] listen; port 0 = any.")
    ] = "",
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Serve the local API, the learners' pages and the verifiers' page until Ctrl-C.

    The API is served where [portal.tokens] of node.toml names a provider of access tokens, the learners'
    pages where [portal.oidc] names one that knows real names, the verifiers' page always. The process
    holds no key of the node: everything is asked of the running node over its operator port.
    docs/local-api.md and docs/portal.md tell more.

    Example: credit-gateway portal --node .demo/zhejiang
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise OperatorError(
            f"the portal needs packages that are not installed: {', '.join(missing)}.",
            remedy="Install the extra: pip install 'credit-exchange-gateway[portal]'.",
        )
    if listen and not listen.startswith(("127.0.0.1:", "localhost:", "[::1]:")):
        raise CallerError("--listen: only a loopback address.", remedy="Write 127.0.0.1:PORT.")
    from gateway.cli.console_serving import until_ended, wait_for_end
    from gateway.cli.portal_serving import serving_portal

    folder = folder_at(node)
    config = load_config(folder.root)
    with until_ended(), serving_portal(folder, config, listen) as running:
        if output is Output.json:
            print_json({"portal": running.url, "api": running.has_api, "learners": running.has_sign_in})
        else:
            say(f"Verifiers: {running.url}/verify")
            say(f"Learners:  {running.url}/" if running.has_sign_in else "Learners:  not served")
            say(f"Local API: {running.url}/openapi.json" if running.has_api else "Local API: not served")
            say("Ctrl-C ends the portal; the node goes on.")
        wait_for_end()
