"""An order is cancelled: by its student at a price shown before, by an operator, or because nobody paid."""

from __future__ import annotations

from dataclasses import replace

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.errors import InvalidInput, NotFound, StaleVersion, WrongState
from ..model.event import EventKind
from ..model.money import Fen
from ..model.offer import OfferStatus
from ..model.order import MOVES, Order, OrderMove, OrderStatus, next_status
from ..model.requests import CancelOrder, OperatorCancel
from ..model.task import Task, TaskMove
from ..model.task import next_status as next_task_status
from ..model.views import OrderView
from ..store.unit_of_work import UnitOfWork
from .campus_ground import CampusGround
from .cancel_price import cancel_price_fen
from .context import Context
from .offer_task import end_offer
from .read_orders import read_one
from .settle_order import command_give_back
from .tell import tell
from .use_coupons import return_coupon


async def cancel(ctx: Context, who: Principal, order_id: str, request: CancelOrder) -> OrderView:
    """The student cancels; refused where the price has changed since it was shown."""
    ground = await ctx.grounds.get(who.campus_id)

    def change(uow: UnitOfWork) -> OrderView:
        order = uow.orders.get(order_id)
        if order.student_id != who.account_id:
            raise NotFound(id=order_id)
        if order.status in (OrderStatus.CANCELLED, OrderStatus.CLOSED):
            return read_one(uow, order_id, who, ground, ctx.options.undo_ttl).view
        if order.version != request.version:
            raise StaleVersion(field="version", version=order.version)
        if order.status is OrderStatus.CARRYING:
            raise WrongState("it is on its way to you; ask the campus team", status=str(order.status))
        price = cancel_price_fen(order, ground.campus.settings.cancel, uow.now)
        if price is None:
            raise WrongState(f"an order that is {order.status} cannot be cancelled", status=str(order.status))
        if request.expected_price_fen is not None and request.expected_price_fen != price:
            raise StaleVersion("the price of cancelling has changed", field="expected_price_fen", price_fen=price)
        cancel_in(uow, order, ground, charge_fen=price, reason=request.reason, actor_id=who.account_id)
        return read_one(uow, order_id, who, ground, ctx.options.undo_ttl).view

    view = await ctx.store.run(who.campus_id, change)
    ctx.announce()
    return view


async def operator_cancel(ctx: Context, who: Principal, order_id: str, request: OperatorCancel) -> OrderView:
    """An operator cancels; what the runner keeps is the operator's decision, and audited."""
    who.require(Permission.ORDERS_REASSIGN)
    ground = await ctx.grounds.get(who.campus_id)

    def change(uow: UnitOfWork) -> OrderView:
        order = uow.orders.get(order_id)
        if order.version != request.version:
            raise StaleVersion(field="version", version=order.version)
        if (order.status, OrderMove.CANCEL) not in MOVES:
            raise WrongState(f"an order that is {order.status} cannot be cancelled", status=str(order.status))
        is_carried = order.runner_id is not None
        if request.charge_percent and not is_carried:
            raise InvalidInput("no runner has it: there is nobody to charge it for", field="charge_percent")
        charge = Fen(order.quote.service_fen * request.charge_percent // 100)
        uow.audit.add(
            who.account_id,
            "order.cancel",
            order.id,
            request.reason,
            {"status": str(order.status), "runner_id": order.runner_id},
            {"status": str(OrderStatus.CANCELLED), "charge_fen": charge},
        )
        cancel_in(uow, order, ground, charge_fen=charge, reason=request.reason, actor_id=who.account_id)
        return read_one(uow, order_id, who, ground, ctx.options.undo_ttl).view

    view = await ctx.store.run(who.campus_id, change)
    ctx.announce()
    return view


def cancel_in(
    uow: UnitOfWork, order: Order, ground: CampusGround, *, charge_fen: Fen, reason: str, actor_id: str | None
) -> Order:
    """Cancel within the caller's transaction: order, task, offer, jobs, money and the event, or none of it."""
    cancelled = replace(
        order,
        status=next_status(order.status, OrderMove.CANCEL),
        version=order.version + 1,
        cancelled_at=uow.now,
        cancel_reason=reason,
    )
    uow.orders.save(cancelled)
    task = uow.tasks.by_order(order.id)
    if task is not None:
        withdraw_offer(uow, cancelled, task)
        task = replace(
            task, status=next_task_status(task.status, TaskMove.CANCEL), version=task.version + 1, offer_id=None
        )
        uow.tasks.save(task)
    uow.jobs.cancel("expire_unpaid", order.id)
    uow.jobs.cancel("check_late", order.id)
    command_give_back(uow, cancelled, charge_fen, ground)
    return_coupon(uow, cancelled, charge_fen)
    tell(uow, EventKind.ORDER_CANCELLED, cancelled, task, actor_id=actor_id, reason=reason, charge_fen=charge_fen)
    return cancelled


def withdraw_offer(uow: UnitOfWork, order: Order, task: Task) -> None:
    """Take back the offer that waits for an answer, if there is one, and tell its runner."""
    offer = uow.offers.pending_of_task(task.id)
    if offer is None:
        return
    end_offer(uow, offer, OfferStatus.WITHDRAWN)
    tell(uow, EventKind.OFFER_WITHDRAWN, order, task, runner_id=offer.runner_id, offer_id=offer.id)
