"""What a runner pressed is never lost for a reason that is not the server's word about it, and never lost silently."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Locator, Page, Route, expect

from tests.browser.conftest import Stage
from tests.browser.live_page import eventually
from tests.browser.test_browser_console import carried_order, errand

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

TAPS = (
    "Object.keys(localStorage).filter((key) => key.startsWith('dispatch.actions'))"
    ".flatMap((key) => JSON.parse(localStorage.getItem(key)))"
)


async def runner_with(stage: Stage, description: str) -> tuple[BrowserContext, Page, dict[str, Any], Locator]:
    context = await stage.context(viewport={"width": 390, "height": 844})
    runner = await stage.open("runner", context=context)
    if await runner.locator("#duty").get_attribute("aria-checked") == "false":
        await runner.locator("#duty").click()
    order = await carried_order(stage, runner, description)
    await errand(runner, order["code"]).click()
    step = runner.locator(f".task[aria-label*='{order['code']}'] #next-step")
    await step.click()
    await expect(step).to_have_text("已取件")
    await expect(runner.locator(".offline-banner")).to_have_count(0)
    return context, runner, order, step


async def all_are_sent(runner: Page) -> None:
    """No tap is kept any more, and the page says so; a page that has only just begun says nothing yet."""
    await eventually(lambda: runner.evaluate(f"{TAPS}.length === 0"), 20, "the taps to be sent")
    await expect(runner.locator(".offline-banner")).to_have_count(0)


async def picked_up_at(stage: Stage, order: dict[str, Any]) -> int | None:
    operator = await stage.caller("operator")
    seen = await operator.call("GET", f"/orders/{order['id']}")
    at_ms: int | None = next(one["at_ms"] for one in seen["steps"] if one["step"] == "picked_up")
    return at_ms


async def test_a_tap_outlives_what_is_no_answer_to_it(stage: Stage) -> None:
    _, runner, order, step = await runner_with(stage, "服务器忙的时候点")
    passing = [
        (429, {"code": "too_many", "message": "wait"}),
        (403, {"code": "not_permitted", "message": "stale", "field": "X-CSRF-Token", "detail": {"reason": "csrf"}}),
        (503, {"code": "unavailable", "message": "busy"}),
    ]
    seen: list[int] = []

    async def answer(route: Route) -> None:
        status, error = passing[min(len(set(seen)), len(passing) - 1)]
        seen.append(status)
        await route.fulfill(status=status, content_type="application/json", body=json.dumps({"error": error}))

    await runner.route("**/picked-up", answer)
    await step.click()
    async with asyncio.timeout(30):
        while set(seen) != {status for status, _ in passing}:
            await runner.evaluate("dispatchEvent(new Event('online'))")
            await asyncio.sleep(0.1)
    await expect(runner.locator(".offline-banner")).to_contain_text("1 个操作等待中")
    (tap,) = await runner.evaluate(TAPS)
    await runner.unroute("**/picked-up")
    await all_are_sent(runner)
    assert abs((await picked_up_at(stage, order) or 0) - tap["tappedAtMs"]) < 2_000


async def test_a_tap_waits_for_the_next_sign_in(stage: Stage) -> None:
    context, runner, order, step = await runner_with(stage, "登录过期以后点")

    async def session_is_over(route: Route) -> None:
        # Between the tap and the server: what the page asks for at every event it hears cannot find it out before the
        # tap, and put the sign-in in the button's place. The answer is the real server's.
        await context.clear_cookies()
        await route.continue_()

    await runner.route("**/picked-up", session_is_over, times=1)
    await step.click()
    await expect(runner.locator("#sign-in-phone")).to_be_visible()
    (tap,) = await runner.evaluate(TAPS)
    assert await picked_up_at(stage, order) is None
    await runner.get_by_role("radio").nth(1).click()
    await runner.locator("#sign-in-secret").fill(stage.server.plan["password"])
    await runner.locator("#sign-in-secret").press("Enter")
    await runner.wait_for_selector("body.is-ready")
    await all_are_sent(runner)
    assert abs((await picked_up_at(stage, order) or 0) - tap["tappedAtMs"]) < 2_000


async def test_a_tap_that_is_refused_for_good_is_said_with_its_order(stage: Stage) -> None:
    context, runner, order, step = await runner_with(stage, "断网期间被取消")
    await context.set_offline(True)
    await step.click()
    operator = await stage.caller("operator")
    version = (await operator.call("GET", f"/orders/{order['id']}"))["version"]
    reason = {"reason": "同学不在校", "version": version, "charge_percent": 0}
    await operator.call("POST", f"/orders/{order['id']}/operator-cancel", reason)
    await context.set_offline(False)
    await expect(runner.locator(".toast.is-bad", has_text="已取件")).to_contain_text(order["code"])
    assert await runner.evaluate(TAPS) == []
