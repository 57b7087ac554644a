"""The errand was received: the student confirms (or a day passes) and rates, and the money's waiting time begins."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from ..access.principal import Principal
from ..model.errors import NotFound, StaleVersion, WrongState
from ..model.event import EventKind
from ..model.order import Order, OrderMove, OrderStatus, next_status
from ..model.requests import ConfirmOrder, RateOrder
from ..model.views import OrderView
from ..store.unit_of_work import UnitOfWork
from .campus_ground import CampusGround
from .context import Context
from .move_credit import credit_rating
from .read_orders import read_one
from .tell import tell

_RATEABLE = frozenset({OrderStatus.DELIVERED, OrderStatus.CONFIRMED, OrderStatus.SETTLED})


async def confirm(ctx: Context, who: Principal, order_id: str, request: ConfirmOrder) -> OrderView:
    """Confirm the receipt. Confirming twice is confirming once."""
    ground = await ctx.grounds.get(who.campus_id)

    def change(uow: UnitOfWork) -> OrderView:
        order = _own(uow, order_id, who)
        if order.status not in (OrderStatus.CONFIRMED, OrderStatus.SETTLED):
            if request.version is not None and request.version != order.version:
                raise StaleVersion(field="version", version=order.version)
            confirm_in(uow, order, ground, actor_id=who.account_id)
        return read_one(uow, order_id, who, ground, ctx.options.undo_ttl).view

    view = await ctx.store.run(who.campus_id, change)
    ctx.announce()
    return view


def confirm_in(uow: UnitOfWork, order: Order, ground: CampusGround, *, actor_id: str | None) -> None:
    """Confirm within the caller's transaction and start the waiting time of the money."""
    confirmed = replace(
        order, status=next_status(order.status, OrderMove.CONFIRM), version=order.version + 1, confirmed_at=uow.now
    )
    uow.orders.save(confirmed)
    uow.jobs.cancel("auto_confirm", order.id)
    uow.jobs.schedule("settle", order.id, uow.now + timedelta(seconds=ground.campus.settings.settle_after_s))
    tell(uow, EventKind.ORDER_CONFIRMED, confirmed, uow.tasks.by_order(order.id), actor_id=actor_id)


async def rate(ctx: Context, who: Principal, order_id: str, request: RateOrder) -> OrderView:
    """Rate once; the same rating again is the same rating."""
    ground = await ctx.grounds.get(who.campus_id)

    def change(uow: UnitOfWork) -> OrderView:
        order = _own(uow, order_id, who)
        if order.status not in _RATEABLE:
            raise WrongState("rate it when it has been delivered", status=str(order.status))
        if order.rating is None:
            rated = replace(order, version=order.version + 1, rating=request.stars, rating_text=request.text)
            uow.orders.save(rated)
            tell(
                uow,
                EventKind.ORDER_RATED,
                rated,
                uow.tasks.by_order(order.id),
                actor_id=who.account_id,
                stars=request.stars,
            )
            credit_rating(uow, rated, ground.campus.settings)
        elif (order.rating, order.rating_text) != (request.stars, request.text):
            raise WrongState("this order has been rated")
        return read_one(uow, order_id, who, ground, ctx.options.undo_ttl).view

    view = await ctx.store.run(who.campus_id, change)
    ctx.announce()
    return view


def _own(uow: UnitOfWork, order_id: str, who: Principal) -> Order:
    order = uow.orders.get(order_id)
    if order.student_id != who.account_id:
        raise NotFound(id=order_id)
    return order
