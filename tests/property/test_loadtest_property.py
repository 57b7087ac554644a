"""Whatever reaches the simulated people, in whatever order: they go on, ask for a time ahead, and repeat themselves."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.point import Point
from loadtest.actors import operator, runner, runner_state, student
from loadtest.actors.protocol import Answer, Frame, Heard, SendFix, Started, Wake, Wish, Woke
from loadtest.actors.walk import Way, metres
from loadtest.figures import Durations, TopicOrder

NOW = 1_700_000_000_000
HOME = Point(30.5, 114.4)
ORDERS = ("ord_1", "ord_2", "ord_3")
STATUSES = (
    "awaiting_payment",
    "open",
    "assigned",
    "carrying",
    "delivered",
    "confirmed",
    "settled",
    "cancelled",
    "closed",
)
KINDS = (
    "payment_ready", "payment_failed", "order_paid", "task_offered", "offer_expired", "offer_withdrawn",
    "task_assigned", "task_reassigned", "task_reopened", "order_picked_up", "order_delivered", "order_cancelled",
    "order_settled", "something_new",
)  # fmt: skip
NAMES = (
    "places", "quote", "place", "order", "confirm", "cancel", "look_before_cancel", "sandbox_pay", "pay_again", "rate",
    "duty", "accept", "decline", "grab", "hall", "look", "state", "track", "arrived", "picked_up", "delivered", "photo",
    "options", "reassign", "undo", "why", "console",
)  # fmt: skip

order_ids = st.sampled_from(ORDERS)
roles = st.sampled_from(("pickup", "dropoff", "place"))
stops = st.lists(
    st.builds(lambda role, north: {"role": role, "lat": 30.5 + north / 1e4, "lon": 114.4}, roles, st.integers(0, 30)),
    max_size=2,
)


@st.composite
def order_views(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "id": draw(order_ids),
        "status": draw(st.sampled_from(STATUSES)),
        "version": draw(st.integers(1, 9)),
        "quote": {"goods_cap_fen": draw(st.sampled_from((0, 1500)))},
        "stops": draw(stops),
        "runner": draw(st.sampled_from((None, {"id": "acc_me"}, {"id": "acc_other"}))),
        "pin": draw(st.sampled_from((None, "0412"))),
        "cancel_price_fen": draw(st.sampled_from((None, 0, 100))),
        "payment": draw(
            st.sampled_from(
                (None, {"state": "failed", "credential": None}, {"state": "pending", "credential": {"token": "t"}})
            )
        ),
    }


@st.composite
def bodies(draw: st.DrawFn, name: str) -> Any:
    """A body as the server gives it for that call."""
    match name:
        case "places":
            return [{"id": f"p{i}", "lat": 30.5 + i / 1000, "lon": 114.4} for i in range(draw(st.integers(0, 4)))]
        case "quote":
            return {"total_fen": 700}
        case "hall":
            return {"items": [{"order_id": o, "pickup_m": None} for o in draw(st.lists(order_ids, max_size=2))]}
        case "duty" | "state":
            offers = draw(st.lists(st.sampled_from(({"id": "ofr_1"}, {"id": "ofr_2"})), max_size=2))
            held = draw(st.lists(order_views(), max_size=2))
            return {"orders": held, "offers": offers, "is_on_duty": draw(st.booleans()), "report_every_ms": 500}
        case "track":
            return {"path": [[30.5 + i / 1e4, 114.4] for i in range(draw(st.integers(0, 5)))]}
        case "photo":
            return {"id": "pho_1"}
        case "options":
            return {"version": 1, "options": [{"runner_id": "acc_1", "is_current": draw(st.booleans()), "cost_s": 5}]}
        case _:
            return draw(order_views())


@st.composite
def arrivals(draw: st.DrawFn) -> Any:
    kind = draw(
        st.sampled_from(("started", "woke", "woke", "wish", "answer", "answer", "answer", "heard", "event", "snapshot"))
    )
    match kind:
        case "started":
            return Started()
        case "woke":
            return Woke()
        case "wish":
            return Wish()
        case "heard":
            return Heard(draw(order_ids), draw(st.sampled_from((None, "0412"))))
        case "answer":
            name = draw(st.sampled_from(NAMES))
            status = draw(st.sampled_from((200, 200, 200, 409, 404, 500, 0)))
            body = draw(bodies(name)) if status == 200 else {"error": {"code": "no"}}
            return Answer(name, status, body, draw(order_ids))
        case "event":
            order_id = draw(order_ids)
            data: dict[str, Any] = {"order_id": order_id}
            if draw(st.booleans()):
                data["order"] = draw(order_views())
            if draw(st.booleans()):
                data["offer"] = {"id": "ofr_2"}
            if draw(st.booleans()):
                data["taken_away"] = True
            topic = draw(st.sampled_from((f"order:{order_id}", "runner:acc_me", "console:cmp")))
            kind_of = draw(st.sampled_from(KINDS))
            return Frame({"t": "event", "topic": topic, "kind": kind_of, "at": NOW, "data": data})
        case _:
            view: Any = draw(st.one_of(order_views(), bodies("duty")))
            topic = f"order:{view['id']}" if "id" in view else "runner:acc_me"
            return Frame({"t": "snapshot", "topic": topic, "data": view})


def fits(who: str, arrived: Any) -> bool:
    """An order's topic carries orders to students, a runner's topic that runner's state."""
    if not isinstance(arrived, Frame) or arrived.frame["t"] != "snapshot":
        return True
    is_order = "id" in arrived.frame["data"]
    return is_order == (who == "student")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(arrivals(), st.integers(0, 120_000)), max_size=40),
    st.integers(0, 2**32),
    st.sampled_from(("student", "runner", "operator")),
)
def test_nobody_stumbles_and_the_same_luck_gives_the_same_life(steps: Any, seed: int, who: str) -> None:
    module, make = {
        "student": (student, lambda: student.Student("acc_me", "cmp")),
        "runner": (runner, lambda: runner_state.Runner("acc_me", "cmp", Way(HOME), photo=b"x", home=HOME)),
        "operator": (operator, lambda: operator.Operator("acc_me", "cmp")),
    }[who]
    lives = []
    for _ in range(2):
        state, luck, now, done, last_fix = make(), Random(seed), NOW, [], 0
        for arrived, passed_ms in steps:
            if not fits(who, arrived):
                continue
            now += passed_ms
            state, actions = module.step(state, arrived, now, luck)
            for action in actions:
                if isinstance(action, Wake):
                    assert action.at_ms >= now - 1
                if isinstance(action, SendFix):
                    assert action.at_ms > last_fix
                    last_fix = action.at_ms
            done.append((state, actions))
        lives.append(done)
    assert lives[0] == lives[1]


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=300), st.sampled_from((0.5, 0.95, 0.99, 1.0)))
def test_percentiles_are_within_a_bucket(values: list[float], share: float) -> None:
    held = Durations()
    for value in values:
        held.add(value)
    ranked = sorted(values)
    exact = ranked[max(0, -(-int(share * 100 * len(values)) // 100) - 1)]
    assert held.percentile(share) >= exact * 0.999 or held.percentile(share) == pytest.approx(held.highest)
    assert held.percentile(1.0) == pytest.approx(max(values))
    assert held.mean == pytest.approx(sum(values) / len(values))


@given(st.lists(st.integers(1, 12), max_size=40))
def test_every_hole_and_every_step_back_is_seen(offsets: list[int]) -> None:
    watch = TopicOrder()
    watch.followed("t", "e", 0, is_recovered=False)
    newest, holes, back, doubled = 0, 0, 0, 0
    for offset in offsets:
        is_new = watch.event("t", offset)
        assert is_new == (offset > newest)
        if offset > newest:
            holes += offset > newest + 1
            newest = offset
        else:
            doubled += offset == newest
            back += offset < newest
    assert (watch.holes, watch.back, watch.doubled) == (holes, back, doubled)


@given(st.floats(0, 5_000), st.floats(0, 5_000))
def test_walking_in_two_parts_is_walking_at_once(first_m: float, second_m: float) -> None:
    way = Way(HOME, (Point(30.501, 114.4), Point(30.501, 114.402), Point(30.5, 114.402)))
    assert metres(way.after(first_m).after(second_m).here, way.after(first_m + second_m).here) < 0.5
