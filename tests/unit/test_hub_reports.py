"""The pure hub's runners: what becomes of their fixes."""

from __future__ import annotations

import json

from dispatch.hub.core import TOLD_PER_FLUSH
from dispatch.hub.reporting import BUSY, FASTEST_MS, FRESH_MS, IDLE, WINDOW_S, Stretch
from geo.filters import Reason
from tests.hub_table import CAMPUS, Event, Pipe, Standing, Table, Who


def test_who_is_off_duty_and_carries_nothing_is_not_tracked() -> None:
    table = Table()
    who = Who("acc_r", CAMPUS, frozenset({"runner"}))
    runner, pipe = table.client("acc_r/runner")
    table.say(runner, t="fix", at=1, lat=30, lon=114)
    table.answer(runner, Standing(who, is_on_duty=False, is_tracked=False))
    runner.ready()
    table.say(runner, t="fix", at=3, lat=30, lon=114)
    table.say(runner, t="fix", at=2, lat=30, lon=114)
    assert [frame["code"] for frame in pipe.take("refused")] == ["off_duty"] * 3
    assert not table.outside.tracked and table.outside.hidden == ["acc_r"]
    # An errand that an operator gives makes the position the student's business; so does coming on duty.
    table.event(Event("runner:acc_r", 1, kind="task_assigned"))
    table.answer(runner, Standing(who, is_on_duty=False, is_tracked=True))
    assert [fix.fixed_at_ms for fix in table.outside.tracked] == [3], "the newest of a moment ago is shown at once"
    table.event(Event("runner:acc_r", 2, kind="order_delivered"))
    table.answer(runner, Standing(who, is_on_duty=False, is_tracked=False))
    assert table.outside.hidden == ["acc_r"] * 2
    table.say(runner, t="fix", at=4, lat=30, lon=114)
    table.hub.now_ms += 10_001
    table.event(Event("runner:acc_r", 3, kind="runner_on_duty"))
    table.answer(runner, Standing(who))
    assert len(table.outside.tracked) == 1, "an old one says where somebody was before they came on duty"
    table.event(Event("runner:acc_r", 4, kind="order_delivered"))
    table.answer(runner, Standing(who))
    table.event(Event("runner:acc_r", 5, kind="order_rated"))
    assert not table.outside.checks, "praise puts nothing into anybody's hands"


def told(pipe: Pipe) -> list[tuple[int, int]]:
    return [(frame["every_ms"], frame["distance_m"]) for frame in pipe.take("report")]


def test_no_position_grows_old_between_two_reports_however_fast_business_time_runs() -> None:
    told_ms = []
    for time_scale in (1.0, 5.0, 15.0, 400.0):
        table = Table(time_scale=time_scale)
        runner, pipe = table.client("acc_r/runner")
        table.answer(runner)
        ((every_ms, distance_m),) = told(pipe)
        assert distance_m == IDLE.distance_m
        told_ms.append(every_ms)
    assert told_ms == [IDLE.every_ms, FRESH_MS / 5, FRESH_MS / 15, FASTEST_MS]


def test_a_runner_is_told_how_often_to_report() -> None:
    table = Table()
    who = Who("acc_r", CAMPUS, frozenset({"runner"}))
    runner, pipe = table.client("acc_r/runner")
    assert told(pipe) == [], "nobody knows yet"
    table.answer(runner)
    assert told(pipe) == [IDLE]
    for number, (kind, is_busy, expected) in enumerate(
        [
            ("task_offered", True, [BUSY]), ("task_assigned", True, []), ("order_delivered", False, [IDLE]),
            ("runner_off_duty", False, []),
        ]
    ):  # fmt: skip
        table.event(Event("runner:acc_r", number, kind=kind))
        table.answer(runner, Standing(who, is_busy=is_busy))
        assert told(pipe) == expected
    # A renewed hello is answered by ``welcome``, which knows nothing of it.
    table.say(runner, t="hello", token="acc_r/runner")
    table.answer(runner)
    assert told(pipe) == [IDLE]


