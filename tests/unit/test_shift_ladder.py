"""The ladder, pins and zones as rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from dispatch.model.campus import AssignMode
from dispatch.model.escalation import LEAD, Escalation, Ladder, Step, waits_since
from dispatch.model.pin import Pin, PinKind, pinned_to
from dispatch.model.zone import Zone, zones_of
from geo.areas import Areas
from geo.fence_shape import Circle, Geofence, Outline
from geo.point import Point

NOW = datetime(2026, 3, 2, 4, tzinfo=UTC)
LADDER = Ladder()


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("seconds", "refusals", "step"),
    [
        (0, 0, Step.WAITING), (44, 1, Step.WAITING), (45, 0, Step.WIDER), (0, 2, Step.WIDER), (89, 3, Step.WIDER),
        (90, 0, Step.FAR), (10, 4, Step.FAR), (10, 99, Step.FAR), (240, 0, Step.CALLED), (300, 0, Step.ALERTED),
        (480, 0, Step.CHOICE), (10**6, 9, Step.CHOICE),
    ],
)  # fmt: skip
def test_the_step_follows_from_waiting_and_refusals(seconds: float, refusals: int, step: Step) -> None:
    assert LADDER.rung(LADDER.at(NOW, refusals, after(seconds))).step is step


def test_each_step_is_wider_than_the_one_before() -> None:
    rungs = [LADDER.rung(number) for number in range(len(LADDER.rungs) + 1)]
    assert [rung.reach for rung in rungs] == [1.0, 1.5, 2.5, 2.5, 2.5, 2.5]
    for earlier, later in pairwise(rungs):
        assert later.after_s > earlier.after_s or earlier.step is Step.WAITING
        assert later.priority_s >= earlier.priority_s and later.reach >= earlier.reach
        for name in ("is_any_zone", "is_called", "is_alert", "is_choice"):
            assert getattr(later, name) >= getattr(earlier, name)
    called = next(rung for rung in rungs if rung.is_called)
    assert called.after_s >= 240 and called.after_refusals is None, "a call is never early"


def test_the_next_step_is_known_ahead() -> None:
    assert [LADDER.next_at(NOW, number) for number in range(6)] == [
        after(45), after(90), after(240), after(300), after(480), None,
    ]  # fmt: skip
    empty = Ladder(rungs=())
    assert empty.at(NOW, 9, after(10**6)) == 0 and empty.next_at(NOW, 0) is None


def test_a_later_order_begins_to_wait_shortly_before_its_time() -> None:
    task: Any = SimpleNamespace(opened_at=NOW)
    soon: Any = SimpleNamespace(pickup_after=None)
    later: Any = SimpleNamespace(pickup_after=after(7200))
    assert waits_since(task, soon, None) == NOW and waits_since(task, later, None) == after(7200) - LEAD
    again = Escalation("cmp_1", "ord_1", after(60))
    assert waits_since(task, soon, again) == after(60)


WISH = Pin("cmp_1", "ord_1", PinKind.WISH, "acc_r", NOW, "acc_s")
HOLD = replace(WISH, kind=PinKind.HOLD, until=after(900), placed_by="acc_o")


def test_a_wish_counts_for_a_while_and_only_for_somebody_who_can_come() -> None:
    def held(seconds: float, **changes: Any) -> str | None:
        given = {"refused": (), "ready": {"acc_r"}} | changes
        return pinned_to(WISH, NOW, 120, after(seconds), given["refused"], given["ready"])

    assert held(0) == held(119.9) == "acc_r" and held(120) is None
    assert held(0, ready=()) is None, "nobody waits for somebody who is not there"
    assert held(0, refused={"acc_r"}) is None
    assert pinned_to(None, NOW, 120, NOW, (), ()) is None


def test_what_the_campus_team_decided_stands_until_its_end() -> None:
    assert pinned_to(HOLD, NOW, 120, after(899), (), ()) == "acc_r"
    assert pinned_to(HOLD, NOW, 120, after(900), (), {"acc_r"}) is None
    assert pinned_to(HOLD, NOW, 120, NOW, {"acc_r"}, {"acc_r"}) is None, "never offered twice"


NORTH = Zone("fen_n", "cmp_1", AssignMode.GRAB)
SOUTH = Zone("fen_s", "cmp_1", AssignMode.DISPATCH, ("acc_a", "acc_b"))


def test_where_a_runner_works() -> None:
    zones = [NORTH, SOUTH]
    assert zones_of("acc_a", None, zones) is None
    assert zones_of("acc_x", None, zones) == {"fen_n"}, "the south is for others"
    assert zones_of("acc_a", ["fen_s"], zones) == {"fen_s"} and zones_of("acc_x", ["fen_s"], zones) == {"fen_n"}
    assert zones_of("acc_a", ["fen_gone"], zones) is None, "a zone that is no more binds nobody"
    assert zones_of("acc_a", None, []) is None


def test_of_zones_that_overlap_the_smallest_counts() -> None:
    center = Point(30.5, 114.4)
    corners = ((-1e-2, -1e-2), (-1e-2, 1e-2), (1e-2, 1e-2), (1e-2, -1e-2))
    square = Outline(tuple(Point(30.5 + lat, 114.4 + lon) for lat, lon in corners))
    small = Circle(center, 100)
    areas = Areas([Geofence("big", "", square), Geofence("small", "", small), Geofence("twin", "", small)], center)
    found = areas.at([center, Point(30.505, 114.4), Point(30.6, 114.4), Point(30.5, 114.41)])
    assert found == [1, 0, None, 0], "the edge is inside, and of equals the first counts"
    assert areas.at([]) == [] and Areas([], center).at([center]) == [None]
