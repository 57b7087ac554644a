"""What it would mean to give an order to somebody else: its cost, and by how much every promise in two hands moves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from geo.point import LocalPlane

from ..access.permissions import Permission
from ..access.principal import Principal
from ..assign.explain import what_if
from ..assign.params import Params
from ..assign.state import RunnerIn, TaskIn, Ways
from ..assign.timing import done_in_s
from ..model.account import Account
from ..model.errors import StaleVersion, WrongState
from ..model.operator_views import ReassignOption, ReassignOptionsView
from ..model.order import Order, OrderStatus
from ..model.plan_views import MoveView
from ..model.requests import Reassign
from ..model.task import Task
from ..store.unit_of_work import UnitOfWork
from .context import Context
from .order_view import ms
from .situation import Situation, barred, gather, task_in

REASSIGNABLE = frozenset({OrderStatus.OPEN, OrderStatus.ASSIGNED, OrderStatus.CARRYING})
#: So many runners are weighed, the nearest; of the others one asks by name.
MOST_WEIGHED = 80
#: What is in somebody's hands is handed from one runner to the other in about this time.
HANDING_S = 60.0
#: What was said may be this far from what is true by now.
TOLERANCE_S = 60


@dataclass(frozen=True, slots=True)
class _Scene:
    """One order, everybody on duty, and what they carry."""

    order: Order
    task: Task
    asked: TaskIn
    situation: Situation
    order_of: Mapping[str, Order]  # by the task's id, of everything carried
    people: Mapping[str, Account]
    ways: Ways
    params: Params

    @property
    def now_ms(self) -> int:
        return self.situation.now_ms

    @property
    def former(self) -> RunnerIn | None:
        """Who has it now, if they are on duty."""
        return next((one for one in self.situation.runners if one.id == self.order.runner_id), None)


async def options(ctx: Context, who: Principal, order_id: str, runner_id: str | None = None) -> ReassignOptionsView:
    """Every runner on duty with what giving them this order would mean, the best first; of very many the nearest, and
    ``runner_id`` in any case."""
    who.require(Permission.ORDERS_REASSIGN)
    scene = await _scene(ctx, who, order_id)
    chosen = _nearest(scene, runner_id)

    def weigh() -> ReassignOptionsView:
        before = {one.id: done_in_s(one, scene.ways, scene.now_ms, scene.params) for one in chosen}
        found = [option for one in chosen if (option := _option(scene, one, before[one.id])) is not None]
        return ReassignOptionsView(
            version=scene.order.version,
            options=sorted(
                found, key=lambda option: (option.excluded is not None, not option.is_current, option.cost_s)
            ),
            released=_released(scene),
            promised_at_ms=ms(scene.order.promised_at),
            left_out=len(scene.situation.runners) - len(chosen),
        )

    return await ctx.thinking.about(weigh)


async def check_seen(ctx: Context, who: Principal, order_id: str, request: Reassign) -> dict[str, int]:
    """The seconds by which other orders move, by order id, asked again; raises :class:`StaleVersion` where they are not
    what the operator was told."""
    if request.seen is None:
        return {}
    scene = await _scene(ctx, who, order_id)
    runner = next((one for one in scene.situation.runners if one.id == request.runner_id), None)

    def weigh() -> list[MoveView]:
        moves = _released(scene)
        if runner is not None:
            option = _option(scene, runner, done_in_s(runner, scene.ways, scene.now_ms, scene.params))
            moves = [*(option.moves if option is not None else []), *moves]
        return moves

    moves = await ctx.thinking.about(weigh)
    seen = {one.order_id: one for one in request.seen}
    is_same = seen.keys() == {one.order_id for one in moves} and all(
        abs(seen[one.order_id].seconds - one.seconds) <= TOLERANCE_S and seen[one.order_id].is_late == (one.late_s > 0)
        for one in moves
    )
    if not is_same:
        raise StaleVersion("it would mean something else for other orders by now", field="seen")
    return {one.order_id: one.seconds for one in moves}


async def _scene(ctx: Context, who: Principal, order_id: str) -> _Scene:
    ground = await ctx.grounds.get(who.campus_id)
    situation = await gather(ctx, who.campus_id, ground)
    crew = [runner.id for runner in situation.runners]

    def read(uow: UnitOfWork) -> tuple[Order, Task | None, dict[str, Order], dict[str, Account]]:
        held = uow.tasks.held()
        orders = uow.orders.many({task.order_id for task in held})
        carried = {task.id: orders[task.order_id] for task in held}
        return uow.orders.get(order_id), uow.tasks.by_order(order_id), carried, uow.accounts.many(crew)

    order, task, carried, people = await ctx.store.read(who.campus_id, read)
    if task is None or order.status not in REASSIGNABLE:
        raise WrongState(f"an order that is {order.status} cannot be reassigned", status=str(order.status))
    asked = task_in(task, order, frozenset(), ground)
    scene = _Scene(order, task, asked, situation, carried, people, ground.walkways.among, ctx.options.params)
    former = scene.former
    if former is not None and len(asked.points) > 1 and _is_in_hands(former, task.id):
        # It is wherever its runner is.
        asked = replace(
            asked, points=(former.point, asked.points[1]), before_s=(HANDING_S, asked.before_s[1]),
            after_s=(0.0, asked.after_s[1]), ready_at_ms=None, merchant=None,
        )  # fmt: skip
    return replace(scene, asked=barred([asked], ground)[0])


def _is_in_hands(runner: RunnerIn, task_id: str) -> bool:
    return not any(stop.task_id == task_id and stop.role == "pickup" for stop in runner.route)


def _nearest(scene: _Scene, wanted: str | None) -> list[RunnerIn]:
    crew = scene.situation.runners
    if len(crew) <= MOST_WEIGHED or not scene.asked.points:
        return crew[:MOST_WEIGHED] + [one for one in crew[MOST_WEIGHED:] if one.id in (wanted, scene.order.runner_id)]
    xy = LocalPlane(scene.asked.points[0]).xy_many(np.array([one.point for one in crew]))
    near = set(np.argsort(np.hypot(xy[:, 0], xy[:, 1]), kind="stable")[:MOST_WEIGHED].tolist())
    return [one for row, one in enumerate(crew) if row in near or one.id in (wanted, scene.order.runner_id)]


def _option(scene: _Scene, runner: RunnerIn, before: Mapping[str, float]) -> ReassignOption | None:
    """None where no way leads to it."""
    name = scene.people[runner.id].name
    if runner.id == scene.order.runner_id:
        done_s = before.get(scene.task.id, 0.0)
        return ReassignOption(
            runner_id=runner.id, runner_name=name, cost_s=0, arrive_at_ms=_at(scene, done_s), load_before=runner.load,
            distance_m=0, is_current=True, late_s=_late_s(scene, scene.order, done_s),
        )  # fmt: skip
    answer = what_if(scene.asked, runner, scene.ways, scene.now_ms, scene.params)
    if math.isinf(answer.finish_s):
        return None
    return ReassignOption(
        runner_id=runner.id,
        runner_name=name,
        cost_s=round(answer.cost_s),
        arrive_at_ms=_at(scene, answer.finish_s),
        load_before=runner.load,
        distance_m=round(answer.distance_m),
        is_current=False,
        excluded=answer.excluded,
        late_s=_late_s(scene, scene.order, answer.finish_s),
        moves=_moves(scene, runner.id, before, {task: before[task] + s for task, s in answer.moves.items()}),
    )


def _released(scene: _Scene) -> list[MoveView]:
    """What else its runner carries, once they have lost it."""
    former = scene.former
    if former is None:
        return []
    lighter = replace(former, route=tuple(stop for stop in former.route if stop.task_id != scene.task.id))
    before = done_in_s(former, scene.ways, scene.now_ms, scene.params)
    after = done_in_s(lighter, scene.ways, scene.now_ms, scene.params)
    return _moves(scene, former.id, before, after)


def _moves(scene: _Scene, runner_id: str, before: Mapping[str, float], after: Mapping[str, float]) -> list[MoveView]:
    """Of the tasks in ``after`` those that are done at another time, in the order in which they are done."""
    found = []
    for task_id, done_s in sorted(after.items(), key=lambda item: item[1]):
        order, was_s = scene.order_of.get(task_id), before[task_id]
        if order is None or not (math.isfinite(done_s) and math.isfinite(was_s)) or round(done_s - was_s) == 0:
            continue
        found.append(
            MoveView(
                order_id=order.id,
                code=order.id[-6:],
                runner_id=runner_id,
                seconds=round(done_s - was_s),
                done_at_ms=_at(scene, done_s),
                promised_at_ms=ms(order.promised_at),
                late_s=_late_s(scene, order, done_s),
                was_late_s=_late_s(scene, order, was_s),
            )
        )
    return found


def _at(scene: _Scene, seconds: float) -> int:
    return scene.now_ms + round(seconds * 1000)


def _late_s(scene: _Scene, order: Order, done_s: float) -> int:
    return max(0, round((_at(scene, done_s) - ms(order.promised_at)) / 1000))
