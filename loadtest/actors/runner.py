"""A runner: on duty, streams fixes while walking, answers offers, picks up and delivers with the student's code."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from geo.point import Point

from . import savings
from .protocol import (
    Action,
    Answer,
    Arrived,
    Ask,
    Body,
    Call,
    Follow,
    Frame,
    Heard,
    Note,
    Started,
    Wake,
    Woke,
    event_of,
    snapshot_of,
)
from .runner_state import NEAR_M, Carried, Did, Habits, Runner, Stop
from .walk import Way, metres, moved, reading, way_to

ARRIVED_M = 4.0
#: Offers that wait to be looked at.
MOST_OFFERS = 8
MOST_ASKS = 3


def step(state: Runner, arrived: Arrived, now_ms: int, luck: Random) -> Did:
    """One move of a runner."""
    actions: tuple[Action, ...]
    match arrived:
        case Started():
            duty = Call("duty", "POST", "/runner/duty", {"is_on": True, "vehicle": state.vehicle})
            state = replace(state, moved_at_ms=now_ms, fix_due_ms=now_ms + luck.randint(0, state.report_every_ms))
            return state, (Follow(f"runner:{state.account_id}"), duty, Wake(state.fix_due_ms))
        case Woke():
            state, actions = _on(state, now_ms, luck)
        case Answer():
            state, actions = _answered(state, arrived, now_ms, luck)
        case Heard():
            state, actions = _heard(state, arrived, now_ms, luck)
        case Frame():
            state, actions = _framed(state, arrived.frame, now_ms, luck)
        case _:
            return state, ()
    return state, (*actions, Wake(_next_ms(state, now_ms)))


def _next_ms(state: Runner, now_ms: int) -> int:
    times = [state.fix_due_ms, _far_ms(state, now_ms), *(c.until_ms for c in state.carried if c.until_ms)]
    if state.offer_id:
        times.append(state.decide_at_ms)
    return max(now_ms + 20, min(times))


def _far_ms(state: Runner, now_ms: int) -> int:
    """When this runner will have moved as far as is worth a report; never, for one who stands."""
    if not state.is_on_duty or not state.report_distance_m or state.reported is None or state.way.is_there:
        return state.fix_due_ms
    left_m = state.report_distance_m - metres(state.reported, state.way.here)
    return now_ms + int(max(0.0, left_m) / state.speed_mps * 1000) + 1


def _is_fix_due(state: Runner, now_ms: int) -> bool:
    if now_ms >= state.fix_due_ms:
        return True
    if not state.report_distance_m or state.reported is None:
        return False
    return metres(state.reported, state.way.here) >= state.report_distance_m


# --- time passes


def _on(state: Runner, now_ms: int, luck: Random) -> Did:
    """Walk on, report, decide, and act where the way ends."""
    actions: list[Action] = []
    walked_m = state.speed_mps * max(0, now_ms - state.moved_at_ms) / 1000
    state = replace(state, way=state.way.after(walked_m), moved_at_ms=now_ms)
    if state.is_on_duty and _is_fix_due(state, now_ms):
        fix = reading(state.way, max(now_ms, state.fixed_at_ms + 1), state.speed_mps, luck)
        due_ms = now_ms + state.report_every_ms
        state = replace(state, fix_due_ms=due_ms, fixed_at_ms=fix.at_ms, reported=state.way.here)
        actions.append(fix)
    elif now_ms >= state.fix_due_ms:
        state = replace(state, fix_due_ms=now_ms + state.report_every_ms)
    if state.offer_id and now_ms >= state.decide_at_ms:
        state, did = _decide(state, luck)
        actions += did
    for carried in state.carried:
        if carried.until_ms and now_ms >= carried.until_ms and not carried.is_waiting:
            state, did = _handled(state, carried, luck)
            actions += did
    if state.way.is_there:
        state, did = _arrive(state)
        actions += did
    state, did = _look_around(state, now_ms, luck)
    return state, (*actions, *did)


def _decide(state: Runner, luck: Random) -> Did:
    offer_id, choice = state.offer_id, luck.random()
    # The next one of the same round is looked at while this answer is on its way.
    following = state.offers_after[0] if state.offers_after else ""
    state = replace(state, offer_id=following, offers_after=state.offers_after[1:])
    if choice < state.habits.declines:
        call = Call("decline", "POST", f"/offers/{offer_id}/decline", {"reason": "太远了"}, expected=(404, 409, 410))
        return state, (Note("declined"), call)
    if choice < state.habits.declines + state.habits.ignores:
        return state, (Note("ignored"),)
    return state, (Call("accept", "POST", f"/offers/{offer_id}/accept", {}, expected=(404, 409, 410)),)


def _arrive(state: Runner) -> Did:
    """The way is walked: say so at the stop it led to."""
    if state.is_asking_way or not state.target:
        return state, ()
    carried = next((c for c in state.carried if c.order_id == state.target), None)
    state = replace(state, target="")
    if carried is None or carried.stage != "going" or carried.is_waiting:
        return state, ()
    call = Call("arrived", "POST", f"/orders/{carried.order_id}/arrived", _tap(state), subject=carried.order_id)
    return _with(state, replace(carried, is_waiting=True)), (replace(call, expected=(404, 409)),)


def _handled(state: Runner, carried: Carried, luck: Random) -> Did:
    """The time at the stop is over: pick up, or ask for the code."""
    carried = replace(carried, until_ms=0, is_waiting=True)
    order_id, stop = carried.order_id, carried.stops[0] if carried.stops else None
    if stop is not None and stop.role == "pickup":
        body = _tap(state)
        if carried.goods_cap_fen:
            body["goods_actual_fen"] = int(carried.goods_cap_fen * luck.uniform(0.6, 1.0))
        call = Call("picked_up", "POST", f"/orders/{order_id}/picked-up", body, subject=order_id, expected=(404, 409))
        return _with(state, carried), (call,)
    if state.photo and luck.random() < state.habits.photo:
        call = Call("photo", "POST", f"/orders/{order_id}/photos", subject=order_id, image=state.photo)
        return _with(state, carried), (call,)
    return _with(state, replace(carried, asks=carried.asks + 1)), (Ask(order_id),)


def _look_around(state: Runner, now_ms: int, luck: Random) -> Did:
    """Choose where to go: the nearest next stop, or a stroll near home."""
    if state.target or not state.way.is_there:
        return state, ()
    if any(c.stage == "at_stop" or c.is_waiting for c in state.carried):
        return state, ()
    goals = state.carried
    if goals:
        here = state.way.here
        goal = min(goals, key=lambda c: metres(here, c.stops[0].point) if c.stops else 0.0)
        state = replace(state, target=goal.order_id)
        if not goal.stops or metres(here, goal.stops[0].point) <= ARRIVED_M:
            return _arrive(state)
        return state, (
            Call("track", "GET", f"/orders/{goal.order_id}/track", subject=goal.order_id, expected=(404, 409)),
        )
    if not state.is_on_duty:
        return state, ()
    if state.habits.grabs_every_s and now_ms >= state.hall_at_ms:
        wait_ms = int(state.habits.grabs_every_s * luck.uniform(500, 1500))
        return replace(state, hall_at_ms=now_ms + wait_ms), (Call("hall", "GET", "/runner/hall"),)
    if state.home is not None and luck.random() < 0.1:
        stroll = moved(state.home, luck.uniform(-NEAR_M, NEAR_M), luck.uniform(-NEAR_M, NEAR_M))
        return replace(state, way=Way(state.way.here, (stroll,))), ()
    return state, ()


# --- what arrives


def _answered(state: Runner, answer: Answer, now_ms: int, luck: Random) -> Did:
    carried = next((c for c in state.carried if c.order_id == answer.subject), None)
    match answer.name:
        case "duty" if answer.is_ok:
            return _synced(replace(state, is_on_duty=True), answer.body, now_ms, luck)
        case "duty":
            text = f"cannot come on duty: {answer.code or answer.status}"
            return replace(state, fix_due_ms=now_ms + 30_000), (Note("problem", text=text),)
        case "accept" | "grab" if answer.is_ok:
            return _take(state, answer.body), (Note(f"{answer.name}ed", str(answer.body["id"])),)
        case "accept" | "grab":
            return state, (Note(f"{answer.name}_lost", text=answer.code),)
        case "state" if answer.is_ok:
            return _synced(state, answer.body, now_ms, luck)
        case "hall" if answer.is_ok and answer.body["items"] and not state.offer_id:
            near = min(answer.body["items"], key=lambda item: item.get("pickup_m") or 0)
            return state, (Call("grab", "POST", f"/orders/{near['order_id']}/grab", {}, expected=(403, 404, 409)),)
        case "look" if answer.is_ok:
            return _look_at(state, answer.body), ()
        case "look" if answer.status in (403, 404):
            return _drop(state, answer.subject), ()
        case "wallet" | "withdraw":
            return state, savings.answered(answer, luck)
    if carried is None:
        return state, ()
    match answer.name:
        case "track":
            return _with_way(state, carried, answer.body if answer.is_ok else {}), ()
        case "arrived":
            # Refused or not, the runner stands there: if the order is no longer theirs, the look says so.
            look = () if answer.is_ok else (_look(carried.order_id),)
            return _with(state, _waits(carried, now_ms, state.habits, luck)), look
        case "picked_up" | "delivered" | "photo" if not answer.is_ok:
            # Try again in a moment where that can help, and look at the order meanwhile.
            return _with(state, replace(carried, is_waiting=False, until_ms=now_ms + 15_000)), (
                _look(carried.order_id),
            )
        case "picked_up":
            return _with(state, _next_stop(carried)), (Note("picked_up", carried.order_id),)
        case "photo":
            body = {**_tap(state), "photo_id": answer.body["id"]}
            return state, (_delivered(carried.order_id, body),)
        case "delivered":
            state = replace(_drop(state, carried.order_id), delivered=state.delivered + 1)
            return state, (Note("handed_over", carried.order_id),)
    return state, ()


def _look(order_id: str) -> Call:
    return Call("look", "GET", f"/orders/{order_id}", subject=order_id, expected=(403, 404))


def _heard(state: Runner, heard: Heard, now_ms: int, luck: Random) -> Did:
    carried = next((c for c in state.carried if c.order_id == heard.order_id), None)
    if carried is None:
        return state, ()
    if heard.pin is None:
        if carried.asks >= MOST_ASKS and state.photo:
            call = Call(
                "photo", "POST", f"/orders/{carried.order_id}/photos", subject=carried.order_id, image=state.photo
            )
            return state, (call,)
        return _with(state, replace(carried, is_waiting=False, until_ms=now_ms + 30_000)), ()
    pin = heard.pin
    if carried.asks == 1 and luck.random() < state.habits.wrong_pin:
        pin = f"{(int(pin) + 1) % 10_000:04}"
    return state, (_delivered(carried.order_id, {**_tap(state), "pin": pin}),)


def _delivered(order_id: str, body: dict[str, object]) -> Call:
    path = f"/orders/{order_id}/delivered"
    return Call("delivered", "POST", path, body, subject=order_id, expected=(403, 404, 409, 422))


def _framed(state: Runner, frame: Body, now_ms: int, luck: Random) -> Did:
    snapshot = snapshot_of(frame)
    if snapshot is not None:
        return _synced(state, snapshot, now_ms, luck)
    if frame.get("t") == "welcome":
        state = replace(state, rate=float(frame.get("time_scale", 1.0)), is_told=False, report_distance_m=0.0)
        return _reporting(state, frame), ()
    if frame.get("t") == "report":
        return _told(state, frame, now_ms), ()
    event = event_of(frame)
    if event is None:
        return state, ()
    kind, data = event
    order_id = str(data.get("order_id", ""))
    is_mine = any(c.order_id == order_id for c in state.carried)
    if data.get("taken_away") or (kind in ("order_cancelled", "task_reopened") and is_mine):
        return _drop(state, order_id), (Note("taken_away", order_id),)
    if kind == "task_offered" and isinstance(data.get("offer"), dict):
        return _think(state, str(data["offer"]["id"]), now_ms, luck), (Note("offered", order_id),)
    if kind == "task_offered":
        return state, (Note("offered", order_id), Call("state", "GET", "/runner/state"))
    if kind in ("offer_expired", "offer_withdrawn"):
        return _forget_offer(state, str(data.get("offer_id", ""))), ()
    if kind in ("task_assigned", "task_reassigned") and not is_mine:
        return state, (_look(order_id),)
    return state, savings.settled(kind, state.habits.withdraws, luck)


def _synced(state: Runner, view: Body, now_ms: int, luck: Random) -> Did:
    """The server's word about this runner: what is carried, what is offered, how often to report."""
    state = _reporting(state, view)
    orders = view.get("orders") or ()
    held = {str(order["id"]) for order in orders}
    for carried in state.carried:
        if carried.order_id not in held and not carried.is_waiting:
            state = _drop(state, carried.order_id)
    for order in orders:
        state = _look_at(state, order)
    for offer in view.get("offers") or ():
        state = _think(state, str(offer["id"]), now_ms, luck)
    if not view.get("is_on_duty", True) and state.is_on_duty:
        return state, (Call("duty", "POST", "/runner/duty", {"is_on": True, "vehicle": state.vehicle}),)
    return state, ()


