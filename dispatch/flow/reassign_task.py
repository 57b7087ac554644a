"""An operator steps in: forces an order onto a runner, takes it from one, and takes that back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.account import Membership, RunnerStatus
from ..model.decision import Decision
from ..model.errors import NotAvailable, StaleVersion, WrongState
from ..model.event import EventKind
from ..model.order import Order, OrderMove, OrderStatus, next_status
from ..model.requests import Reassign, UndoReassign
from ..model.task import Task, TaskMove
from ..model.task import next_status as next_task_status
from ..model.views import OrderView
from ..store.unit_of_work import UnitOfWork
from .cancel_order import withdraw_offer
from .context import Context
from .decisions import decide
from .escalate import begin_waiting
from .move_credit import credit_given_back, credit_taken_back
from .read_orders import REASSIGNED, last_forced, read_one
from .take_task import take_task
from .tell import tell
from .weigh_reassign import REASSIGNABLE, check_seen


async def reassign(ctx: Context, who: Principal, order_id: str, request: Reassign) -> OrderView:
    """Force the order onto a runner, or take it from its runner; the version must be the one that was looked at."""
    who.require(Permission.ORDERS_REASSIGN)
    ground = await ctx.grounds.get(who.campus_id)
    moves = await check_seen(ctx, who, order_id, request)

    def change(uow: UnitOfWork) -> OrderView:
        order, task = _at_version(uow, order_id, request.version)
        if request.runner_id == order.runner_id and order.runner_id is not None:
            raise WrongState("this runner has it already", field="runner_id")
        before = {"runner_id": order.runner_id, "status": str(order.status), "version": order.version}
        credit_taken_back(uow, order, request.reason, ground.campus.settings)
        if request.runner_id is None:
            changed = _take_away(uow, order, task, who.account_id)
        else:
            check_runner(uow, request.runner_id, order)
            decision = decide(uow, task, request.runner_id, "forced", request.reason)
            changed = force(uow, order, task, decision, who.account_id)
        after: dict[str, Any] = {
            "runner_id": changed.runner_id, "status": str(changed.status), "version": changed.version,
        } | ({"moves_s": moves} if moves else {})  # fmt: skip
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
            decision = decide(uow, task, last.former_runner_id, "forced", "undo")
            changed = force(uow, order, task, decision, who.account_id, is_undo=True)
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
    if task is None or order.status not in REASSIGNABLE:
        raise WrongState(f"an order that is {order.status} cannot be reassigned", status=str(order.status))
    return order, task


def check_runner(uow: UnitOfWork, runner_id: str, order: Order) -> None:
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


def force(
    uow: UnitOfWork, order: Order, task: Task, decision: Decision, actor_id: str, *, is_undo: bool = False
) -> Order:
    """Give it to the runner of the decision, whoever had it or was being asked."""
    assert decision.runner_id is not None, "it is forced onto somebody"
    withdraw_offer(uow, order, task)
    uow.decisions.insert(decision)
    changed, _ = take_task(
        uow, order, task, decision.runner_id, "forced", actor_id=actor_id, decision_id=decision.id, is_undo=is_undo
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
