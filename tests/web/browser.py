"""A real headless Chromium, and what every page must hold: no error, no failed request, no other host."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ROOT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LEFT = "net::ERR_ABORTED"
"""What becomes of a request when its page is left."""
SERIOUS = ("serious", "critical")


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser of the system; ``make browser`` installs it."""
    assert Path(CHROMIUM).exists(), "Chromium is not installed: run `make browser`."
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, env=environment)
        yield browser
        browser.close()


@dataclass
class Watched:
    """One visitor, and everything that went wrong on the pages that were opened."""

    context: BrowserContext
    host: str
    wrong: list[str] = field(default_factory=list)

    def page(self) -> Page:
        page = self.context.new_page()
        page.on("console", lambda m: m.type in ("error", "warning") and self.wrong.append(m.text))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("requestfailed", lambda r: r.failure == LEFT or self.wrong.append(f"{r.failure}: {r.url}"))
        page.on("request", lambda r: urlsplit(r.url).netloc == self.host or self.wrong.append(r.url))
        page.on("response", lambda r: r.status < 400 or self.wrong.append(f"{r.status}: {r.url}"))
        page.set_default_timeout(60_000)
        return page


def findings_of_axe(page: Page) -> list[str]:
    """What axe-core finds serious or worse, with the element."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    result: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{found['id']}: {node['target']} {json.dumps(node.get('any', [])[:1])[:300]}"
        for found in result["violations"]
        if found["impact"] in SERIOUS
        for node in found["nodes"]
    ]


def installed_version() -> str:
    return subprocess.run([CHROMIUM, "--version"], capture_output=True, text=True, check=True).stdout