def _told(state: Runner, frame: Body, now_ms: int) -> Runner:
    """How often from now on; a report that is due later than that comes sooner."""
    every_ms = max(200, int(float(frame["every_ms"]) * state.rate))
    due_ms = min(state.fix_due_ms, now_ms + every_ms)
    far_m = float(frame.get("distance_m") or 0)
    return replace(state, report_every_ms=every_ms, report_distance_m=far_m, is_told=True, fix_due_ms=due_ms)


def _reporting(state: Runner, said: Body) -> Runner:
    """What the books and the welcome say holds until the hub says it better."""
    if state.is_told:
        return state
    every_ms = float(said.get("report_every_ms") or 0) * state.rate
    return replace(state, report_every_ms=max(200, int(every_ms))) if every_ms else state


def _think(state: Runner, offer_id: str, now_ms: int, luck: Random) -> Runner:
    """Look at an offer; while another is being looked at it waits its turn."""
    if offer_id == state.offer_id or offer_id in state.offers_after:
        return state
    if state.offer_id:
        return replace(state, offers_after=(*state.offers_after, offer_id)[-MOST_OFFERS:])
    low_s, high_s = state.habits.thinking_s
    return replace(state, offer_id=offer_id, decide_at_ms=now_ms + int(luck.uniform(low_s, high_s) * 1000))


