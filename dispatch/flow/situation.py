"""What the optimizer is told: the open tasks and the runners on duty of one campus, read at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType

from geo.eta import FLOOR_DOWN_S, FLOOR_S, storeys
from geo.fix import Fix
from geo.point import Point

from ..assign.state import Exclusion, RouteStop, RunnerIn, TaskIn, Waiting
from ..model.account import Membership
from ..model.campus import CampusSettings
from ..model.order import Order
from ..model.stop import Stop, StopRole
from ..model.task import Task, TaskStatus
from ..store.planned_routes import Visit
from ..store.unit_of_work import UnitOfWork
from .arrival import Hand, service_s, speed_mps
from .availability import Rules, TaskRules, read_rules
from .campus_ground import CampusGround
from .context import Context
from .order_view import ms
from .route import StopLeft, in_planned_order
from .standing import Standing, Standings

#: Without a word from a runner for this long, nobody is sent their way.
STALE_S = 90.0
#: Of what is to be done at a counter or a door, this part is still to come for somebody who is there, on average.
STILL_TO_DO = 0.5
#: Of somebody who was never asked.
USUAL_ACCEPTANCE = 0.87


@dataclass(frozen=True, slots=True)
class Books:
    """The part of a situation that SQL knows."""

    waiting: list[tuple[Task, Order]]
    held: dict[str, list[tuple[Task, Order]]]
    asked: Mapping[str, frozenset[str]]  # by task id, who is not offered it again
    offers: Mapping[str, int]  # by runner, offers that they have not answered
    members: list[Membership]
    routes: Mapping[str, Sequence[Visit]]
    rules: Rules
    orders: Mapping[str, Order]


@dataclass(frozen=True, slots=True)
class Situation:
    """One tick's input, with the records behind it. ``tasks`` are all that nobody carries, also those that somebody is
    being asked about, and those that are left to the runners."""

    now_ms: int
    tasks: list[TaskIn]
    runners: list[RunnerIn]
    task_of: dict[str, Task]
    order_of: dict[str, Order]
    rules: Rules
    fixes: Mapping[str, Fix]
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    hands: Mapping[str, frozenset[str]] = field(default_factory=dict)  # by runner, the tasks that they carry

    def to_plan(self) -> list[TaskIn]:
        """Those that the planner may offer now: what somebody is being asked about would be offered twice."""
        return [task for task in self.tasks if self._is_open(task) and not self.rules.tasks[task.id].is_grab_only]

    def left_to_grab(self) -> dict[str, str]:
        """Those that only runners take, by task id, with the word for it."""
        return {
            task.id: str(Waiting.GRAB_ONLY)
            for task in self.tasks
            if self._is_open(task) and self.rules.tasks[task.id].is_grab_only
        }

    def open_tasks(self) -> list[TaskIn]:
        """Those that nobody has and nobody is being asked about, whoever may give them out."""
        return [task for task in self.tasks if self._is_open(task)]

    def _is_open(self, task: TaskIn) -> bool:
        return self.task_of[task.id].status is TaskStatus.OPEN


def read_books(uow: UnitOfWork, settings: CampusSettings, known: Mapping[str, Order] = MappingProxyType({})) -> Books:
    """One consistent read of everything that waits or is carried: as many queries whatever the numbers. Orders that are
    ``known`` in their present version are not opened again."""
    takeable, carried = uow.tasks.takeable(), uow.tasks.held()
    orders = uow.orders.renewed({task.order_id for task in takeable + carried}, known)
    held: dict[str, list[tuple[Task, Order]]] = {}
    for task in carried:
        if task.runner_id is not None:
            held.setdefault(task.runner_id, []).append((task, orders[task.order_id]))
    waiting = [(task, orders[task.order_id]) for task in takeable]
    members = uow.memberships.on_duty()
    return Books(
        waiting=waiting,
        held=held,
        asked=_asked(uow),
        offers=Counter(offer.runner_id for offer in uow.offers.pending()),
        members=members,
        # Who has one errand in hand has no choice of order.
        routes=uow.planned_routes.of([runner_id for runner_id, hand in held.items() if len(hand) > 1]),
        rules=read_rules(uow, settings, members, waiting),
        orders=orders,
    )


def _asked(uow: UnitOfWork) -> dict[str, frozenset[str]]:
    """Whom each waiting task was put to before, and who had it and lost it: it is not offered to them again."""
    asked = uow.offers.offered_runners()
    for task_id, runners in uow.decisions.chosen_runners().items():
        asked[task_id] = asked.get(task_id, frozenset()) | runners
    return asked


async def gather(ctx: Context, campus_id: str, ground: CampusGround, standings: Standings | None = None) -> Situation:
    """Read books and positions and put them into the optimizer's terms. ``standings`` are kept by who asks often."""
    standings = standings or Standings(ctx.store, ctx.clock)
    began_s = ctx.clock.monotonic_s()
    standing = await standings.of(campus_id, ground)
    known = standings.orders.get(campus_id, {})
    books = await ctx.store.read(campus_id, lambda uow: read_books(uow, ground.campus.settings, known))
    standings.orders[campus_id] = books.orders
    read_s = ctx.clock.monotonic_s()
    fixes = await ctx.presence.all(campus_id)
    heard_s = ctx.clock.monotonic_s()
    now_ms = ms(ctx.clock.now())
    seen_ms = standings.idle_since(campus_id, [member.account_id for member in books.members], now_ms)
    stages = {"books": (read_s - began_s) * 1000, "positions": (heard_s - read_s) * 1000}
    situation = situation_of(books, standing, seen_ms, fixes, ground, now_ms, stages)
    stages["situation"] = (ctx.clock.monotonic_s() - heard_s) * 1000
    return situation


