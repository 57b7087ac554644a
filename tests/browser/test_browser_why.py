"""The console explains: why this runner and not another, what a change would move, and a plan before it is acted on."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Caller, Stage, audit, shown_keys
from tests.browser.live_page import eventually
from tests.browser.test_browser_console import two_runners

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


async def _set_mode(operator: Caller, campus_id: str, mode: str) -> None:
    campus = await operator.call("GET", f"/campuses/{campus_id}")
    await operator.call("PATCH", "/campus", {"version": campus["version"], "mode": mode})


async def _left_to_runners(operator: Caller, order: dict[str, Any]) -> None:
    """The planner has seen the order, and the campus's new way. A process keeps settings for a moment: until then it
    would go on offering."""

    async def is_left() -> bool:
        told = (await operator.call("GET", "/outlook"))["orders"]
        return any(one["order_id"] == order["id"] and one["reason"] == "grab_only" for one in told)

    await eventually(is_left, 20, "the planner to leave the order to the runners")


async def _given(stage: Stage, runner_index: int, description: str) -> dict[str, Any]:
    """An order that this runner has, given by force."""
    student, operator = await stage.caller("student", 3), await stage.caller("operator")
    order = await stage.place_and_pay(student, description)
    runner_id = stage.accounts("runner")[runner_index]["account_id"]
    body = {"runner_id": runner_id, "version": order["version"], "reason": "other"}
    given: dict[str, Any] = await operator.call("POST", f"/orders/{order['id']}/reassign", body)
    return given


async def _picture(page: Page, name: str) -> None:
    if folder := os.environ.get("PICTURES"):
        await page.screenshot(path=f"{folder}/{name}.png")


async def test_a_plan_is_previewed_changed_and_committed(stage: Stage) -> None:
    operator, student = await stage.caller("operator"), await stage.caller("student", 2)
    campus_id = stage.server.plan["campus_id"]
    await _set_mode(operator, campus_id, "grab")
    try:
        # Nobody is on duty yet, so that nothing is offered while the planner still goes by the old settings.
        orders = [await stage.place_and_pay(student, f"方案里的第{number}单") for number in range(2)]
        await _left_to_runners(operator, orders[1])
        await two_runners(stage)
        console = await stage.open("console")
        waiting = console.locator(".row", has_text=orders[0]["code"])
        await expect(waiting).to_contain_text("订单在大厅等待骑手抢单")
        await console.locator("#plan-open").click()
        panel = console.locator("#plan")
        for order in orders:
            await expect(panel.locator(f".plan-pair[data-order='{order['id']}']")).to_be_visible()
        await expect(console.locator("path.plan-line").first).to_be_attached()
        stops = console.locator(f".plan-stop[data-order='{orders[0]['id']}']")
        await expect(stops).to_have_count(2)
        await panel.locator("[data-preset=fastest]").click()
        await expect(panel.locator(".plan-figures[data-preset=fastest]")).to_be_visible()
        await panel.locator(f".plan-pair[data-order='{orders[0]['id']}'] input").uncheck()
        await expect(stops).to_have_count(0)
        assert await audit(console) == []
        assert shown_keys(await panel.inner_text()) == []
        await panel.locator("#plan-again").click()
        await expect(panel.locator(".plan-figures")).to_contain_text("1 单")
        await expect(panel.locator(".plan-commit .button.primary")).to_be_disabled()
        await panel.locator("[name=reason]").fill("午高峰")
        await panel.locator("#plan-commit").click()
        pair = panel.locator(f".plan-pair[data-order='{orders[1]['id']}']")
        await expect(pair.locator(".verdict.is-done")).to_be_visible()
        assert (await operator.call("GET", f"/orders/{orders[1]['id']}"))["task_status"] == "offered"
        assert (await operator.call("GET", f"/orders/{orders[0]['id']}"))["task_status"] == "open"
        await console.keyboard.press("Escape")
        await console.locator("#queue-list").focus()
        await console.keyboard.press("Escape")
        await expect(panel).to_be_hidden()
        await expect(console.locator("path.plan-line")).to_have_count(0)
    finally:
        await _set_mode(operator, campus_id, "mixed")


async def test_why_this_runner_and_why_not_another(stage: Stage) -> None:
    await two_runners(stage)
    student = await stage.caller("student", 1)
    console = await stage.open("console")
    order = await stage.place_and_pay(student, "为什么是他")
    await console.locator(".row", has_text=order["code"]).click()
    decision = console.locator(".decision[open]").first
    await expect(decision.locator(".terms tbody tr").first).to_be_visible()
    await expect(decision.locator(".terms [data-term=wait] td").first).to_contain_text(re.compile(r"\d:\d\d"))
    chosen = await decision.locator("table.why .is-chosen th").inner_text()
    for role in stage.accounts("runner")[:2]:
        name = next(one["name"] for one in await _runners(stage) if one["id"] == role["account_id"])
        await decision.locator(".why-not input").fill(name)
        await decision.locator(".why-not button").click()
        answer = decision.locator(".why-not-answer [data-rule]")
        await expect(answer).to_contain_text(name)
        is_chosen = await answer.get_attribute("data-rule") == "chosen"
        assert is_chosen == (name in chosen)
    await decision.locator(".why-not input").fill("没有这个人")
    await decision.locator(".why-not button").click()
    await expect(decision.locator(".why-not-answer")).to_contain_text("没有这个名字的骑手")
    assert await audit(console) == []
    assert shown_keys(await console.locator("#order").inner_text()) == []
    await _picture(console, "why-browser")


async def _runners(stage: Stage) -> list[dict[str, Any]]:
    operator = await stage.caller("operator")
    view: dict[str, Any] = await operator.call("GET", "/console")
    return list(view["runners"])


async def test_what_a_change_would_move_is_shown_and_checked_again(stage: Stage) -> None:
    await two_runners(stage)
    carried = await _given(stage, 1, "第二个人手里的")
    order = await _given(stage, 0, "要换人的")
    console = await stage.open("console")
    await console.locator(".row", has_text=order["code"]).click()
    await console.locator("#order").get_by_role("button", name=re.compile("改派")).click()
    name = next(one["name"] for one in await _runners(stage) if one["id"] == stage.accounts("runner")[1]["account_id"])
    await console.locator(".option[role=radio]", has_text=name).click()
    moves = console.locator(".moves")
    await expect(moves.locator(".move.is-own")).to_contain_text(re.compile("准时|晚"))
    await expect(moves).to_contain_text(re.compile(r"[+−]\d+|不影响其他订单"))
    await console.locator(".reasons .chip").first.click()
    # What the page tells of the other order is made untrue: the server says so and the page shows it anew.
    await console.route("**/reassign", _with_other_moves(carried["id"]), times=1)
    await console.locator(".reassign .button.primary").click()
    await expect(console.locator(".toast.is-bad")).to_contain_text("对其他订单的影响已有变化")
    await expect(moves.locator(".move.is-own")).to_be_visible()
    assert await audit(console) == []
    await console.locator(".reassign .button.primary").click()
    await expect(console.locator(".toast.is-good")).to_contain_text(order["code"])


def _with_other_moves(order_id: str) -> Any:
    async def change(route: Any) -> None:
        body = route.request.post_data_json
        body["seen"] = [{"order_id": order_id, "seconds": 9000, "is_late": True}]
        await route.continue_(post_data=body)

    return change
