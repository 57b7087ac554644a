"""When a runner will be at the door: over everything that they carry, in the order in which it came up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from geo.eta import SPEEDS_MPS, WALK_MPS, eta, storeys
from geo.fix import Fix
from geo.point import Point

from ..model.account import Membership
from ..model.order import Order, OrderStatus
from ..model.stop import Stop, StopRole
from ..model.task import Task, TaskStatus
from ..model.views import EtaView
from ..store.unit_of_work import UnitOfWork
from .campus_ground import CampusGround
from .order_view import ms

#: A position older than this is said to be stale.
STALE_S = 60.0
_HANDLING_S = 120

#: What one runner has in hand.
Hand = Sequence[tuple[Task, Order]]


def _stops_left(order: Order, task: Task | None) -> list[Stop]:
    is_past_pickup = task is not None and task.status in (TaskStatus.CARRYING, TaskStatus.AT_DROPOFF)
    return [stop for stop in order.stops if not (is_past_pickup and stop.role is StopRole.PICKUP)]


def remaining_stops(order: Order, task: Task | None) -> Sequence[Point]:
    """Where the runner still has to go for this order, in order."""
    return [Point(stop.lat, stop.lon) for stop in _stops_left(order, task)]


def hands_of(uow: UnitOfWork, runner_ids: Iterable[str], known: Mapping[str, Order] | None = None) -> dict[str, Hand]:
    """What each of the runners has in hand; ``known`` are orders that need not be read again."""
    tasks = uow.tasks.held_by_any(runner_ids)
    orders = dict(known or {})
    missing = [task.order_id for task in tasks if task.order_id not in orders]
    if missing:
        orders |= uow.orders.many(missing)
    hands: dict[str, list[tuple[Task, Order]]] = {}
    for task in tasks:
        if task.runner_id is not None:
            hands.setdefault(task.runner_id, []).append((task, orders[task.order_id]))
    return dict(hands)


def arrivals(
    hand: Hand, member: Membership | None, fix: Fix | None, ground: CampusGround, now: datetime
) -> dict[str, EtaView]:
    """When one runner will have finished each order in hand, by order id, as a range with what makes it doubtful.

    The planner counts the same way: one errand after the other, the longest waiting first.
    """
    is_stale = fix is None or ms(now) - fix.fixed_at_ms > STALE_S * 1000
    speed_mps = SPEEDS_MPS.get(member.vehicle, WALK_MPS) if member else WALK_MPS
    at = fix.point if fix is not None else None
    way_m, floors, handling_s = 0.0, 0, 0.0
    found = {}
    for task, order in hand:
        kind = ground.campus.settings.types.get(order.type_code)
        for stop in _stops_left(order, task):
            there = Point(stop.lat, stop.lon)
            way_m += ground.walkways.walk_m(at, there) if at is not None else 0.0
            at = there
            floors += storeys(stop.floor)
            handling_s += (kind.handling_s if kind else _HANDLING_S) / 2
        trip = eta(way_m, speed_mps=speed_mps, floors=floors, handling_s=handling_s)
        warnings = ["stale_position"] if is_stale else []
        if order.status is OrderStatus.ASSIGNED and len(order.stops) > 1:
            warnings.append("not_picked_up")
        found[order.id] = EtaView(
            from_ms=ms(now + timedelta(seconds=trip.low_s)),
            to_ms=ms(now + timedelta(seconds=trip.high_s)),
            warnings=warnings,
        )
    return found
