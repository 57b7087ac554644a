"""The operator's console: see, understand, reassign, undo, and be told when somebody was faster."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import Stage
from tests.browser.live_page import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


async def two_runners(stage: Stage) -> list[Page]:
    pages = [await stage.open("runner", index, viewport={"width": 390, "height": 844}) for index in (0, 1)]
    for page in pages:
        if await page.locator("#duty").get_attribute("aria-checked") == "false":
            await page.locator("#duty").click()
        await expect(page.locator(".position.is-walking")).to_be_visible()
    return pages


def errand(runner: Page, code: str) -> Locator:
    """An order on the runner's page: the one in hand or one that waits."""
    return runner.locator("#sheet").get_by_text(code)


async def carried_order(stage: Stage, runner: Page, description: str) -> dict[str, Any]:
    """An order that this runner has, given by an operator."""
    student = await stage.caller("student", 2)
    operator = await stage.caller("operator")
    order = await stage.place_and_pay(student, description)
    runner_id = stage.accounts("runner")[0]["account_id"]
    given: dict[str, Any] = await operator.call(
        "POST",
        f"/orders/{order['id']}/reassign",
        {"runner_id": runner_id, "version": order["version"], "reason": "other"},
    )
    await expect(errand(runner, given["code"])).to_be_visible()
    return given


async def choose_other(console: Page) -> None:
    """In the open form: the first runner who does not have it, and a reason."""
    await console.locator(".option[role=radio]:not([disabled]):not(:first-child)").first.click()
    await console.locator(".reasons .chip").nth(1).click()


async def test_reassign_with_cost_reason_and_undo_by_keyboard(stage: Stage) -> None:
    first, second = await two_runners(stage)
    console = await stage.open("console")
    order = await carried_order(stage, first, "改派用的箱子")
    row = console.locator(".row", has_text=order["code"])
    await row.click()
    assert order["id"] in console.url
    await expect(console.locator("#order-title")).to_have_text(order["code"])

    await console.locator("#queue-list").press("r")
    form = console.locator(".reassign")
    await expect(form.locator(".option-cost").first).to_contain_text(re.compile(r"[+−]"))
    confirm = form.locator(".button.primary")
    await expect(confirm).to_be_disabled()
    await choose_other(console)
    await confirm.click()

    await expect(console.locator(".toast.is-good")).to_contain_text(order["code"])
    await expect(first.locator(".toast.is-bad", has_text="改派给其他骑手")).to_be_visible()
    await expect(errand(second, order["code"])).to_be_visible()
    await console.keyboard.press("u")
    await expect(console.locator(".toast", has_text="已撤销")).to_be_visible()
    await expect(errand(first, order["code"])).to_be_visible()

    await console.locator("#tab-why").click()
    await expect(console.locator(".decision").first).to_contain_text("人工改派")
    # The address holds the view: a colleague who opens it sees the same order.
    await console.reload()
    await expect(console.locator("#order-title")).to_have_text(order["code"])


async def test_somebody_was_faster(stage: Stage) -> None:
    first, _ = await two_runners(stage)
    console = await stage.open("console")
    order = await carried_order(stage, first, "两个人同时改派")
    await console.locator(".row", has_text=order["code"]).click()
    await console.locator("#order").get_by_role("button", name=re.compile("改派")).click()
    await choose_other(console)
    # The runner arrives and picks up meanwhile; the console's options are of the version before.
    runner = await stage.caller("runner")
    await console.route("**/reassign", lambda route: _after(route, runner, order["id"]))
    await console.locator(".reassign .button.primary").click()
    await expect(console.locator(".toast.is-bad")).to_contain_text(re.compile("先操作了"))
    await expect(console.locator(".row", has_text=order["code"]).locator(".pill")).to_have_text("配送中")


async def _after(route: Any, runner: Any, order_id: str) -> None:
    await runner.call("POST", f"/orders/{order_id}/picked-up", {})
    await route.continue_()


async def test_drag_an_order_onto_a_runner(stage: Stage) -> None:
    first, second = await two_runners(stage)
    console = await stage.open("console")
    order = await carried_order(stage, first, "拖过去的箱子")
    other = console.locator(f"[data-runner='{stage.accounts('runner')[1]['account_id']}']")
    row = console.locator(".row", has_text=order["code"])
    # It changes its place in the list when the console hears who has it: a hand on its way would take another row.
    await expect(row.locator(".pill.is-assigned")).to_be_visible()
    await row.drag_to(other)
    await expect(console.locator(".option[aria-checked=true]")).to_have_count(1)
    await expect(console.locator(".reassign .note")).to_contain_text(re.compile("单"))
    await console.locator(".reasons .chip").first.click()
    await console.locator(".reassign .button.primary").click()
    await expect(errand(second, order["code"])).to_be_visible()


async def test_personal_data_is_masked_until_a_reason_is_given(stage: Stage) -> None:
    first, _ = await two_runners(stage)
    console = await stage.open("console")
    order = await carried_order(stage, first, "联系人")
    await console.locator(".row", has_text=order["code"]).click()
    await console.locator("#tab-people").click()
    await expect(console.locator("#tab-panel")).to_contain_text("*")
    await console.get_by_role("button", name="查看个人信息").click()
    await console.locator("dialog input").fill("同学打来电话")
    await console.locator("dialog .button.primary").click()
    phone = stage.accounts("student")[2]["phone"]
    await expect(console.locator("#tab-panel")).to_contain_text(phone.removeprefix("+86"))


async def test_the_queue_is_walked_by_arrow_keys_and_searched(stage: Stage) -> None:
    first, _ = await two_runners(stage)
    console = await stage.open("console")
    orders = [await carried_order(stage, first, f"第{number}箱") for number in range(2)]
    await expect(console.locator(".row", has_text=orders[1]["code"])).to_be_visible()
    await console.locator("#queue-list").focus()
    await console.keyboard.press("Home")
    selected = console.locator(".row[aria-selected=true]")
    top = await selected.get_attribute("id")
    # Which of the two has less time left may change meanwhile: then the one that was on top is below.
    ways = itertools.cycle(("ArrowDown", "ArrowUp"))

    async def is_another() -> bool:
        await console.keyboard.press(next(ways))
        await console.wait_for_timeout(300)
        return await selected.get_attribute("id") != top

    await eventually(is_another, 20, "the selection to move")
    await console.keyboard.press("/")
    await console.keyboard.type(orders[1]["code"])
    await expect(console.locator(".row")).to_have_count(1)
    await console.keyboard.press("Escape")
    await console.keyboard.press("Escape")
    await expect(console.locator(".row[aria-selected=true]")).to_have_count(0)
