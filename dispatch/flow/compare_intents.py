"""Compares orders with payment intents: what one side knows and the other does not becomes an alert."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from ..model.errors import NotFound
from ..model.order import Order, OrderStatus
from ..store.unit_of_work import UnitOfWork
from .context import Context
from .payment_view import intent_id

#: Business time that the two sides have to agree; commands and events take a moment.
GRACE = timedelta(minutes=10)
PAGE = 200

_PAID = frozenset({
    OrderStatus.OPEN, OrderStatus.ASSIGNED, OrderStatus.CARRYING, OrderStatus.DELIVERED, OrderStatus.CONFIRMED,
})  # fmt: skip


async def compare_intents(ctx: Context) -> list[str]:
    """Compare all unfinished orders; the ids of those whose money does not fit, each raised as an alert once."""
    wrong = []
    statuses = [*_PAID, OrderStatus.AWAITING_PAYMENT, OrderStatus.CANCELLED]
    for campus in await ctx.store.read_global(lambda unit: unit.campuses.all()):
        before: str | None = None
        while True:
            page = partial(_page, statuses, before)
            orders = await ctx.store.read(campus.id, page)
            for order in orders:
                problem = await _problem(ctx, order)
                if problem:
                    wrong.append(order.id)
                    await ctx.store.run(campus.id, partial(_raise, order, problem))
            if len(orders) < PAGE:
                break
            before = orders[-1].id
    return wrong


def _page(statuses: list[OrderStatus], before: str | None, uow: UnitOfWork) -> list[Order]:
    return uow.orders.page(statuses=statuses, limit=PAGE, before=before)


async def _problem(ctx: Context, order: Order) -> str | None:
    touched = order.cancelled_at or order.paid_at or order.placed_at
    if ctx.clock.now() - touched < GRACE:
        return None
    intent = await ctx.payments.view(intent_id(order.id))
    if intent is None:
        return "payments does not know this order"
    if order.status in _PAID and intent.state != "success":
        return f"the order is paid, the intent is {intent.state}"
    if order.status is OrderStatus.AWAITING_PAYMENT and intent.state == "success":
        return "the intent is paid, the order is not"
    if order.status in _PAID and intent.amount_fen != order.held_fen:
        return f"the order holds {order.held_fen} fen, the intent {intent.amount_fen}"
    return None


def _raise(order: Order, problem: str, uow: UnitOfWork) -> None:
    try:
        current = uow.orders.get(order.id)
    except NotFound:
        return
    # It moved while we compared: the next round looks again.
    if current.version == order.version:
        code = order.id[-6:]
        uow.alerts.raise_once(
            "money_mismatch", order.id, f"订单 {code} 与支付不一致:{problem}", f"Order {code}: {problem}"
        )
