"""A student: looks around the campus, asks for a price, orders, pays, follows the runner, confirms and rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from geo.point import Point

from .protocol import (
    Action,
    Answer,
    Arrived,
    Body,
    Call,
    Follow,
    Frame,
    Note,
    Started,
    Tell,
    Unfollow,
    Wake,
    Wish,
    Woke,
    event_of,
    snapshot_of,
)
from .walk import metres

_DELIVERED = ("delivered", "confirmed", "settled")
_OVER = ("cancelled", "closed")
#: Events after which the student looks at the order again.
_TELLING = (
    "payment_ready", "payment_failed", "order_paid", "task_assigned", "task_reassigned", "order_picked_up",
    "order_delivered", "order_cancelled", "order_closed", "task_reopened",
)  # fmt: skip
_ERRANDS = (
    ("parcel", 40, ("帮我取快递，取件码 8-2-3015", "Please fetch my parcel, code 5-1-2207")),
    ("meal", 35, ("二楼窗口的番茄牛腩饭，不要香菜", "One beef noodle soup, not spicy")),
    ("carry", 14, ("把充电器送到图书馆门口", "Take my charger to the library door")),
    ("queue", 6, ("帮我排队占打印机", "Queue for me at the print shop")),
    ("shop", 4, ("一提矿泉水和两包纸巾", "Six bottles of water and tissues")),
    ("help", 1, ("帮忙搬一箱书", "Help me move a box of books")),
)
SAFETY_LOOK_S = 240


@dataclass(frozen=True, slots=True)
class Habits:
    """How students behave; shares of 1."""

    cancels: float = 0.04
    lacks_money: float = 0.02
    confirms: float = 0.7
    rates: float = 0.6


@dataclass(frozen=True, slots=True)
class Place:
    id: str
    point: Point


@dataclass(frozen=True, slots=True)
class Student:
    """``todo``: what happens at the next waking; ``phase``: idle | choosing | ordered | received."""

    account_id: str
    campus_id: str
    habits: Habits = Habits()
    places: tuple[Place, ...] = ()
    phase: str = "idle"
    todo: str = ""
    draft: Body | None = None
    order_id: str = ""
    version: int = 0
    status: str = ""
    credential: str = ""
    has_paid: bool = False
    tries: int = 0
    is_pin_told: bool = False
    orders: int = 0

    @property
    def is_idle(self) -> bool:
        return self.phase == "idle"


Did = tuple[Student, tuple[Action, ...]]


def step(state: Student, arrived: Arrived, now_ms: int, luck: Random) -> Did:
    """One move of a student."""
    match arrived:
        case Started():
            return state, ()
        case Wish():
            return _wish(state, luck)
        case Answer():
            return _answered(state, arrived, now_ms, luck)
        case Woke():
            return _woke(state, now_ms, luck)
        case Frame():
            return _framed(state, arrived.frame, now_ms, luck)
        case _:
            return state, ()


def _wish(state: Student, luck: Random) -> Did:
    if not state.is_idle:
        return state, (Note("wish_dropped"),)
    if not state.places:
        path = f"/campuses/{state.campus_id}/places?limit=100"
        return replace(state, phase="choosing"), (Call("places", "GET", path),)
    draft = draw_errand(state.places, luck)
    return replace(state, phase="choosing", draft=draft, tries=0), (Call("quote", "POST", "/quotes", draft),)


def draw_errand(places: Sequence[Place], luck: Random) -> dict[str, Any]:
    """A request for a price: 30 % of the ways are shorter than 200 m, most shorter than 1 km."""
    code = luck.choices([e[0] for e in _ERRANDS], [e[1] for e in _ERRANDS])[0]
    target = luck.choice(places)
    stop = {"place_id": target.id, "floor": luck.choice((0, 0, 1, 2, 3, 5)), "detail": f"{luck.randint(101, 633)}"}
    if code == "help":
        return {"type_code": code, "stops": [], "wait_min": luck.choice((20, 30))}
    if code == "queue":
        return {"type_code": code, "stops": [stop], "wait_min": luck.choice((10, 15, 20))}
    band_m = luck.choices(((20, 200), (200, 600), (600, 1000), (1000, 2000)), (30, 40, 22, 8))[0]
    far_enough = [p for p in places if p.id != target.id and band_m[0] <= metres(p.point, target.point) <= band_m[1]]
    source = luck.choice(far_enough or [p for p in places if p.id != target.id] or places)
    errand: dict[str, Any] = {
        "type_code": code,
        "stops": [{"place_id": source.id}, stop],
        "weight_g": luck.choice((200, 500, 800, 1500, 3000)),
    }
    if code in ("meal", "shop"):
        errand["goods_cap_fen"] = luck.choice((1500, 2000, 2500, 4000))
    return errand


def _answered(state: Student, answer: Answer, now_ms: int, luck: Random) -> Did:
    match answer.name:
        case "places" if answer.is_ok:
            places = tuple(Place(p["id"], Point(p["lat"], p["lon"])) for p in answer.body)
            if len(places) < 2:
                return replace(state, phase="idle"), (Note("problem", text="fewer than two places on the campus"),)
            return _wish(replace(state, places=places, phase="idle"), luck)
        case "quote" if answer.is_ok and state.draft is not None:
            return _quoted(state, answer.body, luck)
        case "place" if answer.is_ok:
            return _placed(state, answer.body, now_ms, luck)
        case "place" if answer.status == 409 and state.draft is not None and state.tries < 2:
            # The coupon may be what has changed: whoever asks without one is told what there is.
            draft = {name: said for name, said in state.draft.items() if name != "coupon_id"}
            return replace(state, tries=state.tries + 1, draft=draft), (Call("quote", "POST", "/quotes", draft),)
        case "places" | "quote" | "place":
            return _idle(state), (Note("order_refused", text=answer.code or str(answer.status)),)
        case "order" | "confirm" | "cancel" | "look_before_cancel" if answer.is_ok:
            return _looked(state, answer, now_ms, luck)
        case "cancel":  # the price or the order changed meanwhile: let it come
            return _look(state)
        case "confirm":
            return _idle(state), (Unfollow(f"order:{state.order_id}"),)
        case "sandbox_pay" | "pay_again" | "order" if not answer.is_ok:
            return replace(state, todo="look"), (Wake(now_ms + 20_000),)
        case "rate":
            return _idle(state), (Unfollow(f"order:{state.order_id}"),)
    return state, ()


def _quoted(state: Student, quote: Body, luck: Random) -> Did:
    assert state.draft is not None
    coupons = quote.get("coupons") or ()
    if coupons and "coupon_id" not in state.draft:
        draft = {**state.draft, "coupon_id": coupons[0]["id"]}
        return replace(state, draft=draft), (Call("quote", "POST", "/quotes", draft),)
    return _place(state, quote, luck)


def _place(state: Student, quote: Body, luck: Random) -> Did:
    assert state.draft is not None
    words = next(errand[2] for errand in _ERRANDS if errand[0] == state.draft["type_code"])
    body = {
        **state.draft,
        "description": luck.choice(words),
        "expected_total_fen": quote["total_fen"],
        "channel": "sandbox",
    }
    key = f"{state.account_id}-{state.orders}-{luck.getrandbits(48):x}"
    return state, (Call("place", "POST", "/orders", body, key=key, expected=(409,)),)


def _placed(state: Student, order: Body, now_ms: int, luck: Random) -> Did:
    state = replace(
        state,
        phase="ordered",
        order_id=order["id"],
        orders=state.orders + 1,
        todo="look",
        tries=0,
        has_paid=False,
        credential="",
        is_pin_told=False,
        status="",
    )
    state, actions = _seen(state, order, now_ms, luck)
    return state, (Note("placed", order["id"]), Follow(f"order:{order['id']}"), *actions)


def _looked(state: Student, answer: Answer, now_ms: int, luck: Random) -> Did:
    order = answer.body
    if order.get("id") != state.order_id:
        return state, ()
    if answer.name == "look_before_cancel":
        price = order.get("cancel_price_fen")
        if order["status"] not in ("open", "assigned") or price is None:
            return _seen(state, order, now_ms, luck)
        body = {"reason": "不需要了", "version": order["version"], "expected_price_fen": price}
        return state, (Call("cancel", "POST", f"/orders/{state.order_id}/cancel", body, expected=(409,)),)
    return _seen(state, order, now_ms, luck)


def _seen(state: Student, order: Body, now_ms: int, luck: Random) -> Did:
    """What a student does at the sight of the order."""
    status = str(order["status"])
    if int(order["version"]) < state.version and status != state.status and state.status:
        return state, ()
    notes: list[Action] = [Note("status", state.order_id, text=status)] if status != state.status else []
    is_just_paid = status in ("open", "assigned") and state.status in ("", "awaiting_payment")
    state = replace(state, status=status, version=int(order["version"]))
    if order.get("pin") and not state.is_pin_told:
        state = replace(state, is_pin_told=True)
        notes.append(Tell(state.order_id, str(order["pin"])))
    if status in _OVER:
        return _idle(state), (*notes, Unfollow(f"order:{state.order_id}"))
    if status == "awaiting_payment":
        state, actions = _pay(state, order, now_ms, luck)
        return state, (*notes, *actions)
    if is_just_paid and luck.random() < state.habits.cancels:
        return replace(state, todo="cancel"), (*notes, Wake(now_ms + luck.randint(10, 240) * 1000))
    if status in _DELIVERED and state.phase == "ordered":
        does_confirm = status == "delivered" and luck.random() < state.habits.confirms
        todo = "confirm" if does_confirm else "rate"
        return replace(state, phase="received", todo=todo), (*notes, Wake(now_ms + luck.randint(15, 90) * 1000))
    if status in ("confirmed", "settled") and state.todo == "confirm":
        return replace(state, todo="rate"), (*notes, Wake(now_ms + luck.randint(5, 40) * 1000))
    if state.todo == "cancel" and status in ("open", "assigned"):
        return state, tuple(notes)
    return replace(state, todo=state.todo if state.phase == "received" else "look"), (
        *notes,
        *(() if state.phase == "received" else (Wake(now_ms + SAFETY_LOOK_S * 1000),)),
    )


def _pay(state: Student, order: Body, now_ms: int, luck: Random) -> Did:
    payment = order.get("payment") or {}
    credential = payment.get("credential") or {}
    token = str(credential.get("token", ""))
    if token and token != state.credential:
        state = replace(state, credential=token, todo="pay", has_paid=False)
        return state, (Wake(now_ms + luck.randint(2, 9) * 1000),)
    if payment.get("state") == "failed" and state.tries < 2:
        again = Call("pay_again", "POST", f"/orders/{state.order_id}/pay", {"channel": "sandbox"}, expected=(409,))
        return replace(state, tries=state.tries + 1, credential=""), (again,)
    if state.todo == "pay":
        return state, ()
    return replace(state, todo="look"), (Wake(now_ms + 15_000),)


def _woke(state: Student, now_ms: int, luck: Random) -> Did:
    todo, order = state.todo, f"/orders/{state.order_id}"
    state = replace(state, todo="look")
    match todo:
        case "pay":
            outcome = "insufficient" if state.tries == 0 and luck.random() < state.habits.lacks_money else "ok"
            body: dict[str, Any] = {"token": state.credential, "outcome": outcome}
            state = replace(state, has_paid=True, todo="look", tries=state.tries + (outcome != "ok"))
            call = Call("sandbox_pay", "POST", "/sandbox/pay", body, expected=(402, 409))
            return state, (Note("paying", state.order_id), call, Wake(now_ms + 30_000))
        case "cancel":
            return state, (Call("look_before_cancel", "GET", order), Wake(now_ms + SAFETY_LOOK_S * 1000))
        case "confirm":
            return replace(state, todo="confirm"), (Call("confirm", "POST", f"{order}/confirm", {}, expected=(409,)),)
        case "rate" if luck.random() < state.habits.rates:
            body = {
                "stars": luck.choices((5, 4, 3, 1), (70, 20, 8, 2))[0],
                "text": luck.choice(("", "很快!", "Thank you")),
            }
            return state, (Call("rate", "POST", f"{order}/rating", body, expected=(409,)),)
        case "rate":
            return _idle(state), (Unfollow(f"order:{state.order_id}"),)
        case "look" if state.phase == "ordered":
            return _look(state)
    return state, ()


def _framed(state: Student, frame: Body, now_ms: int, luck: Random) -> Did:
    if frame.get("topic") != f"order:{state.order_id}" or state.is_idle:
        return state, ()
    snapshot = snapshot_of(frame)
    if snapshot is not None:
        return _seen(state, snapshot, now_ms, luck)
    event = event_of(frame)
    if event is None or event[0] not in _TELLING:
        return state, ()
    kind, data = event
    note = Note(f"event_{kind}", state.order_id, float(frame.get("at", now_ms)))
    if isinstance(data.get("order"), dict):
        state, actions = _seen(state, data["order"], now_ms, luck)
        return state, (note, *actions)
    state, actions = _look(state)
    return state, (note, *actions)


def _look(state: Student) -> Did:
    return state, (Call("order", "GET", f"/orders/{state.order_id}"),)


def _idle(state: Student) -> Student:
    return replace(state, phase="idle", todo="", draft=None, status="", version=0, credential="", tries=0)
