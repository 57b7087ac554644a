"""One planning tick of a campus: match waiting tasks to runners and put each choice to its runner as an offer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from ..assign.params import Params
from ..assign.solver import plan
from ..assign.state import Assignment
from ..model import ids
from ..model.errors import Refusal
from ..model.plan_views import ForeseenView
from ..model.task import TaskStatus
from ..store.unit_of_work import UnitOfWork
from ..ticks.record import ShadowNote, TickRecord, pairs, plan_digest
from .campus_ground import CampusGround
from .context import Context
from .decisions import decide
from .foresee_orders import foreseen
from .offer_task import kept_candidates, offer_task
from .planning import Answer, Desk, Question
from .situation import Situation, gather


@dataclass(frozen=True, slots=True)
class Tick:
    """What one tick did; ``waiting`` says of every task that got no offer why. ``method`` is the one that acted,
    ``fallback`` why it is not the one that was to; ``stages_ms`` are real milliseconds."""

    offered: int = 0
    lost: int = 0  # somebody else was faster
    waiting: Mapping[str, str] | None = None
    foreseen: Mapping[str, ForeseenView] = field(default_factory=dict)  # the same with whoever is foreseen
    method: str = ""
    fallback: str = ""
    tasks: int = 0
    runners: int = 0
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    shadow: ShadowNote | None = None


@dataclass(frozen=True, slots=True)
class _Round:
    """What the offers of one tick share."""

    ctx: Context
    situation: Situation
    answer: Answer
    tick_id: str
    fence: int


async def assign_tasks(ctx: Context, campus_id: str, fence: int, params: Params, desk: Desk | None = None) -> Tick:
    """Plan and offer. ``fence`` is the planner's lease: an assignment under an older one is refused by the database."""
    desk = desk or Desk(ctx)
    ground = await ctx.grounds.get(campus_id)
    situation = await gather(ctx, campus_id, ground, desk.standings)
    question = _question(situation, ground, params, desk)
    answer = await desk.think(question)
    desk.foreseen[campus_id] = {one.task_id: (one.runner_id, one.leave_at_ms) for one in answer.plan.planned}
    planned_s = desk.monotonic_s()
    this = _Round(ctx, situation, answer, ctx.new_id(ids.TICK), fence)
    offered, lost = await _offer_all(this, campus_id)
    stages = {**situation.stages_ms, **answer.stages_ms, "offers": (desk.monotonic_s() - planned_s) * 1000}
    shadow = await desk.shade(question, answer)
    await _record(desk, this, campus_id, ground, question, stages, shadow)
    waiting = _waiting(situation, answer)
    return Tick(
        offered,
        lost,
        {order_id: one.reason for order_id, one in waiting.items()},
        waiting,
        answer.plan.method,
        answer.fallback,
        len(question.tasks),
        len(question.runners),
        stages,
        shadow,
    )


async def why_waiting(ctx: Context, campus_id: str, order_id: str) -> ForeseenView | None:
    """Why a tick would not offer this order to anybody now; None where one would, or where it does not wait."""
    ground = await ctx.grounds.get(campus_id)
    situation = await gather(ctx, campus_id, ground)
    task = next((one for one in situation.task_of.values() if one.order_id == order_id), None)
    if task is None or task.status is not TaskStatus.OPEN:
        return None
    asked = _question(situation, ground, ctx.options.params, Desk(ctx))
    made = await ctx.thinking.about(
        lambda: plan(asked.tasks, asked.runners, asked.ways, asked.now_ms, asked.params, asked.method)
    )
    return _waiting(situation, Answer(made, {})).get(order_id)


def _waiting(situation: Situation, answer: Answer) -> dict[str, ForeseenView]:
    """By order id: everything that was not offered."""
    planned = {one.task_id: one for one in answer.plan.planned}
    reasons = {**situation.left_to_grab(), **answer.plan.unassigned}
    orders = ((task_id, situation.task_of[task_id].order_id) for task_id in reasons)
    return {order_id: foreseen(order_id, reasons[task_id], planned.get(task_id)) for task_id, order_id in orders}


