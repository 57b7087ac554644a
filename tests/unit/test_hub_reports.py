"""The pure hub's runners: what becomes of their fixes."""

from __future__ import annotations

import json

from geo.filters import Reason
from tests.hub_table import CAMPUS, Event, Standing, Table, Who


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
    assert not table.outside.checks, "on duty an errand more or less changes nothing"


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
