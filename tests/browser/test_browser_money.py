"""Money at the console: an alarm comes by itself, its item is taken and closed, and an order's money is traced."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from playwright.async_api import Page, expect

from payments.sandboxed import SandboxedPayments
from tests.browser.conftest import Stage, audit, shown_keys
from tests.money_scene import RUN, add_item, add_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


async def differ(stage: Stage) -> str:
    """A difference in the running server's own books, which its watch finds by itself; its id."""
    url = f"sqlite:///{stage.server.data_dir}/payments.db"
    books = SandboxedPayments(url, url, lambda: datetime.now(UTC), lambda kind: kind, b"s" * 32)
    try:
        if await books.reconciliation(RUN) is None:  # one server has them all
            await add_run(books)
        return (await add_item(books, stage.server.plan["campus_id"])).id
    finally:
        books._store.close()


async def read_trace(console: Page, code: str, words: list[str]) -> None:
    """Open the order's trace and read it."""
    await console.locator(".row", has_text=code).click()
    await console.locator("#tab-trace").click()
    trace = console.locator(".trace")
    for kind in ("attempt", "decision", "request", "reply", "callback"):
        await expect(trace.locator(f"[data-kind={kind}]").first).to_be_visible()
    for said in words:
        await expect(trace).to_contain_text(said)
    await trace.locator("[data-kind=attempt] summary").first.click()
    await expect(trace.locator("[data-kind=attempt] dl").first).to_be_visible()
    assert await audit(console) == []
    assert shown_keys(await console.locator("#order").inner_text()) == []


async def test_an_alarm_its_item_and_the_trace_in_both_languages(stage: Stage) -> None:
    order = await stage.place_and_pay(await stage.caller("student"), "追踪这一单")
    console = await stage.open("console")
    await read_trace(console, order["code"], ["款项已冻结", "毫秒"])

    item_id = await differ(stage)
    # It comes by itself, while nobody asks.
    alert = console.locator(".alert.is-money_alarm", has_text="1 项差异")
    await expect(alert).to_be_visible()
    await console.locator("#money-open").click()
    view = console.locator("#money")
    await expect(view.locator("#money-today")).to_contain_text("已付款订单")
    await expect(view.locator("[data-channel=sandbox]")).to_contain_text("可用")
    await expect(view.locator("[data-alarm=reconciliation_differs]")).to_contain_text("逐项领取")
    await expect(view.locator("#money-runs [data-run]").first).to_contain_text("有差异")
    item = view.locator(f"#money-items [data-item={item_id}]")
    await expect(item).to_contain_text("渠道已收款，我方账簿没有")
    await expect(item).to_contain_text("账簿 ¥0.00 · 账单 ¥8.80")
    assert await audit(console) == []
    assert shown_keys(await view.inner_text()) == []

    await view.locator("#money-runs .link").first.click()
    async with console.expect_download() as waiting:
        await view.locator("#money-run .button", has_text="CSV").click()
    download = await waiting.value
    assert download.suggested_filename.endswith(".csv") and item_id in (await download.path()).read_text("utf-8-sig")

    await item.get_by_role("button", name="我来查").click()
    await expect(item).to_contain_text("正在查")

    english = await stage.open("console", context=await stage.context(locale="en-GB"))
    await english.locator("#money-open").click()
    shown = english.locator("#money")
    await expect(shown.locator("#money-items")).to_contain_text("The provider has money that our books do not know of")
    await expect(shown.locator("#money-alarms")).to_contain_text("wait for a person")
    await expect(shown.locator("#money-cases")).to_contain_text("Risk has objected to nothing")
    assert await audit(english) == []
    assert shown_keys(await shown.inner_text()) == []
    await english.keyboard.press("Escape")
    await expect(shown).to_be_hidden()
    await read_trace(english, order["code"], ["money is held", " ms"])

    await item.get_by_role("button", name="关闭").click()
    await console.locator("dialog textarea").fill("柜台已退还学生")
    await console.locator("dialog .button.primary").click()
    await expect(view.locator("#money-items")).to_contain_text("没有需要人工处理的差异")
    await expect(view.locator("#money-run")).to_contain_text("柜台已退还学生")
    # The cause is gone, and so is the alert, at every console.
    await expect(alert).to_have_count(0)
    await expect(english.locator(".alert.is-money_alarm", has_text="wait for a person")).to_have_count(0)


async def test_a_day_is_reconciled_at_the_press_of_a_button(stage: Stage) -> None:
    console = await stage.open("console")
    await console.locator("#money-open").click()
    view = console.locator("#money")
    ask = view.locator("#money-ask")
    yesterday = date.fromisoformat(await ask.locator("[name=day]").input_value())
    day = (yesterday - timedelta(days=2)).isoformat()
    await ask.locator("[name=day]").fill(day)
    await ask.locator("[name=channel]").select_option("sandbox_backup")
    await ask.get_by_role("button", name="立即对账").click()
    row = view.locator(f"[data-run=sandbox_backup-{day}]")
    # It is watched until it is done, while nobody presses anything; what was chosen stays chosen.
    await expect(row).to_contain_text("一致", timeout=30_000)
    await expect(ask.locator("[name=day]")).to_have_value(day)
    await expect(ask.locator("[name=channel]")).to_have_value("sandbox_backup")
    await row.locator(".link").click()
    await view.locator("#money-run").get_by_role("button", name="重新对账").click()
    await expect(view.locator("#money-run").get_by_role("button", name="重新对账")).to_be_enabled(timeout=30_000)
    assert await audit(console) == []
    assert shown_keys(await view.inner_text()) == []


#: How far it reaches beyond its box, and how far two figures of a row are apart.
CUT = "(box) => box.scrollWidth - box.clientWidth"
GAP = """(row) => row.querySelector(".row-slack").getBoundingClientRect().left
    - row.querySelector(".row-price").getBoundingClientRect().right"""


async def test_on_a_small_screen_nothing_of_the_money_is_cut_or_covered(stage: Stage) -> None:
    order = await stage.place_and_pay(await stage.caller("student", 1), "小屏幕")
    await differ(stage)
    console = await stage.open("console", viewport={"width": 1360, "height": 850}, locale="en-GB")
    row = console.locator(".row", has_text=order["code"])
    assert await row.evaluate(GAP) >= 14, "a price and a countdown are no one number"
    words = console.locator(".alert.is-money_alarm .link").first
    await expect(words).to_be_visible()
    box = await words.bounding_box()
    assert box is not None and box["width"] >= 150, "not two words a line"
    await console.locator("#money-open").click()
    runs = console.locator("#money-runs .scroll-x")
    await expect(runs.locator("[data-run]").first).to_be_visible()
    assert await runs.evaluate(CUT) <= 0
    assert await audit(console) == []