def _question(situation: Situation, ground: CampusGround, params: Params, desk: Desk) -> Question:
    foreseen = desk.foreseen.get(ground.campus.id, {})
    tasks = [replace(task, foreseen=foreseen.get(task.id)) for task in situation.to_plan()]
    return Question(tasks, situation.runners, ground.walkways.among, situation.now_ms, params, desk.method)


# --- offers -----------------------------------------------------------------------------------------------------------


async def _offer_all(this: _Round, campus_id: str) -> tuple[int, int]:
    """How many were offered, and how many were lost to somebody who was faster."""
    bundles: dict[str, list[Assignment]] = {}
    for one in this.answer.plan.assignments:
        bundles.setdefault(one.runner_id, []).append(one)
    # At once, so that they share commits; they touch different tasks and runners.
    asked = (_offer_bundle(this, campus_id, bundle) for bundle in bundles.values())
    offered = 0
    for outcome in await asyncio.gather(*asked, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
        offered += outcome
    lost = len(this.answer.plan.assignments) - offered
    if offered:
        this.ctx.announce()
    return offered, lost


async def _offer_bundle(this: _Round, campus_id: str, bundle: list[Assignment]) -> int:
    """Put one runner's tasks to them, each in a commit of its own: one that is lost keeps none of the others back."""
    offered = 0
    for chosen in bundle:
        try:
            await this.ctx.store.run(campus_id, partial(_offer, this, chosen))
        except Refusal:
            # Cancelled, grabbed or forced meanwhile: the next tick sees the world as it is then.
            continue
        offered += 1
    return offered


def _offer(this: _Round, chosen: Assignment, uow: UnitOfWork) -> None:
    seen = this.situation.task_of[chosen.task_id]
    order = uow.orders.get(seen.order_id)
    decision = decide(
        uow,
        seen,
        chosen.runner_id,
        this.answer.plan.method,
        " ".join(filter(None, (this.answer.plan.params_version, this.answer.fallback))),
        fence=this.fence,
        regret_s=chosen.regret_s,
        candidates=kept_candidates(chosen),
        tick_id=this.tick_id,
    )
    visits = [(visit.stop.task_id, visit.stop.role) for visit in this.answer.plan.routes.get(chosen.runner_id, ())]
    offer_task(uow, order, seen, decision, this.ctx.options.offer_ttl, visits, fence=this.fence)


# --- the record -------------------------------------------------------------------------------------------------------


async def _record(
    desk: Desk,
    this: _Round,
    campus_id: str,
    ground: CampusGround,
    question: Question,
    stages_ms: Mapping[str, float],
    shadow: ShadowNote | None,
) -> None:
    """Hand the tick to the recorder, which writes it when it likes. A tick without tasks says nothing."""
    recorder, acted = desk.recorder, this.answer.plan
    if recorder is None or not question.tasks:
        return
    map_id = recorder.map_id(campus_id, ground.map)
    if map_id is None:
        body = await this.ctx.store.read_global(lambda unit: unit.campuses.map_bytes(campus_id))
        map_id = await asyncio.to_thread(recorder.keep_map, campus_id, ground.map, body)
    recorder.put(
        TickRecord(
            id=this.tick_id,
            campus_id=campus_id,
            now_ms=question.now_ms,
            map_id=map_id,
            tasks=tuple(question.tasks),
            runners=tuple(question.runners),
            params=question.params,
            asked=question.method,
            acted=acted.method,
            fallback=this.answer.fallback,
            digest=await asyncio.to_thread(plan_digest, acted),
            chosen=pairs(acted.assignments),
            planned=pairs(acted.planned),
            stages_ms=stages_ms,
            shadow=shadow,
        )
    )
