"""Coming to a stop on the pages: the runner is asked, student and team see it; and what a delay looks like."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Stage, audit, shown_keys
from tests.browser.test_browser_console import carried_order

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
PHONE = {"width": 390, "height": 844}
WALK_MS = 90_000


async def test_a_runner_who_is_there_is_asked_and_both_others_see_it(stage: Stage) -> None:
    runner = await stage.open("runner", viewport=PHONE)
    if await runner.locator("#duty").get_attribute("aria-checked") == "false":
        await runner.locator("#duty").click()
    order = await carried_order(stage, runner, "看着骑手到门口")
    student = await stage.open("track", 2, viewport=PHONE)
    await student.goto(f"{stage.server.url}/track#order={order['id']}")
    console = await stage.open("console")
    task = runner.locator(f".task[aria-label*='{order['code']}']")
    step = task.locator("#next-step")

    await expect(step).to_have_class("button primary wide huge is-asked", timeout=WALK_MS)
    await expect(task.locator(".note")).to_contain_text("确认吗")
    await expect(student.locator(".note.is-near")).to_have_text("骑手在取件处")
    row = console.locator(".row", has_text=order["code"])
    await expect(row).to_contain_text("在取件处")
    for page in (runner, student, console):
        assert await audit(page) == []
    await step.click()
    await expect(step).to_have_text("已取件")
    await expect(task.locator(".note")).to_have_count(0)
    await step.click()

    await expect(student.locator(".note.is-near")).to_have_text("骑手在门口了", timeout=WALK_MS)
    await expect(task.locator(".note")).to_contain_text("确认吗")
    await row.click()
    await console.locator("#tab-timeline").click()
    timeline = console.locator(".timeline")
    for text in ("骑手即将到达", "骑手在取送点", "点击处距地址", "停留"):
        await expect(timeline).to_contain_text(text)
    await console.get_by_role("button", name="Switch to English").first.click()
    await expect(timeline).to_contain_text("Runner almost there")
    await expect(row).to_contain_text("at the door")
    for page in (runner, student, console):
        assert shown_keys(await page.locator("body").inner_text()) == []
        assert await audit(page) == []


DELAY = """async (changes) => {
  const { render } = await import("/static/js/dom.js");
  const { syncClock } = await import("/static/js/clock.js");
  const { setLanguage } = await import("/static/js/i18n.js");
  const { StatusCard } = await import("/static/js/track/status-card.js");
  const { TaskCard } = await import("/static/js/runner/task-card.js");
  const { Board } = await import("/static/js/console/board.js");
  const at = Date.UTC(2026, 2, 2, 4, 0);
  syncClock(at, 1);
  const stop = (role) => ({ role, label: role, floor: 0, lat: 0, lon: 0, detail: "", contact_name: "" });
  const order = { id: "o", code: "ABC123", type_code: "parcel", status: "carrying", task_status: "carrying", version: 3,
    quote: { lines: [], total_fen: 100, goods_cap_fen: 0 }, stops: [stop("pickup"), stop("dropoff")], description: "x",
    promised_at_ms: at + 300_000, placed_at_ms: at, steps: [], photo_ids: [], is_late: false, released_fen: 0,
    eta: { from_ms: at, to_ms: at, warnings: [] },
    runner: { id: "r", name: "李", vehicle: "walk", credit: 100, stars: null, phone: "" },
    delay: { expected_ms: at + 900_000, told_ms: at }, near: null, ...changes };
  const said = {};
  for (const language of ["en", "zh-CN"]) {
    setLanguage(language);
    const box = document.body.appendChild(document.createElement("div"));
    const nothing = () => {};
    const live = { positionAge: null, isStale: false, isConnected: true };
    render(box, new StatusCard({ api: null, payCard: null, paint: nothing, onOrder: nothing, refetch: nothing })
      .view(order, live));
    said[`${language} student`] = box.querySelector(".note.is-late")?.innerText ?? null;
    render(box, new TaskCard({ api: null, queue: null, where: nothing, paint: nothing, onError: nothing }).view(order));
    said[`${language} runner`] = box.querySelector(".note.is-late")?.innerText ?? null;
  }
  const board = new Board({ api: null, onChange: () => {}, onAlert: (alert) => (said.alert = alert.kind) });
  const late = { ...order, promised_at_ms: at - 754_000 };
  const runners = [{ id: "r", name: "李", is_on_duty: true, position: null }];
  board.load({ orders: [late], runners, kpis: {}, alerts: [] });
  board.apply({ kind: "alert_raised", data: { alert: { id: "a", kind: "stopped" } } });
  board.apply({ kind: "alert_raised", data: { alert: { id: "a", kind: "stopped" } } });
  return { ...said, face: board.faceOf("r").text, alerts: board.alerts.length };
}"""


async def told(stage: Stage, **changes: Any) -> dict[str, Any]:
    page = await stage.open("track")
    said: dict[str, Any] = await page.evaluate(DELAY, changes)
    return said


async def test_a_delay_is_said_to_both_with_the_time_that_is_expected(stage: Stage) -> None:
    said = await told(stage)
    for who, parts in {
        "en student": ("12:15", "12:05", "knows"), "en runner": ("12:05", "12:15", "student"),
        "zh-CN student": ("12:15", "12:05", "骑手"), "zh-CN runner": ("12:05", "12:15", "同学"),
    }.items():  # fmt: skip
        assert all(part in said[who] for part in parts), (who, said[who])
    assert said["face"] == "12" and said["alert"] == "stopped" and said["alerts"] == 1
    broken = await told(stage, is_late=True, runner=None)
    assert "We promised 12:05" in broken["en student"] and "knows" not in broken["en student"]
    silent = await told(stage, delay=None)
    assert silent["en student"] is None and silent["zh-CN runner"] is None
