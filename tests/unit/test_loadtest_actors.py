"""The simulated people as pure state machines: what arrives, what they do."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import pytest

from geo.point import Point, distance_m
from loadtest.actors import operator, runner, runner_state, student
from loadtest.actors.protocol import (
    Action,
    Answer,
    Ask,
    Call,
    Follow,
    Frame,
    Heard,
    Note,
    SendFix,
    Started,
    Tell,
    Unfollow,
    Wake,
    Wish,
    Woke,
)
from loadtest.actors.walk import Way, metres, moved, reading, way_to

NOW = 1_700_000_000_000
HOME = Point(30.5, 114.4)
PLACES = [{"id": f"p{i}", "lat": 30.5 + i * 0.001, "lon": 114.4} for i in range(8)]
ORDER = "ord_1"


class Life:
    """One person's state, moved by hand."""

    def __init__(self, module: Any, state: Any, seed: int = 1) -> None:
        self.module, self.state, self.luck, self.now = module, state, Random(seed), NOW

    def gets(self, arrived: Any, after_ms: int = 0) -> tuple[Action, ...]:
        self.now += after_ms
        self.state, actions = self.module.step(self.state, arrived, self.now, self.luck)
        return actions  # type: ignore[no-any-return]


def of(kind: type, actions: tuple[Action, ...]) -> list[Any]:
    return [action for action in actions if isinstance(action, kind)]


def calls(actions: tuple[Action, ...]) -> list[str]:
    return [call.name for call in of(Call, actions)]


