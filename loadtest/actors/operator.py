"""An operator: watches the console, asks why, answers alerts, and now and then gives an order to another runner."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from .protocol import Action, Answer, Arrived, Call, Follow, Frame, Note, Started, Wake, Woke, event_of, snapshot_of


@dataclass(frozen=True, slots=True)
class Operator:
    """``acts_every_s``: business seconds between two looks; ``live``: orders that a runner has, newest last."""

    account_id: str
    campus_id: str
    acts_every_s: int = 150
    live: tuple[str, ...] = ()
    undo: str = ""
    version: int = 0


Did = tuple[Operator, tuple[Action, ...]]
MOST_LIVE = 200
_REASONS = ("runner_unreachable", "runner_asked", "too_late", "other")


def step(state: Operator, arrived: Arrived, now_ms: int, luck: Random) -> Did:
    """One move of an operator."""
    match arrived:
        case Started():
            return state, (Follow(f"console:{state.campus_id}"), _next(state, now_ms, luck))
        case Woke():
            return _woke(state, now_ms, luck)
        case Frame(frame):
            snapshot = snapshot_of(frame)
            if snapshot is not None:
                live = tuple(o["id"] for o in snapshot.get("orders", ()) if o.get("status") == "assigned")
                alerts = [a["id"] for a in snapshot.get("alerts", ()) if not a.get("is_acknowledged")]
                seen = tuple(Call("acknowledge", "POST", f"/alerts/{a}/acknowledge", {}) for a in alerts[:3])
                return replace(state, live=live[-MOST_LIVE:]), seen
            event = event_of(frame)
            return (_told(state, *event), ()) if event is not None else (state, ())
        case Answer():
            return _answered(state, arrived, now_ms, luck)
        case _:
            return state, ()


def _told(state: Operator, kind: str, data: object) -> Operator:
    order_id = str(data.get("order_id", "")) if isinstance(data, dict) else ""
    if kind == "task_assigned" and order_id:
        return replace(state, live=(*(o for o in state.live if o != order_id), order_id)[-MOST_LIVE:])
    if kind in ("order_picked_up", "order_delivered", "order_cancelled", "task_reopened"):
        return replace(state, live=tuple(o for o in state.live if o != order_id))
    return state


def _woke(state: Operator, now_ms: int, luck: Random) -> Did:
    if state.undo:
        call = Call(
            "undo", "POST", f"/orders/{state.undo}/reassign/undo", {"version": state.version}, expected=(409, 410)
        )
        return replace(state, undo=""), (call, _next(state, now_ms, luck))
    if not state.live:
        return state, (Call("console", "GET", "/console"), _next(state, now_ms, luck))
    order_id = luck.choice(state.live)
    look = luck.random()
    if look < 0.45:
        call = Call("options", "GET", f"/orders/{order_id}/reassign-options", subject=order_id, expected=(409,))
    elif look < 0.8:
        call = Call("why", "GET", f"/orders/{order_id}/why", subject=order_id)
    else:
        call = Call("search", "GET", "/orders?scope=all&limit=20")
    return state, (call, _next(state, now_ms, luck))


def _answered(state: Operator, answer: Answer, now_ms: int, luck: Random) -> Did:
    if answer.name == "options" and answer.is_ok:
        others = [o for o in answer.body["options"] if not o["is_current"] and not o.get("excluded")]
        if not others:
            return state, ()
        # An operator takes one of the three that cost least.
        other = luck.choice(sorted(others, key=lambda o: o["cost_s"])[:3])
        body = {
            "runner_id": other["runner_id"],
            "version": answer.body["version"],
            "reason": luck.choice(_REASONS),
            "note": "",
        }
        path = f"/orders/{answer.subject}/reassign"
        return state, (Call("reassign", "POST", path, body, subject=answer.subject, expected=(409,)),)
    if answer.name == "reassign":
        note = Note("reassigned" if answer.is_ok else "reassign_lost", answer.subject)
        if answer.is_ok and luck.random() < 0.25:
            state = replace(state, undo=answer.subject, version=int(answer.body["version"]))
            return state, (note, Wake(now_ms + luck.randint(2, 8) * 1000))
        return state, (note,)
    return state, ()


def _next(state: Operator, now_ms: int, luck: Random) -> Wake:
    return Wake(now_ms + int(luck.uniform(0.5, 1.5) * state.acts_every_s * 1000))