def _forget_offer(state: Runner, offer_id: str) -> Runner:
    """It is no longer to be answered; without a name, the one that is looked at."""
    after = tuple(other for other in state.offers_after if other != offer_id)
    if offer_id in ("", state.offer_id):
        return replace(state, offer_id=after[0] if after else "", offers_after=after[1:])
    return replace(state, offers_after=after)


# --- what is carried


def _look_at(state: Runner, order: Body) -> Runner:
    """Take the order up, or let it go, as the server has it."""
    is_mine = order["status"] in ("assigned", "carrying") and (order.get("runner") or {}).get("id") == state.account_id
    known = any(c.order_id == order["id"] for c in state.carried)
    if is_mine and not known:
        return _take(state, order)
    return _drop(state, str(order["id"])) if known and not is_mine else state


def _take(state: Runner, order: Body) -> Runner:
    if any(c.order_id == order["id"] for c in state.carried):
        return state
    stops = tuple(Stop(str(s["role"]), Point(s["lat"], s["lon"]), int(s.get("floor") or 0)) for s in order["stops"])
    if order["status"] == "carrying":
        stops = tuple(s for s in stops if s.role != "pickup")
    cap = int((order.get("quote") or {}).get("goods_cap_fen") or 0)
    is_strolling = not state.target
    state = replace(state, carried=(*state.carried, Carried(str(order["id"]), stops, cap)))
    return replace(state, way=Way(state.way.here)) if is_strolling else state


