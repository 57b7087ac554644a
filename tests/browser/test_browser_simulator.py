"""The payment simulator's pages in a real browser: a student pays, things are made to go wrong, in both languages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page, async_playwright, expect

from payments.simulator.house import House, Plan
from tests.browser.conftest import ARGUMENTS, PATIENCE_MS, audit, find_browser
from tests.simulator_house import Caller, merchant_server, running, state_with_keys


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with running(Plan(state=state_with_keys(tmp_path), work_s=0.01)) as house:
        yield house


@pytest.fixture
async def context() -> AsyncIterator[BrowserContext]:
    faults: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_browser(), args=ARGUMENTS)
        made = await browser.new_context(locale="zh-CN")
        made.set_default_timeout(PATIENCE_MS)
        made.on("weberror", lambda error: faults.append(str(error.error)))
        made.on("console", lambda message: faults.append(message.text) if "Content Security" in message.text else None)
        yield made
        await browser.close()
    assert not faults, faults


async def test_a_student_pays_and_the_page_shows_it(house: House, context: BrowserContext) -> None:
    async with merchant_server() as merchant:
        await Caller(house).order("ORDER001", merchant.url, fen=1280)
        overview = await context.new_page()
        await overview.goto(house.base_url)
        row = overview.locator("#orders tr", has_text="ORDER001")
        await expect(row).to_contain_text("¥12.80")
        await expect(row).to_contain_text("待支付")
        assert await audit(overview) == []

        async with context.expect_page() as opened:
            await row.get_by_role("link", name="收银台").click()
        till: Page = await opened.value
        await expect(till.locator("#amount")).to_have_text("¥12.80")
        assert await audit(till) == []
        await till.get_by_role("button", name="密码错误").click()
        await expect(till.locator("#said")).to_contain_text("未支付")
        await till.get_by_role("button", name="稍后支付").click()
        await expect(till.locator("#said")).to_contain_text("再次打开")
        await till.get_by_role("button", name="立即支付").click()
        await expect(till.locator("#said")).to_have_text("支付成功。")
        await expect(till.get_by_role("button", name="立即支付")).to_be_disabled()

        await expect(row).to_contain_text("已支付")
        notice = overview.locator("#notices tr", has_text="TRANSACTION.SUCCESS")
        await expect(notice).to_contain_text("204")
        await notice.get_by_role("button", name="重发").click()
        await expect(notice).to_contain_text("204 204")


async def test_what_goes_wrong_is_set_on_the_page(house: House, context: BrowserContext) -> None:
    page = await context.new_page()
    await page.goto(house.base_url)
    await page.get_by_role("button", name="English").click()
    await expect(page).to_have_title("Payment simulator")
    field = page.locator("#fault input")
    await field.fill("explode")
    await field.press("Enter")
    await expect(page.locator("#said")).to_contain_text("there is no fault 'explode'")
    await field.fill("error op=create status=503 count=1")
    await page.get_by_role("button", name="Add").click()
    await expect(page.locator("#faults")).to_contain_text("error op=create count=1 value=503")
    assert (await Caller(house).order("ORDER001", "http://127.0.0.1:1/notify"))[0] == 503
    await expect(page.locator("#exchanges")).to_contain_text("error")
    await page.get_by_role("button", name="Remove all").click()
    await expect(page.locator("#faults")).to_contain_text("Nothing yet.")
    await page.get_by_role("button", name="Backup domain").click()
    await expect(page.get_by_role("button", name="cannot be reached")).to_be_visible()
    serials = house.settings()["wechat"]["serial_no"]
    await page.get_by_role("button", name="New certificate").click()
    await expect(page.locator("#said")).to_be_empty()
    assert house.settings()["wechat"]["serial_no"] == serials, "the merchant's own is another matter"
