"""Alarms, delays, visits and geotags: the rules alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dispatch.model.alarm import AlarmRules, Finding, Heading, Trail, is_astray, look_at_hand, next_of
from dispatch.model.alert import Alert
from dispatch.model.delay import Delay, is_delayed, is_news
from dispatch.model.money import Fen
from dispatch.model.order import Order, OrderStatus
from dispatch.model.quote import Quote
from dispatch.model.stop import Stop, StopRole
from dispatch.model.task import Task, TaskStatus
from dispatch.model.visit import StopVisit, geotag, is_ahead, stop_ahead
from geo.point import LocalPlane, Point

NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
HERE = Point(39.9, 116.3)
PLANE = LocalPlane(HERE)
RULES = AlarmRules()
SHOP = Stop(StopRole.PICKUP, *PLANE.point(1000, 0), "shop")
DOOR = Stop(StopRole.DROPOFF, *PLANE.point(2000, 0), "door")
QUEUE = Stop(StopRole.PLACE, *HERE, "queue")


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def order_of(status: OrderStatus = OrderStatus.ASSIGNED, **changes: Any) -> Order:
    quote = Quote(
        lines=(), service_fen=Fen(100), goods_cap_fen=Fen(0), distance_m=1000, duration_s=600,
        arrive_from=NOW, arrive_by=NOW, rule_version="1",
    )  # fmt: skip
    values: dict[str, Any] = {
        "id": "ord_1", "campus_id": "cmp_1", "student_id": "acc_s", "type_code": "parcel", "status": status,
        "version": 3, "quote": quote, "stops": (SHOP, DOOR), "description": "", "weight_g": 1, "placed_at": NOW,
        "promised_at": later(1800), "runner_id": "acc_r", "assigned_at": NOW,
    }  # fmt: skip
    return Order(**values | changes)


def task_of(status: TaskStatus = TaskStatus.ASSIGNED) -> Task:
    return Task("tsk_1", "cmp_1", "ord_1", status, 1, "acc_r", NOW)


class Hand:
    """One runner with one errand, walking along a line; the shop is at 1000 m, the door at 2000 m."""

    def __init__(self, **changes: Any) -> None:
        self.order, self.task = order_of(**changes), task_of()
        self.trail: Trail | None = None
        self.now = NOW

    def pick_up(self) -> None:
        self.task = task_of(TaskStatus.CARRYING)
        self.order = replace(self.order, status=OrderStatus.CARRYING, picked_up_at=self.now)

    def see(self, east_m: float, after_s: float, accuracy_m: float = 5.0) -> list[Finding]:
        self.now += timedelta(seconds=after_s)
        place = PLANE.point(east_m, 0)
        if self.trail is None:
            self.trail = Trail(place, self.now, self.now, accuracy_m)
        else:
            self.trail.move(place, self.now, accuracy_m)
        stop = next_of(self.task, self.order)
        assert stop is not None
        away_m = abs(PLANE.xy(Point(stop.lat, stop.lon))[0] - east_m)
        heading = Heading(self.task, self.order, stop, away_m)
        return look_at_hand("acc_r", [(self.task, self.order)], [heading], self.trail, RULES, self.now)

    def wait(self, after_s: float) -> list[Finding]:
        """Nothing is heard of the runner."""
        self.now += timedelta(seconds=after_s)
        return look_at_hand("acc_r", [(self.task, self.order)], [], self.trail, RULES, self.now)


def kinds(findings: list[Finding]) -> list[str]:
    return [one.kind for one in findings]


def test_who_does_not_set_out_is_told_of_after_the_grace() -> None:
    hand = Hand()
    assert hand.see(0, 1) == [] and hand.see(5, 299) == []
    (late,) = hand.see(0, 2)
    assert (late.kind, late.figure, late.subject_id) == ("late_departure", 5, "ord_1:acc_r")
    assert hand.see(60, 10) == [], "and then they went"


def test_who_waits_at_the_shop_has_set_out() -> None:
    hand = Hand()
    hand.see(0, 1)
    hand.see(930, 120)
    assert hand.see(930, 170) == [] and hand.see(930, 170) == [] and hand.see(930, 170) == []


def test_an_order_for_later_need_not_be_set_out_for_before_it_is_ready() -> None:
    hand = Hand(pickup_after=later(3600))
    for _ in range(22):
        assert hand.see(0, 170) == []
    assert hand.now > later(3600) and kinds(hand.see(0, 170)) == ["late_departure"]


def test_who_stands_with_something_in_hand_is_told_of() -> None:
    hand = Hand()
    hand.see(1000, 1)
    hand.see(1000, 150)
    hand.pick_up()
    assert [kinds(hand.see(1000, 150)) for _ in range(5)] == [[], [], [], [], ["stopped"]]
    assert hand.see(1100, 100) == []
    hand.now += timedelta(seconds=100)
    assert hand.see(1140, 100) == [], "the count begins anew where they stand now"


def test_a_dot_that_trembles_stands() -> None:
    hand = Hand()
    hand.pick_up()
    found = [kinds(hand.see(1500 + (-1) ** n * 40, 30, 40.0)) for n in range(23)]
    assert found[-1] == ["stopped"]


def test_who_goes_away_from_where_they_should_go_is_told_of() -> None:
    hand = Hand()
    assert hand.see(0, 1) == [] and hand.see(400, 60) == []
    assert hand.see(160, 60) == [] and hand.see(145, 60) == []
    (astray,) = hand.see(100, 60)
    assert (astray.kind, astray.figure) == ("off_course", 295)
    assert hand.see(100, 60, 100.0) == [], "a coarse reading may be wrong by as much as it says"
    hand.pick_up()
    assert hand.see(100, 30) == [], "to another stop it may be the right way"


def test_who_goes_to_another_stop_of_theirs_is_not_astray() -> None:
    trail = Trail(HERE, NOW, NOW, 5.0)
    other = order_of(id="ord_2")

    def look(to_shop_m: float, to_other_m: float) -> int | None:
        headings = [Heading(task_of(), order_of(), SHOP, to_shop_m), Heading(task_of(), other, SHOP, to_other_m)]
        return is_astray(trail, headings, RULES)

    assert look(500, 900) is None and look(900, 500) is None, "away from the one, towards the other"
    assert look(1400, 900) == 395, "away from both"
    assert trail.nearest_m == {("ord_1", "pickup"): 500, ("ord_2", "pickup"): 500}
    assert is_astray(trail, [Heading(task_of(), other, SHOP, 700)], RULES) is None
    assert list(trail.nearest_m) == [("ord_2", "pickup")], "what is over is forgotten"


def test_whose_phone_is_silent_is_told_of_and_nothing_else_is_guessed() -> None:
    hand = Hand()
    hand.see(0, 1)
    assert hand.wait(180) == []
    (silent,) = hand.wait(1)
    assert (silent.kind, silent.figure) == ("runner_silent", 3)
    never = Hand()
    assert never.wait(180) == [] and kinds(never.wait(1)) == ["runner_silent"], "not seen since they took it"
    assert kinds(hand.see(0, 30)) == [], "heard again"


@pytest.mark.parametrize(
    ("status", "stops", "role"),
    [
        (TaskStatus.ASSIGNED, (SHOP, DOOR), "pickup"),
        (TaskStatus.AT_PICKUP, (SHOP, DOOR), "pickup"),
        (TaskStatus.CARRYING, (SHOP, DOOR), "dropoff"),
        (TaskStatus.AT_DROPOFF, (SHOP, DOOR), "dropoff"),
        (TaskStatus.ASSIGNED, (QUEUE,), "place"),
        (TaskStatus.AT_PICKUP, (QUEUE,), "place"),
        (TaskStatus.ASSIGNED, (DOOR,), "dropoff"),
        (TaskStatus.ASSIGNED, (), None),
        (TaskStatus.DONE, (SHOP, DOOR), None),
        (TaskStatus.OPEN, (SHOP, DOOR), None),
    ],
)
def test_the_stop_ahead(status: TaskStatus, stops: tuple[Stop, ...], role: str | None) -> None:
    stop = stop_ahead(stops, status)
    assert (stop and str(stop.role)) == role
    order = order_of(stops=stops)
    assert role is None or is_ahead(order, task_of(status), StopRole(role), "acc_r")
    assert not is_ahead(order, task_of(status), StopRole.PICKUP, "acc_other")


def visit_of(**changes: Any) -> StopVisit:
    return StopVisit("cmp_1", "ord_1", StopRole.PICKUP, "acc_r", "parcel", NOW, **changes)


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({}, None),
        ({"arrived_at": NOW}, None),
        ({"done_at": NOW}, None),
        ({"arrived_at": NOW, "done_at": later(90)}, 90),
        ({"arrived_at": NOW, "confirmed_at": later(30), "done_at": later(90)}, 90),
        ({"confirmed_at": later(30), "done_at": later(90)}, 60),
        ({"arrived_at": NOW, "left_at": later(60), "done_at": later(900)}, 60),
        ({"arrived_at": later(100), "left_at": later(60), "done_at": later(160)}, 60),
        ({"arrived_at": later(100), "done_at": later(90)}, 0),
    ],
)
def test_the_seconds_at_a_stop(changes: dict[str, Any], seconds: float | None) -> None:
    assert visit_of(**changes).service_s == seconds


def test_who_has_left_is_not_there() -> None:
    assert not visit_of().is_there and visit_of(arrived_at=NOW).is_there
    assert not visit_of(arrived_at=NOW, left_at=NOW).is_there
    assert visit_of(arrived_at=later(1), left_at=NOW).is_there


@pytest.mark.parametrize(
    ("east_m", "accuracy_m", "is_far"),
    [(1000, None, False), (1251, None, True), (1249, None, False), (1300, 100, False), (1351, 100, True)],
)
def test_a_tap_is_far_beyond_doubt_or_not_at_all(east_m: float, accuracy_m: float | None, is_far: bool) -> None:
    tag = geotag(PLANE.point(east_m, 0), accuracy_m, SHOP, 250)
    assert tag.is_far is is_far and tag.distance_m == pytest.approx(east_m - 1000, abs=2)


def test_a_delay_is_news_once_and_again_when_it_moves() -> None:
    promised = later(600)
    assert not is_delayed(promised, later(660), NOW) and is_delayed(promised, later(661), NOW)
    assert is_delayed(promised, later(600), later(601)), "a broken promise is one, whatever is expected"
    assert is_news(None, promised, later(700), NOW) and not is_news(None, promised, later(650), NOW)
    known = Delay("cmp_1", "ord_1", later(700), NOW, NOW, 1)
    assert not is_news(known, promised, later(1000), NOW) and is_news(known, promised, later(1001), NOW)
    assert not is_news(known, promised, later(400), NOW) and is_news(known, promised, later(399), NOW), "good news too"


@pytest.mark.parametrize(
    ("subject", "order_id"),
    [("ord_1", "ord_1"), ("ord_1:acc_2", "ord_1"), ("acc_2", None), ("settle:ord_1", None)],
)
def test_which_order_an_alert_is_about(subject: str, order_id: str | None) -> None:
    assert Alert("alr_1", "cmp_1", "stopped", subject, NOW, "", "").order_id == order_id
