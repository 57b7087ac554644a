"""What the optimizer is told: the open tasks and the runners on duty of one campus, read at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from geo.eta import FLOOR_S, SPEEDS_MPS, WALK_MPS, storeys
from geo.fix import Fix
from geo.point import Point

from ..assign.state import Exclusion, RouteStop, RunnerIn, TaskIn
from ..model.account import Membership
from ..model.campus import CampusSettings
from ..model.order import Order
from ..model.stop import Stop, StopRole
from ..model.task import Task, TaskStatus
from ..store.unit_of_work import UnitOfWork
from .campus_ground import CampusGround
from .context import Context
from .order_view import ms
from .route import StopLeft, Visit, in_planned_order

#: Without a word from a runner for this long, nobody is sent their way.
STALE_S = 90.0
_HANDLING_S = 120.0
#: Of what is to be done at a counter or a door, this part is still to come for somebody who is there, on average.
_STILL_TO_DO = 0.5

Hand = Sequence[tuple[Task, Order]]


@dataclass(frozen=True, slots=True)
class Standing:
    """What a runner's day is like so far; ``idle_since_ms`` None: not known."""

    acceptance: float = 0.87
    idle_since_ms: int | None = None
    earned_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Books:
    """The part of a situation that SQL knows."""

    waiting: list[tuple[Task, Order]]
    held: dict[str, list[tuple[Task, Order]]]
    asked: Mapping[str, frozenset[str]]  # by task id, who is not offered it again
    offers: Mapping[str, int]  # by runner, offers that they have not answered
    members: list[Membership]
    routes: Mapping[str, Sequence[Visit]] = field(default_factory=dict)
    standings: Mapping[str, Standing] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Situation:
    """One tick's input, with the records behind it. ``tasks`` are all that nobody carries, also those that somebody is
    being asked about."""

    now_ms: int
    tasks: list[TaskIn]
    runners: list[RunnerIn]
    task_of: dict[str, Task]
    order_of: dict[str, Order]
    fixes: Mapping[str, Fix]
    stages_ms: Mapping[str, float] = field(default_factory=dict)

    def open_tasks(self) -> list[TaskIn]:
        """Those that nobody is being asked about: planning the others again would offer them twice."""
        return [task for task in self.tasks if self.task_of[task.id].status is TaskStatus.OPEN]


def read_books(uow: UnitOfWork) -> Books:
    """One consistent read of everything that waits or is carried: as many queries whatever the numbers."""
    takeable, carried = uow.tasks.takeable(), uow.tasks.held()
    orders = uow.orders.many({task.order_id for task in takeable + carried})
    held: dict[str, list[tuple[Task, Order]]] = {}
    for task in carried:
        if task.runner_id is not None:
            held.setdefault(task.runner_id, []).append((task, orders[task.order_id]))
    return Books(
        waiting=[(task, orders[task.order_id]) for task in takeable],
        held=held,
        asked=_asked(uow),
        offers=Counter(offer.runner_id for offer in uow.offers.pending()),
        members=uow.memberships.on_duty(),
    )


def _asked(uow: UnitOfWork) -> dict[str, frozenset[str]]:
    """Whom each waiting task was put to before, and who had it and lost it: it is not offered to them again."""
    asked = uow.offers.offered_runners()
    for task_id, runners in uow.decisions.chosen_runners().items():
        asked[task_id] = asked.get(task_id, frozenset()) | runners
    return asked


async def gather(ctx: Context, campus_id: str, ground: CampusGround) -> Situation:
    """Read books and positions and put them into the optimizer's terms."""
    began_s = ctx.clock.monotonic_s()
    books = await ctx.store.read(campus_id, read_books)
    read_s = ctx.clock.monotonic_s()
    fixes = await ctx.presence.all(campus_id)
    heard_s = ctx.clock.monotonic_s()
    stages = {"books": (read_s - began_s) * 1000, "positions": (heard_s - read_s) * 1000}
    situation = situation_of(books, fixes, ground, ms(ctx.clock.now()), stages)
    stages["situation"] = (ctx.clock.monotonic_s() - heard_s) * 1000
    return situation


def situation_of(
    books: Books,
    fixes: Mapping[str, Fix],
    ground: CampusGround,
    now_ms: int,
    stages_ms: Mapping[str, float] | None = None,
) -> Situation:
    """Pure: the same books, positions and time give the same situation."""
    return Situation(
        now_ms=now_ms,
        tasks=[task_in(task, order, books.asked.get(task.id, frozenset()), ground) for task, order in books.waiting],
        runners=[_runner_in(member, books, fixes.get(member.account_id), ground, now_ms) for member in books.members],
        task_of={task.id: task for task, _ in books.waiting},
        order_of={order.id: order for _, order in books.waiting},
        fixes=fixes,
        stages_ms=stages_ms if stages_ms is not None else {},
    )


