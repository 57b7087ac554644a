"""What a runner proves: the sum on the receipt, and the hand-over by a photo instead of the student's code."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from PIL import Image, ImageDraw
from playwright.async_api import Page, expect

from tests.browser.conftest import Stage, audit
from tests.browser.test_browser_console import errand

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

CAP_FEN = 3000
PHONE_SIZE = {"width": 390, "height": 844}


def doorstep() -> bytes:
    """A camera's picture: larger than what is worth sending."""
    image = Image.new("RGB", (2400, 1800), "#c9b79c")
    draw = ImageDraw.Draw(image)
    draw.rectangle((700, 200, 1700, 1700), fill="#6b4a2f")
    draw.rectangle((1000, 1350, 1400, 1650), fill="#e2b23c")
    written = io.BytesIO()
    image.save(written, "JPEG", quality=95)
    return written.getvalue()


async def shopping(stage: Stage) -> dict[str, Any]:
    """Goods to be bought for up to 30 yuan, carried by the first runner."""
    student, operator = await stage.caller("student", 1), await stage.caller("operator")
    order = await stage.place_and_pay(student, "两瓶水，一包纸巾", type_code="shop", goods_cap_fen=CAP_FEN)
    given = {"runner_id": stage.accounts("runner")[0]["account_id"], "version": order["version"], "reason": "other"}
    made: dict[str, Any] = await operator.call("POST", f"/orders/{order['id']}/reassign", given)
    return made


async def is_painted(page: Page, selector: str) -> None:
    """The picture is there and decoded: a broken one has a box as well."""
    image = page.locator(selector)
    await expect(image).to_have_attribute("src", re.compile("^blob:"))
    assert await image.evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 0


async def test_a_receipt_is_entered_and_a_photo_hands_over(stage: Stage) -> None:
    runner = await stage.open("runner", viewport=PHONE_SIZE)
    if await runner.locator("#duty").get_attribute("aria-checked") == "false":
        await runner.locator("#duty").click()
    order = await shopping(stage)
    await errand(runner, order["code"]).click()
    step = runner.locator(f".task[aria-label*='{order['code']}'] #next-step")
    await step.click()

    # The receipt: nothing, or more than was agreed on, is no sum.
    await expect(step).to_have_text("已取件")
    await expect(step).to_be_disabled()
    receipt = runner.get_by_label(re.compile("小票金额"))
    await receipt.fill("31")
    await expect(step).to_be_disabled()
    await receipt.fill("27.35")
    assert await audit(runner) == []
    await step.click()
    await step.click()
    await expect(step).to_have_text("已送达")

    await expect(step).to_be_disabled()
    async with runner.expect_response("**/photos") as sent:
        await runner.locator("input[type=file]").set_input_files(
            {"name": "door.jpg", "mimeType": "image/jpeg", "buffer": doorstep()}
        )
    # Made small before it was sent: a campus network is slow.
    kept = await (await sent.value).json()
    assert (kept["width"], kept["height"]) == (1280, 960)
    await expect(runner.locator(".photo-button")).to_contain_text("已拍照")
    await is_painted(runner, "img.photo")
    assert await audit(runner) == []
    await step.click()
    await expect(runner.locator(".toast.is-good")).to_contain_text(order["code"])

    operator = await stage.caller("operator")
    seen = await operator.call("GET", f"/orders/{order['id']}")
    assert (seen["status"], seen["goods_actual_fen"], len(seen["photo_ids"])) == ("delivered", 2735, 1)
    console = await stage.open("console")
    await console.locator(".row", has_text=order["code"]).click()
    await is_painted(console, "#order img.photo")
    student = await stage.open("track", 1, viewport=PHONE_SIZE)
    await student.locator(".order-row").first.click()
    await is_painted(student, "#sheet img.photo")
    assert await audit(console) == []
