"""The real pages in a real browser, against a real server: who sits at which page, and what a page must never do."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright, expect

from tests.e2e_server import Server, running_server

#: Business seconds per real second, and how long an offer stands: 20 real seconds, time enough for a browser.
TIME_SCALE = 15
OFFER_TTL_S = 300
PATIENCE_MS = 20_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
AUDIT = Path(__file__).with_name("audit.js").read_text()
# Pages answer in tens of milliseconds; a machine that runs every other test at the same time does not.
expect.set_options(timeout=PATIENCE_MS)
NEEDS = {"console": "operator", "track": "student", "runner": "runner"}


def find_browser() -> str:
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    pytest.fail(f"none of {', '.join(BROWSERS)} is on PATH: install Debian's chromium", pytrace=False)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server with the demo campus, its people, and nobody simulated."""
    folder = tmp_path_factory.mktemp("pages")
    extra = {"DISPATCH_OFFER_TTL_S": str(OFFER_TTL_S)}
    with running_server(folder, students=4, runners=4, time_scale=TIME_SCALE, **extra) as made:
        yield made


@dataclass
class Caller:
    """Somebody who uses the HTTP interface, for what a test needs done but does not look at."""

    server: Server
    http: aiohttp.ClientSession
    token: str = ""

    async def sign_in(self, phone: str) -> Caller:
        body = {"phone": phone, "campus_id": self.server.plan["campus_id"], "password": self.server.plan["password"]}
        self.token = (await self.call("POST", "/auth/sign-in", body))["access_token"]
        return self

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        url = f"{self.server.url}/api/v1{path}"
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        async with self.http.request(method, url, json=body, headers=headers) as answer:
            text = await answer.text()
            assert answer.status < 300, f"{method} {path}: {answer.status} {text}"
            return json.loads(text) if text else None


@dataclass
class Stage:
    """Opens pages for people; at the end no page may have thrown or broken the content security policy."""

    server: Server
    browser: Browser
    http: aiohttp.ClientSession
    faults: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def accounts(self, role: str) -> list[dict[str, Any]]:
        return [one for one in self.server.plan["accounts"] if one["role"] == role]

    async def context(self, **options: Any) -> BrowserContext:
        options = {"locale": "zh-CN", "viewport": {"width": 1360, "height": 850}, "reduced_motion": "reduce"} | options
        made = await self.browser.new_context(**options)
        made.set_default_timeout(PATIENCE_MS)
        self.contexts.append(made)
        return made

    async def open(self, page_name: str, index: int = 0, context: BrowserContext | None = None, **options: Any) -> Page:
        """Open a page and sign somebody in by the form, as people do."""
        context = context or await self.context(**options)
        page = await self.blank(context)
        await page.goto(f"{self.server.url}/{page_name}")
        await page.locator("#sign-in-phone").fill(self.accounts(NEEDS[page_name])[index]["phone"])
        await page.get_by_role("radio").nth(1).click()
        await page.locator("#sign-in-secret").fill(self.server.plan["password"])
        await page.locator("#sign-in-secret").press("Enter")
        await page.wait_for_selector("body.is-ready")
        return page

    async def blank(self, context: BrowserContext) -> Page:
        page = await context.new_page()
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", self._hear)
        return page

    def _hear(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text or "Content-Security-Policy" in message.text:
            self.faults.append(message.text)

    async def caller(self, role: str, index: int = 0) -> Caller:
        return await Caller(self.server, self.http).sign_in(self.accounts(role)[index]["phone"])

    async def place_and_pay(
        self, student: Caller, description: str = "一个小箱子", *, type_code: str = "parcel", **further: Any
    ) -> dict[str, Any]:
        """A paid order between two known places."""
        campus = self.server.plan["campus_id"]
        places = await student.call("GET", f"/campuses/{campus}/places?limit=20")
        pick = next(one for one in places if one["kind"] == "parcel")
        drop = next(one for one in places if one["kind"] == "dormitory")
        stops = [{"place_id": pick["id"]}, {"place_id": drop["id"]}]
        ask = {"type_code": type_code, "stops": stops, "weight_g": 500, **further}
        quote = await student.call("POST", "/quotes", ask)
        order = await student.call(
            "POST",
            "/orders",
            ask | {"description": description, "expected_total_fen": quote["total_fen"], "channel": "sandbox"},
            **{"Idempotency-Key": f"{description}-{quote['arrive_by_ms']}".encode().hex()[:80]},
        )
        paid: dict[str, Any] = order
        while paid["status"] == "awaiting_payment":
            await asyncio.sleep(0.1)
            paid = await student.call("GET", f"/orders/{order['id']}")
            credential = (paid.get("payment") or {}).get("credential")
            if credential and paid["payment"]["state"] in ("pending", "processing"):
                await student.call("POST", "/sandbox/pay", {"token": credential["token"]})
        return paid


@pytest.fixture
async def stage(server: Server) -> AsyncIterator[Stage]:
    """A browser of this test's own on the module's server."""
    async with async_playwright() as playwright, aiohttp.ClientSession() as http:
        browser = await playwright.chromium.launch(executable_path=find_browser(), args=ARGUMENTS)
        made = Stage(server, browser, http)
        try:
            yield made
        finally:
            for context in made.contexts:
                await context.close()
            await browser.close()
    assert not made.faults, made.faults


async def audit(page: Page) -> list[str]:
    """What a screen reader or weak eyes would miss on the page as it stands."""
    found: list[str] = await page.evaluate(AUDIT)
    return found


def shown_keys(text: str) -> list[str]:
    """Keys of texts that nobody has written, as they would stand on the page."""
    texts = Path(__file__).resolve().parents[2] / "dispatch/web/static/js/strings/en"
    known = {root for text in texts.glob("*.js") for root in re.findall(r'"([a-z_]+)\.[\w.-]+": "', text.read_text())}
    return [key for key in re.findall(r"\b[a-z_]+(?:\.[a-z_]+)+\b", text) if key.split(".")[0] in known]
