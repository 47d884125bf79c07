"""What docs/local-api.md and docs/portal.md show of node.toml is what it takes; every address in them is one."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from gateway.node.portal_table import PortalTable
from gateway.web.archive_api.app import make_api
from gateway.web.archive_api.operations import Operations
from gateway.web.archive_api.tokens import AccessTokens, TokenSettings

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("local-api.md", "portal.md")


def blocks(page: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, flags=re.MULTILINE)
    return ["\n".join(line[4:] for line in block.splitlines()) for block in found]


@pytest.mark.parametrize("page", PAGES)
def test_every_piece_of_node_toml_is_taken(page: str) -> None:
    pieces = [block for block in blocks(page) if block.lstrip().startswith("[")]
    assert pieces
    for piece in pieces:
        PortalTable.model_validate(tomllib.loads(piece)["portal"])


def test_every_address_is_one_of_the_api() -> None:
    tokens = AccessTokens(TokenSettings("https://id.example", "a", (), "resident_id"), None)
    ops = Operations("zhejiang", None, tokens, None, None, None, set)
    known = {re.sub(r"\{\w+\}", "*", path) for path in make_api(ops).app.openapi()["paths"]}
    shown = re.findall(r"/v1/[\w/]+", "\n".join(blocks("local-api.md")))
    assert shown
    for address in shown:
        pattern = re.sub(r"/(ID|anhui|AH1002)\b", "/*", address)
        assert pattern in known, address
