"""Each page of the console in a real Chromium: both languages, light and dark, desk and phone."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.processes.provinces import ProcessNode, cli
from tests.web.browser import ROOT, Watched, chromium, findings_of_axe
from tests.web.console_federation import HOSTILE_NAME, OWN, RunningConsole, console_of, federation

SHOTS = ROOT / ".screenshots" / "console"
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@dataclass(frozen=True)
class Look:
    """How a visitor sees the console."""

    name: str
    language: str
    scheme: str
    size: dict[str, int]


LOOKS = (
    Look("en-light-desk", "en", "light", DESK),
    Look("zh-dark-desk", "zh", "dark", DESK),
    Look("en-dark-phone", "en", "dark", PHONE),
    Look("zh-light-phone", "zh", "light", PHONE),
)
PAGES = {
    "now": "/now",
    "exchanges": "/exchanges",
    "exchange": "/exchanges/1",
    "peers": "/peers",
    "peer": "/peers/shanghai",
    "trust": "/trust",
    "schemes": "/schemes?first=shanghai&second=zhejiang&kind=课程&credits=3&grade=89",
    "config": "/config",
}


@pytest.fixture(scope="module")
def provinces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ProcessNode]]:
    with federation(tmp_path_factory.mktemp("console")) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def console(provinces: dict[str, ProcessNode]) -> Iterator[RunningConsole]:
    with console_of(provinces[OWN]) as running:
        provinces[OWN].query(check=None)
        provinces["shanghai"].query("--peer", OWN, check=None)
        cli("audit", "witness", "--now", "--node", str(provinces[OWN].folder.root), check=None)
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def visitor(browser: Browser, console: RunningConsole, look: Look, role: str = "operator") -> Watched:
    context = browser.new_context(
        locale={"en": "en-GB", "zh": "zh-CN"}[look.language],
        color_scheme=look.scheme,
        viewport=look.size,
        has_touch=look.size is PHONE,
        reduced_motion="reduce",
    )
    watched = Watched(context, urlsplit(console.url).netloc)
    page = watched.page()
    page.goto(console.link(role))
    assert page.url.endswith("/now")
    page.close()
    return watched


def settle(page: Page) -> None:
    """Wait until what the page computes itself is there."""
    if page.locator("#by-browser").count():
        expect(page.locator("#by-browser")).not_to_have_class(re.compile("waiting"), timeout=20_000)


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
def test_every_page_is_whole_and_accessible(browser: Browser, console: RunningConsole, look: Look) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    watched = visitor(browser, console, look)
    page = watched.page()
    serious = {}
    for name, path in PAGES.items():
        page.goto(console.url + path)
        settle(page)
        page.screenshot(path=SHOTS / f"{name}-{look.name}.png", full_page=True)
        serious[name] = findings_of_axe(page)
        assert page.locator("h1").count() == 1
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, (name, "the page scrolls sideways by", wide)
    assert not watched.wrong
    assert {name: found for name, found in serious.items() if found} == {}
    watched.context.close()


def test_a_proof_is_verified_in_the_browser_and_a_forged_one_is_not(
    browser: Browser, console: RunningConsole
) -> None:
    watched = visitor(browser, console, LOOKS[0])
    page = watched.page()
    page.goto(console.url + PAGES["exchange"])
    settle(page)
    assert "verified the log's signature" in page.locator("#by-browser").inner_text()
    assert page.locator(".path li.good").count() == page.locator(".path li").count() > 2

    def forged(route) -> None:
        response = route.fetch()
        text = re.sub(r'data-root="(..)', lambda m: f'data-root="{int(m[1], 16) ^ 1:02x}', response.text())
        route.fulfill(response=response, body=text)

    page.route("**/exchanges/1", forged)
    page.goto(console.url + PAGES["exchange"])
    settle(page)
    assert "does NOT verify" in page.locator("#by-browser").inner_text()
    assert not watched.wrong
    watched.context.close()


def test_an_answered_exchange_shows_its_eight_steps_with_their_times(
    browser: Browser, console: RunningConsole
) -> None:
    watched = visitor(browser, console, LOOKS[0])
    page = watched.page()
    page.goto(f"{console.url}/exchanges?side=answerer&peer=shanghai&purpose=employment&outcome=OK")
    page.locator("tbody a").first.click()
    steps = page.locator(".steps li")
    expect(steps).to_have_count(8)
    names = [name.split()[0] for name in page.locator(".steps .step").all_inner_texts()]
    assert names == ["open", "admit", "authorise", "find", "translate", "log", "seal", "count"]
    assert all(re.search(r"\d ms$", text) for text in steps.all_inner_texts())
    page.screenshot(path=SHOTS / "answered-en-light-desk.png", full_page=True)
    assert not watched.wrong
    watched.context.close()


def test_doctor_and_comparison_work_from_their_buttons(browser: Browser, console: RunningConsole) -> None:
    watched = visitor(browser, console, LOOKS[0])
    page = watched.page()
    page.goto(f"{console.url}/peers/shanghai")
    page.get_by_role("button", name="Examine now").click()
    findings = page.locator("#doctor-findings")
    expect(findings.get_by_text("grants to us")).to_be_visible(timeout=60_000)
    assert "fault" not in findings.inner_text()
    page.screenshot(path=SHOTS / "doctor-en-light-desk.png", full_page=True)
    page.goto(f"{console.url}/peers/jiangsu")  # which does not run
    page.get_by_role("button", name="Examine now").click()
    expect(findings.get_by_text("To be mended first:")).to_be_visible(timeout=60_000)
    assert "by the peer's operator" in findings.inner_text()
    assert findings_of_axe(page) == []
    page.goto(f"{console.url}/trust")
    row = page.locator("#comparison-shanghai")
    row.get_by_role("button", name="Compare").click()
    expect(row.get_by_text("no differences")).to_be_visible(timeout=20_000)
    assert not watched.wrong
    watched.context.close()


def test_the_doctor_speaks_chinese(browser: Browser, console: RunningConsole) -> None:
    watched = visitor(browser, console, next(look for look in LOOKS if look.language == "zh"))
    page = watched.page()
    page.goto(f"{console.url}/peers/jiangsu")  # which does not run
    page.get_by_role("button", name="立即诊断").click()
    findings = page.locator("#doctor-findings")
    expect(findings.get_by_text("首先处理：")).to_be_visible(timeout=60_000)
    verdict, steps = findings.locator(".verdict").inner_text(), findings.locator("li").all_inner_texts()
    assert "该端口没有程序监听" in verdict
    assert "由对方运维人员处理" in verdict
    assert [step for step in steps if "连接" in step and "故障" in step]
    page.screenshot(path=SHOTS / "doctor-zh.png", full_page=True)
    assert findings_of_axe(page) == []
    assert not watched.wrong
    watched.context.close()


def test_a_peers_name_is_text_and_never_markup(browser: Browser, console: RunningConsole) -> None:
    watched = visitor(browser, console, LOOKS[0])
    page = watched.page()
    dialogs = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    for path in ("/now", "/peers", "/peers/anhui"):
        page.goto(console.url + path)
        assert HOSTILE_NAME in page.locator("main").inner_text()
    assert not dialogs
    assert not watched.wrong
    watched.context.close()


def test_language_and_light_are_chosen_and_the_keyboard_reaches_all(
    browser: Browser, console: RunningConsole
) -> None:
    watched = visitor(browser, console, LOOKS[0])
    page = watched.page()
    page.goto(f"{console.url}/trust")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#content"
    page.get_by_role("link", name="中文").click()
    expect(page.locator("h1")).to_have_text("可信")
    assert page.url.endswith("/trust")
    page.locator(".menu summary").focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="深色").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("body")).to_have_css("background-color", "rgb(18, 23, 21)")
    page.get_by_role("button", name="退出").click()
    expect(page).to_have_url(f"{console.url}/sign-in")
    page.screenshot(path=SHOTS / "sign-in-zh-dark-desk.png", full_page=True)
    assert findings_of_axe(page) == []
    assert not watched.wrong
    watched.context.close()


def test_the_peer_port_knows_nothing_of_the_console(provinces: dict[str, ProcessNode]) -> None:
    host, port = provinces[OWN].config.listen.peers.rsplit(":", 1)
    for path in ("/now", "/sign-in", "/static/site.css"):
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        connection.request("GET", path)
        with pytest.raises((http.client.HTTPException, OSError)):
            connection.getresponse()
        connection.close()


def test_the_command_prints_a_link_to_the_console_that_runs(console: RunningConsole) -> None:
    done = cli("console", "--node", str(console.node.folder.root), "--role", "viewer", "--output", "json")
    made = json.loads(done.stdout)
    assert made["link"].startswith(f"{console.url}/enter/")
    assert made["seconds"] == 600