def test_only_runners_are_told_how_often_to_report() -> None:
    table = Table()
    student, pipe = table.client()
    table.answer(student)
    table.hub.stretch(4)
    table.hub.write_out()
    assert told(pipe) == []


def test_a_worker_that_is_late_asks_for_less_and_tells_a_part_at_a_time() -> None:
    table = Table()
    pipes = []
    for number in range(TOLD_PER_FLUSH + 1):
        runner, pipe = table.client(f"acc_{number}/runner")
        table.answer(runner)
        pipes.append(pipe)
    assert all(told(pipe) == [IDLE] for pipe in pipes)
    table.hub.stretch(2)
    table.hub.stretch(2)
    table.hub.write_out()
    assert sum(len(pipe.frames) for pipe in pipes) == TOLD_PER_FLUSH
    table.hub.write_out()
    table.hub.write_out()
    assert [told(pipe) for pipe in pipes] == [[(2 * IDLE.every_ms, 2 * IDLE.distance_m)]] * len(pipes)
    table.hub.drop(next(iter(table.hub.connections)))
    table.hub.stretch(1)
    for _ in range(3):
        table.hub.write_out()
    assert sum(told(pipe) == [IDLE] for pipe in pipes) == TOLD_PER_FLUSH
    assert table.hub.metrics()["report_stretch"] == 1


def test_the_stretch_follows_the_share_of_late_flushes_a_step_at_a_time() -> None:
    stretch = Stretch()
    flushes = late = 0
    factors = []
    shares = [0.5] * 4 + [0.1, 0.0, 0.1, 0.0, 0.0]
    assert stretch.see(0, 0, 0) == 1
    for number, share in enumerate(shares):
        for second in range(WINDOW_S):
            flushes += 20
            late += round(20 * share)
            factor = stretch.see(flushes, late, number * WINDOW_S + second + 1)
        factors.append(factor)
    assert factors == [2, 4, 4, 4, 4, 2, 2, 1, 1]


def test_fixes_wait_until_the_last_position_is_known() -> None:
    table = Table()
    runner, pipe = table.client("acc_r/runner", acks=True)
    table.say(runner, t="fix", at=1, lat=1, lon=2, seq=1)
    table.say(runner, t="fixes", fixes=[{"at": 2, "lat": 1, "lon": 2}, {"at": 3, "lat": 1, "lon": 2}], seq=2)
    assert not table.outside.tracked
    runner.ready()
    table.hub.write_out()
    assert [fix.fixed_at_ms for fix in table.outside.tracked] == [1, 3, 2]
    assert pipe.take("ack") == [{"t": "ack", "seq": 2, "accepted": 3, "refused": 0}]


def test_so_many_fixes_wait() -> None:
    table = Table(frames_per_s=10_000)
    runner, _ = table.client("acc_r/runner")
    for at in range(1_005):
        table.say(runner, t="fix", at=at, lat=1, lon=2)
    runner.ready()
    assert len(table.outside.tracked) == 1_000
    assert table.hub.counts["fixes_dropped"] == 5


def test_refused_fixes_are_told_by_name_and_in_bounds() -> None:
    table = Table()
    runner, pipe = table.client("acc_r/runner", acks=True)
    runner.ready()
    table.outside.verdict = Reason.IMPOSSIBLE_JUMP
    for seq in range(1, 9):
        runner.receive(1, json.dumps({"t": "fix", "at": seq, "lat": 1, "lon": 2, "seq": seq}).encode())
    table.hub.write_out()
    frames = pipe.take()
    assert [f["seq"] for f in frames if f["t"] == "refused"] == [1, 2, 3, 4, 5]
    assert [f for f in frames if f["t"] == "ack"] == [{"t": "ack", "seq": 8, "accepted": 0, "refused": 8}]


def test_only_runners_report() -> None:
    table = Table()
    student, pipe = table.client()
    table.say(student, t="fix", at=1, lat=1, lon=2)
    table.say(student, t="fixes", fixes=[{"at": 1, "lat": 1, "lon": 2}])
    assert [error["code"] for error in pipe.take("error")] == ["not_permitted"] * 2
    assert not table.outside.tracked
