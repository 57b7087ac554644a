"""The one way in which a runner gets a task, whether accepted, grabbed or forced: conditional, in one transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from ..model.event import EventKind
from ..model.order import Order, OrderMove, OrderStatus, next_status
from ..model.task import Task, TaskMove
from ..model.task import next_status as next_task_status
from ..store.unit_of_work import UnitOfWork
from .tell import tell

How = Literal["offer", "grab", "forced"]


def take_task(
    uow: UnitOfWork,
    order: Order,
    task: Task,
    runner_id: str,
    how: How,
    *,
    actor_id: str,
    decision_id: str | None = None,
    is_undo: bool = False,
) -> tuple[Order, Task]:
    """Give the task to the runner. Two who try it at once: both hold the same version, and one of them is refused.

    Raises ``StaleVersion`` or ``WrongState``; the caller translates for the loser.
    """
    former = order.runner_id
    assigned = replace(
        order,
        status=next_status(order.status, OrderMove.ASSIGN),
        version=order.version + 1,
        runner_id=runner_id,
        # What was picked up is past that step, whoever carries it on.
        assigned_at=order.assigned_at if order.status is OrderStatus.CARRYING else uow.now,
    )
    taken = replace(
        task,
        status=next_task_status(task.status, TaskMove.ASSIGN),
        version=task.version + 1,
        runner_id=runner_id,
        offer_id=None,
        decision_id=decision_id or task.decision_id,
    )
    uow.tasks.save(taken)
    uow.orders.save(assigned)
    kind = EventKind.TASK_REASSIGNED if former and former != runner_id else EventKind.TASK_ASSIGNED
    tell(
        uow,
        kind,
        assigned,
        taken,
        actor_id=actor_id,
        former_runner_id=former,
        how=how,
        runner_id=runner_id,
        **({"is_undo": True} if is_undo else {}),
    )
    return assigned, taken
