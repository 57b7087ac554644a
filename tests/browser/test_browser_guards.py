"""What guards money in the server as it is shipped: a face before the fourth small payment, a code for a refund."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Stage, audit, shown_keys
from tests.e2e_server import Server, running_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Nothing is set but that people are made up; a minute lasts a minute."""
    with running_server(tmp_path_factory.mktemp("guards"), students=2, runners=1, time_scale=1) as made:
        yield made


def newest_code(stage: Stage) -> str:
    """What the demonstration's sender printed last, to a phone and into no log."""
    printed = (stage.server.data_dir / "server.log").read_text()
    codes: list[str] = re.findall(r"money_code code=(\d{6})", printed)
    return codes[-1]


async def test_the_fourth_small_payment_within_a_minute_asks_for_a_face(stage: Stage) -> None:
    student = await stage.caller("student", 0)
    ask = {"type_code": "queue", "stops": [], "wait_min": 10}
    campus = stage.server.plan["campus_id"]
    (place, *_) = await student.call("GET", f"/campuses/{campus}/places?limit=20")
    ask["stops"] = [{"place_id": place["id"]}]
    quote = await student.call("POST", "/quotes", ask)
    assert quote["total_fen"] <= 500, "else it is no small payment"
    wish = ask | {"description": "帮忙排队", "expected_total_fen": quote["total_fen"]}
    for number in range(4):
        order = await student.call("POST", "/orders", wish, **{"Idempotency-Key": f"small-{number}"})
    page = await stage.open("track", 0, viewport={"width": 390, "height": 844})
    await page.evaluate("(id) => { location.hash = `order=${id}`; }", order["id"])
    await expect(page.locator(".pay-card h2")).to_have_text("支付前需要验证")
    assert await audit(page) == []
    assert shown_keys(await page.locator("#sheet").inner_text()) == []
    await page.locator("#pay-face").click()
    await page.locator(".cashier .button.primary:not(#pay-face)").click()
    await expect(page.locator(".status-title")).to_contain_text("寻找")


async def test_an_operator_gives_money_back_with_a_code_of_their_own(stage: Stage) -> None:
    student = await stage.caller("student", 1)
    order = await stage.place_and_pay(student, "退款的箱子")
    console = await stage.open("console")
    await console.locator(".row", has_text=order["code"]).click()
    await console.locator("#tab-money").click()
    await console.locator("#refund").click()
    await console.locator("dialog [name=yuan]").fill("1.00")
    await console.locator("dialog textarea").fill("箱子压坏了")
    await console.locator("dialog .button.primary").click()
    code = console.locator("#one-time-code")
    await expect(code).to_be_visible()
    assert await audit(console) == []
    right = newest_code(stage)
    await code.fill(f"{(int(right) + 1) % 10**6:06d}")
    await console.locator("dialog .button.primary").click()
    await expect(console.locator("dialog [role=alert]")).to_contain_text("验证码不对")
    await code.fill(right)
    await console.locator("dialog .button.primary").click()
    await expect(console.locator(".toast")).to_contain_text("正在退回")
    async with asyncio.timeout(20):
        while (await student.call("GET", f"/orders/{order['id']}"))["released_fen"] != 100:
            await asyncio.sleep(0.1)
