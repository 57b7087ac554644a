"""Paying as a student does, with each kind of credential, at the simulators: scanned, followed, sent, debited."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values
from playwright.async_api import Page, expect

from tests.browser.conftest import Caller, Stage, audit, shown_keys
from tests.e2e_server import ROOT, Server, free_port, running_server, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

#: The last one takes so little at once that an errand is paid in parts.
CHANNELS = "wechat,alipay,unionpay,campus_card,wechat_jsapi,wechat_small"
#: The fourth order of one student within a minute asks for a face, whatever it costs.
RULES = {"*": {"small_payments": {"at_most_fen": 100_000}}}
#: Everybody's calendar runs so fast: the ladder of questions to a provider begins with seconds.
TIME_SCALE = 4
PHONE = {"width": 390, "height": 844}


class Providers:
    """The simulators of all providers in one process, and its administration."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        told = self.folder / "providers.env"
        arguments = ["--channels", "wechat,alipay,unionpay,campus_card", "--port", str(self.port), "--backup-port", "0"]
        arguments += ["--env", str(told), "--calendar-rate", str(TIME_SCALE)]
        arguments += ["--notify", "http://127.0.0.1:{port}/api/v1/payments/callbacks/{channel}"]
        with (self.folder / "providers.log").open("wb") as log:
            command = [sys.executable, "-m", "payments.simulator", *arguments]
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        wait_until(lambda: told.exists() and told.read_text().endswith("\n"), 40, "the providers")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)

    def settings(self) -> dict[str, str]:
        """What the server is told of them."""
        rules = self.folder / "rules.json"
        rules.write_text(json.dumps(RULES))
        said = dotenv_values(self.folder / "providers.env", interpolate=False)
        return {name: text or "" for name, text in said.items()} | {
            "PAYMENTS_CHANNELS": CHANNELS,
            "PAYMENTS_WECHAT_TRADE_TYPE": "native",
            "PAYMENTS_WECHAT_JSAPI_TRADE_TYPE": "jsapi",
            "PAYMENTS_WECHAT_JSAPI_NOTIFY_URL": "http://127.0.0.1:{port}/api/v1/payments/callbacks/wechat_jsapi",
            "PAYMENTS_WECHAT_SMALL_NAME_ZH": "微信小额",
            "PAYMENTS_WECHAT_SMALL_NAME_EN": "WeChat (small)",
            "PAYMENTS_WECHAT_SMALL_LIMIT_FEN": "500",
            "PAYMENTS_WECHAT_SMALL_NOTIFY_URL": "http://127.0.0.1:{port}/api/v1/payments/callbacks/wechat_small",
            "PAYMENTS_ALIPAY_PRODUCT": "page",
            "PAYMENTS_UNIONPAY_PRODUCT": "page",
            # Whose contract names nobody who pays the parts takes no order in escrow.
            "PAYMENTS_ALIPAY_PARTS_PAID_BY": "alipay",
            "PAYMENTS_ALIPAY_ACCOUNTS": json.dumps({"platform": "2088000000000009"}),
            "PAYMENTS_UNIONPAY_PARTS_PAID_BY": "merchant",
            "PAYMENTS_CAMPUS_CARD_PARTS_PAID_BY": "merchant",
            "PAYMENTS_RISK_RULES_FILE": str(rules),
            "DISPATCH_TIME_START": "",
        }

    def pay_newest(self) -> None:
        """Somebody scans the newest code and pays."""
        newest = self.ask("GET", "/admin/newest?limit=1")["orders"][0]
        number = "/".join(newest[name] for name in ("institution", "merchant", "number"))
        self.ask("POST", f"/admin/orders/{number}/pay", {})

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers, method=method)
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def providers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Providers]:
    made = Providers(tmp_path_factory.mktemp("providers"))
    made.start()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, providers: Providers) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("paying")
    with running_server(folder, students=8, runners=1, time_scale=TIME_SCALE, **providers.settings()) as made:
        yield made


async def place(student: Caller, channel: str, times: int = 1) -> str:
    """Orders of one student, by the interface; the last one's id."""
    ask: dict[str, Any] = {"type_code": "help", "stops": [], "wait_min": 20}
    quote = await student.call("POST", "/quotes", ask)
    wish = ask | {"description": "帮忙", "expected_total_fen": quote["total_fen"], "channel": channel}
    for number in range(times):
        key = {"Idempotency-Key": f"{channel}-{number}-{time.monotonic_ns()}"}
        order = await student.call("POST", "/orders", wish, **key)
    return str(order["id"])


async def look_at(stage: Stage, index: int, order_id: str, **options: Any) -> Page:
    page = await stage.open("track", index, viewport=PHONE, **options)
    await page.evaluate("(id) => { location.hash = `order=${id}`; }", order_id)
    await expect(page.locator(".pay-card, .status-head")).not_to_have_count(0)
    return page


