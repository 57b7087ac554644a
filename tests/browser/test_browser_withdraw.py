"""A runner withdraws on the phone: paid at once, or after a code and a person's look; refused with a reason."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, Route, expect

from loadtest.check import check, printed
from tests.browser.conftest import OFFER_TTL_S, TIME_SCALE, Caller, Stage, audit, shown_keys
from tests.e2e_server import Server, running_server, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server where two yuan are much: a withdrawal from there on needs a code, and above it a person's look."""
    folder = tmp_path_factory.mktemp("withdraw")
    extra = {
        "DISPATCH_OFFER_TTL_S": str(OFFER_TTL_S),
        "PAYMENTS_REVIEW_ABOVE_FEN": "200",
        "PAYMENTS_SECOND_FACTOR": '{"withdraw_from_fen": 200}',
    }
    with running_server(folder, students=4, runners=4, time_scale=TIME_SCALE, **extra) as made:
        yield made


async def earn(stage: Stage, runner: Caller, index: int) -> dict[str, Any]:
    """An errand from the wish to the divided money; the day's waiting is cut short in the server's own books."""
    student = await stage.caller("student", index)
    order = await stage.place_and_pay(student, f"提现测试 {index}")
    await runner.call("POST", "/runner/duty", {"is_on": True})
    await runner.call("POST", f"/orders/{order['id']}/grab", {})
    await runner.call("POST", f"/orders/{order['id']}/picked-up", {})
    pin = (await student.call("GET", f"/orders/{order['id']}"))["pin"]
    await runner.call("POST", f"/orders/{order['id']}/delivered", {"pin": pin})
    await student.call("POST", f"/orders/{order['id']}/confirm", {})
    with closing(sqlite3.connect(stage.server.data_dir / "dispatch.db", timeout=20)) as books:
        books.execute("UPDATE jobs SET due_at = 0 WHERE kind = 'settle' AND subject_id = ?", (order["id"],))
        books.commit()
    while (await student.call("GET", f"/orders/{order['id']}"))["status"] != "settled":
        await asyncio.sleep(0.1)
    return order


def codes(server: Server) -> list[str]:
    """The codes that the demonstration printed instead of sending them."""
    log = Path(server.data_dir / "server.log")
    return re.findall(r"money_code.*?code=(\d{6})", log.read_text(errors="replace"))


async def read_code(runner: Page, server: Server) -> str:
    """Withdraw what the dialog says; the code that comes of it."""
    had = len(codes(server))
    await runner.locator("#withdraw-send").click()
    await expect(runner.locator("#one-time-code")).to_be_visible()
    wait_until(lambda: len(codes(server)) > had, 20, "a code to be printed")
    return codes(server)[-1]


async def open_wallet(page: Page, label: str) -> None:
    await page.locator("#tabs").get_by_role("button", name=label).click()
    await expect(page.locator("#withdraw")).to_be_visible()


async def test_a_runner_withdraws_and_the_campus_team_looks_at_what_is_large(stage: Stage) -> None:
    by_hand = await stage.caller("runner")
    await earn(stage, by_hand, 0)
    before = await by_hand.call("GET", "/runner/wallet")
    runner = await stage.open("runner", viewport=PHONE)
    await open_wallet(runner, "钱包")
    await expect(runner.locator("#pay-by")).to_contain_text("起自动到账")
    assert await audit(runner) == []

    # No amount, too much, and then a little of it: paid without anybody's look.
    await runner.locator("#withdraw").click()
    amount = runner.locator("#withdraw-amount")
    await expect(amount).to_have_value(f"{before['available_fen'] / 100:.2f}")
    for wrong, words in (("很多", "请输入金额"), ("9999", "最多可提现")):
        await amount.fill(wrong)
        await runner.locator("#withdraw-send").click()
        await expect(runner.locator("dialog .form-error")).to_contain_text(words)
    assert await audit(runner) == []
    await amount.fill("1")
    await runner.locator("#withdraw-send").click()
    newest = runner.locator("#withdrawals .withdrawal").first
    await expect(newest).to_contain_text("已到账")
    await expect(newest).to_contain_text("¥1.00")
    await expect(runner.locator(".toast", has_text="¥1.00 已到账")).to_be_visible()

    # All that is left: it needs a code, and then a person's look.
    await runner.locator("#withdraw").click()
    sent, code = await read_code(runner, stage.server), runner.locator("#one-time-code")
    await code.fill("000000" if sent != "000000" else "111111")
    await runner.locator("dialog .button.primary").click()
    await expect(runner.locator("dialog .form-error")).to_be_visible()
    await code.fill(sent)
    await runner.locator("dialog .button.primary").click()
    await expect(newest).to_contain_text("审核中")
    await expect(runner.locator("#withdraw")).to_be_disabled()
    await expect(runner.locator("#withdrawing")).to_contain_text("提现中")
    assert await audit(runner) == []
    assert shown_keys(await runner.locator("#sheet").inner_text()) == []

    console = await stage.open("console")
    await expect(console.locator(".alert.is-withdrawal_held")).to_contain_text("等待审核")
    await console.locator("#money-open").click()
    row = console.locator("#money-withdrawals [data-withdrawal]", has_text="审核中")
    await expect(row).to_contain_text("超过免审金额")
    assert await audit(console) == []
    await row.get_by_role("button", name="付款").click()
    await console.locator("dialog textarea").fill("电话核实过")
    await console.locator("dialog .button.primary").click()
    await expect(newest).to_contain_text("已到账")
    await expect(console.locator("#money-withdrawals [data-withdrawal]").first).to_contain_text("电话核实过")
    await expect(console.locator(".alert.is-withdrawal_held")).to_have_count(0)
    assert shown_keys(await console.locator("#money").inner_text()) == []
    after = await by_hand.call("GET", "/runner/wallet")
    assert (after["available_fen"], after["withdrawn_fen"]) == (0, before["available_fen"])
    findings = check(stage.server.data_dir)
    assert all(finding.is_ok for finding in findings), printed(findings)