def order(status: str, version: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": ORDER, "status": status, "version": version, "quote": {"goods_cap_fen": 0}, "stops": []} | more


def event(kind: str, topic: str = f"order:{ORDER}", **data: Any) -> Frame:
    return Frame({"t": "event", "topic": topic, "kind": kind, "at": NOW, "data": {"order_id": ORDER} | data})


# --- students


def wishing(**habits: float) -> Life:
    life = Life(student, student.Student("acc_s", "cmp", habits=student.Habits(**habits)))
    assert life.gets(Started()) == ()
    return life


def ordered(**habits: float) -> Life:
    """A student whose order was placed a moment ago."""
    life = wishing(**{"cancels": 0.0, "lacks_money": 0.0, "confirms": 1.0, "rates": 1.0} | habits)
    assert calls(life.gets(Wish())) == ["places"]
    (quote,) = of(Call, life.gets(Answer("places", 200, PLACES)))
    assert quote.path == "/quotes"
    (place,) = of(Call, life.gets(Answer("quote", 200, {"total_fen": 700})))
    assert place.body["expected_total_fen"] == 700 and place.key
    actions = life.gets(Answer("place", 202, order("awaiting_payment")))
    assert of(Follow, actions) == [Follow(f"order:{ORDER}")]
    assert Note("placed", ORDER) in actions
    return life


def paid() -> Life:
    life = ordered()
    assert calls(life.gets(event("payment_ready"))) == ["order"]
    ready = order("awaiting_payment", payment={"state": "pending", "credential": {"kind": "sandbox", "token": "tok"}})
    assert of(Wake, life.gets(Answer("order", 200, ready)))
    (pay,) = of(Call, life.gets(Woke(), 9_000))
    assert pay.body == {"token": "tok", "outcome": "ok"}
    return life


def test_a_student_orders_pays_follows_confirms_and_rates() -> None:
    life = paid()
    assert not life.state.is_idle
    life.gets(Answer("sandbox_pay", 202, {}))
    life.gets(event("order_paid", order=order("open", 2)))
    told = life.gets(event("task_assigned", order=order("assigned", 3, pin="0412")))
    assert of(Tell, told) == [Tell(ORDER, "0412")]
    assert not of(Tell, life.gets(event("order_picked_up", order=order("carrying", 4, pin="0412"))))
    assert of(Wake, life.gets(event("order_delivered", order=order("delivered", 5))))
    assert calls(life.gets(Woke(), 90_000)) == ["confirm"]
    assert of(Wake, life.gets(Answer("confirm", 200, order("confirmed", 6))))
    assert calls(life.gets(Woke(), 60_000)) == ["rate"]
    assert of(Unfollow, life.gets(Answer("rate", 200, order("confirmed", 7)))) == [Unfollow(f"order:{ORDER}")]
    assert life.state.is_idle and life.state.orders == 1
    assert calls(life.gets(Wish())) == ["quote"], "the places are known now"


def test_a_student_who_cannot_order_is_idle_again_and_says_why() -> None:
    life = wishing()
    life.gets(Wish())
    (note,) = of(Note, life.gets(Answer("places", 200, PLACES[:1])))
    assert note.kind == "problem" and life.state.is_idle
    life.gets(Wish())
    life.gets(Answer("places", 200, PLACES))
    (note,) = of(Note, life.gets(Answer("quote", 422, {"error": {"code": "outside_area"}})))
    assert (note.kind, note.text) == ("order_refused", "outside_area") and life.state.is_idle
    assert life.gets(Answer("nothing of ours", 200, None)) == ()


def test_a_price_that_changed_is_asked_again_twice_at_most() -> None:
    life = wishing()
    life.gets(Wish())
    life.gets(Answer("places", 200, PLACES))
    for _ in range(2):
        assert calls(life.gets(Answer("quote", 200, {"total_fen": 700}))) == ["place"]
        assert calls(life.gets(Answer("place", 409, {"error": {"code": "stale"}}))) == ["quote"]
    life.gets(Answer("quote", 200, {"total_fen": 700}))
    assert of(Note, life.gets(Answer("place", 409, None))) and life.state.is_idle


def test_a_busy_student_drops_the_wish() -> None:
    assert of(Note, ordered().gets(Wish())) == [Note("wish_dropped")]


def test_without_money_the_student_pays_again() -> None:
    life = ordered(lacks_money=1.0)
    ready = order("awaiting_payment", payment={"state": "pending", "credential": {"token": "tok"}})
    life.gets(Answer("order", 200, ready))
    (pay,) = of(Call, life.gets(Woke(), 9_000))
    assert pay.body["outcome"] == "insufficient"
    failed = order("awaiting_payment", payment={"state": "failed", "credential": None})
    assert calls(life.gets(event("payment_failed"))) == ["order"]
    assert calls(life.gets(Answer("order", 200, failed))) == ["pay_again"]
    again = order("awaiting_payment", payment={"state": "pending", "credential": {"token": "tok2"}})
    life.gets(Answer("order", 200, again))
    (pay,) = of(Call, life.gets(Woke(), 9_000))
    assert pay.body == {"token": "tok2", "outcome": "ok"}
    assert of(Wake, life.gets(Answer("order", 200, again))), "it is looked at again until it is paid"


def test_a_student_cancels_at_the_price_that_is_shown() -> None:
    life = ordered(cancels=1.0)
    life.gets(event("order_paid", order=order("open", 2)))
    assert calls(life.gets(Woke(), 240_000)) == ["look_before_cancel"]
    (cancel,) = of(Call, life.gets(Answer("look_before_cancel", 200, order("assigned", 3, cancel_price_fen=100))))
    assert cancel.body == {"reason": "不需要了", "version": 3, "expected_price_fen": 100}
    assert calls(life.gets(Answer("cancel", 409, None))) == ["order"], "something changed: look again"
    actions = life.gets(Answer("order", 200, order("cancelled", 4)))
    assert of(Unfollow, actions) and life.state.is_idle


def test_who_is_on_the_way_is_not_cancelled() -> None:
    life = ordered(cancels=1.0)
    life.gets(event("order_paid", order=order("open", 2)))
    life.gets(Woke(), 240_000)
    assert "cancel" not in calls(life.gets(Answer("look_before_cancel", 200, order("carrying", 3))))


def test_no_news_for_a_while_means_looking() -> None:
    life = paid()
    assert calls(life.gets(Woke(), 240_000)) == ["order"]
    assert of(Wake, life.gets(Answer("order", 0, None))), "no answer: later again"
    assert life.gets(Answer("order", 200, {"id": "ord_other", "status": "open", "version": 1})) == ()
    assert life.gets(Frame({"t": "event", "topic": "order:other", "kind": "order_paid", "data": {}})) == ()
    assert life.gets(event("order_rated")) == ()


def test_a_student_who_does_not_rate_just_leaves() -> None:
    life = ordered(rates=0.0, confirms=0.0)
    life.gets(Frame({"t": "snapshot", "topic": f"order:{ORDER}", "data": order("delivered", 5)}))
    assert of(Unfollow, life.gets(Woke(), 90_000)) and life.state.is_idle


def test_a_confirmation_that_fails_is_left_to_the_server() -> None:
    life = ordered()
    life.gets(event("order_delivered", order=order("delivered", 5)))
    life.gets(Woke(), 90_000)
    assert of(Unfollow, life.gets(Answer("confirm", 409, None))) and life.state.is_idle


def test_errands_have_the_lengths_and_kinds_of_a_campus() -> None:
    luck, places = Random(3), [student.Place(f"p{i}", moved(HOME, i * 37, i % 7 * 90)) for i in range(60)]
    at = {place.id: place.point for place in places}
    drawn = [student.draw_errand(places, luck) for _ in range(800)]
    kinds = {errand["type_code"] for errand in drawn}
    assert kinds == {"parcel", "meal", "carry", "queue", "shop", "help"}
    ways = [metres(*(at[s["place_id"]] for s in e["stops"])) for e in drawn if len(e["stops"]) == 2]
    assert 0.2 < sum(way <= 200 for way in ways) / len(ways) < 0.4
    assert sum(way <= 1000 for way in ways) / len(ways) > 0.85
    assert all(("goods_cap_fen" in e) == (e["type_code"] in ("meal", "shop")) for e in drawn)


# --- runners

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
    life.gets(Answer("duty", 200, {"orders": [], "offer": None, "is_on_duty": True, "report_every_ms": 500}))
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


def test_an_offer_that_is_gone_is_not_answered() -> None:
    life = on_duty()
    life.gets(event("task_offered", "runner:acc_r", offer={"id": "ofr_1"}))
    life.gets(event("offer_expired", "runner:acc_r"))
    assert [call for _ in range(12) for call in calls(life.gets(Woke(), 1000))] == []
    assert calls(life.gets(event("task_offered", "runner:acc_r"))) == ["state"], "an offer without its text is fetched"
    life.gets(Answer("state", 200, {"orders": [], "offer": {"id": "ofr_2"}}))
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


# --- operators


def looking() -> Life:
    life = Life(operator, operator.Operator("acc_o", "cmp"))
    assert of(Follow, life.gets(Started())) == [Follow("console:cmp")]
    return life


def test_an_operator_reassigns_and_sometimes_takes_it_back() -> None:
    life = looking()
    assert calls(life.gets(Woke())) == ["console"], "nothing is carried yet"
    life.gets(event("task_assigned", "console:cmp"))
    seen: set[str] = set()
    for _ in range(60):
        seen |= set(calls(life.gets(Woke(), 150_000)))
    assert seen == {"options", "why", "search"}
    options = [
        {"runner_id": "acc_1", "is_current": True, "cost_s": 1},
        {"runner_id": "acc_2", "is_current": False, "cost_s": 50},
        {"runner_id": "acc_3", "is_current": False, "cost_s": 20, "excluded": "stale_position"},
    ]
    undone = 0
    for version in range(40):
        body = {"version": version, "options": options}
        (reassign,) = of(Call, life.gets(Answer("options", 200, body, ORDER)))
        assert reassign.body["runner_id"] == "acc_2" and reassign.body["version"] == version
        life.gets(Answer("reassign", 200, {"version": version + 1}, ORDER))
        if life.state.undo:
            (undo,) = of(Call, life.gets(Woke(), 5_000))
            assert (undo.name, undo.body) == ("undo", {"version": version + 1})
            undone += 1
    assert 3 < undone < 20
    assert life.gets(Answer("options", 200, {"version": 1, "options": options[:1]}, ORDER)) == ()
    assert of(Note, life.gets(Answer("reassign", 409, None, ORDER))) == [Note("reassign_lost", ORDER)]


def test_an_operator_answers_alerts_and_forgets_what_is_done() -> None:
    life = looking()
    data = {
        "orders": [{"id": "a", "status": "assigned"}, {"id": "b", "status": "open"}],
        "alerts": [{"id": "al_1", "is_acknowledged": False}, {"id": "al_2", "is_acknowledged": True}],
    }
    (seen,) = of(Call, life.gets(Frame({"t": "snapshot", "topic": "console:cmp", "data": data})))
    assert seen.path == "/alerts/al_1/acknowledge"
    assert life.state.live == ("a",)
    life.gets(Frame({"t": "event", "kind": "order_picked_up", "data": {"order_id": "a"}}))
    assert life.state.live == ()
    life.gets(Frame({"t": "event", "kind": "order_rated", "data": {"order_id": "a"}}))
    assert life.gets(Heard("a", None)) == () and life.gets(Frame({"t": "closed"})) == ()


# --- walking


def test_a_way_is_walked_point_by_point() -> None:
    way = Way(HOME, (moved(HOME, 100, 0), moved(HOME, 100, 50)))
    assert metres(HOME, way.after(40).here) == pytest.approx(40, rel=0.01)
    assert way.after(120).ahead == way.ahead[1:]
    assert way.after(10_000).is_there and way.after(10_000).here == way.ahead[1]


def test_a_path_that_goes_on_is_left_at_the_stop() -> None:
    path = [moved(HOME, north, 0) for north in (-50, 0, 100, 200, 300)]
    stop = moved(HOME, 198, 3)
    way = way_to(HOME, stop, path)
    assert way.ahead == (path[1], path[2], path[3], stop)
    assert way_to(HOME, stop).ahead == (stop,)


def test_a_phone_is_a_few_metres_off_and_says_so() -> None:
    luck, way = Random(2), Way(HOME, (moved(HOME, 0, 100),))
    fixes = [reading(way, NOW, 1.35, luck) for _ in range(200)]
    assert all(distance_m(HOME, Point(fix.lat, fix.lon)) < 2 * fix.acc for fix in fixes)
    assert fixes[0].brg == pytest.approx(90, abs=1) and fixes[0].spd == 1.35
    assert reading(Way(HOME), NOW, 1.35, luck).spd == 0.0
