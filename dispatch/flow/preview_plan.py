"""An operator asks for a plan of everything that waits, and nobody is told: who would carry what, when, by which way.

What was shown is kept for a while as a note, so that exactly this can be committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from geo.datum import Datum, from_wgs84
from geo.point import Point

from ..access.permissions import Permission
from ..access.principal import Principal
from ..assign.presets import preset_params
from ..assign.solver import plan
from ..assign.state import Assignment, Plan, PlannedStop, RunnerIn, TaskIn, Waiting, Ways
from ..model import ids
from ..model.errors import TooMany, Unavailable
from ..model.order import Order
from ..model.plan_views import ForeseenView, PlannedPair, PlannedRoute, PlannedStopView, PlanPreview
from ..model.requests import PreviewPlan
from ..store.unit_of_work import UnitOfWork
from .campus_ground import CampusGround
from .context import Context
from .offer_task import kept_candidates
from .order_view import ms
from .situation import Situation, gather

#: Orders that are planned in one preview: those that wait longest.
MOST_PLANNED = 300
#: Real seconds: how long a plan may be thought about, and how long what was shown can be committed.
DEADLINE_S = 6.0
KEPT_S = 600.0
#: Previews that one operator may ask for in a minute of real time.
MOST_A_MINUTE = 30


class KeptPair(msgspec.Struct, frozen=True, kw_only=True):
    """A pair with everything that must still be so when it is committed, and why it was chosen. ``hand``: tasks that
    the runner carries, ``offered``: how many they are being asked about."""

    order_id: str
    order_version: int
    task_id: str
    task_version: int
    runner_id: str
    hand: list[str]
    offered: int
    regret_s: float | None
    candidates: list[dict[str, Any]]


class KeptPreview(msgspec.Struct, frozen=True, kw_only=True):
    """A preview as it is kept. ``visits``: by runner, their stops in order: task and role."""

    preset: str
    method: str
    params_version: str
    pairs: list[KeptPair]
    visits: dict[str, list[tuple[str, str]]]


class _Overdue(Exception):
    """Nobody waits for this plan any more."""


def preview_name(preview_id: str) -> str:
    """What its note is called."""
    return f"preview:{preview_id}"


async def preview(ctx: Context, who: Principal, request: PreviewPlan) -> PlanPreview:
    """Plan everything that waits, without acting. Audited."""
    who.require(Permission.ORDERS_REASSIGN)
    if not await ctx.counters.hit(f"preview:{who.account_id}", MOST_A_MINUTE, 60):
        raise TooMany("that were many previews; wait a moment", retry_after_s=ctx.counters.retry_after_s(60))
    ground = await ctx.grounds.get(who.campus_id)
    situation = await gather(ctx, who.campus_id, ground)
    without = frozenset(request.without)
    wanted = [one for one in situation.open_tasks() if one.order_id not in without]
    wanted.sort(key=lambda one: (one.opened_at_ms, one.id))
    tasks = wanted[:MOST_PLANNED]
    found = await _planned(ctx, tasks, situation, ground.walkways.among, request)
    preview_id = ctx.new_id(ids.PREVIEW)
    kept = _kept(found, situation, request.preset)
    await ctx.notes.keep(who.campus_id, preview_name(preview_id), msgspec.msgpack.encode(kept), KEPT_S)
    told = {"preset": request.preset, "orders": len(tasks), "runners": len(situation.runners), "pairs": len(kept.pairs)}

    def read(uow: UnitOfWork) -> tuple[dict[str, Order], dict[str, str]]:
        uow.audit.add(who.account_id, "plan.preview", preview_id, "", None, told)
        carried = {stop.stop.task_id for stops in found.routes.values() for stop in stops}
        order_ids = {task.id: task.order_id for task in uow.tasks.held()} | {
            task.id: task.order_id for task in situation.task_of.values()
        }
        orders = uow.orders.many({order_ids[task_id] for task_id in carried if task_id in order_ids})
        people = uow.accounts.many(found.routes)
        return (
            {task_id: orders[order_ids[task_id]] for task_id in carried if order_ids.get(task_id) in orders},
            {runner_id: account.name for runner_id, account in people.items()},
        )

    order_of, names = await ctx.store.run(who.campus_id, read)
    view = _View(found, situation, order_of, names, ground, Datum(request.datum))
    pairs = view.pairs()
    return PlanPreview(
        id=preview_id,
        preset=request.preset,
        at_ms=situation.now_ms,
        expires_at_ms=situation.now_ms + round(KEPT_S * ctx.clock.rate * 1000),
        pairs=pairs,
        routes=view.routes(),
        waiting=[_left(task, found) for task in tasks if task.id in found.unassigned],
        left_out=len(wanted) - len(tasks),
        late=sum(1 for one in pairs if one.late_s > 0),
        new_m=view.new_m(),
        mean_wait_s=round(sum(one.done_at_ms - view.now_ms for one in pairs) / 1000 / max(1, len(pairs))),
    )


async def _planned(
    ctx: Context, tasks: Sequence[TaskIn], situation: Situation, ways: Ways, request: PreviewPlan
) -> Plan:
    """Everything is decided now: what the planner would keep open for a while is shown as well."""
    base = preset_params(ctx.options.params, request.preset)
    params = replace(base, commit_ahead_s=float("inf"))

    def think() -> Plan:
        ends_s = ctx.clock.monotonic_s() + DEADLINE_S

        def lap(stage: str) -> None:
            if ctx.clock.monotonic_s() > ends_s:
                raise _Overdue

        return plan(tasks, situation.runners, ways, situation.now_ms, params, "optimizer", lap)

    try:
        return await ctx.thinking.about(think)
    except _Overdue:
        raise Unavailable("so much waits that this takes too long; leave some orders out") from None


def _kept(found: Plan, situation: Situation, preset: str) -> KeptPreview:
    crew = {runner.id: runner for runner in situation.runners}
    return KeptPreview(
        preset=preset,
        method=found.method,
        params_version=found.params_version,
        pairs=[_kept_pair(one, situation, crew[one.runner_id]) for one in found.assignments],
        visits={
            runner_id: [(stop.stop.task_id, stop.stop.role) for stop in stops]
            for runner_id, stops in found.routes.items()
        },
    )


def _kept_pair(one: Assignment, situation: Situation, runner: RunnerIn) -> KeptPair:
    task = situation.task_of[one.task_id]
    return KeptPair(
        order_id=task.order_id,
        order_version=situation.order_of[task.order_id].version,
        task_id=task.id,
        task_version=task.version,
        runner_id=one.runner_id,
        hand=sorted(situation.hands.get(one.runner_id, frozenset())),
        offered=runner.offered,
        regret_s=one.regret_s,
        candidates=kept_candidates(one),
    )


def _left(task: TaskIn, found: Plan) -> ForeseenView:
    return ForeseenView(order_id=task.order_id, state="waiting", reason=str(Waiting(found.unassigned[task.id])))


class _View:
    """A plan as it is shown."""

    def __init__(
        self,
        found: Plan,
        situation: Situation,
        order_of: dict[str, Order],
        names: dict[str, str],
        ground: CampusGround,
        datum: Datum,
    ) -> None:
        self._found, self._situation, self._order_of, self._names = found, situation, order_of, names
        self._ways, self._datum = ground.walkways.among, datum
        self._crew = {runner.id: runner for runner in situation.runners}
        self._given = {one.task_id for one in found.assignments}
        self.now_ms = situation.now_ms

    def pairs(self) -> list[PlannedPair]:
        """By runner, in the order in which they are done."""
        found, count = [], dict.fromkeys(self._names, 0)
        for one in sorted(self._found.assignments, key=lambda one: (self._names[one.runner_id], one.done_at_ms)):
            order = self._order_of[one.task_id]
            count[one.runner_id] += 1
            found.append(
                PlannedPair(
                    order_id=order.id,
                    code=order.id[-6:],
                    runner_id=one.runner_id,
                    runner_name=self._names[one.runner_id],
                    number=count[one.runner_id],
                    cost_s=one.cost_s,
                    regret_s=one.regret_s,
                    distance_m=round(one.distance_m),
                    leave_at_ms=one.leave_at_ms,
                    done_at_ms=one.done_at_ms,
                    promised_at_ms=ms(order.promised_at),
                    late_s=max(0, round((one.done_at_ms - ms(order.promised_at)) / 1000)),
                )
            )
        return found

    def routes(self) -> list[PlannedRoute]:
        """Of every runner who is given something."""
        return [
            PlannedRoute(
                runner_id=runner_id,
                runner_name=self._names[runner_id],
                start=list(from_wgs84(self._crew[runner_id].point, self._datum)),
                stops=[stop for visit in stops if (stop := self._stop(visit)) is not None],
            )
            for runner_id, stops in self._found.routes.items()
        ]

    def _stop(self, visit: PlannedStop) -> PlannedStopView | None:
        order = self._order_of.get(visit.stop.task_id)
        if order is None or not order.stops:
            return None
        point = from_wgs84(visit.stop.point, self._datum)
        return PlannedStopView(
            order_id=order.id, code=order.id[-6:], role=visit.stop.role, lat=point.lat, lon=point.lon,
            done_at_ms=visit.done_ms, is_new=visit.stop.task_id in self._given,
        )  # fmt: skip

    def new_m(self) -> int:
        """Metres that these runners go more than without it."""
        return round(
            sum(
                self._metres(self._crew[runner_id].point, [visit.stop.point for visit in stops])
                - self._metres(self._crew[runner_id].point, [stop.point for stop in self._crew[runner_id].route])
                for runner_id, stops in self._found.routes.items()
            )
        )

    def _metres(self, start: Point, stops: Sequence[Point]) -> float:
        rows = np.arange(len(stops))
        legs = self._ways(np.array([start, *stops]))(rows, rows + 1) if stops else np.zeros(0)
        return float(legs[np.isfinite(legs)].sum())
