"""When a runner will be at the door: over everything that they carry, at their own pace, as a range that holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from geo.eta import FLOOR_DOWN_S, FLOOR_S, WALK_MPS, Leg, route_times, storeys
from geo.fix import Fix
from geo.off_route import is_off_route
from geo.point import Floats, Point
from geo.shrinkage import Mean

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
#: A range wider than this, and wider than the time that is left, is said to be little to go by.
WIDE_S = 600.0
#: Assumed at the quote, until a runner is known: how long until one takes it, and how far they come from.
TAKE_S, APPROACH_M = 90.0, 350.0
_HANDLING_S = 120
#: Minutes at counters and doors that were seen count against so many that the campus's settings assume.
_SERVICE_PRIOR = 10.0
#: Who is at a stop has, as far as anybody knows, half of it behind them.
_HALF = 0.5
_AT_STOP = frozenset({TaskStatus.AT_PICKUP, TaskStatus.AT_DROPOFF})
_AFTER_PICKUP = frozenset({TaskStatus.CARRYING, TaskStatus.AT_DROPOFF})

#: What one runner has in hand.
Hand = Sequence[tuple[Task, Order]]


class StopAhead(NamedTuple):
    """A stop that a runner still has to make; ``metres`` from the one before, or from where they are."""

    order: Order
    stop: Stop
    metres: float
    is_there: bool
    is_last: bool  # of its order


class Expected(NamedTuple):
    """Seconds until an order is done as reckoned, and the kind of case that it is for the range."""

    seconds: float
    case: str


def _stops_left(order: Order, task: Task | None) -> list[Stop]:
    is_past_pickup = task is not None and task.status in _AFTER_PICKUP
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


def speed_mps(ground: CampusGround, runner_id: str | None, vehicle: str, now: datetime) -> float:
    """Walking metres per second of this runner at this hour, as far as their own ways have told."""
    hour = now.astimezone(ZoneInfo(ground.campus.settings.time_zone)).hour
    return ground.arrivals.paces.speed_mps(runner_id, vehicle, hour)


def service_s(ground: CampusGround, type_code: str, role: StopRole, floor: int = 0) -> float:
    """Seconds at a stop of an errand of this kind, up its stairs and down again included."""
    kind = ground.campus.settings.types.get(type_code)
    assumed = (kind.handling_s if kind else _HANDLING_S) / 2
    known = ground.arrivals.services.get(service_key(type_code, role), Mean())
    return known.towards(assumed, _SERVICE_PRIOR) + (FLOOR_S + FLOOR_DOWN_S) * storeys(floor)


def service_key(type_code: str, role: StopRole) -> str:
    return f"{type_code}:{role}"


def apart(hands: Sequence[tuple[Hand, Point | None]], ground: CampusGround) -> list[Floats]:
    """Metres between all the places of each hand, row 0 where the runner is; measured at once, of many as of one."""
    rows: list[Point] = []
    firsts, sizes = [], []
    for hand, at in hands:
        places = [Point(stop.lat, stop.lon) for task, order in hand for stop in _stops_left(order, task)]
        firsts.append(len(rows))
        sizes.append(len(places) + 1 if places else 0)
        rows += [at or places[0], *places] if places else []
    # From the earlier row to the later one: the later are stops, to which distances are known from before.
    pairs = [np.triu_indices(size, 1) for size in sizes]
    starts = [first + row for first, (a, _) in zip(firsts, pairs, strict=True) for row in a.tolist()]
    ends = [first + row for first, (_, b) in zip(firsts, pairs, strict=True) for row in b.tolist()]
    metres = ground.walkways.among(rows)(np.array(starts, np.intp), np.array(ends, np.intp))
    if ground.walkways.graph is None:
        # No paths are known: the straight line, with the detour that tracks have shown.
        straight = metres / ground.walkways.detour
        metres = np.array([one * ground.arrivals.detours.ratio(one) for one in straight.tolist()])
    found, used = [], 0
    for size, (a, b) in zip(sizes, pairs, strict=True):
        matrix = np.zeros((size, size))
        matrix[a, b] = matrix[b, a] = metres[used : used + len(a)]
        used += len(a)
        found.append(matrix)
    return found


def stops_ahead(hand: Hand, metres: Floats) -> list[StopAhead]:
    """Every stop that is left, in the order in which a runner makes them: to the nearest next, where one is first.

    ``metres``: between its places (:func:`apart`).
    """
    left = {task.order_id: (task, order, _stops_left(order, task)) for task, order in hand}
    row_of: dict[tuple[str, int], int] = {}
    for order_id, (_, _, stops) in left.items():
        for number in range(len(stops)):
            row_of[order_id, number] = len(row_of) + 1
    here, rows = 0, metres.tolist()
    done = dict.fromkeys(left, 0)
    found: list[StopAhead] = []
    while len(found) < len(row_of):
        nexts = [(order_id, number) for order_id, number in done.items() if number < len(left[order_id][2])]
        at_stop = [key for key in nexts if key[1] == 0 and left[key[0]][0].status in _AT_STOP]
        key = at_stop[0] if at_stop else min(nexts, key=lambda one: rows[here][row_of[one]])
        order_id, number = key
        _, order, stops = left[order_id]
        way_m = 0.0 if at_stop else rows[here][row_of[key]]
        found.append(StopAhead(order, stops[number], way_m, bool(at_stop), number == len(stops) - 1))
        here, done[order_id] = row_of[key], number + 1
    return found


def expect_all(
    hands: Mapping[str, Hand],
    members: Mapping[str, Membership | None],
    fixes: Mapping[str, Fix],
    ground: CampusGround,
    now: datetime,
) -> dict[str, dict[str, Expected]]:
    """Of each runner, when they will have finished each order in hand, as reckoned: no range yet."""
    at = [(hand, fixes[runner_id].point if runner_id in fixes else None) for runner_id, hand in hands.items()]
    return {
        runner_id: _expect(hand, metres, members.get(runner_id), ground, now)
        for (runner_id, hand), metres in zip(hands.items(), apart(at, ground), strict=True)
    }


def _expect(
    hand: Hand, metres: Floats, member: Membership | None, ground: CampusGround, now: datetime
) -> dict[str, Expected]:
    ahead = stops_ahead(hand, metres)
    pace_mps = speed_mps(ground, member.account_id if member else None, member.vehicle if member else "walk", now)
    legs = [_leg(one, ground, now) for one in ahead]
    found: dict[str, Expected] = {}
    for number, (one, times) in enumerate(zip(ahead, route_times(legs, pace_mps), strict=True)):
        if one.is_last:
            others = sum(other.order.id != one.order.id for other in ahead[:number])
            found[one.order.id] = Expected(times.done_s, _case(one, others))
    for _, order in hand:
        if order.id not in found:  # nowhere to go to: some help on the spot
            found[order.id] = Expected(_service_s(order, None, ground), "help")
    return found


def _leg(one: StopAhead, ground: CampusGround, now: datetime) -> Leg:
    service = _service_s(one.order, one.stop, ground)
    ready_s = 0.0
    if one.order.pickup_after is not None and one.stop.role is not StopRole.DROPOFF:
        ready_s = max(0.0, (one.order.pickup_after - now).total_seconds())
    if one.is_there:
        return Leg(0.0, 0, (service + FLOOR_S * storeys(one.stop.floor)) * _HALF, ready_s)
    return Leg(one.metres, one.stop.floor, service, ready_s)


def _service_s(order: Order, stop: Stop | None, ground: CampusGround) -> float:
    role = stop.role if stop is not None else StopRole.PLACE
    kind = ground.campus.settings.types.get(order.type_code)
    spent_s = service_s(ground, order.type_code, role)
    if kind is not None and kind.is_timed:
        # What was agreed on is the quote without the way there.
        spent_s = max(spent_s, order.quote.duration_s - TAKE_S - APPROACH_M / WALK_MPS)
    return spent_s


def _case(one: StopAhead, others: int) -> str:
    """How far the errand has come, and whether others come first: ranges differ by these most."""
    if len(one.order.stops) < 2:
        phase = "spot"
    else:
        phase = "carrying" if one.order.status is OrderStatus.CARRYING else "fetching"
    return f"{phase}:{'there' if one.is_there else 'next' if not others else 'later'}"


def arrivals(
    hand: Hand,
    member: Membership | None,
    fix: Fix | None,
    ground: CampusGround,
    now: datetime,
    recent: Sequence[Fix] = (),
) -> dict[str, EtaView]:
    """As :func:`arrivals_of`, of one runner."""
    known = {"": fix} if fix is not None else {}
    return arrivals_of({"": hand}, {"": member}, known, ground, now, {"": recent})


def arrivals_of(
    hands: Mapping[str, Hand],
    members: Mapping[str, Membership | None],
    fixes: Mapping[str, Fix],
    ground: CampusGround,
    now: datetime,
    recent: Mapping[str, Sequence[Fix]] | None = None,
) -> dict[str, EtaView]:
    """When these runners will have finished each order in hand, by order id: the range in which four of five end, with
    what makes it doubtful. ``recent``: where runners were in the last minutes, of those of whom that is known."""
    found: dict[str, EtaView] = {}
    expected = expect_all(hands, members, fixes, ground, now)
    for runner_id, hand in hands.items():
        lately = (recent or {}).get(runner_id, ())
        found |= _views(hand, expected[runner_id], fixes.get(runner_id), lately, ground, now)
    return found


def _views(
    hand: Hand,
    expected: Mapping[str, Expected],
    fix: Fix | None,
    recent: Sequence[Fix],
    ground: CampusGround,
    now: datetime,
) -> dict[str, EtaView]:
    age_s = None if fix is None else max(0.0, (ms(now) - fix.fixed_at_ms) / 1000)
    is_stale = age_s is None or age_s > STALE_S
    is_off = not is_stale and bool(recent) and is_off_route(recent, _next_points(hand), ground.walkways)
    found = {}
    for _, order in hand:
        told = ground.arrivals.errors.range_of(expected[order.id].case, expected[order.id].seconds)
        width_s = told.high_s - told.low_s
        warnings = ["stale_position"] if is_stale else []
        if is_off:
            warnings.append("off_route")
        if order.status is OrderStatus.ASSIGNED and len(order.stops) > 1:
            warnings.append("not_picked_up")
        if width_s > max(WIDE_S, told.seconds):
            warnings.append("low_confidence")
        found[order.id] = EtaView(
            from_ms=ms(now + timedelta(seconds=told.low_s)),
            to_ms=ms(now + timedelta(seconds=told.high_s)),
            at_ms=ms(now + timedelta(seconds=told.seconds)),
            location_age_ms=None if age_s is None else round(age_s * 1000),
            warnings=warnings,
        )
    return found


def _next_points(hand: Hand) -> list[Point]:
    """The stops of which any may be next."""
    nexts = [_stops_left(order, task)[:1] for task, order in hand if task.status not in _AT_STOP]
    if len(nexts) < len(hand):
        return []  # at a stop one may well step aside
    return [Point(stop.lat, stop.lon) for stops in nexts for stop in stops]