def situation_of(
    books: Books,
    standing: Mapping[str, Standing],
    seen_ms: Mapping[str, int],
    fixes: Mapping[str, Fix],
    ground: CampusGround,
    now_ms: int,
    stages_ms: Mapping[str, float],
) -> Situation:
    """Pure: the same books, positions and time give the same situation."""
    terms = _Terms(books, standing, seen_ms, ground, now_ms, _astray(fixes, ground))
    tasks = [
        task_in(task, order, books.asked.get(task.id, frozenset()), ground, books.rules.tasks[task.id])
        for task, order in books.waiting
    ]
    return Situation(
        now_ms=now_ms,
        tasks=barred(tasks, ground),
        runners=[terms.runner(member, fixes.get(member.account_id)) for member in books.members],
        task_of={task.id: task for task, _ in books.waiting},
        order_of={order.id: order for _, order in books.waiting},
        rules=books.rules,
        fixes=fixes,
        stages_ms=stages_ms,
        hands={runner_id: frozenset(task.id for task, _ in hand) for runner_id, hand in books.held.items()},
    )


# --- tasks ------------------------------------------------------------------------------------------------------------


def task_in(
    task: Task, order: Order, asked: frozenset[str], ground: CampusGround, rules: TaskRules | None = None
) -> TaskIn:
    """A task that waits, in the optimizer's terms; without ``rules`` as if the campus had none."""
    at_stops = [_at_stop(order, stop, ground) for stop in order.stops] or [(_spent_s(order, None, ground), 0.0)]
    return TaskIn(
        id=task.id,
        order_id=order.id,
        points=tuple(Point(stop.lat, stop.lon) for stop in order.stops),
        before_s=tuple(before_s for before_s, _ in at_stops),
        after_s=tuple(after_s for _, after_s in at_stops),
        opened_at_ms=ms(task.opened_at),
        promised_at_ms=ms(order.promised_at),
        ready_at_ms=ms(order.pickup_after) if order.pickup_after else None,
        weight_g=order.weight_g,
        volume_ml=order.volume_ml,
        merchant=_merchant(order),
        # A student never carries their own errand.
        forbidden=asked | {order.student_id} | (rules.forbidden if rules is not None else frozenset()),
        zone=rules.zone if rules is not None else None,
        pinned=rules.pinned if rules is not None else None,
        reach=rules.reach if rules is not None else 1.0,
        priority_s=rules.priority_s if rules is not None else 0.0,
    )


def barred(tasks: Sequence[TaskIn], ground: CampusGround) -> list[TaskIn]:
    """The same tasks, those marked that have a stop in a no-go area. No order is taken with one, but areas change."""
    points = [point for task in tasks for point in task.points]
    if not ground.map.are_no_go(points).any():
        return list(tasks)
    return [replace(task, is_no_go=bool(ground.map.are_no_go(task.points).any())) for task in tasks]


def _merchant(order: Order) -> str | None:
    """Whose counter the pick-up is at."""
    first = order.stops[0] if order.stops else None
    if first is None or first.role is not StopRole.PICKUP:
        return None
    return order.merchant_id or first.place_id


