"""An order that nobody takes climbs the ladder: each step is told once, and whoever is free is called now and then."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ..model.campus import CampusSettings
from ..model.escalation import Escalation, Rung, waits_since
from ..model.event import EventKind
from ..model.order import Order
from ..model.pin import pin_ends
from ..model.task import TAKEABLE, Task
from ..store.unit_of_work import UnitOfWork
from .availability import TaskRules, rules_of_order
from .campus_ground import CampusGround
from .raise_alert import raise_alert
from .tell import tell

#: Kinds of the jobs that look whether the next step has begun, and whether a pin has ended.
ESCALATE, END_PIN = "escalate", "end_pin"
FIRST_LOOK = timedelta(seconds=20)
#: An order lets another call before it, and looks again so much later.
_TURN = timedelta(seconds=5)
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
#: The kind of the alert that the campus team gets.
UNASSIGNED = "unassigned"


def begin_waiting(uow: UnitOfWork, order: Order, task: Task, *, is_again: bool = False) -> None:
    """The order waits for a runner from now on; ``is_again``: one was taken from it, and the ladder begins anew.

    Most orders are taken before the first look; from then on the campus's settings say when the next one is.
    """
    if is_again:
        uow.escalations.save(Escalation(order.campus_id, order.id, uow.now))
        uow.pins.remove(order.id)
    uow.jobs.schedule(ESCALATE, order.id, uow.now + FIRST_LOOK)


def look_again(uow: UnitOfWork, order_id: str) -> None:
    """The order was refused once more, which may begin the next step."""
    uow.jobs.schedule(ESCALATE, order_id, uow.now)


def escalate(uow: UnitOfWork, order_id: str, ground: CampusGround) -> None:
    """Tell the steps that have begun, call, and look again when the next thing is due."""
    order, task = uow.orders.get(order_id), uow.tasks.by_order(order_id)
    if task is None or task.status not in TAKEABLE:
        uow.escalations.remove(order_id)
        return
    settings = ground.campus.settings
    known = uow.escalations.get(order_id)
    rules = rules_of_order(uow, settings, task, order)
    told = known or Escalation(order.campus_id, order.id, task.opened_at)
    for number in range(told.told + 1, rules.number + 1):
        _tell_step(uow, order, task, settings.ladder.rung(number), rules)
    told = replace(told, told=max(told.told, rules.number))
    told, call_at = _call(uow, order, task, settings, rules, told)
    if told != known and (known is not None or told.told):
        uow.escalations.save(told)
    _watch_pin(uow, order, rules)
    since = waits_since(task, order, told)
    upcoming = [at for at in (settings.ladder.next_at(since, rules.number), call_at) if at is not None]
    if upcoming:
        uow.jobs.schedule(ESCALATE, order_id, max(min(upcoming), uow.now + timedelta(seconds=1)))


def _tell_step(uow: UnitOfWork, order: Order, task: Task, rung: Rung, rules: TaskRules) -> None:
    waited_s = round((uow.now - rules.since).total_seconds())
    tell(uow, EventKind.ORDER_ESCALATED, order, task, step=str(rung.step), waited_s=waited_s, refusals=rules.refusals)
    if rung.is_alert:
        code = order.id[-6:]
        raise_alert(
            uow,
            UNASSIGNED,
            order.id,
            f"订单 {code} 已等待 {waited_s // 60} 分钟,无人接单(被拒 {rules.refusals} 次)",
            f"Nobody has taken order {code} for {_many(waited_s // 60, 'minute')} ({_many(rules.refusals, 'refusal')})",
            order,
        )
    if rung.is_choice:
        tell(uow, EventKind.WAIT_OR_CANCEL, order, task, waited_s=waited_s)


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _call(
    uow: UnitOfWork, order: Order, task: Task, settings: CampusSettings, rules: TaskRules, told: Escalation
) -> tuple[Escalation, datetime | None]:
    """Call whoever is free, unless the campus was called a moment ago; and when to try next."""
    ladder = settings.ladder
    if not rules.rung.is_called or rules.pinned is not None or told.calls >= ladder.calls_most:
        return told, None
    last = uow.escalations.last_call()
    gap = timedelta(seconds=ladder.call_gap_s)
    if last is not None and uow.now < last + gap:
        return told, last + gap
    if _is_others_turn(uow, settings, told):
        return told, uow.now + _TURN
    tell(uow, EventKind.ORDER_CALLED, order, task)
    return replace(told, calls=told.calls + 1, called_at=uow.now), uow.now + gap


def _is_others_turn(uow: UnitOfWork, settings: CampusSettings, told: Escalation) -> bool:
    """Whether another order that may call waits longer for its call."""
    ladder, pins = settings.ladder, uow.pins.of_waiting()
    return any(
        ladder.rung(other.told).is_called and other.calls < ladder.calls_most and other.order_id not in pins
        for other in uow.escalations.of_waiting().values()
        if other.order_id != told.order_id and (other.called_at or _NEVER) < (told.called_at or _NEVER)
    )


def _watch_pin(uow: UnitOfWork, order: Order, rules: TaskRules) -> None:
    if rules.pinned_until is not None and uow.jobs.due_at(END_PIN, order.id) is None:
        uow.jobs.schedule(END_PIN, order.id, rules.pinned_until)


def end_pin(uow: UnitOfWork, order_id: str, ground: CampusGround) -> None:
    """The order is kept for nobody any more: the hall hears of it."""
    order, task, pin = uow.orders.get(order_id), uow.tasks.by_order(order_id), uow.pins.get(order_id)
    if pin is None or task is None or task.status not in TAKEABLE:
        return
    since = waits_since(task, order, uow.escalations.get(order_id))
    ends = pin_ends(pin, since, ground.campus.settings.wish_s)
    if uow.now < ends:
        uow.jobs.schedule(END_PIN, order_id, ends)
        return
    uow.pins.remove(order_id)
    tell(uow, EventKind.ORDER_FREED, order, task)
