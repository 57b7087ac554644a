"""One planning tick of a campus: match waiting tasks to runners and put each choice to its runner as an offer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from ..assign.solver import plan
from ..assign.state import Assignment, Params, Plan
from ..model import ids
from ..model.campus import AssignMode
from ..model.decision import Decision
from ..model.errors import Refusal
from ..model.event import EventKind
from ..model.offer import Offer, OfferStatus
from ..model.task import TaskMove, TaskStatus, next_status
from ..store.unit_of_work import UnitOfWork
from .campus_ground import CampusGround
from .context import Context
from .situation import Situation, gather
from .tell import tell


@dataclass(frozen=True, slots=True)
class Tick:
    """What one tick did; ``waiting`` says of every task that got no offer why."""

    offered: int = 0
    lost: int = 0  # somebody else was faster
    waiting: Mapping[str, str] | None = None


async def assign_tasks(ctx: Context, campus_id: str, fence: int, params: Params) -> Tick:
    """Plan and offer. ``fence`` is the planner's lease: an assignment under an older one is refused by the database."""
    ground = await ctx.grounds.get(campus_id)
    if ground.campus.settings.mode is AssignMode.GRAB:
        return Tick(waiting={})
    situation = await gather(ctx, campus_id, ground)
    answer = await _plan(situation, ground, params)
    # At once, so that they share commits; they touch different tasks and runners.
    outcomes = await asyncio.gather(
        *(
            ctx.store.run(campus_id, partial(_offer, ctx, situation, assignment, answer, fence))
            for assignment in answer.assignments
        ),
        return_exceptions=True,
    )
    offered, lost = 0, 0
    for outcome in outcomes:
        if outcome is None:
            offered += 1
        elif isinstance(outcome, Refusal):
            # Cancelled, grabbed or forced meanwhile: the next tick sees the world as it is then.
            lost += 1
        else:
            raise outcome
    if offered:
        ctx.announce()
    return Tick(offered, lost, {situation.task_of[task_id].order_id: why for task_id, why in answer.unassigned.items()})


async def why_waiting(ctx: Context, campus_id: str, order_id: str) -> str | None:
    """Why a tick would not offer this order to anybody now; None where one would, or where it does not wait."""
    ground = await ctx.grounds.get(campus_id)
    situation = await gather(ctx, campus_id, ground)
    task = next((one for one in situation.task_of.values() if one.order_id == order_id), None)
    if task is None or task.status is not TaskStatus.OPEN:
        return None
    if ground.campus.settings.mode is AssignMode.GRAB:
        return "grab_only"
    answer = await _plan(situation, ground, Params())
    return answer.unassigned.get(task.id)


async def _plan(situation: Situation, ground: CampusGround, params: Params) -> Plan:
    # The offered ones are with a runner just now; planning them again would offer them twice.
    tasks = [task for task in situation.tasks if situation.task_of[task.id].status is TaskStatus.OPEN]
    if not tasks:
        return Plan()
    return await asyncio.to_thread(
        plan, tasks, situation.runners, ground.walkways.walk_m_many, situation.now_ms, params
    )


def _offer(ctx: Context, situation: Situation, chosen: Assignment, answer: Plan, fence: int, uow: UnitOfWork) -> None:
    seen = situation.task_of[chosen.task_id]
    order = uow.orders.get(seen.order_id)
    decision = Decision(
        id=uow.new_id(ids.DECISION),
        campus_id=uow.campus_id,
        task_id=seen.id,
        order_id=order.id,
        at=uow.now,
        mode=answer.method,
        runner_id=chosen.runner_id,
        regret_s=chosen.regret_s,
        fence=fence,
        candidates=_candidates(chosen),
        note=answer.params_version,
    )
    offer = Offer(
        id=uow.new_id(ids.OFFER),
        campus_id=uow.campus_id,
        task_id=seen.id,
        order_id=order.id,
        runner_id=chosen.runner_id,
        status=OfferStatus.PENDING,
        offered_at=uow.now,
        expires_at=uow.now + ctx.options.offer_ttl,
        decision_id=decision.id,
    )
    task = replace(
        seen,
        status=next_status(seen.status, TaskMove.OFFER),
        version=seen.version + 1,
        offer_id=offer.id,
        decision_id=decision.id,
        fence=fence,
    )
    uow.tasks.save(task, fence=fence)
    uow.offers.insert(offer)
    uow.decisions.insert(decision)
    uow.jobs.schedule("expire_offer", offer.id, offer.expires_at)
    tell(uow, EventKind.TASK_OFFERED, order, task, runner_id=offer.runner_id, offer_id=offer.id)


def _candidates(chosen: Assignment) -> list[dict[str, object]]:
    kept: list[dict[str, object]] = [
        {
            "runner_id": one.runner_id,
            "cost_s": one.cost_s,
            "terms": dict(one.terms),
            "distance_m": round(one.distance_m),
            "is_chosen": one.runner_id == chosen.runner_id,
        }
        for one in chosen.candidates
    ]
    kept.extend(
        {"runner_id": runner_id, "excluded": str(rule)} for runner_id, rule in list(chosen.excluded.items())[:20]
    )
    return kept