async def test_a_refusal_is_read_in_english_and_the_money_is_there_again(stage: Stage) -> None:
    by_hand = await stage.caller("runner", 1)
    await earn(stage, by_hand, 1)
    have = (await by_hand.call("GET", "/runner/wallet"))["available_fen"]
    runner = await stage.open("runner", 1, context=await stage.context(locale="en-GB", viewport=PHONE))
    await open_wallet(runner, "Wallet")
    await runner.locator("#withdraw").click()
    await runner.locator("#one-time-code").fill(await read_code(runner, stage.server))
    await runner.locator("dialog .button.primary").click()
    newest = runner.locator("#withdrawals .withdrawal").first
    await expect(newest).to_contain_text("Under review")
    console = await stage.open("console", context=await stage.context(locale="en-GB"))
    await console.locator("#money-open").click()
    row = console.locator("#money-withdrawals [data-withdrawal]", has_text="Under review")
    await row.get_by_role("button", name="Refuse").click()
    await console.locator("dialog textarea").fill("Please come by with your card")
    await console.locator("dialog .button.primary").click()
    await expect(newest).to_contain_text("Refused")
    await expect(newest).to_contain_text("Please come by with your card")
    await expect(runner.locator(".toast", has_text="was refused")).to_be_visible()
    await expect(runner.locator("#withdraw")).to_be_enabled()
    assert shown_keys(await runner.locator("#sheet").inner_text()) == []
    assert shown_keys(await console.locator("#money").inner_text()) == []
    assert (await by_hand.call("GET", "/runner/wallet"))["available_fen"] == have


IN_WECHAT = "Mozilla/5.0 (Linux; Android 14) MicroMessenger/8.0.50"
BRIDGE = """window.invoked = [];
window.WeixinJSBridge = { invoke(name, words, done) {
  window.invoked.push([name, words]); done({ err_msg: `${name}:${window.says}` }); } };"""
TRANSFERS = [
    {"id": f"T{n}", "withdrawal_id": "wdr_1", "amount_fen": fen, "kind": "wechat_transfer",
     "invoke": {"mchId": "1900000109", "appId": "wx1", "package": f"package{n}"}}
    for n, fen in ((1, 405), (2, 95))
]  # fmt: skip


async def with_transfers(context: BrowserContext) -> None:
    """The sandbox asks nobody for a yes: what WeChat would leave waiting stands beside what the server says."""

    async def answer(route: Route) -> None:
        wallet = await (await route.fetch()).json()
        assert wallet["to_confirm"] == []
        await route.fulfill(body=json.dumps(wallet | {"to_confirm": TRANSFERS, "withdrawing_fen": 500}))

    await context.route("**/api/v1/runner/wallet", answer)


async def test_a_transfer_is_confirmed_inside_wechat_one_after_the_other(stage: Stage) -> None:
    elsewhere = await stage.context(viewport=PHONE, locale="en-GB")
    await with_transfers(elsewhere)
    page = await stage.open("runner", 3, context=elsewhere)
    await open_wallet(page, "Wallet")
    await expect(page.locator("#to-confirm")).to_contain_text("2 with ¥5.00")
    await expect(page.locator("#to-confirm")).to_contain_text("inside WeChat")
    await expect(page.locator("#confirm-transfer")).to_have_count(0)

    inside = await stage.context(viewport=PHONE, user_agent=IN_WECHAT)
    await inside.add_init_script(BRIDGE)
    await with_transfers(inside)
    page = await stage.open("runner", 3, context=inside)
    await open_wallet(page, "钱包")
    await expect(page.locator("#to-confirm")).to_contain_text("2 笔共 ¥5.00")
    assert await audit(page) == []
    assert shown_keys(await page.locator("#sheet").inner_text()) == []
    first, second = (page.get_by_role("button", name=f"确认收款 {amount}") for amount in ("¥4.05", "¥0.95"))
    # Somebody who closes WeChat's page may open it again; what went wrong there is said.
    for said in ("cancel", "fail", "ok"):
        await page.evaluate("(said) => (window.says = said)", said)
        await first.click()
        await expect(page.locator(".toast", has_text="微信没有打开确认页面")).to_have_count(int(said != "cancel"))
    await expect(page.locator("#to-confirm")).to_contain_text("1 笔共 ¥0.95")
    await second.click()
    await expect(page.locator("#to-confirm")).to_contain_text("正在向微信查询")
    await expect(page.locator("#confirm-transfer")).to_have_count(0)
    asked = [TRANSFERS[0]["invoke"]] * 3 + [TRANSFERS[1]["invoke"]]
    assert await page.evaluate("window.invoked") == [["requestMerchantTransfer", words] for words in asked]
