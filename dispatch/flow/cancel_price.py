"""What it costs a student to cancel now."""

from __future__ import annotations

from datetime import datetime

from ..model.money import Fen
from ..model.order import MOVES, Order, OrderMove, OrderStatus
from ..model.quote import CancelRules


def cancel_price_fen(order: Order, rules: CancelRules, now: datetime) -> Fen | None:
    """The part of the service price that the runner keeps, or None where the order can no longer be cancelled.

    Free until somebody takes it and a short while after; goods are never charged before they are bought.
    """
    if (order.status, OrderMove.CANCEL) not in MOVES:
        return None
    if order.status in (OrderStatus.AWAITING_PAYMENT, OrderStatus.OPEN):
        return Fen(0)
    if order.status is OrderStatus.CARRYING:
        return Fen(order.quote.service_fen * rules.carrying_percent // 100)
    assert order.assigned_at is not None, "an assigned order knows since when"
    if now - order.assigned_at <= rules.free_after_assignment:
        return Fen(0)
    return Fen(order.quote.service_fen * rules.assigned_percent // 100)
