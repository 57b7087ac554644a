"""Credit on the pages: a runner reads what moved it and appeals; the console corrects it, decides, and takes back."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Caller, Stage, audit, shown_keys

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


async def account_of(stage: Stage, index: int) -> dict[str, Any]:
    """The runner's own account, as the server has it."""
    account: dict[str, Any] = await (await stage.caller("runner", index)).call("GET", "/me")
    return account


async def correct(operator: Caller, account_id: str, delta: int, reason: str) -> Any:
    body = {"kind": "corrected", "delta": delta, "reason": reason}
    return await operator.call("POST", f"/accounts/{account_id}/credit", body)


async def open_credit(runner: Page) -> None:
    await runner.locator("#tabs button").filter(has_text="信用").click()
    await expect(runner.locator("#credit-score")).to_be_visible()


async def test_a_runner_reads_why_and_appeals_and_the_console_decides(stage: Stage) -> None:
    operator = await stage.caller("operator")
    account = await account_of(stage, 1)
    runner_id = account["id"]
    runner = await stage.open("runner", 1, viewport={"width": 390, "height": 844})
    await open_credit(runner)
    await expect(runner.locator(".credit-line")).to_have_count(0)

    await correct(operator, runner_id, -35, "包裹淋湿了两次")
    await expect(runner.locator(".toast.is-bad")).to_contain_text("警告")
    await expect(runner.locator("#credit-score")).to_have_text("45")
    line = runner.locator(".credit-line", has_text="包裹淋湿了两次")
    await expect(line.locator(".credit-delta")).to_have_text("−35")
    await expect(line).to_contain_text("校园团队")
    await runner.locator(".credit-rules > summary").click()
    await expect(runner.locator(".credit-rules")).to_contain_text("如实拒绝不扣分")
    assert await audit(runner) == []
    assert shown_keys(await runner.locator("#sheet").inner_text()) == []

    await line.get_by_role("button", name="申诉").click()
    await runner.locator("dialog textarea").fill("那天下暴雨，雨布是湿的")
    await runner.locator("dialog .button.primary").click()
    await expect(line.locator(".appeal.is-open")).to_contain_text("下暴雨")

    console = await stage.open("console")
    await console.locator(".alert", has_text="申诉").get_by_role("button", name=re.compile(account["name"])).click()
    panel = console.locator("#credit")
    await expect(panel.locator("#credit-score")).to_have_text("45")
    appealed = panel.locator(".credit-line", has_text="包裹淋湿了两次")
    await expect(appealed.locator(".appeal.is-open")).to_contain_text("下暴雨")
    assert await audit(console) == []
    await appealed.get_by_role("button", name="成立").click()
    await console.locator("dialog textarea").fill("天气记录属实")
    await console.locator("dialog .button.primary").click()
    await expect(panel.locator("#credit-score")).to_have_text("80")
    await expect(appealed).to_have_class(re.compile("is-reversed"))
    await expect(panel.get_by_role("heading", name=account["name"])).to_be_visible()
    await expect(console.locator(".alert", has_text="申诉")).to_have_count(0)
    await expect(line.locator(".appeal.is-granted")).to_contain_text("天气记录属实")
    await expect(runner.locator("#credit-score")).to_have_text("80")

    await panel.locator("#credit-record").click()
    await console.locator("dialog input[name=delta]").fill("12")
    await console.locator("dialog textarea").fill("冒雨送药")
    await console.locator("dialog .button.primary").click()
    await expect(panel.locator("#credit-score")).to_have_text("92")
    await expect(panel.locator(".credit-head .level.is-good")).to_be_visible()
    await expect(runner.locator(".toast.is-good").last).to_contain_text("优秀")
    assert shown_keys(await panel.inner_text()) == []
    await console.keyboard.press("Escape")
    await expect(panel).to_be_hidden()


async def test_whoever_was_removed_reads_why_in_either_language(stage: Stage) -> None:
    operator = await stage.caller("operator")
    account = await account_of(stage, 3)
    runner_id = account["id"]
    await correct(operator, runner_id, -70, "lost three parcels")
    review = {"status": "removed", "reason": "lost three parcels"}
    await operator.call("POST", f"/accounts/{runner_id}/runner-review", review)
    page = await stage.blank(await stage.context(locale="en-GB"))
    await page.goto(f"{stage.server.url}/runner")
    await page.locator("#sign-in-phone").fill(account["phone"])
    await page.get_by_role("radio").nth(1).click()
    await page.locator("#sign-in-secret").fill(stage.server.plan["password"])
    await page.locator("#sign-in-secret").press("Enter")
    line = page.locator(".credit-line", has_text="lost three parcels")
    await expect(line.get_by_role("button", name="Appeal")).to_be_visible()
    await expect(page.locator(".credit-head")).to_contain_text("No orders")
    # The gate stands before the page's own main part, which is hidden.
    assert set(await audit(page)) <= {"not exactly one main"}
    assert shown_keys(await page.locator(".gate").inner_text()) == []


async def test_a_student_sees_the_badge_of_a_good_runner(stage: Stage) -> None:
    operator, student, runner = [await stage.caller(role) for role in ("operator", "student", "runner")]
    account = await account_of(stage, 0)
    order = await stage.place_and_pay(student, "带徽章的一单")
    await runner.call("POST", "/runner/duty", {"is_on": True})
    await runner.call("POST", f"/orders/{order['id']}/grab", {})
    await correct(operator, account["id"], 15, "never late")
    track = await stage.open("track")
    await track.evaluate("id => { location.hash = `order=${id}`; }", order["id"])
    await expect(track.locator(".runner-panel .badge-good")).to_have_text("信用优秀")
    assert await audit(track) == []
