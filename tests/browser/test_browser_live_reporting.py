"""What pages tell the hub: a runner's fixes as often as asked and kept through a gap, a console's view of the map."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Stage
from tests.browser.live_page import HIDE, Tap, eventually, tapped

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

FIGURE = re.compile(r"^Positions: p50 \d+(\.\d+)? s · p95 \d+(\.\d+)? s$")
PHONE = {"viewport": {"width": 390, "height": 844}}

#: Who wants what of the map: with few runners and with many, near and far.
VIEWPORT = """async () => {
  const { CampusMap } = await import("/static/js/map.js");
  const { Viewport, MOST_WHOLE } = await import("/static/js/console/viewport.js");
  const { Api } = await import("/static/js/api.js");
  const api = new Api("console");
  const me = await api.get("/me");
  const element = document.body.appendChild(document.createElement("div"));
  element.style.cssText = "width: 400px; height: 300px";
  const map = new CampusMap(element, await api.get(`/campuses/${me.campus_id}/map`), { label: "map" });
  const said = [];
  let count = MOST_WHOLE;
  const live = { view: (topic, view) => said.push(view) };
  const viewport = new Viewport({ live, topic: "console:x", map, countRunners: () => count });
  const centre = map.bounds.getCenter();
  map.leaflet.setView(centre, 18, { animate: false });
  viewport.say();
  count += 1;
  viewport.say();
  const near = map.leaflet.getBounds();
  map.leaflet.panBy([2, 2], { animate: false });
  viewport.say();
  map.leaflet.setView(centre, 13, { animate: false });
  viewport.say();
  return { said, near: [near.getSouth(), near.getWest(), near.getNorth(), near.getEast()] };
}"""


def fixes(tap: Tap, since: int = 0) -> list[dict[str, Any]]:
    return [frame for frame in tap.sent[since:] if frame["t"] in ("fix", "fixes")]


async def on_duty(stage: Stage, **options: Any) -> tuple[Any, Tap]:
    page, tap = await tapped(stage, "runner", **(PHONE | options))
    if await page.locator("#duty").get_attribute("aria-checked") == "false":
        await page.locator("#duty").click()
    await expect(page.locator(".position.is-walking")).to_be_visible()
    return page, tap


async def sends(tap: Tap, count: int, seconds: float = 10) -> None:
    since = len(tap.sent)

    async def has_sent() -> bool:
        return len(fixes(tap, since)) >= count

    await eventually(has_sent, seconds, f"{count} fixes")


async def test_a_runner_reports_as_often_as_the_server_asks(stage: Stage) -> None:
    _, tap = await on_duty(stage)
    await sends(tap, 1)
    tap.say(t="report", every_ms=60_000, distance_m=10_000)
    await asyncio.sleep(0.3)
    since = len(tap.sent)
    await asyncio.sleep(2.5)
    assert fixes(tap, since) == []
    tap.say(t="report", every_ms=300, distance_m=10_000)
    await sends(tap, 6, 4)


async def test_the_rhythm_of_the_hub_itself_is_kept(stage: Stage) -> None:
    _, tap = await on_duty(stage)

    async def told() -> list[dict[str, Any]]:
        return [frame for frame in tap.received if frame["t"] == "report"]

    wanted = (await eventually(told, 10, "the hub's word about reporting"))[-1]
    assert wanted["every_ms"] >= 250 and wanted["distance_m"] >= 10
    since = len(tap.sent)
    # An idle runner stands: time alone makes a report due.
    await asyncio.sleep(5 * wanted["every_ms"] / 1000)
    assert 3 <= len(fixes(tap, since)) <= 6


async def test_fixes_of_a_gap_come_newest_first_and_nothing_is_kept_for_ever(stage: Stage) -> None:
    context = await stage.context(**PHONE)
    page, tap = await on_duty(stage, context=context)
    tap.say(t="report", every_ms=300, distance_m=10_000)
    await sends(tap, 3)
    await context.set_offline(True)
    await expect(page.locator(".offline-banner")).to_contain_text("个位置待上传")
    await asyncio.sleep(2.0)
    since, answers = len(tap.sent), len(tap.received)
    await context.set_offline(False)
    await expect(page.locator(".offline-banner")).to_have_count(0)
    first, *rest = [frame for frame in tap.sent[since:] if frame["t"] in ("fix", "fixes")]
    batch = next(frame for frame in rest if frame["t"] == "fixes")
    ats = [fix["at"] for fix in batch["fixes"]]
    assert first["t"] == "fix" and first["at"] > ats[0], "live first"
    assert len(ats) >= 4 and ats == sorted(ats, reverse=True), "the rest behind it, newest first"

    async def is_answered() -> bool:
        acks = [frame for frame in tap.received[answers:] if frame["t"] == "ack"]
        return bool(acks) and acks[-1]["seq"] >= batch["seq"]

    await eventually(is_answered, 10, "the acknowledgement of the batch")


async def test_the_console_asks_only_for_what_it_shows(stage: Stage) -> None:
    page, _ = await tapped(stage, "console")
    found = await page.evaluate(VIEWPORT)
    # Few runners: everybody, for the list beside the map. Many: the map's part, and no new wish for a step aside.
    box, whole = found["said"]
    assert set(box) == {"box"} and whole == {}
    south, west, north, east = box["box"]
    near = found["near"]
    assert south < near[0] and west < near[1] and north > near[2] and east > near[3]
    assert north - south < 0.02 and east - west < 0.02
    for corner in box["box"]:
        assert round(corner / 0.002, 3) == round(corner / 0.002)


async def test_a_hidden_console_asks_for_less_and_a_page_in_use_for_all(stage: Stage) -> None:
    page, tap = await tapped(stage, "console")
    await page.evaluate(HIDE, True)

    async def views() -> list[dict[str, Any]]:
        return [frame for frame in tap.sent if frame["t"] == "view"]

    (hidden,) = await eventually(views, 5, "a view")
    assert hidden["every_ms"] == 5000 and "box" not in hidden
    await page.evaluate(HIDE, False)

    async def is_back() -> bool:
        return len(await views()) == 2

    await eventually(is_back, 5, "another view")
    assert set((await views())[1]) == {"t", "re", "topic"}
    await expect(page.locator(".connection.is-live")).to_be_visible()


async def test_the_figure_of_freshness_is_there_in_both_languages(stage: Stage) -> None:
    _, tap = await on_duty(stage)
    console = await stage.open("console")
    figure = console.locator("#freshness summary")
    await expect(figure).to_contain_text("p95")
    await expect(console.locator("#freshness.is-good, #freshness.is-slow")).to_be_visible()
    await figure.click()
    await expect(console.locator("#freshness .menu-card")).to_contain_text("p95 不超过 1 秒")
    await console.keyboard.press("Escape")
    await expect(console.locator("#freshness .menu-card")).to_be_hidden()
    await console.get_by_role("button", name="Switch to English").first.click()
    await expect(figure).to_have_attribute("aria-label", FIGURE)
    assert await console.locator("#freshness .sparkline rect.p95").count() >= 2
    assert fixes(tap)
