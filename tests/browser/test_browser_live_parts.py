"""The pieces of the hub's client in the browser that runs them: pauses, topics, words, fixes, rhythm, freshness."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.browser.conftest import Stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PAUSES = """async () => {
  const { Pauses, askedMs } = await import("/static/js/live/pauses.js");
  const run = (how, luck = () => 1) => {
    const pauses = new Pauses(luck);
    return Array.from({ length: 8 }, () => pauses.next(how));
  };
  const pauses = new Pauses(() => 0);
  pauses.next({ askedMs: 5000 });
  const owed = pauses.owedMs;
  pauses.reset();
  const many = Array.from({ length: 400 }, () => new Pauses().next({}));
  return {
    lost: run({}), refused: run({ isRefused: true }), unlucky: run({ askedMs: 2500 }, () => 0),
    idle: run({ isIdle: true }, () => 0), owed, owedStill: pauses.owedMs > 0,
    spread: [Math.min(...many), many.reduce((a, b) => a + b) / many.length, Math.max(...many)],
    asked: ["server_drain retry_ms=2500", "server_drain", "", undefined, "x retry_ms=9999999999", "no_retry_ms=5"]
      .map(askedMs),
  };
}"""

TOPIC = """async () => {
  const { Topic } = await import("/static/js/live/topic.js");
  const topic = new Topic("order:o", {});
  const found = [];
  const hear = (offset, id = `e${offset}`) => found.push(topic.take({ id, offset }));
  const before = topic.place;
  topic.followed({ recovered: false, offset: 3, epoch: "a" });
  hear(3); hear(4); hear(4); hear(6); hear(5); hear(6);
  const place = { ...topic.place };
  topic.lost();
  topic.followed({ recovered: true, offset: 8, epoch: "a" });
  hear(7); hear(8);
  topic.followed({ recovered: false, offset: 1, epoch: "b" });
  hear(2, "e8"); hear(3, "f1");
  topic.followed({ recovered: false, offset: 0, epoch: "" });
  const nowhere = topic.place;
  return { found, before, place, nowhere };
}"""

POSITIONS = """async () => {
  const { Topic } = await import("/static/js/live/topic.js");
  const topic = new Topic("console:c", {});
  const show = (...rows) => topic.takePositions(rows.map(([id, at]) => ({ id, at }))).map(({ id, at }) => [id, at]);
  topic.followed({ recovered: false, offset: 1, epoch: "a" });
  const first = show(["r", 10], ["s", 5]);
  const late = show(["r", 9], ["r", 10], ["s", 6]);
  topic.forget(["r"]);
  const again = show(["r", 9]);
  topic.followed({ recovered: true, offset: 1, epoch: "a" });
  const resumed = show(["r", 8]);
  topic.followed({ recovered: false, offset: 1, epoch: "b" });
  const anew = show(["r", 8]);
  // Back again, and only one of two is still there.
  show(["s", 20]);
  topic.followed({ recovered: true, offset: 1, epoch: "b" });
  show(["r", 8]);
  const gone = topic.takeDoubtful();
  return { first, late, again, resumed, anew, gone, after: topic.takeDoubtful(), back: show(["s", 20]) };
}"""

WORDS = """async () => {
  const { staleness } = await import("/static/js/live/staleness.js");
  const { setLanguage } = await import("/static/js/i18n.js");
  const cases = [["live", 0.4], ["live", 11.9], ["live", 12.4], ["live", 59], ["live", 130], ["waiting", 5],
    ["connecting", 5], ["waiting", 125], ["offline", 30], ["offline", 125], ["connecting", null], ["offline", null],
    ["ended", 3]];
  const said = {};
  for (const language of ["en", "zh-CN"]) {
    setLanguage(language);
    said[language] = cases.map(([state, silentS]) => staleness({ state, silentS, closeCode: 4501 }));
  }
  return said;
}"""

FIXES = """async () => {
  const { FixSender, KEPT, BATCH } = await import("/static/js/fix-sender.js");
  const sent = [];
  const sender = new FixSender((frame) => (sent.push(frame), true), () => {});
  for (let at = 1; at <= 500; at += 1) sender.report({ at, lat: 0, lon: 0 });
  const waiting = sender.backlog;
  const shape = () => sent.splice(0).map((frame) => frame.fixes
    ? [frame.t, frame.fixes.length, frame.fixes[0].at, frame.fixes.at(-1).at] : [frame.t, frame.at]);
  sender.resume();
  const first = shape();
  sender.report({ at: 501, lat: 0, lon: 0 });
  sender.acknowledge(sender.seq);
  const second = shape();
  sender.acknowledge(sender.seq);
  const third = shape();
  sender.pause();
  sender.report({ at: 502, lat: 0, lon: 0 });
  sender.resume();
  const again = shape();
  sender.acknowledge(sender.seq);
  shape();
  sender.acknowledge(sender.seq);
  const left = sender.kept.length;
  sender.refuse({ code: "duplicate" });
  sender.refuse({ code: "impossible_jump" });
  sender.pause();
  for (let at = 1000; at < 1000 + 4 * KEPT; at += 1) sender.report({ at, lat: 0, lon: 0 });
  const ats = sender.kept.map(({ fix }) => fix.at);
  return { waiting, first, second, third, again, left, refused: sender.refused, KEPT, BATCH, ats,
    thinned: sender.thinned };
}"""

RHYTHM = """async () => {
  const { Rhythm } = await import("/static/js/runner/rhythm.js");
  const rhythm = new Rhythm();
  const at = (metres, acc = 5) => ({ lat: metres / 111195, lon: 0, acc });
  const found = [rhythm.isDue(at(0), 0)];
  rhythm.reported(at(0), 0);
  found.push(rhythm.isDue(at(500), 4999), rhythm.isDue(at(0), 5000));
  rhythm.follow({ everyMs: 10_000, distanceM: 50 });
  found.push(rhythm.isDue(at(49), 9999), rhythm.isDue(at(51), 1000), rhythm.isDue(at(51), 249));
  found.push(rhythm.isDue(at(60, 80), 1000), rhythm.isDue(at(90, 80), 1000), rhythm.isDue(at(0), 10_000));
  return [...found, rhythm.isOverdue(11_000), rhythm.isOverdue(12_001)];
}"""

PACE = """async () => {
  const { Pace } = await import("/static/js/console/pace.js");
  const pace = new Pace();
  const found = [];
  const draw = (ms, times) => { for (let n = 0; n < times; n += 1) pace.drawn(ms); found.push(pace.everyMs); };
  draw(5, 100); draw(120, 100); draw(75, 100); draw(20, 100); draw(2, 100); draw(60_000, 200);
  let changes = 0;
  for (let n = 0, last = pace.everyMs; n < 300; n += 1, last = pace.everyMs) {
    pace.drawn(55 + (n % 2) * 16);
    if (n > 200) changes += Number(pace.everyMs !== last);
  }
  return { found, changes };
}"""

FRESH = """async () => {
  const { Freshness, verdict, STEPS, STEP_MS } = await import("/static/js/freshness.js");
  const freshness = new Freshness();
  const none = freshness.figure(5000);
  for (let n = 1; n <= 1000; n += 1) freshness.add(n, 5000);
  const figure = freshness.figure(5000);
  freshness.add(9000, 95_000);
  const later = freshness.figure(95_000);
  const series = freshness.series(95_000);
  for (let step = 0; step < 200; step += 1) freshness.add(2000, 100_000 + step * STEP_MS);
  return { none, figure, later, series: series.map((ages) => ages && Math.round(ages.p95)), steps: freshness.steps.size,
    STEPS, verdicts: [null, { p95: 1000 }, { p95: 1001 }, { p95: 3001 }].map(verdict),
    odd: [0, -5, NaN, 1e9].map((age) => { const one = new Freshness(); one.add(age, 0); return one.figure(0).p95; }) };
}"""

CLOCK = """async () => {
  const { syncClock, now, timeScale } = await import("/static/js/clock.js");
  const off = (wanted) => Math.abs(now() - wanted) < 60;
  syncClock(1_000_000, 1);
  const found = [off(1_000_000)];
  syncClock(1_000_300, 1, 200);
  found.push(off(1_000_400));
  syncClock(1_000_200, undefined, 900);
  found.push(off(1_000_400));
  syncClock(1_000_410, undefined, 20);
  found.push(off(1_000_420));
  syncClock(5_000_000, undefined, 900);
  found.push(off(5_000_450));
  syncClock(5_000_000, 15, 40);
  found.push(Math.abs(now() - 5_000_300) < 60 * 15, timeScale() === 15);
  return found;
}"""


async def run(stage: Stage, script: str) -> Any:
    page = await stage.blank(await stage.context())
    await page.goto(f"{stage.server.url}/")
    return await page.evaluate(script)


async def test_pauses_grow_are_spread_and_never_shorter_than_asked(stage: Stage) -> None:
    found = await run(stage, PAUSES)
    assert found["lost"] == [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]
    assert found["refused"] == [2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]
    assert found["unlucky"] == [2500] * 8, "what the server asks for is the least, whatever the luck"
    assert found["idle"] == [30_000] * 8
    assert 4900 < found["owed"] <= 5000 and found["owedStill"], "a new beginning does not make up for it"
    least, mean, most = found["spread"]
    assert least < 60 and 400 < mean < 600 and 940 < most <= 1000, "full jitter"
    assert found["asked"] == [2500, 0, 0, 0, 300_000, 0]


async def test_events_come_once_in_order_and_a_hole_is_noticed(stage: Stage) -> None:
    found = await run(stage, TOPIC)
    assert found["before"] == {}
    assert found["found"] == ["known", "new", "known", "hole", "new", "new", "new", "new", "known", "new"]
    assert found["place"] == {"offset": 6, "epoch": "a"}
    assert found["nowhere"] == {}, "without an epoch there is nothing to come back to"


async def test_a_position_never_gives_way_to_an_older_one(stage: Stage) -> None:
    found = await run(stage, POSITIONS)
    assert found == {
        "first": [["r", 10], ["s", 5]],
        "late": [["s", 6]],
        "again": [["r", 9]],
        "resumed": [],
        "anew": [["r", 8]],
        "gone": ["s"],
        "after": [],
        "back": [["s", 20]],
    }


async def test_how_old_it_is_is_said_in_words(stage: Stage) -> None:
    said = await run(stage, WORDS)
    assert said["en"] == [
        "Live", "Live", "12 s ago", "59 s ago", "No signal for 2 min", "Reconnecting…", "Reconnecting…",
        "No signal for 2 min", "Offline for 30 s", "No signal for 2 min", "Connecting…", "Offline", "Account blocked",
    ]  # fmt: skip
    assert said["zh-CN"] == [
        "实时", "实时", "12 秒前", "59 秒前", "2 分钟没有信号", "正在重连…", "正在重连…",
        "2 分钟没有信号", "离线 30 秒", "2 分钟没有信号", "连接中…", "已离线", "账号已停用",
    ]  # fmt: skip


async def test_after_a_gap_the_newest_fix_goes_live_and_the_rest_follows_in_batches(stage: Stage) -> None:
    found = await run(stage, FIXES)
    assert found["waiting"] == 500
    assert found["first"] == [["fix", 500], ["fixes", 240, 499, 260]]
    assert found["second"] == [["fix", 501], ["fixes", 240, 259, 20]], "live is not held up by the backlog"
    assert found["third"] == [["fixes", 19, 19, 1]]
    assert found["again"] == [["fix", 502], ["fixes", 19, 19, 1]], "what was not acknowledged is sent once more"
    assert found["left"] == 0
    assert found["refused"] == 1, "what the server had already is no refusal"


async def test_a_gap_longer_than_the_memory_costs_detail_where_it_is_oldest(stage: Stage) -> None:
    found = await run(stage, FIXES)
    kept, ats = found["KEPT"], found["ats"]
    assert len(ats) <= kept and found["BATCH"] <= 240
    assert ats == sorted(ats) and ats[0] == 1000 and ats[-1] == 999 + 4 * kept
    assert ats[-kept // 2 :] == list(range(ats[-1] - kept // 2 + 1, ats[-1] + 1)), "the newest part is whole"
    gaps = [b - a for a, b in pairwise(ats)]
    assert gaps[0] == max(gaps) and found["thinned"] == 4 * kept - len(ats)


async def test_a_runner_reports_as_often_and_as_far_apart_as_asked(stage: Stage) -> None:
    assert await run(stage, RHYTHM) == [
        True,  # the first of all
        False, True,  # by time alone as long as no distance is asked for
        False, True, False,  # 50 m or 10 s, and never a flood
        False, True, True,  # what lies within the reading's own error is no way walked
        False, True,
    ]  # fmt: skip


async def test_a_device_that_draws_slowly_asks_for_fewer_positions(stage: Stage) -> None:
    found = await run(stage, PACE)
    assert found["found"] == [None, 1500, 1500, 500, None, 30_000]
    assert found["changes"] == 0, "and does not flicker between two wishes"


async def test_freshness_is_right_within_five_per_cent_and_bounded(stage: Stage) -> None:
    found = await run(stage, FRESH)
    assert found["none"] is None
    assert found["figure"]["count"] == 1000
    assert found["figure"]["p50"] == pytest.approx(500, rel=0.05)
    assert found["figure"]["p95"] == pytest.approx(950, rel=0.05)
    assert found["later"]["count"] == 1 and found["later"]["p95"] == pytest.approx(9000, rel=0.05), "the last minute"
    shown = [(index, age) for index, age in enumerate(found["series"]) if age is not None]
    assert [index for index, _ in shown] == [50, 59] and len(found["series"]) == 60
    assert found["steps"] <= found["STEPS"]
    assert found["verdicts"] == ["none", "good", "slow", "bad"]
    assert found["odd"][:3] == [1, 1, 1] and found["odd"][3] > 1e6


async def test_the_quickest_answer_tells_the_time_until_the_clock_is_set(stage: Stage) -> None:
    assert await run(stage, CLOCK) == [True] * 7
