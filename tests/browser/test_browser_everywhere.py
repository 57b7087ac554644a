"""What holds on every page: two languages, no network, a server that is down, names for everything, enough contrast."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Stage, audit, shown_keys
from tests.browser.test_browser_console import carried_order, errand

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

READY = {"console": ".kpi", "track": ".type-tile", "runner": "#duty"}
PAGES = tuple(READY)


@pytest.mark.parametrize("name", PAGES)
async def test_both_languages_names_and_contrast(stage: Stage, name: str) -> None:
    page = await stage.open(name)
    await expect(page.locator(READY[name]).first).to_be_visible()
    assert shown_keys(await page.inner_text("body")) == []
    assert await audit(page) == []
    await page.get_by_role("button", name="Switch to English").first.click()
    await expect(page.locator("html")).to_have_attribute("lang", "en")
    await page.emulate_media(color_scheme="dark")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert shown_keys(await page.inner_text("body")) == []
    assert await audit(page) == []
    await page.reload()
    await page.wait_for_selector("body.is-ready")
    await expect(page.locator("html")).to_have_attribute("lang", "en")


async def test_a_turned_phone_shows_the_whole_campus_again(stage: Stage) -> None:
    page = await stage.open("track", viewport={"width": 390, "height": 844})
    ground = page.locator("#map path.ground").first
    await expect(ground).to_be_visible()
    small = await ground.bounding_box()
    await page.set_viewport_size({"width": 1360, "height": 850})
    wide = page.locator("#map")
    await expect(wide).to_have_css("width", re.compile(r"^[89]\d\d"))
    for _ in range(200):
        now = await ground.bounding_box()
        if small and now and now["height"] > 1.5 * small["height"]:
            return
        await page.evaluate("new Promise(requestAnimationFrame)")
    raise AssertionError("the campus stayed as small as on the phone")


async def test_the_browsers_language_is_the_first_choice(stage: Stage) -> None:
    page = await stage.blank(await stage.context(locale="en-GB"))
    await page.goto(f"{stage.server.url}/")
    await expect(page.locator("h1")).to_have_text("Campus errands")
    await page.get_by_role("button", name="切换到中文").click()
    await expect(page.locator("h1")).to_have_text("校园跑腿")


async def test_a_runners_taps_wait_for_the_network_with_their_time(stage: Stage) -> None:
    context = await stage.context(viewport={"width": 390, "height": 844})
    runner = await stage.open("runner", context=context)
    if await runner.locator("#duty").get_attribute("aria-checked") == "false":
        await runner.locator("#duty").click()
    order = await carried_order(stage, runner, "断网也能点")
    await errand(runner, order["code"]).click()
    step = runner.locator(f".task[aria-label*='{order['code']}'] #next-step")
    await expect(step).to_have_text("我到了")

    await context.set_offline(True)
    await expect(runner.locator(".offline-banner")).to_contain_text("没有网络")
    await step.click()
    await expect(step).to_have_text("已取件")
    await step.click()
    await expect(runner.locator(".offline-banner")).to_contain_text("2 个操作等待中")
    tapped = await runner.evaluate(
        "Object.keys(localStorage).filter((key) => key.startsWith('dispatch.actions'))"
        ".flatMap((key) => JSON.parse(localStorage.getItem(key)))"
    )
    assert [one["act"] for one in tapped] == ["arrived", "picked-up"]
    await context.set_offline(False)

    await expect(runner.locator(".offline-banner")).to_have_count(0, timeout=20_000)
    student = await stage.caller("student", 2)
    seen = await student.call("GET", f"/orders/{order['id']}")
    assert seen["status"] == "carrying"
    picked_up = next(one["at_ms"] for one in seen["steps"] if one["step"] == "picked_up")
    # The tap's own time counts, not the time at which the network was back.
    assert abs(picked_up - tapped[1]["tappedAtMs"]) < 2_000


async def test_an_order_is_held_without_a_network_and_placed_once(stage: Stage) -> None:
    context = await stage.context()
    page = await stage.open("track", index=3, context=context)
    await page.locator(".type-tile.is-help").click()
    await page.get_by_role("button", name="下一步").click()
    await page.locator("textarea").fill("帮忙拍一张照片")
    await page.get_by_role("button", name="去支付").click()
    pay = page.get_by_role("button", name=re.compile("^支付"))
    await expect(pay).to_be_enabled()
    await context.set_offline(True)
    await pay.click()
    await expect(page.locator(".held")).to_contain_text("已保存在这台设备上")
    await context.set_offline(False)
    await expect(page.locator(".cashier").first).to_be_visible(timeout=30_000)
    student = await stage.caller("student", 3)
    mine = await student.call("GET", "/orders?scope=mine")
    assert [one["description"] for one in mine["orders"]].count("帮忙拍一张照片") == 1


async def test_a_server_that_is_down_gets_a_friendly_face_and_comes_back(stage: Stage) -> None:
    page = await stage.open("track")
    await page.route("**/api/**", lambda route: route.abort())
    await page.reload()
    await expect(page.locator(".auntie")).to_be_visible()
    await expect(page.locator(".failure-count")).to_contain_text("秒后自动重试")
    await page.unroute("**/api/**")
    await page.get_by_role("button", name="马上重试").click()
    await page.wait_for_selector("body.is-ready")
    await expect(page.locator(".auntie")).to_have_count(0)


async def test_a_killed_server_is_waited_for_and_nothing_is_missed(stage: Stage) -> None:
    console = await stage.open("console")
    await expect(console.locator(".connection.is-live")).to_be_visible()
    stage.server.kill("web")
    await expect(console.locator(".connection.is-live")).to_have_count(0)
    await expect(console.locator(".connection.is-live")).to_be_visible(timeout=40_000)
    order = await stage.place_and_pay(await stage.caller("student", 1), "重连以后")
    await expect(console.locator(".row", has_text=order["code"])).to_be_visible()


async def test_another_role_is_told_what_is_missing(stage: Stage) -> None:
    page = await stage.blank(await stage.context())
    await page.goto(f"{stage.server.url}/console")
    await page.locator("#sign-in-phone").fill(stage.accounts("student")[0]["phone"])
    await page.get_by_role("radio").nth(1).click()
    await page.locator("#sign-in-secret").fill("wrong password")
    await page.locator("#sign-in-secret").press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("不对")
    await page.locator("#sign-in-secret").fill(stage.server.plan["password"])
    await page.locator("#sign-in-secret").press("Enter")
    await expect(page.locator(".gate")).to_contain_text("orders.read_any")


async def test_an_order_by_keyboard_alone(stage: Stage) -> None:
    page = await stage.open("track", index=2)
    await page.locator(".type-tile.is-parcel").focus()
    await page.keyboard.press("Enter")
    for role, text in (("pickup", "快递"), ("dropoff", "图书馆")):
        await page.locator(f"#place-{role}").focus()
        await page.keyboard.type(text)
        await expect(page.locator(f"#place-{role}-list [role=option]").first).to_contain_text(text)
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Enter")
        await expect(page.locator(f"#place-{role}")).to_have_value(re.compile(text))
    following = page.get_by_role("button", name="下一步")
    await expect(following).to_be_enabled()
    await following.press("Enter")
    await page.locator("textarea").focus()
    await page.keyboard.type("键盘下单")
    await expect(page.get_by_role("button", name="去支付")).to_be_enabled()
    await page.get_by_role("button", name="去支付").press("Enter")
    await expect(page.get_by_role("button", name=re.compile("^支付"))).to_be_enabled()
    await page.get_by_role("button", name=re.compile("^支付")).press("Enter")
    await page.locator(".cashier .primary").press("Enter")
    await expect(page.locator(".status-title")).to_contain_text("寻找")