def _spent_s(order: Order, stop: Stop | None, ground: CampusGround) -> float:
    """Seconds at a counter, a door or in a queue, stairs apart."""
    kind = ground.campus.settings.types.get(order.type_code)
    spent_s = service_s(ground, order.type_code, stop.role if stop is not None else StopRole.PLACE)
    return max(spent_s, order.quote.duration_s / 2) if kind is not None and kind.is_timed else spent_s


def _at_stop(order: Order, stop: Stop, ground: CampusGround) -> tuple[float, float]:
    """Seconds from the entrance until it is done, and from then until the runner is on the street again."""
    climbed = storeys(stop.floor)
    return FLOOR_S * climbed + _spent_s(order, stop, ground), FLOOR_DOWN_S * climbed


# --- runners ----------------------------------------------------------------------------------------------------------


def _astray(fixes: Mapping[str, Fix], ground: CampusGround) -> frozenset[str]:
    """Who stands in a no-go area, whatever their device may be off: no way is known from there."""
    points = [fix.point for fix in fixes.values()]
    is_astray = ground.map.are_no_go(points, [fix.accuracy_m or 0.0 for fix in fixes.values()])
    return frozenset(runner_id for runner_id, is_it in zip(fixes, is_astray, strict=True) if is_it)


@dataclass(frozen=True, slots=True)
class _Terms:
    """Puts runners into the optimizer's terms."""

    books: Books
    standing: Mapping[str, Standing]
    seen_ms: Mapping[str, int]
    ground: CampusGround
    now_ms: int
    astray: Collection[str]

    def runner(self, member: Membership, fix: Fix | None) -> RunnerIn:
        runner_id, books = member.account_id, self.books
        hand = books.held.get(runner_id, [])
        standing = self.standing.get(runner_id, Standing())
        rules = books.rules.runners[runner_id]
        is_stale = fix is None or self.now_ms - fix.fixed_at_ms > STALE_S * 1000
        lost = Exclusion.STALE_POSITION if is_stale else Exclusion.IN_NO_GO_AREA if runner_id in self.astray else None
        now = datetime.fromtimestamp(self.now_ms / 1000, UTC)
        return RunnerIn(
            id=runner_id,
            point=fix.point if fix is not None else self.ground.map.center,
            speed_mps=speed_mps(self.ground, runner_id, member.vehicle, now),
            route=tuple(self._route_stop(left) for left in in_planned_order(hand, books.routes.get(runner_id, ()))),
            available_in_s=self._available_in_s(hand),
            offered=books.offers.get(runner_id, 0),
            credit=member.credit,
            acceptance=USUAL_ACCEPTANCE if standing.acceptance is None else standing.acceptance,
            idle_since_ms=None if hand else self._idle_since_ms(runner_id, standing),
            earned_s=standing.earned_s,
            until_ms=rules.until_ms,
            zones=rules.zones,
            max_tasks=rules.max_tasks,
            excluded=lost if rules.excluded is None else Exclusion(rules.excluded),
        )

    def _idle_since_ms(self, runner_id: str, standing: Standing) -> int:
        return max(self.seen_ms.get(runner_id, self.now_ms), standing.last_done_ms or 0)

    def _route_stop(self, left: StopLeft) -> RouteStop:
        order, stop = left.order, left.stop
        before_s, after_s = _at_stop(order, stop, self.ground)
        if left.task.status is TaskStatus.AT_DROPOFF or (
            left.task.status is TaskStatus.AT_PICKUP and stop.role is StopRole.PLACE
        ):
            before_s *= STILL_TO_DO
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
            volume_ml=order.volume_ml,
            merchant=_merchant(order) if is_pickup else None,
        )

    def _available_in_s(self, hand: Hand) -> float:
        """How long whoever stands at a counter has to stay there."""
        longest_s = 0.0
        for task, order in hand:
            is_at_counter = task.status is TaskStatus.AT_PICKUP and order.stops
            if not is_at_counter or order.stops[0].role is not StopRole.PICKUP:
                continue
            before_s, after_s = _at_stop(order, order.stops[0], self.ground)
            ready_s = (ms(order.pickup_after) - self.now_ms) / 1000 if order.pickup_after else 0.0
            longest_s = max(longest_s, max(before_s * STILL_TO_DO, ready_s) + after_s)
        return longest_s
