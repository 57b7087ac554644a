"""One order through all three pages, as three people do it."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import PATIENCE_MS, Stage, audit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


async def order_a_parcel(page: Page) -> None:
    """Three steps: where, what, pay."""
    await page.locator(".type-tile.is-parcel").click()
    await page.locator("#place-pickup").fill("快递")
    await page.locator("#place-pickup-list [role=option]").first.click()
    await page.locator("#place-dropoff").fill("图书馆")
    await page.locator("#place-dropoff-list [role=option]").first.click()
    await page.get_by_role("button", name="下一步").click()
    await page.locator("textarea").fill("取件码 5-2-1034，小盒子")
    await page.get_by_role("button", name="去支付").click()
    await expect(page.locator(".promise b")).to_have_text(re.compile(r"\d\d:\d\d–\d\d:\d\d"))
    await page.get_by_role("button", name=re.compile("^支付")).click()
    await page.locator(".cashier .primary").click()


async def test_an_order_through_three_pages(stage: Stage) -> None:
    runner = await stage.open("runner", viewport={"width": 390, "height": 844})
    await runner.locator("#duty").click()
    await expect(runner.locator("#duty")).to_have_attribute("aria-checked", "true")
    console = await stage.open("console")
    student = await stage.open("track", viewport={"width": 390, "height": 844})

    await order_a_parcel(student)
    await expect(student.locator(".status-title")).to_contain_text("寻找")
    code = (await student.locator(".status-type .code").inner_text()).strip()
    row = console.locator(".row", has_text=code)
    await expect(row).to_be_visible()

    await runner.locator(".offer .accept").click(timeout=PATIENCE_MS)
    await expect(student.locator(".runner-panel")).to_be_visible()
    await expect(student.locator(".status-title")).to_contain_text("预计")
    await expect(student.locator(".runner-dot")).to_be_visible()
    await expect(row.locator(".pill")).to_have_text("已接单")

    step = runner.locator("#next-step")
    await expect(step).to_have_text("我到了")
    await step.click()
    await expect(step).to_have_text("已取件")
    await step.click()
    await expect(student.locator(".steps .is-done")).to_have_count(3)
    await expect(step).to_have_text("我到了")
    await step.click()

    for page in (student, runner):
        assert await audit(page) == []
    pin = "".join(await student.locator(".pin-code span").all_inner_texts())
    await runner.locator("#pin").fill("0000" if pin != "0000" else "1111")
    await step.click()
    await expect(runner.locator(".toast.is-bad")).to_contain_text("收货码不对")
    await runner.locator("#pin").fill(pin)
    await step.click()
    await expect(student.locator(".status-title")).to_have_text("已送达")

    await student.get_by_role("button", name="确认收货").click()
    await expect(student.locator(".status-title")).to_contain_text("已收货")
    await student.locator(".rating label").nth(4).click()
    await student.get_by_role("button", name="提交评价").click()
    await expect(student.get_by_role("img", name="您给了 5 星")).to_be_visible()

    await runner.locator("#tabs button").nth(3).click()
    await expect(runner.locator(".wallet-line")).to_have_count(1)
    await expect(runner.locator(".wallet-line")).to_contain_text(code)
    await row.click()
    await console.locator("#tab-timeline").click()
    await expect(console.locator(".timeline")).to_contain_text("已确认收货")
    for page in (student, runner, console):
        assert await audit(page) == []


async def test_a_declined_payment_is_said_at_once_and_can_be_tried_again(stage: Stage) -> None:
    page = await stage.open("track", index=1)
    await page.locator(".type-tile.is-help").click()
    await page.get_by_role("button", name="下一步").click()
    await page.locator("textarea").fill("帮忙搬桌子，2 号门见")
    await page.get_by_role("button", name="去支付").click()
    await page.get_by_role("button", name=re.compile("^支付")).click()
    await page.get_by_role("button", name="模拟余额不足").click()
    await expect(page.locator(".pay-card").get_by_role("alert")).to_contain_text("余额不足")
    await expect(page.locator(".pay-card").get_by_role("alert")).to_contain_text("没有扣款")
    await expect(page.locator(".pay-card a[href='/runner']")).to_be_visible()
    await page.locator(".cashier .primary", has_text="¥").click()
    await expect(page.locator(".status-title")).to_contain_text("寻找")
    await page.get_by_role("button", name="取消订单（免费）").click()
    await page.get_by_role("button", name="填错了").click()
    await expect(page.locator(".status-title")).to_have_text(re.compile("已取消|已关闭"))


async def test_links_sign_in_once_and_leave_no_code_in_the_address(stage: Stage) -> None:
    context = await stage.context()
    for name, link in stage.server.plan["links"].items():
        page = await stage.blank(context)
        await page.goto(f"{stage.server.url}/{name}#{link.split('#')[1]}")
        await page.wait_for_selector("body.is-ready")
        assert "code" not in page.url
        await page.reload()
        await page.wait_for_selector("body.is-ready")
    # All three sessions live side by side in one browser.
    again = await stage.blank(context)
    await again.goto(f"{stage.server.url}/console")
    await again.wait_for_selector("body.is-ready")
    # The same code a second time is worth nothing to somebody else.
    stranger = await stage.blank(await stage.context())
    await stranger.goto(f"{stage.server.url}/track#{stage.server.plan['links']['track'].split('#')[1]}")
    await expect(stranger.locator("#sign-in-phone")).to_be_visible()
