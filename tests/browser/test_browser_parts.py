"""The pages' own small machinery, module by module, in the browser that runs it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from dispatch.assign.state import Waiting
from tests.browser.conftest import Stage, shown_keys

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

MORPH = """async () => {
  const { h, render } = await import("/static/js/dom.js");
  const box = document.body.appendChild(document.createElement("div"));
  const clicks = [];
  const show = (ids, text) => render(box, ids.map((id) =>
    h("p", { key: id, onclick: () => clicks.push(`${id}${text}`) }, h("input", { value: text, id: `i${id}` }), text)));
  show(["a", "b", "c"], "1");
  const [kept, input] = [box.children[1], box.querySelector("#ib")];
  input.focus();
  input.value = "typing";
  show(["b", "c", "d"], "2");
  box.children[0].click();
  const first = { isSame: box.children[0] === kept, hasFocus: document.activeElement === input, typed: input.value };
  show(["d", "b"], "3");
  const order = [...box.querySelectorAll("input")].map((one) => one.id);
  return { first, clicks, order, other: box.querySelector("#id").value };
}"""

MARKUP = """async () => {
  const { h, render } = await import("/static/js/dom.js");
  const box = document.createElement("div");
  render(box, h("b", { title: "<i>" }, "<img src=x onerror=alert(1)>"));
  return { tags: box.querySelectorAll("*").length, text: box.textContent };
}"""

BOARD = """async () => {
  const { Board } = await import("/static/js/console/board.js");
  const { syncClock } = await import("/static/js/clock.js");
  syncClock(1_000_000, 1);
  const alerts = [];
  const board = new Board({ api: null, onChange: () => {}, onAlert: (alert) => alerts.push(alert.id) });
  const order = (id, status, promised, version, runner = null) => ({
    id, code: id, status, version, promised_at_ms: promised, placed_at_ms: 0, stops: [], description: "", steps: [],
    runner: runner && { id: runner, name: runner }, eta: null, is_late: false });
  board.load({ orders: [order("a", "assigned", 1_500_000, 4, "r"), order("b", "open", 1_900_000, 1),
    order("c", "carrying", 900_000, 2, "r")], runners: [{ id: "r", name: "r", is_on_duty: true, position: null }],
    kpis: {}, alerts: [{ id: "old" }] });
  board.put(order("a", "open", 1_500_000, 3));
  const view = { filter: "all", text: "" };
  const queue = board.queue(view).map((one) => one.id);
  const later = [order("a", "delivered", 1_500_000, 5, "r")];
  board.load({ orders: later, runners: [], kpis: {}, alerts: [{ id: "old" }, { id: "new" }] });
  return { queue, late: board.counts().late, alerts, after: board.queue({ filter: "carried", text: "" }).length };
}"""

QUEUE = """async () => {
  const { Board } = await import("/static/js/console/board.js");
  const { syncClock } = await import("/static/js/clock.js");
  syncClock(1_000_000, 1);
  const board = new Board({ api: null, onChange: () => {}, onAlert: () => {} });
  const order = (id, promised, arrival) => ({
    id, code: id, status: "assigned", version: 1, promised_at_ms: promised, placed_at_ms: 0, stops: [], steps: [],
    description: "", runner: { id: "r", name: "r" }, is_late: false,
    eta: arrival && { from_ms: arrival - 60_000, to_ms: arrival, warnings: [] } });
  board.load({ orders: [order("soon-but-there", 1_300_000, 1_060_000), order("nobody-knows", 1_500_000, null),
    order("later-and-far", 1_900_000, 2_000_000)], runners: [{ id: "r", name: "李晓雯" }],
    kpis: {}, alerts: [] });
  if (board.queue({ filter: "all", text: "晓雯" }).length !== 3) throw new Error("nobody is found by their name");
  const queue = board.queue({ filter: "all", text: "" });
  return queue.map((one) => [one.id, Math.round(board.slackS(one)), board.willBeLate(one), board.isLate(one)]);
}"""

WHY = """async () => {
  const { WhyTab } = await import("/static/js/console/why.js");
  const { setLanguage } = await import("/static/js/i18n.js");
  const { render } = await import("/static/js/dom.js");
  const box = document.body.appendChild(document.createElement("div"));
  const tab = new WhyTab({ api: null, board: { runners: new Map() }, paint: () => {} });
  const show = (decisions, waiting) =>
    render(box, tab.view({ id: "o" }, { decisions, waiting, foreseen: null, foreseen_name: "", planned_at_ms: null }));
  const candidate = (id, cost_s, is_chosen) =>
    ({ runner_id: id, runner_name: id, cost_s, terms: {}, distance_m: 10, done_at_ms: 1, excluded: null, is_chosen });
  const decision = (id, regret_s) => ({ id, at_ms: 1, mode: "optimizer", regret_s, note: "",
    candidates: [candidate("Li", 60, true), candidate("Wu", 60 + regret_s, false)] });
  const said = {};
  for (const language of ["en", "zh-CN"]) {
    setLanguage(language);
    for (const regret of [-1800, 0, 90]) {
      show([decision("d", regret)], null);
      said[`${language}${regret}`] = box.innerText;
    }
    for (const waiting of WAITING) {
      show([], waiting);
      said[`${language} ${waiting}`] = box.innerText;
    }
  }
  const both = [decision("a", 0), decision("b", 0)];
  show(both, null);
  const [, second] = box.querySelectorAll("details.decision");
  const startsOpen = second.open;
  second.open = true;
  show(both, null);
  return { said, startsOpen, staysOpen: second.isConnected && second.open };
}"""

WEEK = """async () => {
  const { Week } = await import("/static/js/week.js");
  const { setLanguage } = await import("/static/js/i18n.js");
  const { h, render } = await import("/static/js/dom.js");
  const box = document.body.appendChild(document.createElement("div"));
  const zone = { id: "z", name: "区", name_en: "Zone", mode: "grab", is_open: true };
  const said = {};
  for (const isOwn of [true, false]) {
    const week = new Week({ api: null, path: "", isOwn, paint: () => {} });
    week.known = { entries: [], term_starts: null, zones: null, known_zones: [zone], excluded: null };
    for (const language of ["en", "zh-CN"]) {
      setLanguage(language);
      for (const zones of [null, ["z"]]) {
        week.changed = { entries: [], term_starts: null, zones };
        render(box, h("div", {}, week.view()));
        said[`${isOwn ? "own" : "other"} ${language} ${zones ? "some" : "all"}`] = box.innerText;
      }
    }
  }
  return said;
}"""

OPTIONS = """async () => {
  const { Reassigner } = await import("/static/js/console/reassign.js");
  const waiting = [];
  const api = { get: () => new Promise((answer, refuse) => waiting.push({ answer, refuse })) };
  const reassign = new Reassigner({ api, board: null, paint: () => {} });
  const first = reassign.fetchOptions("o");
  const second = reassign.fetchOptions("o");
  const other = reassign.fetchOptions("p");
  waiting[1].answer("second");
  await second;
  waiting[0].answer("first, late");
  await first;
  const late = reassign.fetchOptions("o");
  const last = reassign.fetchOptions("o", "r");
  waiting[4].answer("last");
  await last;
  waiting[3].refuse(new Error("late"));
  await late;
  waiting[2].answer("other");
  await other;
  return [...reassign.options];
}"""

WORDS = """async () => {
  const { countdown, yuan, setLanguage, duration, distance } = await import("/static/js/i18n.js");
  setLanguage("en");
  const times = [countdown(75), countdown(-5), countdown(3700), duration(59.6), duration(90)];
  return [...times, yuan(415), yuan(-30), distance(999), distance(1500)];
}"""


async def run(stage: Stage, script: str) -> Any:
    page = await stage.blank(await stage.context())
    await page.goto(f"{stage.server.url}/")
    return await page.evaluate(script)


async def test_a_refreshed_page_keeps_focus_and_what_is_typed(stage: Stage) -> None:
    found = await run(stage, MORPH)
    assert found["first"] == {"isSame": True, "hasFocus": True, "typed": "typing"}
    assert found["clicks"] == ["b2"]
    assert found["order"] == ["id", "ib"]
    assert found["other"] == "3"


async def test_what_people_type_never_becomes_markup(stage: Stage) -> None:
    assert await run(stage, MARKUP) == {"tags": 1, "text": "<img src=x onerror=alert(1)>"}


async def test_the_queue_is_sorted_by_need_and_never_goes_back_in_time(stage: Stage) -> None:
    assert await run(stage, BOARD) == {"queue": ["b", "c", "a"], "late": 0, "alerts": ["new"], "after": 0}


async def test_the_queue_counts_with_the_arrival_that_is_expected(stage: Stage) -> None:
    # Of two that are not late yet, the one whose runner will not make it comes first, whatever its promise says.
    assert await run(stage, QUEUE) == [
        ["later-and-far", -100, True, False],
        ["soon-but-there", 240, False, False],
        ["nobody-knows", 500, False, False],
    ]


async def test_every_reason_to_wait_and_both_signs_of_regret_are_said_in_words(stage: Stage) -> None:
    reasons = [str(reason) for reason in Waiting]
    found = await run(stage, WHY.replace("WAITING", json.dumps(reasons)))
    said = found["said"]
    assert len({said[f"{language} {reason}"] for language in ("en", "zh-CN") for reason in reasons}) == 2 * len(reasons)
    assert not [text for text in said.values() if any(reason in text for reason in reasons)]
    assert "went to another errand" in said["en-1800"] and "30 min more" in said["en-1800"]
    assert "next best" not in said["en-1800"] and "next best" not in said["en0"]
    assert "next best +90 s" in said["en90"] and "Li costs 90 s less than the next best, Wu." in said["en90"]
    assert "让给" in said["zh-CN-1800"] and "30 分钟" in said["zh-CN-1800"]
    assert found["staysOpen"] and not found["startsOpen"]


async def test_amounts_and_times_are_written_for_people(stage: Stage) -> None:
    times = ["1:15", "−0:05", "1:01 h", "1 min", "2 min"]
    assert await run(stage, WORDS) == [*times, "¥4.15", "−¥0.30", "999 m", "1.5 km"]


async def test_a_week_speaks_to_its_runner_and_of_them_to_the_campus_team(stage: Stage) -> None:
    said = await run(stage, WEEK)
    assert "whenever you are on duty" in said["own en all"] and "Where I work" in said["own en all"]
    assert "我在哪些区域接单" in said["own zh-CN all"]
    for key, text in said.items():
        assert shown_keys(text) == []
        if key.startswith("other en"):
            assert not re.search(r"\b(I|you|your)\b", text, re.IGNORECASE), (key, text)
        elif key.startswith("other"):
            assert not re.search("[我您]", text), (key, text)
    assert said["other en all"] != said["other en some"] and said["other zh-CN all"] != said["other zh-CN some"]


async def test_of_two_answers_about_one_order_the_one_that_was_asked_for_last_counts(stage: Stage) -> None:
    assert await run(stage, OPTIONS) == [["o", "last"], ["p", "other"]]
