"""The pages' connection while the hub is killed under it: the right words, and in the end nothing was missed."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Stage
from tests.browser.live_page import (
    HIDE,
    Tap,
    eventually,
    heard_everything_since,
    is_ready_again,
    listening,
    tapped,
    written,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

CHIP = ".connection"
LIVE, COMING_BACK, OFFLINE = "实时", re.compile("正在重连|没有信号"), re.compile("离线|没有信号")


async def hears_of_payments(console: Page, stage: Stage, before: set[str], orders: list[dict[str, Any]]) -> None:
    """That an order is paid is an event of its own, some time after the wallet said so; of these each once.

    Orders of earlier tests still have their own events, at any moment: nobody is on duty for them."""
    expected = sorted(order["id"] for order in orders)

    async def has_heard() -> bool:
        await heard_everything_since(console, stage.server, before)
        events = await console.evaluate("heard.events")
        paid = [one["order"] for one in events if one["kind"] == "order_paid"]
        return sorted(order for order in paid if order in expected) == expected

    await eventually(has_heard, 20, f"{len(expected)} payments")


async def test_a_killed_worker_is_waited_for_and_no_event_is_missed(stage: Stage) -> None:
    student = await stage.caller("student", 1)
    console = await listening(stage)
    before = set(written(stage.server))
    first = await stage.place_and_pay(student, "杀掉之前")
    await expect(console.locator(CHIP)).to_have_text(LIVE)
    stage.server.kill("web")
    await expect(console.locator(CHIP)).to_have_text(COMING_BACK)
    await is_ready_again(stage)
    order = await stage.place_and_pay(student, "杀掉之后")
    await expect(console.locator(CHIP)).to_have_text(LIVE, timeout=40_000)
    await hears_of_payments(console, stage, before, [first, order])
    assert len(await console.evaluate("heard.snapshots")) == 1, "it resumed: nothing had to be told as a whole"
    await expect(console.locator(".row", has_text=order["code"])).to_be_visible()


async def test_a_restarted_redis_is_a_new_beginning_with_a_whole_picture(stage: Stage) -> None:
    student = await stage.caller("student", 1)
    console = await listening(stage)
    first = await stage.place_and_pay(student, "断电之前")
    stage.server.kill("redis")
    await is_ready_again(stage)
    second = await stage.place_and_pay(student, "断电之后")
    orders = {first["id"], second["id"]}

    async def is_told() -> bool:
        heard = await console.evaluate("heard")
        known = {order for snapshot in heard["snapshots"][1:] for order in snapshot["orders"]}
        known |= {one["order"] for one in heard["events"] if one["kind"] == "order_paid"}
        return len(heard["snapshots"]) > 1 and orders <= known

    await eventually(is_told, 40, "both orders, by a snapshot or by events")
    events = await console.evaluate("heard.events.map(({ id }) => id)")
    assert len(events) == len(set(events))
    assert (await console.evaluate("heard.states")).count("live") == 1, "the connection itself stood all the time"
    for order in (first, second):
        await expect(console.locator(".row", has_text=order["code"])).to_be_visible()
    before = set(written(stage.server))
    await stage.place_and_pay(student, "一切照旧")
    await heard_everything_since(console, stage.server, before)


async def test_without_a_network_it_says_so_and_catches_up(stage: Stage) -> None:
    student = await stage.caller("student", 1)
    context = await stage.context()
    console, colleague = await listening(stage, context=context), await listening(stage)
    before = set(written(stage.server))
    await context.set_offline(True)
    await expect(console.locator(CHIP)).to_have_text(OFFLINE)
    # What earlier tests left behind may have spoken until then; from here on only the colleague hears anything.
    heard = await console.evaluate("heard.events")
    orders = [await stage.place_and_pay(student, f"离线时第{number}单") for number in range(3)]
    await hears_of_payments(colleague, stage, before, orders)
    assert await console.evaluate("heard.events") == heard, "it says that it is offline and hears all the same"
    await expect(console.locator(CHIP)).to_have_text(OFFLINE)
    await context.set_offline(False)
    # At once, not after the pause that it was in.
    await expect(console.locator(CHIP)).to_have_text(LIVE, timeout=8_000)
    await hears_of_payments(console, stage, before, orders)
    assert len(await console.evaluate("heard.snapshots")) == 1


async def test_a_hidden_page_comes_back_when_somebody_looks(stage: Stage) -> None:
    page, tap = await tapped(stage, "track")
    for is_hidden in (True, False, True):
        await page.evaluate(HIDE, is_hidden)
    assert tap.opened == 1, "a tab that is hidden and shown keeps its connection"
    await tap.close(4000, "server_drain")
    await expect(page.locator(CHIP)).to_have_text(COMING_BACK)
    # Nobody looks: half a minute and more between two attempts. A short pause would be over by now.
    await page.evaluate("new Promise((resolve) => setTimeout(resolve, 2500))")
    assert tap.opened == 1
    await page.evaluate(HIDE, False)
    await expect(page.locator(CHIP)).to_have_text(LIVE, timeout=5_000)
    assert tap.opened == 2


async def test_a_connection_that_died_in_its_sleep_is_found_out_on_waking(stage: Stage) -> None:
    page, tap = await tapped(stage, "console")
    tap.is_dumb = True
    await expect(page.locator(CHIP)).to_have_text(re.compile(r"^1\d 秒前$"))
    tap.is_dumb = False
    opened = tap.opened
    # Whatever happens on the campus meanwhile, nothing of it comes over the connection that died.
    tap.passes = lambda frame: tap.opened > opened
    await page.evaluate(HIDE, True)
    await page.evaluate(HIDE, False)
    await opened_again(tap, opened)
    await expect(page.locator(CHIP)).to_have_text(LIVE)


async def test_a_minute_of_silence_is_a_dead_connection(stage: Stage) -> None:
    page, tap = await tapped(stage, "track")
    await page.clock.install()
    await page.reload()
    await expect(page.locator(CHIP)).to_have_text(LIVE)
    tap.is_dumb = True
    opened = tap.opened
    await page.clock.run_for(40_000)
    await expect(page.locator(CHIP)).to_have_text(re.compile(r"^\d\d 秒前$"))
    assert tap.opened == opened
    await page.clock.run_for(25_000)
    await expect(page.locator(CHIP)).to_have_text(COMING_BACK)
    tap.is_dumb = False
    await page.clock.run_for(5_000)
    await opened_again(tap, opened)
    await expect(page.locator(CHIP)).to_have_text(LIVE)


async def opened_again(tap: Tap, opened: int) -> None:
    async def is_another() -> bool:
        return tap.opened > opened

    await eventually(is_another, 12, "another connection")


async def test_a_hole_in_the_events_is_filled(stage: Stage) -> None:
    student = await stage.caller("student", 1)
    page, tap = await tapped(stage, "console")
    events: list[str] = []

    def all_but_the_second(frame: dict[str, Any]) -> bool:
        if frame["t"] == "event":
            events.append(frame["id"])
        return frame["t"] != "event" or len(events) != 2

    tap.passes = all_but_the_second
    order = await stage.place_and_pay(student, "丢了一个事件")
    # Paid and without a runner; how the planner stands to it meanwhile is told in other words.
    await expect(page.locator(".row", has_text=order["code"]).locator(".pill.is-open")).to_be_visible()

    async def is_told_again() -> bool:
        return len(events) > 2 and events.count(events[1]) == 2

    await eventually(is_told_again, 10, "the lost event once more")
    follows = [frame for frame in tap.sent if frame["t"] == "follow"]
    assert [("offset" in frame) for frame in follows] == [False, True], "asked again from where it stood"
    answers = [frame for frame in tap.received if frame["t"] == "followed"]
    assert [frame["recovered"] for frame in answers] == [False, True]


async def test_the_server_says_how_long_to_stay_away(stage: Stage) -> None:
    page, tap = await tapped(stage, "console")
    loop = asyncio.get_running_loop()
    opened, began_s, asked = tap.opened, loop.time(), tokens_asked(page)
    await tap.close(4000, "server_drain retry_ms=3000")
    await expect(page.locator(CHIP)).to_have_text(COMING_BACK)
    # Somebody who looks again does not shorten what the server asked for.
    await page.evaluate(HIDE, True)
    await page.evaluate(HIDE, False)
    await opened_again(tap, opened)
    assert 3.0 <= loop.time() - began_s < 7.0
    await expect(page.locator(CHIP)).to_have_text(LIVE)
    assert asked == [], "the token at hand opens the next connection: a thousand pages at once ask nobody first"
    opened = tap.opened
    await tap.close(4501, "account_blocked")
    await expect(page.locator(CHIP)).to_have_text("账号已停用")
    await page.evaluate("dispatchEvent(new Event('online'))")
    await page.evaluate("new Promise((resolve) => setTimeout(resolve, 3000))")
    assert tap.opened == opened, "4500 and above: stay away"


def tokens_asked(page: Page) -> list[str]:
    """The page's questions for a token, from now on."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/socket-token") else None)
    return asked


async def test_a_token_is_shown_again_in_time(stage: Stage) -> None:
    page, tap = await tapped(stage, "console")
    await page.clock.install()
    await page.reload()
    await expect(page.locator(CHIP)).to_have_text(LIVE)
    asked = tokens_asked(page)
    (welcome,) = [frame for frame in tap.received if frame["t"] == "welcome"][-1:]
    opened, hellos = tap.opened, tap.kinds().count("hello")
    await page.clock.fast_forward(int(0.71 * welcome["renew_ms"]))

    async def is_renewed() -> bool:
        return tap.kinds().count("hello") > hellos and tap.kinds(tap.received).count("welcome") >= 3

    await eventually(is_renewed, 20, "another hello")
    assert tap.opened == opened, "on the same connection"
    assert len(asked) == 1, "a newer token was fetched for it"