async def assert_sound(page: Page) -> None:
    """Nothing that a weak eye or a screen reader would miss, and no text that nobody wrote."""
    assert await audit(page) == []
    assert shown_keys(await page.locator("#sheet").inner_text()) == []


async def test_a_code_is_scanned_and_a_lost_callback_is_no_failure(stage: Stage, providers: Providers) -> None:
    fault = providers.ask("POST", "/admin/faults", {"text": "notice_lost"})
    student = await stage.caller("student", 0)
    order_id = await place(student, "wechat")
    page = await look_at(stage, 0, order_id)
    await expect(page.locator("svg.qr path")).to_have_attribute("d", re.compile(r"^M4 4h1v1h-1z.{2000}"))
    await expect(page.locator(".pay-card h2")).to_have_text("可以支付了")
    await expect(page.locator(".pay-card")).to_contain_text(re.compile(r"请在 3:\d\d 内支付"))
    await expect(page.locator(".pay-card")).to_contain_text("公共 Wi-Fi")
    await assert_sound(page)
    await page.locator(".other-ways summary").click()
    await expect(page.locator(".other-ways button")).to_have_count(6)
    await expect(page.locator(".other-ways button").first).to_be_disabled()
    heads = await page.evaluate_handle(
        """() => { const heads = []; const look = () => { const text = document.querySelector(".pay-card h2");
        if (text && heads.at(-1) !== text.textContent) heads.push(text.textContent); };
        new MutationObserver(look).observe(document.getElementById("sheet"), { subtree: true, childList: true,
        characterData: true }); return heads; }"""
    )
    providers.pay_newest()
    await expect(page.locator(".status-title")).to_contain_text("寻找")
    assert "没有支付成功" not in await heads.json_value()
    providers.ask("DELETE", f"/admin/faults/{fault['id']}")


async def test_another_way_than_the_chosen_one_is_named_and_its_code_is_seen_at_once(
    stage: Stage, providers: Providers
) -> None:
    fault = providers.ask("POST", "/admin/faults", {"text": "refuse op=create count=1 code=SYSTEM_ERROR"})
    student = await stage.caller("student", 0)
    page = await look_at(stage, 0, await place(student, "wechat_small"), locale="en-US")
    code = page.locator("svg.qr")
    await expect(code).to_be_visible()
    await expect(page.locator(".pay-code")).to_contain_text("Open WeChat Pay and scan.")
    await expect(page.locator(".pay-card .note")).to_contain_text(
        "WeChat (small) did not work, so you pay with WeChat Pay."
    )
    await assert_sound(page)
    box = await code.bounding_box()
    assert box is not None and box["y"] + box["height"] <= PHONE["height"], "nobody has to scroll for it"
    providers.ask("DELETE", f"/admin/faults/{fault['id']}")


async def test_a_cashier_is_gone_to_and_the_page_hears_of_it(stage: Stage) -> None:
    student = await stage.caller("student", 1)
    page = await look_at(stage, 1, await place(student, "alipay"), locale="en-US")
    await expect(page.locator(".pay-card h2")).to_have_text("Ready to pay")
    await assert_sound(page)
    async with page.context.expect_page() as opened:
        await page.locator("#pay-go").click()
    till = await opened.value
    await expect(page.locator(".pay-card h2")).to_have_text("We are asking whether it is paid…")
    await till.locator("[data-how=pay]").click()
    await expect(page.locator(".status-title")).to_contain_text("runner")
    await expect(page.locator(".toast")).to_contain_text("Paid")


async def test_a_form_is_sent_by_itself_once_and_who_comes_back_sees_the_result(stage: Stage) -> None:
    page = await stage.open("track", 2, viewport=PHONE)
    await page.locator(".type-tile.is-help").click()
    await page.get_by_role("button", name="下一步").click()
    await page.locator("textarea").fill("帮忙搬桌子")
    await page.get_by_role("button", name="去支付").click()
    await page.locator(".channel input[value=unionpay]").check()
    await page.get_by_role("button", name=re.compile("^支付")).click()
    await page.wait_for_url(re.compile("/pay/"))
    await page.go_back()
    # It is not sent a second time: whoever came back decides.
    await expect(page.locator("#pay-form #pay-go")).to_be_visible()
    await assert_sound(page)
    await page.locator("#pay-go").click()
    await page.wait_for_url(re.compile("/pay/"))
    await page.locator("[data-how=pay]").click()
    await expect(page.locator("#said")).not_to_be_empty()
    await page.goto(f"{stage.server.url}/track")
    await expect(page.locator(".status-title")).to_contain_text("寻找")


