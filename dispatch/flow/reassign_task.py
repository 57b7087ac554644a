"""An operator steps in: sees what it would cost, forces an order onto a runner, takes it back, and reads why."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from ..access.permissions import Permission
from ..access.principal import Principal
from ..assign.explain import what_if
from ..assign.params import Params
from ..model import ids
from ..model.account import Account, Membership, RunnerStatus
from ..model.decision import Decision
from ..model.errors import NotAvailable, StaleVersion, WrongState
from ..model.event import EventKind
from ..model.operator_views import CandidateView, DecisionView, ReassignOption, ReassignOptionsView, WhyView
from ..model.order import Order, OrderMove, OrderStatus, next_status
from ..model.requests import Reassign, UndoReassign
from ..model.task import Task, TaskMove
from ..model.task import next_status as next_task_status
from ..model.views import OrderView
from ..store.unit_of_work import UnitOfWork
from .assign_tasks import why_waiting
from .cancel_order import withdraw_offer
from .context import Context
from .escalate import begin_waiting
from .move_credit import credit_given_back, credit_taken_back
from .order_view import ms
from .read_orders import REASSIGNED, last_forced, read_one
from .situation import gather, task_in
from .take_task import take_task
from .tell import tell

_REASSIGNABLE = frozenset({OrderStatus.OPEN, OrderStatus.ASSIGNED, OrderStatus.CARRYING})


async def options(ctx: Context, who: Principal, order_id: str) -> ReassignOptionsView:
    """Every runner on duty with what giving them this order would mean, the best first."""
    who.require(Permission.ORDERS_REASSIGN)
    ground = await ctx.grounds.get(who.campus_id)
    situation = await gather(ctx, who.campus_id, ground)

    def read(uow: UnitOfWork) -> tuple[Order, Task | None, dict[str, Account]]:
        people = uow.accounts.many(runner.id for runner in situation.runners)
        return uow.orders.get(order_id), uow.tasks.by_order(order_id), people

    order, task, people = await ctx.store.read(who.campus_id, read)
    if task is None or order.status not in _REASSIGNABLE:
        raise WrongState(f"an order that is {order.status} cannot be reassigned", status=str(order.status))
    asked = task_in(task, order, frozenset(), ground)
    found = []
    for runner in situation.runners:
        answer = what_if(asked, runner, ground.walkways.among, situation.now_ms, Params())
        if answer.finish_s == float("inf"):
            continue
        found.append(
            ReassignOption(
                runner_id=runner.id,
                runner_name=people[runner.id].name,
                cost_s=round(answer.cost_s),
                arrive_at_ms=situation.now_ms + round(answer.finish_s * 1000),
                load_before=runner.load,
                distance_m=round(answer.distance_m),
                is_current=runner.id == order.runner_id,
                excluded=answer.excluded,
            )
        )
    found.sort(key=lambda option: (option.excluded is not None, option.cost_s))
    return ReassignOptionsView(version=order.version, options=found)


async def reassign(ctx: Context, who: Principal, order_id: str, request: Reassign) -> OrderView:
    """Force the order onto a runner, or take it from its runner; the version must be the one that was looked at."""
    who.require(Permission.ORDERS_REASSIGN)
    ground = await ctx.grounds.get(who.campus_id)

    def change(uow: UnitOfWork) -> OrderView:
        order, task = _at_version(uow, order_id, request.version)
        if request.runner_id == order.runner_id and order.runner_id is not None:
            raise WrongState("this runner has it already", field="runner_id")
        before = {"runner_id": order.runner_id, "status": str(order.status), "version": order.version}
        credit_taken_back(uow, order, request.reason, ground.campus.settings)
        if request.runner_id is None:
            changed = _take_away(uow, order, task, who.account_id)
        else:
            _check_runner(uow, request.runner_id, order)
            changed = _force(uow, order, task, request.runner_id, who.account_id, request.reason)
        after = {"runner_id": changed.runner_id, "status": str(changed.status), "version": changed.version}
        reason = f"{request.reason}: {request.note}" if request.note else request.reason
        uow.audit.add(who.account_id, REASSIGNED, order.id, reason, before, after)
        return read_one(uow, order_id, who, ground, ctx.options.undo_ttl).view

    view = await ctx.store.run(who.campus_id, change)
    ctx.announce()
    return view


async def undo(ctx: Context, who: Principal, order_id: str, request: UndoReassign) -> OrderView:
    """Take the last forced reassignment back, as long as nothing happened after it and its time is not over."""
    who.require(Permission.ORDERS_REASSIGN)
    ground = await ctx.grounds.get(who.campus_id)

    def change(uow: UnitOfWork) -> OrderView:
        order, task = _at_version(uow, order_id, request.version)
        last = last_forced(uow, order)
        if last is None or uow.now >= last.at + ctx.options.undo_ttl:
            raise WrongState("there is nothing that can be taken back any more")
        before = {"runner_id": order.runner_id, "status": str(order.status), "version": order.version}
        if last.former_runner_id is None:
            changed = _take_away(uow, order, task, who.account_id, is_undo=True)
        else:
            _check_approved(uow, last.former_runner_id)
            changed = _force(uow, order, task, last.former_runner_id, who.account_id, "undo", is_undo=True)
            credit_given_back(
                uow, order, last.former_runner_id, last.version - 1, ground.campus.settings, who.account_id
            )
        after = {"runner_id": changed.runner_id, "status": str(changed.status), "version": changed.version}
        uow.audit.add(who.account_id, "order.reassign.undo", order.id, "undo", before, after)
        return read_one(uow, order_id, who, ground, timedelta(0)).view

    view = await ctx.store.run(who.campus_id, change)
    ctx.announce()
    return view


def _at_version(uow: UnitOfWork, order_id: str, version: int) -> tuple[Order, Task]:
    order, task = uow.orders.get(order_id), uow.tasks.by_order(order_id)
    if order.version != version:
        raise StaleVersion(field="version", version=order.version)
    if task is None or order.status not in _REASSIGNABLE:
        raise WrongState(f"an order that is {order.status} cannot be reassigned", status=str(order.status))
    return order, task


def _check_runner(uow: UnitOfWork, runner_id: str, order: Order) -> None:
    """Operators may overrule load and distance, but not make a runner of somebody who is none or not there."""
    if not _check_approved(uow, runner_id).is_on_duty:
        raise NotAvailable("this runner is off duty", field="runner_id")
    if runner_id == order.student_id:
        raise NotAvailable("nobody carries their own errand", field="runner_id")


def _check_approved(uow: UnitOfWork, runner_id: str) -> Membership:
    member = uow.memberships.get(runner_id)
    if member.runner_status is not RunnerStatus.APPROVED or uow.accounts.get(runner_id).is_blocked:
        raise NotAvailable("this account is no approved runner", field="runner_id")
    return member


def _force(
    uow: UnitOfWork, order: Order, task: Task, runner_id: str, actor_id: str, reason: str, *, is_undo: bool = False
) -> Order:
    withdraw_offer(uow, order, task)
    decision = Decision(
        id=uow.new_id(ids.DECISION),
        campus_id=uow.campus_id,
        task_id=task.id,
        order_id=order.id,
        at=uow.now,
        mode="forced",
        runner_id=runner_id,
        regret_s=None,
        fence=task.fence,
        candidates=[],
        note=reason,
    )
    uow.decisions.insert(decision)
    changed, _ = take_task(
        uow, order, task, runner_id, "forced", actor_id=actor_id, decision_id=decision.id, is_undo=is_undo
    )
    return changed


def _take_away(uow: UnitOfWork, order: Order, task: Task, actor_id: str, *, is_undo: bool = False) -> Order:
    if order.status is not OrderStatus.ASSIGNED:
        raise WrongState("only an errand that is assigned and not picked up can wait again", status=str(order.status))
    former = order.runner_id
    reopened = replace(
        order,
        status=next_status(order.status, OrderMove.UNASSIGN),
        version=order.version + 1,
        runner_id=None,
        assigned_at=None,
    )
    waiting = replace(
        task, status=next_task_status(task.status, TaskMove.WITHDRAW), version=task.version + 1, runner_id=None
    )
    uow.tasks.save(waiting)
    uow.orders.save(reopened)
    begin_waiting(uow, reopened, waiting, is_again=True)
    extra: dict[str, Any] = {"is_undo": True} if is_undo else {}
    tell(
        uow,
        EventKind.TASK_REOPENED,
        reopened,
        waiting,
        actor_id=actor_id,
        former_runner_id=former,
        how="forced",
        **extra,
    )
    return reopened


async def why(ctx: Context, who: Principal, order_id: str) -> WhyView:
    """Every decision about this order with its reasons, the newest first; for one that waits, why it does now."""
    who.require(Permission.ORDERS_READ_ANY)
    waiting = await why_waiting(ctx, who.campus_id, order_id)

    def read(uow: UnitOfWork) -> WhyView:
        order = uow.orders.get(order_id)
        decisions = uow.decisions.for_order(order.id)
        runner_ids = {one["runner_id"] for decision in decisions for one in decision.candidates}
        runner_ids |= {decision.runner_id for decision in decisions if decision.runner_id}
        names = {account_id: account.name for account_id, account in uow.accounts.many(runner_ids).items()}
        return WhyView(
            decisions=[
                _decision_view(decision, names) for decision in sorted(decisions, key=lambda one: one.id, reverse=True)
            ],
            waiting=waiting,
        )

    return await ctx.store.read(who.campus_id, read)


def _decision_view(decision: Decision, names: dict[str, str]) -> DecisionView:
    return DecisionView(
        id=decision.id,
        at_ms=ms(decision.at),
        mode=decision.mode,
        runner_id=decision.runner_id,
        regret_s=decision.regret_s,
        candidates=[
            CandidateView(
                runner_id=one["runner_id"],
                runner_name=names.get(one["runner_id"], ""),
                cost_s=one.get("cost_s"),
                terms=one.get("terms", {}),
                distance_m=one.get("distance_m"),
                excluded=one.get("excluded"),
                is_chosen=bool(one.get("is_chosen")),
            )
            for one in decision.candidates
        ],
        note=decision.note,
    )
