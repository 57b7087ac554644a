"""The campus team keeps an order that waits for one runner, before it is offered to anybody."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.errors import NotAvailable, NotFound, StaleVersion, WrongState
from ..model.event import EventKind
from ..model.order import Order
from ..model.pin import Pin, PinKind
from ..model.shift_requests import HoldOrder
from ..model.shift_views import HoldView
from ..model.task import TAKEABLE, Task, TaskMove, TaskStatus, next_status
from ..store.unit_of_work import UnitOfWork
from .cancel_order import withdraw_offer
from .context import Context
from .escalate import END_PIN
from .order_view import ms
from .reassign_task import check_runner
from .tell import tell


async def hold(ctx: Context, who: Principal, order_id: str, request: HoldOrder) -> HoldView:
    """Keep an order that waits for one runner: nobody else is offered it or may take it. Audited."""
    who.require(Permission.ORDERS_REASSIGN)

    def change(uow: UnitOfWork) -> HoldView:
        order, task = _waiting(uow, order_id)
        if order.version != request.version:
            raise StaleVersion(field="version", version=order.version)
        _check_runner(uow, request.runner_id, order, task)
        before = uow.pins.get(order_id)
        pending = uow.offers.pending_of_task(task.id)
        if pending is None or pending.runner_id != request.runner_id:
            withdraw_offer(uow, order, task)
            task = _reopened(uow, task)
        until = uow.now + timedelta(minutes=request.minutes)
        pin = Pin(uow.campus_id, order_id, PinKind.HOLD, request.runner_id, uow.now, who.account_id, until)
        uow.pins.save(pin)
        uow.jobs.schedule(END_PIN, order_id, until)
        shown = {"runner_id": pin.runner_id, "until_ms": ms(until)}
        uow.audit.add(who.account_id, "order.hold", order_id, request.reason, _shown(before), shown)
        tell(
            uow, EventKind.ORDER_HELD, order, task, actor_id=who.account_id, pinned_runner_id=pin.runner_id,
            until_ms=ms(until),
        )  # fmt: skip
        return HoldView(order_id=order_id, runner_id=pin.runner_id, until_ms=ms(until))

    view = await ctx.store.run(who.campus_id, change)
    ctx.announce()
    await ctx.bus.wake("planner")
    return view


async def release(ctx: Context, who: Principal, order_id: str) -> None:
    """Keep it for nobody any more; audited."""
    who.require(Permission.ORDERS_REASSIGN)

    def change(uow: UnitOfWork) -> None:
        order, task = _waiting(uow, order_id)
        before = uow.pins.get(order_id)
        if before is None:
            raise NotFound("this order is kept for nobody", id=order_id)
        uow.pins.remove(order_id)
        uow.jobs.cancel(END_PIN, order_id)
        uow.audit.add(who.account_id, "order.release", order_id, "", _shown(before), None)
        tell(uow, EventKind.ORDER_FREED, order, task, actor_id=who.account_id)

    await ctx.store.run(who.campus_id, change)
    ctx.announce()
    await ctx.bus.wake("planner")


def _waiting(uow: UnitOfWork, order_id: str) -> tuple[Order, Task]:
    order, task = uow.orders.get(order_id), uow.tasks.by_order(order_id)
    if task is None or task.status not in TAKEABLE:
        raise WrongState("only an order that nobody has can be kept for somebody", status=str(order.status))
    return order, task


def _reopened(uow: UnitOfWork, task: Task) -> Task:
    """The task without the offer that was just withdrawn; a planner that has it in hand is too late."""
    status = TaskStatus.OPEN if task.status is TaskStatus.OPEN else next_status(task.status, TaskMove.WITHDRAW)
    opened = replace(task, status=status, version=task.version + 1, offer_id=None)
    uow.tasks.save(opened)
    return opened


def _check_runner(uow: UnitOfWork, runner_id: str, order: Order, task: Task) -> None:
    """Somebody who can have it at all: a break or a class may be over in time, having refused it is for good."""
    check_runner(uow, runner_id, order)
    if runner_id in uow.escalations.refused_by(task.id):
        raise NotAvailable("this runner has refused it", field="runner_id", reason="offered_before")


def _shown(pin: Pin | None) -> dict[str, object] | None:
    if pin is None:
        return None
    return {"kind": str(pin.kind), "runner_id": pin.runner_id, "until_ms": None if pin.until is None else ms(pin.until)}
