"""A real headless Chromium, and what every page must hold: no error, no failed request, no other host."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
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
CAMERA = ("--use-fake-device-for-media-stream",)
LEFT = "net::ERR_ABORTED"
"""What becomes of a request when its page is left."""
SERIOUS = ("serious", "critical")


def camera_shows(file: Path, rows: Sequence[Sequence[int]]) -> None:
    """Write what a camera sees: grey ``rows`` in the middle of a white wall (YUV4MPEG2)."""
    width, height = 640, 480
    left, top = (width - len(rows[0])) // 2, (height - len(rows)) // 2
    picture = bytearray(b"\xeb" * (width * height))
    for y, row in enumerate(rows, top):
        at = y * width + left
        picture[at : at + len(row)] = bytes(16 + value * 219 // 255 for value in row)
    colours = b"\x80" * (width * height // 2)
    header = f"YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420jpeg\n".encode()
    file.write_bytes(header + b"FRAME\n" + picture + colours)


@contextmanager
def chromium(camera: Path | None = None) -> Iterator[Browser]:
    """The browser of the system; ``make browser`` installs it. ``camera`` holds what its camera sees."""
    assert Path(CHROMIUM).exists(), "Chromium is not installed: run `make browser`."
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    with sync_playwright() as playwright:
        arguments = [
            *ARGUMENTS,
            *([*CAMERA, f"--use-file-for-fake-video-capture={camera}"] if camera else ()),
        ]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, env=environment)
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