def _drop(state: Runner, order_id: str) -> Runner:
    carried = tuple(c for c in state.carried if c.order_id != order_id)
    if state.target == order_id:
        return replace(state, carried=carried, target="", is_asking_way=False, way=Way(state.way.here))
    return replace(state, carried=carried)


def _with(state: Runner, carried: Carried) -> Runner:
    return replace(state, carried=tuple(carried if c.order_id == carried.order_id else c for c in state.carried))


def _with_way(state: Runner, carried: Carried, track: Body) -> Runner:
    if state.target != carried.order_id or not carried.stops:
        return state
    state = replace(state, is_asking_way=False)
    path = [Point(p[0], p[1]) for p in track.get("path") or ()]
    return replace(state, way=way_to(state.way.here, carried.stops[0].point, path))


def _waits(carried: Carried, now_ms: int, habits: Habits, luck: Random) -> Carried:
    spent_s = luck.uniform(*habits.handling_s)
    if carried.stops and carried.stops[0].floor > 1:
        spent_s += (carried.stops[0].floor - 1) * luck.uniform(*habits.storey_s)
    until_ms = now_ms + int(spent_s * 1000)
    return replace(carried, stage="at_stop", until_ms=until_ms, is_waiting=False)


def _next_stop(carried: Carried) -> Carried:
    return replace(carried, stops=carried.stops[1:], stage="going", until_ms=0, is_waiting=False)


def _tap(state: Runner) -> dict[str, object]:
    here = state.way.here
    return {"tapped_at_ms": state.moved_at_ms, "lat": round(here.lat, 7), "lon": round(here.lon, 7)}
