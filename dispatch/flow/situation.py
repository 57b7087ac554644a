"""What the optimizer is told: the open tasks and the runners on duty of one campus, read at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from geo.eta import SPEEDS_MPS, WALK_MPS
from geo.fix import Fix
from geo.point import Point

from ..assign.state import RunnerIn, TaskIn
from ..model.account import Account, Membership
from ..model.order import Order
from ..model.task import Task, TaskStatus
from ..store.unit_of_work import UnitOfWork
from .arrival import remaining_stops
from .campus_ground import CampusGround
from .context import Context
from .order_view import ms

#: Without a word from a runner for this long, nobody is sent their way.
STALE_S = 90.0
_HANDLING_S = 120
#: An open order is placed at version 1 and paid at 2; only one that was assigned and taken away again has a later one.
NEVER_ASSIGNED = 2


@dataclass(frozen=True, slots=True)
class Books:
    """The part of a situation that SQL knows."""

    waiting: list[tuple[Task, Order]]
    held: dict[str, list[tuple[Task, Order]]]
    offered: Mapping[str, frozenset[str]]
    busy_with_offer: frozenset[str]
    runners: list[tuple[Membership, Account]]


@dataclass(frozen=True, slots=True)
class Situation:
    """One tick's input, with the records behind it."""

    now_ms: int
    tasks: list[TaskIn]
    runners: list[RunnerIn]
    task_of: dict[str, Task]
    order_of: dict[str, Order]
    account_of: dict[str, Account]
    fixes: Mapping[str, Fix]


def read_books(uow: UnitOfWork) -> Books:
    """One consistent read of everything that waits or is carried."""
    takeable, carried = uow.tasks.takeable(), uow.tasks.held()
    orders = uow.orders.many({task.order_id for task in takeable + carried})
    waiting = [(task, orders[task.order_id]) for task in takeable]
    held: dict[str, list[tuple[Task, Order]]] = {}
    for task in carried:
        if task.runner_id is not None:
            held.setdefault(task.runner_id, []).append((task, orders[task.order_id]))
    return Books(
        waiting=waiting,
        held=held,
        offered=_asked(uow, waiting),
        busy_with_offer=frozenset(offer.runner_id for offer in uow.offers.pending()),
        runners=uow.memberships.runners(on_duty_only=True),
    )


def _asked(uow: UnitOfWork, waiting: list[tuple[Task, Order]]) -> dict[str, frozenset[str]]:
    """Whom each waiting task was put to before, and who had it and lost it: it is not offered to them again."""
    asked = uow.offers.offered_runners()
    for task, order in waiting:
        if order.version > NEVER_ASSIGNED:
            had_it = {decision.runner_id for decision in uow.decisions.for_order(order.id) if decision.runner_id}
            asked[task.id] = asked.get(task.id, frozenset()) | had_it
    return asked


async def gather(ctx: Context, campus_id: str, ground: CampusGround) -> Situation:
    """Read books and positions and put them into the optimizer's terms."""
    books = await ctx.store.read(campus_id, read_books)
    fixes = await ctx.presence.all(campus_id)
    return situation_of(books, fixes, ground, ms(ctx.clock.now()))


def situation_of(books: Books, fixes: Mapping[str, Fix], ground: CampusGround, now_ms: int) -> Situation:
    """Pure: the same books, positions and time give the same situation."""
    runners = [
        _runner_in(member, books, fixes.get(account.id), ground, now_ms)
        for member, account in books.runners
        if not account.is_blocked
    ]
    return Situation(
        now_ms=now_ms,
        tasks=[task_in(task, order, books.offered.get(task.id, frozenset()), ground) for task, order in books.waiting],
        runners=runners,
        task_of={task.id: task for task, _ in books.waiting},
        order_of={order.id: order for _, order in books.waiting},
        account_of={account.id: account for _, account in books.runners},
        fixes=fixes,
    )


def task_in(task: Task, order: Order, offered: frozenset[str], ground: CampusGround) -> TaskIn:
    kind = ground.campus.settings.types.get(order.type_code)
    return TaskIn(
        id=task.id,
        order_id=order.id,
        points=tuple(remaining_stops(order, task)),
        handling_s=float((kind.handling_s if kind else _HANDLING_S) * max(1, len(order.stops))),
        opened_at_ms=ms(task.opened_at),
        promised_at_ms=ms(order.promised_at),
        ready_at_ms=ms(order.pickup_after) if order.pickup_after else None,
        weight_g=order.weight_g,
        # A student never carries their own errand.
        forbidden=offered | {order.student_id},
    )


def _runner_in(member: Membership, books: Books, fix: Fix | None, ground: CampusGround, now_ms: int) -> RunnerIn:
    held = books.held.get(member.account_id, [])
    speed = SPEEDS_MPS.get(member.vehicle, WALK_MPS)
    centre = ground.map.center
    here = fix.point if fix is not None else centre
    route_m, at, handling_s = 0.0, here, 0.0
    for task, order in held:
        for point in remaining_stops(order, task):
            route_m += ground.walkways.walk_m(at, point)
            at = point
            handling_s += _HANDLING_S / 2
        if task.status is TaskStatus.AT_DROPOFF:
            handling_s -= _HANDLING_S / 4
    return RunnerIn(
        id=member.account_id,
        point=here,
        speed_mps=speed,
        load=len(held) + (member.account_id in books.busy_with_offer),
        busy_until_s=route_m / speed + handling_s if held else 0.0,
        route_end=Point(*at) if held else None,
        credit=member.credit,
        max_tasks=ground.campus.settings.max_tasks_per_runner,
        is_stale=fix is None or now_ms - fix.fixed_at_ms > STALE_S * 1000,
        carried_g=sum(order.weight_g for _, order in held),
    )
