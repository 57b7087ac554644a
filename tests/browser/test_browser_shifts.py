"""A runner's week on the phone, breaks, and what the campus team does about zones, weeks and orders that wait."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Stage, audit, shown_keys

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

CALENDAR = """BEGIN:VCALENDAR
BEGIN:VEVENT
SUMMARY:大学物理
DTSTART;TZID=Asia/Shanghai:20260304T100000
DTEND;TZID=Asia/Shanghai:20260304T113500
RRULE:FREQ=WEEKLY;COUNT=8
END:VEVENT
END:VCALENDAR
"""


async def picture(page: Page, name: str) -> None:
    """A picture to look at, where somebody wants one."""
    if folder := os.environ.get("PAGE_PICTURES"):
        await page.screenshot(path=f"{folder}/{name}.png", full_page=False)


async def give(page: Page, name: str, text: str) -> None:
    kind = "text/calendar" if name.endswith("ics") else "text/csv"
    files: Any = [{"name": name, "mimeType": kind, "buffer": text.encode()}]
    await page.locator("#week-file").set_input_files(files)


async def test_a_runner_writes_their_week_and_reads_it_from_a_file(stage: Stage) -> None:
    page = await stage.open("runner", viewport={"width": 390, "height": 844})
    await page.get_by_role("button", name="课表").click()
    await expect(page.locator(".week-day")).to_have_count(7)
    await page.locator("#week-add").click()
    await page.locator("select[name=weekday]").select_option("3")
    await page.locator("input[name=from]").fill("22:00")
    await page.locator("input[name=to]").fill("01:30")
    await page.locator("input[name=label]").fill("夜班")
    await page.get_by_role("radio", name="班次").click()
    assert await audit(page) == []
    await picture(page, "week-form")
    await page.locator("#week-keep").click()
    night = page.locator(".week-entry.is-shift")
    await expect(night).to_have_count(2)  # drawn on both days

    await give(page, "week.csv", "weekday,from,to\n9,08:00,09:00\n")
    await expect(page.locator(".toast.is-bad")).to_contain_text("第 2 行")
    await give(page, "week.ics", CALENDAR)
    await expect(page.locator(".week-entry.is-class")).to_contain_text("大学物理")
    await expect(night).to_have_count(2)  # a calendar of classes leaves the shifts alone
    await page.locator("#week-save").click()
    await expect(page.locator("#week-save")).to_have_count(0)
    await picture(page, "week")
    assert shown_keys(await page.locator("#sheet").inner_text()) == []

    runner = await stage.caller("runner")
    plan = await runner.call("GET", "/runner/plan")
    assert {(one["kind"], one["label"], one["from_min"], one["to_min"]) for one in plan["entries"]} == {
        ("shift", "夜班", 1320, 90), ("class", "大学物理", 600, 695),
    }  # fmt: skip
    await page.reload()
    await page.wait_for_selector("body.is-ready")
    await page.get_by_role("button", name="课表").click()
    await page.locator(".week-entry.is-class").click()
    await page.get_by_role("button", name="删除").click()
    await page.locator("#week-save").click()
    await expect(page.locator("#week-save")).to_have_count(0)
    assert [one["label"] for one in (await runner.call("GET", "/runner/plan"))["entries"]] == ["夜班"]
    await runner.call("PUT", "/runner/plan", {"version": 2, "entries": []})


async def test_a_break_is_taken_with_two_taps_and_ended_with_one(stage: Stage) -> None:
    page = await stage.open("runner", 1, viewport={"width": 390, "height": 844})
    await page.locator("#duty").click()
    await expect(page.locator("#duty")).to_have_attribute("aria-checked", "true")
    await page.locator("#break").click()
    await page.get_by_role("button", name="120 分钟").click()
    await expect(page.locator(".break-bar.is-away")).to_contain_text("休息到")
    console = await stage.open("console")
    await expect(console.locator(".runner-away", has_text="休息中")).to_have_count(1)
    await picture(console, "console-break")
    await page.locator("#break").click()
    await expect(page.locator(".break-bar.is-away")).to_have_count(0)
    await expect(console.locator(".runner-away", has_text="休息中")).to_have_count(0)
    await page.locator("#duty").click()


async def test_the_campus_team_draws_a_zone_and_plans_a_shift(stage: Stage) -> None:
    runner = await stage.open("runner", 2, viewport={"width": 390, "height": 844})
    await runner.locator("#duty").click()
    await expect(runner.locator("#duty")).to_have_attribute("aria-checked", "true")
    console = await stage.open("console")
    await console.locator("#fences-open").click()
    row = console.locator(".fence-row").first
    await row.get_by_role("button").nth(1).click()
    await console.locator("select[name=mode]").select_option("grab")
    await console.locator(".zone-runners summary").click()
    await console.locator(".zone-runners input").first.check()
    assert await audit(console) == []
    await picture(console, "zone")
    await console.locator(".fence-form .primary").click()
    await expect(row).to_contain_text("大厅抢单")
    operator = await stage.caller("operator")
    (fence,) = [one for one in (await operator.call("GET", "/geofences"))["geofences"] if one["zone"]]
    assert fence["zone"]["mode"] == "grab" and len(fence["zone"]["runner_ids"]) == 1
    await console.keyboard.press("Escape")

    await console.locator(".runner-away").first.click()
    dialog = console.locator("dialog")
    await dialog.locator("#week-add").click()
    await dialog.get_by_role("radio", name="班次").click()
    await dialog.locator("#week-keep").click()
    await picture(console, "console-week")
    await dialog.locator("#week-save").click()
    await expect(dialog.locator("#week-save")).to_have_count(0)
    await expect(dialog.locator(".week-entry.is-shift")).to_have_count(1)
    assert shown_keys(await dialog.inner_text()) == []
    await console.keyboard.press("Escape")
    await operator.call("PUT", f"/geofences/{fence['id']}/zone", {"version": fence["version"], "mode": None})
    await runner.locator("#duty").click()


async def test_an_order_is_kept_for_one_runner_and_set_free_again(stage: Stage) -> None:
    runner = await stage.open("runner", 3, viewport={"width": 390, "height": 844})
    await runner.locator("#duty").click()
    await expect(runner.locator("#duty")).to_have_attribute("aria-checked", "true")
    rest = {"until_ms": (await (await stage.caller("student")).call("GET", f"/campuses/{campus(stage)}"))["now_ms"]}
    # On a break nobody is offered it, so that it waits.
    await (await stage.caller("runner", 3)).call("POST", "/runner/break", {"until_ms": rest["until_ms"] + 3_600_000})
    order = await stage.place_and_pay(await stage.caller("student", 2), "留给熟人的包裹")
    console = await stage.open("console")
    await console.locator(f"#row-{order['id']}").click()
    await console.locator("#hold").click()
    await console.locator("dialog select[name=runner]").select_option(index=1)
    await console.locator("dialog input[name=reason]").fill("认识路")
    assert await audit(console) == []
    await picture(console, "hold")
    await console.locator("#hold-sure").click()
    await expect(console.locator(".dispatch-state")).to_contain_text("保留到")
    await picture(console, "held")
    await console.locator("#release").click()
    await expect(console.locator(".dispatch-state")).not_to_contain_text("保留到")
    assert shown_keys(await console.locator("body").inner_text()) == []
    await runner.locator("#duty").click()


def campus(stage: Stage) -> str:
    return str(stage.server.plan["campus_id"])


async def test_an_order_that_nobody_takes_asks_the_campus_team_and_then_its_student(stage: Stage) -> None:
    student = await stage.caller("student", 1)
    order = await stage.place_and_pay(student, "没人来取的包裹")
    console = await stage.open("console")
    await console.locator(f"#row-{order['id']}").click()
    state = console.locator(".dispatch-state")
    await expect(state).to_be_visible()
    page = await stage.open("track", 1, viewport={"width": 390, "height": 844})
    await page.goto(f"{stage.server.url}/track#order={order['id']}")
    await expect(console.locator(".dispatch-state.is-failed")).to_be_visible(timeout=60_000)
    await picture(console, "console-failed")
    operator = await stage.caller("operator")
    seen = await operator.call("GET", f"/orders/{order['id']}")
    assert seen["dispatch"]["step"] == "choice"
    async with asyncio.timeout(20):
        while not (await student.call("GET", f"/orders/{order['id']}"))["is_choice"]:
            await asyncio.sleep(0.1)
    card = page.locator(".choice")
    await expect(card).to_be_visible()
    assert await audit(page) == []
    await picture(page, "choice")
    await page.locator("#choice-cancel").click()
    await expect(card).to_have_count(0)
    assert (await student.call("GET", f"/orders/{order['id']}"))["status"] in ("cancelled", "closed")
