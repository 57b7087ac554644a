"""What the tests of the live connection share: somebody who listens in a page, and the books to compare with."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

from playwright.async_api import BrowserContext, Page, WebSocketRoute, expect

from tests.browser.conftest import NEEDS, Stage
from tests.e2e_server import Server

#: A second client of the page's own kind beside the page's: it keeps everything that it heard.
LISTEN = """async () => {
  const { Live } = await import("/static/js/live.js");
  const { Api } = await import("/static/js/api.js");
  const api = new Api("console");
  const me = await api.get("/me");
  const live = new Live({ api, worksHidden: true });
  const heard = { events: [], states: [], snapshots: [], connections: 0 };
  live.watch(() => heard.states.at(-1) === live.state || heard.states.push(live.state));
  live.follow(`console:${me.campus_id}`, {
    onEvent: ({ id, kind, offset, data }) => heard.events.push({ id, kind, offset, order: data.order_id }),
    onSnapshot: (data) => heard.snapshots.push({ after: heard.events.length, orders: data.orders.map(({ id }) => id) }),
  });
  live.start();
  Object.assign(window, { heard, live });
}"""

#: Playwright cannot hide a tab; what the page sees of it can be told to it.
HIDE = """(isHidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def written(server: Server) -> dict[str, str]:
    """Every published event of the books: id to kind."""
    with sqlite3.connect(f"file:{server.data_dir / 'dispatch.db'}?mode=ro", uri=True, timeout=10) as books:
        return dict(books.execute("SELECT id, kind FROM events WHERE published_at IS NOT NULL"))


async def eventually(holds: Callable[[], Awaitable[Any]], seconds: float, what: str) -> Any:
    """What ``holds`` gives once it is true."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not (found := await holds()):
        assert asyncio.get_running_loop().time() < deadline, f"waited {seconds:g} s for {what}"
        await asyncio.sleep(0.05)
    return found


async def is_ready_again(stage: Stage, seconds: float = 40) -> None:
    """Every process of the server runs again."""

    async def is_ready() -> bool:
        return stage.server.is_ready()

    await eventually(is_ready, seconds, "the server to be ready again")


async def listening(stage: Stage, **options: Any) -> Page:
    """A console page with a listener in it that is live and has its snapshot."""
    page = await stage.open("console", **options)
    await page.evaluate(LISTEN)
    await eventually(lambda: page.evaluate("live.state === 'live' && heard.snapshots.length === 1"), 20, "a snapshot")
    return page


async def heard_everything_since(page: Page, server: Server, before: set[str], *, seconds: float = 20) -> list[str]:
    """The ids of all events that were published since, each heard once and in order; gives their kinds."""

    async def missing() -> bool:
        known = {one["id"] for one in await page.evaluate("heard.events")}
        return not (set(written(server)) - before - known)

    await eventually(missing, seconds, "every event of the books")
    events = await page.evaluate("heard.events")
    ids = [one["id"] for one in events]
    assert len(ids) == len(set(ids)), "an event came twice"
    return [one["kind"] for one in events]


class Tap:
    """Stands on the line of one page: what passes, and what is kept from passing."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.received: list[dict[str, Any]] = []
        self.opened = 0
        self.is_dumb = False
        #: of the frames of the server, whether one passes
        self.passes: Callable[[dict[str, Any]], bool] = lambda frame: True
        self._page: WebSocketRoute | None = None

    async def stand(self, page: Page) -> Tap:
        await page.route_web_socket("**/ws", self._opened)
        return self

    def _opened(self, route: WebSocketRoute) -> None:
        self.opened += 1
        self._page = route
        server = route.connect_to_server()

        def to_server(message: str | bytes) -> None:
            self.sent.append(json.loads(message))
            if not self.is_dumb:
                server.send(message)

        def to_page(message: str | bytes) -> None:
            frame = json.loads(message)
            self.received.append(frame)
            if not self.is_dumb and self.passes(frame):
                route.send(message)

        route.on_message(to_server)
        server.on_message(to_page)

    def say(self, **frame: Any) -> None:
        """A frame as if the server had sent it."""
        assert self._page is not None
        self._page.send(json.dumps(frame))

    async def close(self, code: int, reason: str) -> None:
        assert self._page is not None
        await self._page.close(code=code, reason=reason)

    def kinds(self, sent: list[dict[str, Any]] | None = None) -> list[str]:
        return [frame["t"] for frame in (self.sent if sent is None else sent)]


async def tapped(stage: Stage, name: str, context: BrowserContext | None = None, **options: Any) -> tuple[Page, Tap]:
    """A page that somebody has signed in to, and the tap on its line."""
    page = await stage.blank(context or await stage.context(**options))
    tap = await Tap().stand(page)
    await page.goto(f"{stage.server.url}/{name}")
    await page.locator("#sign-in-phone").fill(stage.accounts(NEEDS[name])[0]["phone"])
    await page.get_by_role("radio").nth(1).click()
    await page.locator("#sign-in-secret").fill(stage.server.plan["password"])
    await page.locator("#sign-in-secret").press("Enter")
    await page.wait_for_selector("body.is-ready")
    await expect(page.locator(".connection.is-live")).to_be_visible()
    return page, tap
