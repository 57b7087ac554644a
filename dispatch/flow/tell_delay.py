"""Tells both sides of an order that it will be late, with the time that is expected now; the promise stays as given."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from ..model.delay import is_news
from ..model.event import EventKind
from ..model.order import LIVE, Order, OrderStatus
from ..model.views import EtaView
from ..store.unit_of_work import UnitOfWork
from .arrival import arrivals, hands_of
from .campus_ground import CampusGround
from .instants import ms
from .tell import tell

_UNDER_WAY = LIVE | {OrderStatus.OPEN}


def expected_at(order: Order, etas: Mapping[str, EtaView], now: datetime) -> datetime | None:
    """When the order will be there as far as is known: as its runner is expected, or as long after now as
    was planned for an order that nobody has. None where nobody can say."""
    if order.status is OrderStatus.OPEN:
        begins = max(now, order.pickup_after or now)
        return begins + timedelta(seconds=order.quote.duration_s)
    eta = etas.get(order.id)
    if eta is None:
        return None
    return max(now, datetime.fromtimestamp(eta.at_ms / 1000, UTC))


def tell_delay(uow: UnitOfWork, order: Order, expected: datetime) -> bool:
    """Tell both sides, if it is news to them: the first time, and again when it has moved by more than five minutes."""
    if order.status not in _UNDER_WAY:
        return False
    known = uow.delays.of_orders([order.id]).get(order.id)
    if not is_news(known, order.promised_at, expected, uow.now):
        return False
    uow.delays.tell(order, expected)
    tell(
        uow,
        EventKind.ORDER_LATE,
        order,
        uow.tasks.by_order(order.id),
        promised_ms=ms(order.promised_at),
        expected_ms=ms(expected),
        is_predicted=uow.now <= order.promised_at,
    )
    return True


def tell_broken_promise(uow: UnitOfWork, order: Order, ground: CampusGround) -> None:
    """The promised time has passed: whoever was told before knows it, the others hear it now."""
    etas: dict[str, EtaView] = {}
    if order.runner_id is not None and order.status in LIVE:
        hand = hands_of(uow, [order.runner_id]).get(order.runner_id, ())
        member = uow.memberships.get(order.runner_id)
        etas = arrivals(hand, member, None, ground, uow.now)
    if order.id not in uow.delays.of_orders([order.id]):
        tell_delay(uow, order, expected_at(order, etas, uow.now) or uow.now)
