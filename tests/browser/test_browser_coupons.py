"""A late order gives a coupon, the next one costs less by it, and the campus team sees what it comes to."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Stage, audit, shown_keys
from tests.e2e_server import Server, running_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
#: A promise of half an hour is over in a minute.
HASTE = 30


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Time runs fast, and nobody carries anything."""
    with running_server(tmp_path_factory.mktemp("coupons"), students=2, runners=1, time_scale=HASTE) as made:
        yield made


async def write_a_parcel(page: Page) -> None:
    """Up to the page with the price."""
    await page.locator(".type-tile.is-parcel").click()
    await page.locator("#place-pickup").fill("快递")
    await page.locator("#place-pickup-list [role=option]").first.click()
    await page.locator("#place-dropoff").fill("图书馆")
    await page.locator("#place-dropoff-list [role=option]").first.click()
    await page.get_by_role("button", name="下一步").click()
    await page.locator("textarea").fill("取件码 5-2-1034，小盒子")
    await page.get_by_role("button", name="去支付").click()


def fen(text: str) -> int:
    """The last price that a text names."""
    return round(float(re.findall(r"¥(\d+\.\d\d)", text)[-1]) * 100)


async def test_who_waits_too_long_pays_less_next_time(stage: Stage) -> None:
    operator, student = await stage.caller("operator"), await stage.caller("student")
    version = (await operator.call("GET", "/money/coupons"))["version"]
    rules = await operator.call("PATCH", "/coupon-rules", {"version": version, "late": {"after_s": 60}})
    badge = {"kind": "food_insurance", "title_zh": "食安险已投保", "title_en": "Food insured", "url": "/docs/terms"}
    await operator.call("PUT", "/assurances", {"version": rules["version"], "assurances": [badge]})

    order = await stage.place_and_pay(student, "等得太久的一单")
    page = await stage.open("track", viewport={"width": 390, "height": 844})
    await page.locator(".order-row", has_text=re.compile("¥")).first.click()
    await expect(page.locator(".status-title")).to_contain_text("寻找")
    # The page says it by itself, while it is open.
    told = page.locator(".coupon-told")
    await expect(told).to_contain_text("送您一张 ¥1.00 优惠券", timeout=150_000)
    assert await audit(page) == []
    assert shown_keys(await page.locator("#sheet").inner_text()) == []

    await page.locator(".back").click()
    await expect(page.locator(".coupon")).to_contain_text("超时补偿")
    assert await audit(page) == []
    await write_a_parcel(page)
    chip = page.locator(".choices .chip[aria-pressed=true]", has_text="¥1.00")
    await expect(chip).to_be_visible()
    total = page.locator(".price .total td")
    await expect(page.locator(".price")).to_contain_text("−¥1.00")
    lower = fen(await total.inner_text())
    await page.locator(".choices .chip", has_text="本次不用").click()
    await expect(page.locator(".price")).not_to_contain_text("−¥1.00")
    assert fen(await total.inner_text()) == lower + 100
    await page.locator(".choices .chip", has_text="¥1.00").click()
    await expect(page.locator(".price")).to_contain_text("−¥1.00")
    await expect(page.locator(".assurances a")).to_have_attribute("href", "/docs/terms")
    assert await audit(page) == []

    await page.get_by_role("button", name=re.compile("^支付")).click()
    await expect(page.locator(".pay-card .assurances a")).to_contain_text("食安险已投保")
    assert fen(await page.locator(".pay-amount").inner_text()) == lower
    await page.locator(".cashier .primary").click()
    await expect(page.locator(".status-title")).to_contain_text("寻找")
    (coupon,) = (await student.call("GET", "/me/coupons"))["coupons"]
    paid = await student.call("GET", f"/orders/{coupon['order_id']}")
    assert (coupon["state"], coupon["granted_for"]) == ("used", order["id"])
    assert (paid["held_fen"], paid["quote"]["service_fen"]) == (lower, lower + 100)

    console = await stage.open("console", context=await stage.context(locale="en-GB"))
    await console.locator("#money-open").click()
    late = console.locator("#money-coupons [data-coupons=late]")
    await expect(late).to_contain_text("for a late order")
    await expect(late).to_contain_text("1 · ¥1.00")
    await console.locator(".coupon-rules summary").click()
    await console.locator("[name=off_peak_on]").check()
    await console.locator("[name=late_yuan]").fill("2.00")
    await console.get_by_role("button", name="Save").click()
    await expect(console.locator(".toast.is-good")).to_contain_text("Saved")
    rules = (await operator.call("GET", "/money/coupons"))["rules"]
    assert (rules["off_peak"]["is_on"], rules["late"]["amount_fen"], rules["late"]["after_s"]) == (True, 200, 60)
    assert await audit(console) == []
    assert shown_keys(await console.locator("#money-coupons").inner_text()) == []
