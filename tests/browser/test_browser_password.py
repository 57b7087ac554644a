"""The account menu: a first password, a change that ends every session, and the keyboard all the way."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import NEEDS, Stage, audit, shown_keys

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

NEW_PHONE = "13800009901"
FIRST, SECOND = "erstes-geheimnis", " zweites geheimnis "


async def open_dialog(page: Page) -> None:
    """By keyboard alone; the menu stays open while the bar behind it is painted again."""
    await page.locator("#account-menu summary").focus()
    await page.keyboard.press("Enter")
    await page.evaluate("new Promise((resolve) => setTimeout(resolve, 700))")
    await expect(page.locator("#change-password")).to_be_visible()
    await page.locator("#change-password").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("dialog")).to_be_visible()


def sent_code(stage: Stage, phone: str) -> str | None:
    """The newest code that the demonstration printed for this phone."""
    log = (Path(stage.server.data_dir) / "server.log").read_text(errors="replace")
    found = re.findall(rf"SMS to \S*{phone} .*code=(\d{{6}})", log)
    return found[-1] if found else None


async def test_a_first_password_is_set_and_then_changed(stage: Stage) -> None:
    page = await stage.blank(await stage.context())
    await page.goto(f"{stage.server.url}/track")
    await page.locator("#sign-in-phone").fill(NEW_PHONE)
    await page.get_by_role("button", name="获取验证码").click()
    await expect(page.get_by_role("button", name=re.compile("秒"))).to_be_visible()
    code = sent_code(stage, NEW_PHONE)
    assert code is not None
    await page.locator("#sign-in-secret").fill(code)
    await page.locator("#sign-in-secret").press("Enter")
    await page.wait_for_selector("body.is-ready")

    await open_dialog(page)
    await expect(page.locator("#old-password")).to_have_count(0)
    await expect(page.locator("#new-password")).to_be_focused()
    await page.keyboard.type(FIRST)
    await page.locator("#new-password-again").fill("something else")
    await page.keyboard.press("Enter")
    await expect(page.locator("dialog").get_by_role("alert")).to_contain_text("不一致")
    assert await audit(page) == []
    await page.locator("#new-password-again").fill(FIRST)
    await page.keyboard.press("Enter")
    await expect(page.locator(".toast.is-good")).to_contain_text("密码已设置")

    # From now on the old one is asked for, and another device is signed out by the change.
    other = await stage.blank(await stage.context())
    await other.goto(f"{stage.server.url}/track")
    await sign_in(other, NEW_PHONE, FIRST)
    await open_dialog(page)
    await page.keyboard.type(FIRST)
    await page.locator("#new-password").fill(SECOND)
    await page.locator("#new-password-again").fill(SECOND)
    await expect(page.locator("dialog .note")).to_contain_text("所有设备")
    await page.keyboard.press("Enter")
    await expect(page.locator(".toast", has_text="密码已修改")).to_be_visible()
    await expect(page.locator(".connection.is-live")).to_be_visible()
    await expect(other.locator(".connection.is-live")).to_have_count(0)
    await page.reload()
    await page.wait_for_selector("body.is-ready")
    await other.reload()
    await sign_in(other, NEW_PHONE, SECOND)


async def sign_in(page: Page, phone: str, password: str) -> None:
    await page.locator("#sign-in-phone").fill(phone)
    await page.get_by_role("radio").nth(1).click()
    await page.locator("#sign-in-secret").fill(password)
    await page.locator("#sign-in-secret").press("Enter")
    await page.wait_for_selector("body.is-ready")


@pytest.mark.parametrize("name", NEEDS)
async def test_an_account_with_a_password_is_asked_for_it_on_every_page(stage: Stage, name: str) -> None:
    page = await stage.open(name, locale="en-GB", viewport={"width": 390, "height": 844})
    # As on a device where nobody has typed it yet.
    await page.evaluate("localStorage.clear()")
    await open_dialog(page)
    assert shown_keys(await page.inner_text("dialog")) == []
    await expect(page.locator("#old-password")).to_have_count(0)
    await page.locator("#new-password").fill("long enough")
    await page.locator("#new-password-again").fill("long enough")
    await page.keyboard.press("Enter")
    await expect(page.locator("dialog").get_by_role("alert")).to_contain_text("has a password")
    await expect(page.locator("#old-password")).to_be_focused()
    await page.keyboard.type("surely wrong")
    await page.keyboard.press("Enter")
    await expect(page.locator("dialog").get_by_role("alert")).to_contain_text("not the current password")
    assert await audit(page) == []
    await page.keyboard.press("Escape")
    await expect(page.locator("dialog")).to_have_count(0)
    await expect(page.locator("#account-menu summary")).to_be_focused()
