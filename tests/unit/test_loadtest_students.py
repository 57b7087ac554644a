"""The simulated student as a pure state machine: orders, pays, follows, cancels, confirms, rates."""

from __future__ import annotations

from random import Random

from loadtest.actors import student
from loadtest.actors.protocol import Answer, Call, Follow, Frame, Note, Started, Tell, Unfollow, Wake, Wish, Woke
from loadtest.actors.walk import metres, moved
from tests.actor_life import HOME, ORDER, PLACES, Life, calls, event, of, order


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


def test_a_student_who_has_a_coupon_uses_it_and_orders_without_when_it_is_gone() -> None:
    life = wishing()
    life.gets(Wish())
    life.gets(Answer("places", 200, PLACES))
    (again,) = of(Call, life.gets(Answer("quote", 200, {"total_fen": 700, "coupons": [{"id": "cou_1"}]})))
    assert again.path == "/quotes" and again.body["coupon_id"] == "cou_1"
    (place,) = of(Call, life.gets(Answer("quote", 200, {"total_fen": 650, "coupons": [{"id": "cou_1"}]})))
    assert (place.body["expected_total_fen"], place.body["coupon_id"]) == (650, "cou_1")
    (again,) = of(Call, life.gets(Answer("place", 409, {"error": {"code": "coupon_gone"}})))
    assert "coupon_id" not in again.body
    (place,) = of(Call, life.gets(Answer("quote", 200, {"total_fen": 700, "coupons": []})))
    assert place.body["expected_total_fen"] == 700 and "coupon_id" not in place.body
