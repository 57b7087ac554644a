"""The simulated runner as a pure state machine: on duty, walks, reports, answers offers, carries to the door."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from geo.point import Point, distance_m
from loadtest.actors import runner, runner_state
from loadtest.actors.protocol import Answer, Ask, Call, Follow, Frame, Heard, Note, SendFix, Started, Wake, Woke
from loadtest.actors.walk import Way, moved
from tests.actor_life import HOME, ORDER, Life, calls, event, of, order

SHOP, DOOR = moved(HOME, 100, 0), moved(HOME, 100, 100)


def carried_order(status: str = "assigned", **more: Any) -> dict[str, Any]:
    stops = [
        {"role": "pickup", "lat": SHOP.lat, "lon": SHOP.lon},
        {"role": "dropoff", "lat": DOOR.lat, "lon": DOOR.lon},
    ]
    return order(status, stops=stops, runner={"id": "acc_r"}) | more


def on_duty(**habits: Any) -> Life:
    calm = {"declines": 0.0, "ignores": 0.0, "wrong_pin": 0.0, "photo": 0.0} | habits
    start = runner_state.Runner("acc_r", "cmp", Way(HOME), runner_state.Habits(**calm), photo=b"png")
    life = Life(runner, start)
    actions = life.gets(Started())
    assert of(Follow, actions) == [Follow("runner:acc_r")] and calls(actions) == ["duty"]
    life.gets(Frame({"t": "welcome", "report_every_ms": 500, "time_scale": 10.0}))
    assert life.state.report_every_ms == 5000, "the server asks in real milliseconds"
    life.gets(Answer("duty", 200, {"orders": [], "offers": [], "is_on_duty": True, "report_every_ms": 500}))
    return life


def walk_until(life: Life, name: str, most_s: int = 600) -> Call:
    """Let time pass second by second until the runner makes that call."""
    for _ in range(most_s):
        for call in of(Call, life.gets(Woke(), 1000)):
            if call.name == "track":
                life.gets(Answer("track", 200, {"path": []}, call.subject))
            elif call.name == name:
                return call  # type: ignore[no-any-return]
    raise AssertionError(f"no {name} within {most_s} s")


def taken(**habits: Any) -> Life:
    life = on_duty(**habits)
    offered = event("task_offered", "runner:acc_r", offer={"id": "ofr_1"})
    assert of(Note, life.gets(offered)) == [Note("offered", ORDER)]
    accept = walk_until(life, "accept", 10)
    assert accept.path == "/offers/ofr_1/accept"
    assert of(Note, life.gets(Answer("accept", 200, carried_order()))) == [Note("accepted", ORDER)]
    return life


def at_the_door(**habits: Any) -> Life:
    life = taken(**habits)
    walk_until(life, "arrived")
    assert distance_m(life.state.way.here, SHOP) < 5
    life.gets(Answer("arrived", 200, carried_order(), ORDER))
    walk_until(life, "picked_up")
    life.gets(Answer("picked_up", 200, carried_order("carrying"), ORDER))
    walk_until(life, "arrived")
    assert distance_m(life.state.way.here, DOOR) < 5
    life.gets(Answer("arrived", 200, carried_order("carrying"), ORDER))
    return life


def asks(life: Life, most_s: int = 300) -> bool:
    return any(of(Ask, life.gets(Woke(), 1000)) for _ in range(most_s))


def test_a_runner_carries_an_order_from_the_offer_to_the_door() -> None:
    life = at_the_door()
    assert asks(life)
    (delivered,) = of(Call, life.gets(Heard(ORDER, "0412")))
    assert delivered.body["pin"] == "0412"
    assert of(Note, life.gets(Answer("delivered", 200, order("delivered"), ORDER))) == [Note("handed_over", ORDER)]
    assert life.state.carried == () and life.state.delivered == 1


def test_fixes_flow_at_the_rhythm_that_the_server_asks_for() -> None:
    life = on_duty()
    fixes = [fix for _ in range(60) for fix in of(SendFix, life.gets(Woke(), 1000))]
    assert 11 <= len(fixes) <= 13
    assert all(a.at_ms < b.at_ms for a, b in pairwise(fixes))


def fixes_in(life: Life, seconds: int) -> list[SendFix]:
    """Driven as a driver does it: woken whenever it asked to be."""
    found: list[SendFix] = []
    wake_ms, end_ms = life.now, life.now + seconds * 1000
    while wake_ms < end_ms:
        actions = life.gets(Woke(), wake_ms - life.now)
        found += of(SendFix, actions)
        wake_ms = of(Wake, actions)[-1].at_ms
    life.now = end_ms
    return found


def report(every_ms: int, distance_m: int) -> Frame:
    return Frame({"t": "report", "every_ms": every_ms, "distance_m": distance_m})


def test_the_hub_says_how_often_an_idle_runner_reports() -> None:
    life = on_duty()
    life.gets(report(1000, 50))
    assert life.state.report_every_ms == 10_000, "every real second, at ten times the speed"
    assert 5 <= len(fixes_in(life, 60)) <= 7
    assert life.state.report_every_ms == 10_000
    view = {"orders": [], "is_on_duty": True, "report_every_ms": 500}
    life.gets(Frame({"t": "snapshot", "topic": "runner:acc_r", "data": view}))
    assert life.state.report_every_ms == 10_000, "the hub knows better than the books"
    life.gets(report(300, 50))
    assert 18 <= len(fixes_in(life, 60)) <= 21


def test_who_walks_far_reports_sooner_and_who_stands_does_not() -> None:
    life = on_duty()
    life.gets(report(6000, 10))
    life.state = replace(life.state, way=Way(HOME, (moved(HOME, 100, 0),)), home=None, speed_mps=2.0)
    fixes_in(life, 1)
    walked = fixes_in(life, 40)
    assert 7 <= len(walked) <= 9, "80 m in steps of 10, long before the minute is over"
    gaps_m = [distance_m(Point(a.lat, a.lon), Point(b.lat, b.lon)) for a, b in pairwise(walked)]
    assert max(gaps_m) < 10 + 2 * 12, "a phone is a few metres off"
    fixes_in(life, 15)
    assert len(fixes_in(life, 120)) == 2, "there: every minute"


def test_a_new_connection_begins_with_its_own_word() -> None:
    life = on_duty()
    life.gets(report(1000, 50))
    life.gets(Frame({"t": "welcome", "report_every_ms": 500, "time_scale": 10.0}))
    assert (life.state.report_every_ms, life.state.report_distance_m) == (5000, 0.0)


def test_a_wrong_code_is_followed_by_the_right_one() -> None:
    life = at_the_door(wrong_pin=1.0)
    assert asks(life)
    (first,) = of(Call, life.gets(Heard(ORDER, "0412")))
    assert first.body["pin"] == "0413"
    assert calls(life.gets(Answer("delivered", 422, None, ORDER))) == ["look"]
    assert asks(life)
    (second,) = of(Call, life.gets(Heard(ORDER, "0412")))
    assert second.body["pin"] == "0412"


def test_nobody_at_the_door_ends_in_a_photo() -> None:
    life = at_the_door()
    for _ in range(2):
        assert asks(life)
        assert of(Call, life.gets(Heard(ORDER, None))) == []
    assert asks(life)
    (photo,) = of(Call, life.gets(Heard(ORDER, None)))
    assert photo.image == b"png"
    (delivered,) = of(Call, life.gets(Answer("photo", 200, {"id": "pho_1"}, ORDER)))
    assert delivered.body["photo_id"] == "pho_1"


def test_some_hand_over_by_photo_at_once() -> None:
    life = at_the_door(photo=1.0)
    assert walk_until(life, "photo").image == b"png"
    assert life.gets(Heard("ord_other", "1")) is not None


def test_goods_are_bought_within_the_cap() -> None:
    life = on_duty()
    life.gets(Answer("grab", 200, carried_order(quote={"goods_cap_fen": 2000})))
    walk_until(life, "arrived")
    life.gets(Answer("arrived", 200, {}, ORDER))
    body = walk_until(life, "picked_up").body
    assert body is not None and 1200 <= body["goods_actual_fen"] <= 2000


@pytest.mark.parametrize(("habit", "name"), [("declines", "decline"), ("ignores", "")])
def test_some_offers_are_declined_or_ignored(habit: str, name: str) -> None:
    life = on_duty(**{habit: 1.0})
    life.gets(event("task_offered", "runner:acc_r", offer={"id": "ofr_1"}))
    made = [call for _ in range(12) for call in calls(life.gets(Woke(), 1000))]
    assert made == ([name] if name else []) and life.state.offer_id == ""


def test_several_offers_are_answered_one_after_the_other() -> None:
    life = on_duty()
    for number in (1, 2, 3, 2):
        life.gets(event("task_offered", "runner:acc_r", offer={"id": f"ofr_{number}"}))
    assert (life.state.offer_id, life.state.offers_after) == ("ofr_1", ("ofr_2", "ofr_3"))
    life.gets(event("offer_withdrawn", "runner:acc_r", offer_id="ofr_2"))
    assert (life.state.offer_id, life.state.offers_after) == ("ofr_1", ("ofr_3",))
    made = [action for _ in range(12) for action in of(Call, life.gets(Woke(), 1000)) if "/offers/" in action.path]
    assert [call.path for call in made] == ["/offers/ofr_1/accept", "/offers/ofr_3/accept"]
    life.gets(Answer("state", 200, {"orders": [], "offers": [{"id": "ofr_4"}, {"id": "ofr_5"}]}))
    life.gets(event("offer_expired", "runner:acc_r", offer_id="ofr_4"))
    assert (life.state.offer_id, life.state.offers_after) == ("ofr_5", ())


def test_an_offer_that_is_gone_is_not_answered() -> None:
    life = on_duty()
    life.gets(event("task_offered", "runner:acc_r", offer={"id": "ofr_1"}))
    life.gets(event("offer_expired", "runner:acc_r"))
    assert [call for _ in range(12) for call in calls(life.gets(Woke(), 1000))] == []
    assert calls(life.gets(event("task_offered", "runner:acc_r"))) == ["state"], "an offer without its text is fetched"
    life.gets(Answer("state", 200, {"orders": [], "offers": [{"id": "ofr_2"}]}))
    assert life.state.offer_id == "ofr_2"
    assert of(Note, life.gets(Answer("accept", 409, {"error": {"code": "offer_expired"}}))) == [
        Note("accept_lost", text="offer_expired")
    ]


def test_what_is_taken_away_is_dropped_on_the_spot() -> None:
    life = taken()
    life.gets(Woke(), 1000)
    assert of(Note, life.gets(event("task_reassigned", "runner:acc_r", taken_away=True))) == [Note("taken_away", ORDER)]
    assert life.state.carried == () and life.state.target == ""
    assert life.gets(Answer("picked_up", 409, None, ORDER)) is not None


def test_a_forced_order_is_looked_at_and_taken_up() -> None:
    life = on_duty()
    assert calls(life.gets(event("task_assigned", "runner:acc_r"))) == ["look"]
    life.gets(Answer("look", 200, carried_order("carrying"), ORDER))
    assert [stop.role for stop in life.state.carried[0].stops] == ["dropoff"]
    life.gets(Answer("look", 404, None, ORDER))
    assert life.state.carried == ()


def test_after_a_gap_the_server_says_what_is_carried() -> None:
    life = taken()
    other = carried_order() | {"id": "ord_2"}
    life.gets(Frame({"t": "snapshot", "topic": "runner:acc_r", "data": {"orders": [other], "is_on_duty": True}}))
    assert [c.order_id for c in life.state.carried] == ["ord_2"]
    actions = life.gets(Frame({"t": "snapshot", "topic": "runner:acc_r", "data": {"orders": [], "is_on_duty": False}}))
    assert calls(actions) == ["duty"]


def test_an_order_without_stops_is_done_where_one_stands() -> None:
    life = on_duty()
    life.gets(Answer("accept", 200, carried_order() | {"stops": []}))
    walk_until(life, "arrived", 5)
    assert calls(life.gets(Answer("arrived", 409, None, ORDER))) == ["look"]
    assert asks(life)


def test_a_refused_pick_up_is_tried_again_in_a_moment() -> None:
    life = taken()
    walk_until(life, "arrived")
    life.gets(Answer("arrived", 200, {}, ORDER))
    walk_until(life, "picked_up")
    assert calls(life.gets(Answer("picked_up", 0, None, ORDER))) == ["look"]
    assert walk_until(life, "picked_up", 20)


def test_who_looks_into_the_hall_grabs_the_nearest() -> None:
    life = on_duty(grabs_every_s=60)
    walk_until(life, "hall", 5)
    items = [{"order_id": "far", "pickup_m": 900}, {"order_id": "near", "pickup_m": 90}]
    (grab,) = of(Call, life.gets(Answer("hall", 200, {"items": items})))
    assert grab.path == "/orders/near/grab"
    assert of(Note, life.gets(Answer("grab", 409, {"error": {"code": "already_taken"}})))
    assert life.gets(Answer("hall", 200, {"items": []})) is not None


def test_who_may_not_come_on_duty_says_so_and_stays_still() -> None:
    life = Life(runner, runner_state.Runner("acc_r", "cmp", Way(HOME)))
    life.gets(Started())
    (note,) = of(Note, life.gets(Answer("duty", 403, {"error": {"code": "not_approved"}})))
    assert "not_approved" in note.text
    assert [fix for _ in range(30) for fix in of(SendFix, life.gets(Woke(), 1000))] == []


def test_an_idle_runner_strolls_near_home() -> None:
    start = runner_state.new_runner("acc_r", "cmp", HOME, Random(5), "e_bike")
    life = Life(runner, start)
    life.gets(Started())
    life.gets(Answer("duty", 200, {"orders": []}))
    for _ in range(400):
        life.gets(Woke(), 1000)
    assert distance_m(start.way.here, life.state.way.here) > 0
    assert distance_m(HOME, life.state.way.here) < 500