async def test_a_card_is_set_up_and_then_debited_without_a_word(stage: Stage) -> None:
    student = await stage.caller("student", 3)
    page = await look_at(stage, 3, await place(student, "wechat"), locale="en-US")
    await page.locator(".other-ways summary").click()
    await page.locator("[data-bind=campus_card]").click()
    await page.locator("#card-token").fill("CARD1")
    await assert_sound(page)
    await page.locator("dialog button.primary").click()
    await expect(page.locator("#card-agreed:invalid")).to_have_count(1)
    await page.locator("#card-agreed").check()
    await page.locator("dialog button.primary").click()
    await expect(page.locator(".status-title")).to_contain_text("runner")
    ways = {way["code"]: way for way in await student.call("GET", "/channels")}
    assert ways["campus_card"]["is_bound"] and not ways["campus_card"]["needs"]
    # The next order debits it at once, until it is forgotten.
    again = await look_at(stage, 3, await place(student, "campus_card"))
    await expect(again.locator(".status-title")).to_contain_text("寻找")
    await student.call("DELETE", "/me/channels/campus_card/bind")
    ways = {way["code"]: way for way in await student.call("GET", "/channels")}
    assert ways["campus_card"]["needs"] == ["campus_card_token"]


async def test_the_fourth_order_within_a_minute_asks_for_a_face(stage: Stage) -> None:
    student = await stage.caller("student", 4)
    page = await look_at(stage, 4, await place(student, "wechat", times=4), locale="en-US")
    await expect(page.locator(".pay-card h2")).to_have_text("One check before you pay")
    await assert_sound(page)
    await page.locator("#pay-face").click()
    await expect(page.locator("svg.qr")).to_be_visible()


async def test_without_a_network_the_page_says_so_and_goes_on_asking(stage: Stage) -> None:
    student = await stage.caller("student", 5)
    page = await look_at(stage, 5, await place(student, "wechat"))
    await expect(page.locator("svg.qr")).to_be_visible()
    await page.context.set_offline(True)
    await expect(page.locator(".pay-card .note")).to_contain_text("订单已保留")
    await page.context.set_offline(False)
    await expect(page.locator(".pay-card .note")).to_have_count(0)
    await asyncio.gather(page.close())


async def test_what_is_over_the_limit_is_paid_in_parts(stage: Stage, providers: Providers) -> None:
    student = await stage.caller("student", 6)
    page = await look_at(stage, 6, await place(student, "wechat_small"), locale="en-US")
    parts = page.locator(".pay-parts")
    await expect(parts).to_contain_text(re.compile(r"Part 1 of \d+\. Paid so far: 0\."))
    await expect(page.locator(".pay-card")).to_contain_text("all others are refunded")
    await assert_sound(page)
    for part in range(1, await page.locator(".pay-parts progress").evaluate("(bar) => bar.max") + 1):
        await expect(parts).to_contain_text(f"Part {part} of")
        await expect(page.locator("svg.qr")).to_be_visible()
        providers.pay_newest()
    await expect(page.locator(".status-title")).to_contain_text("runner")


BRIDGE = """window.WeixinJSBridge = { invoke(name, order, done) {
  window.invoked = [name, Object.keys(order).sort().join()]; done({ err_msg: "get_brand_wcpay_request:ok" }); } };"""


async def test_inside_wechat_its_own_dialog_pays_and_elsewhere_a_sentence_says_so(
    stage: Stage, providers: Providers
) -> None:
    student = await stage.caller("student", 7)
    order_id = await place(student, "wechat")
    elsewhere = await look_at(stage, 7, order_id, locale="en-US")
    await elsewhere.locator(".other-ways summary").click()
    await elsewhere.locator("[data-bind=wechat_jsapi]").click()
    await expect(elsewhere.locator(".toast")).to_contain_text("inside WeChat only")
    inside = await stage.context(viewport=PHONE, user_agent="Mozilla/5.0 (Linux; Android 14) MicroMessenger/8.0.50")
    await inside.add_init_script(BRIDGE)
    page = await look_at(stage, 7, order_id, context=inside)
    await page.locator(".other-ways summary").click()
    # WeChat's own page says whose it is, and sends back to the order.
    await page.locator("[data-bind=wechat_jsapi]").click()
    await expect(page.locator(".toast")).to_contain_text("已授权")
    assert "code=" not in page.url
    await page.locator(".other-ways summary").click()
    await page.locator("[data-channel=wechat_jsapi]").click()
    await expect(elsewhere.locator(".pay-card")).to_contain_text("inside WeChat only")
    await page.locator("#pay-go").click()
    assert await page.evaluate("window.invoked") == [
        "getBrandWCPayRequest", "appId,nonceStr,package,paySign,signType,timeStamp",
    ]  # fmt: skip
    # Its word is no proof.
    await expect(page.locator(".pay-card h2")).to_have_text("正在查询支付结果…")
    providers.pay_newest()
    for each, text in ((page, "寻找"), (elsewhere, "runner")):
        await expect(each.locator(".status-title")).to_contain_text(text)
