"""Geofences at the console: drawn on the map, listed, told of in words, deleted only when one is sure."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Stage, audit, shown_keys

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


async def open_panel(stage: Stage) -> Page:
    console = await stage.open("console")
    await console.locator("#fences-open").click()
    await expect(console.locator(".fence-row").first).to_be_visible()
    return console


async def tap(console: Page, x: float, y: float) -> None:
    """Tap the map at a share of its width and height."""
    box = await console.locator("#map").bounding_box()
    assert box is not None
    await console.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])


async def test_fences_are_drawn_changed_and_deleted(stage: Stage) -> None:
    console = await open_panel(stage)
    await expect(console.locator("path.fence")).not_to_have_count(0)
    before = await console.locator(".fence-row").count()
    await console.locator("#draw-circle").click()
    await expect(console.locator(".fence-form .primary")).to_be_disabled()
    await tap(console, 0.7, 0.6)
    await expect(console.locator("path.fence.is-draft")).to_have_count(1)
    await console.locator("input[name=name]").fill("东湖码头")
    await console.locator("input[name=radius]").fill("80")
    await console.locator("input[name=dwellMin]").fill("10")
    assert await audit(console) == []
    await console.locator(".fence-form .primary").click()
    await expect(console.locator(".toast.is-good")).to_contain_text("东湖码头")
    row = console.locator(".fence-row", has_text="东湖码头")
    await expect(row).to_be_visible()

    operator = await stage.caller("operator")
    (fence,) = [one for one in (await operator.call("GET", "/geofences"))["geofences"] if one["name"] == "东湖码头"]
    assert fence["shape"]["radius_m"] == 80 and fence["dwell_s"] == 600

    await row.get_by_role("button", name=re.compile("修改")).click()
    await console.locator("input[name=name]").fill("西湖码头")
    await console.locator(".fence-form .primary").click()
    renamed = console.locator(".fence-row", has_text="西湖码头")
    await expect(renamed).to_be_visible()
    await expect(console.locator(".fence-row")).to_have_count(before + 1)

    await console.locator("#draw-polygon").click()
    for x, y in ((0.6, 0.3), (0.75, 0.3), (0.7, 0.45)):
        await tap(console, x, y)
    await console.locator("input[name=name]").fill("三角草坪")
    await console.locator(".fence-form .primary").click()
    await expect(console.locator(".fence-row", has_text="三角草坪")).to_be_visible()

    await renamed.get_by_role("button", name=re.compile("删除")).click()
    await console.keyboard.press("Escape")
    await expect(console.locator("dialog")).to_have_count(0)
    await expect(renamed).to_be_visible()
    await renamed.get_by_role("button", name=re.compile("删除")).click()
    await console.locator("dialog .button.danger").click()
    await expect(renamed).to_have_count(0)
    assert shown_keys(await console.locator("#fences").inner_text()) == []


async def test_who_comes_and_goes_is_told_in_words_of_both_languages(stage: Stage) -> None:
    console = await open_panel(stage)
    operator = await stage.caller("operator")
    name = "跑腿员站的地方"
    runner = await stage.open(
        "runner",
        2,
        viewport={"width": 390, "height": 844},
        geolocation={"latitude": 30.5, "longitude": 114.4},
        permissions=["geolocation"],
    )
    if await runner.locator("#duty").get_attribute("aria-checked") == "false":
        await runner.locator("#duty").click()
    await expect(runner.locator(".position.is-walking")).to_be_visible()
    state = (await operator.call("GET", "/console"))["runners"]
    runner_id = stage.accounts("runner")[2]["account_id"]
    while not any(one["id"] == runner_id and one["position"] for one in state):
        await console.wait_for_timeout(200)
        state = (await operator.call("GET", "/console"))["runners"]
    (lat, lon, _) = next(one["position"] for one in state if one["id"] == runner_id)
    body = {
        "name": name,
        "name_en": "Where the runner is",
        "shape": {"kind": "circle", "lat": lat, "lon": lon, "radius_m": 400},
    }
    await operator.call("POST", "/geofences", body)
    await expect(console.locator(".fence-news li", has_text=f"到了{name}").first).to_be_visible()
    await expect(console.locator(".fence-row", has_text=name)).to_contain_text("1 人在内")
    await runner.locator("#duty").click()
    await expect(console.locator(".fence-news li", has_text=f"离开{name}").first).to_be_visible()
    await console.get_by_role("button", name="Switch to English").first.click()
    await expect(console.locator(".fence-news li", has_text="left Where the runner is after").first).to_be_visible()