# --- tasks ------------------------------------------------------------------------------------------------------------


def task_in(task: Task, order: Order, asked: frozenset[str], ground: CampusGround) -> TaskIn:
    """A task that waits, in the optimizer's terms."""
    settings = ground.campus.settings
    service = [_service_s(order, stop, settings) for stop in order.stops] or [(_handling_s(order, settings), 0.0)]
    return TaskIn(
        id=task.id,
        order_id=order.id,
        points=tuple(Point(stop.lat, stop.lon) for stop in order.stops),
        before_s=tuple(before_s for before_s, _ in service),
        after_s=tuple(after_s for _, after_s in service),
        opened_at_ms=ms(task.opened_at),
        promised_at_ms=ms(order.promised_at),
        ready_at_ms=ms(order.pickup_after) if order.pickup_after else None,
        weight_g=order.weight_g,
        merchant=_merchant(order),
        # A student never carries their own errand.
        forbidden=asked | {order.student_id},
    )


def _merchant(order: Order) -> str | None:
    """Whose counter the pick-up is at."""
    first = order.stops[0] if order.stops else None
    if first is None or first.role is not StopRole.PICKUP:
        return None
    return order.merchant_id or first.place_id


def _handling_s(order: Order, settings: CampusSettings) -> float:
    kind = settings.types.get(order.type_code)
    return float(kind.handling_s) if kind else _HANDLING_S


def _service_s(order: Order, stop: Stop, settings: CampusSettings) -> tuple[float, float]:
    """Seconds from the entrance until it is done, and from then until the runner is on the street again."""
    climb_s = FLOOR_S * storeys(stop.floor)
    return climb_s + _handling_s(order, settings), climb_s


# --- runners ----------------------------------------------------------------------------------------------------------


def _runner_in(member: Membership, books: Books, fix: Fix | None, ground: CampusGround, now_ms: int) -> RunnerIn:
    runner_id, settings = member.account_id, ground.campus.settings
    hand = books.held.get(runner_id, [])
    standing = books.standings.get(runner_id, Standing())
    is_stale = fix is None or now_ms - fix.fixed_at_ms > STALE_S * 1000
    return RunnerIn(
        id=runner_id,
        point=fix.point if fix is not None else ground.map.center,
        speed_mps=SPEEDS_MPS.get(member.vehicle, WALK_MPS),
        route=tuple(_route_stop(left, settings) for left in in_planned_order(hand, books.routes.get(runner_id, ()))),
        available_in_s=_available_in_s(hand, settings, now_ms),
        offered=books.offers.get(runner_id, 0),
        credit=member.credit,
        acceptance=standing.acceptance,
        idle_since_ms=None if hand else standing.idle_since_ms,
        earned_s=standing.earned_s,
        max_tasks=settings.max_tasks_per_runner,
        excluded=Exclusion.STALE_POSITION if is_stale else None,
    )


def _route_stop(left: StopLeft, settings: CampusSettings) -> RouteStop:
    order, stop = left.order, left.stop
    before_s, after_s = _service_s(order, stop, settings)
    if left.task.status is TaskStatus.AT_DROPOFF:
        before_s *= _STILL_TO_DO
    is_pickup = stop.role is StopRole.PICKUP
    return RouteStop(
        task_id=left.task.id,
        point=Point(stop.lat, stop.lon),
        before_s=before_s,
        after_s=after_s,
        role=stop.role.value,
        not_before_ms=ms(order.pickup_after) if is_pickup and order.pickup_after else None,
        promised_at_ms=None if is_pickup else ms(order.promised_at),
        weight_g=order.weight_g,
        merchant=_merchant(order) if is_pickup else None,
    )


def _available_in_s(hand: Hand, settings: CampusSettings, now_ms: int) -> float:
    """How long whoever stands at a counter has to stay there."""
    longest_s = 0.0
    for task, order in hand:
        if task.status is not TaskStatus.AT_PICKUP or not order.stops or order.stops[0].role is not StopRole.PICKUP:
            continue
        before_s, after_s = _service_s(order, order.stops[0], settings)
        ready_s = (ms(order.pickup_after) - now_ms) / 1000 if order.pickup_after else 0.0
        longest_s = max(longest_s, max(before_s * _STILL_TO_DO, ready_s) + after_s)
    return longest_s
