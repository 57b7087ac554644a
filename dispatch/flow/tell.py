"""Writes an event into the outbox within the transaction that made it true."""

from __future__ import annotations

from typing import Any

from ..model import ids
from ..model.event import Event, EventKind
from ..model.order import Order
from ..model.task import Task
from ..store.unit_of_work import UnitOfWork


def tell(
    uow: UnitOfWork,
    kind: EventKind,
    order: Order,
    task: Task | None = None,
    *,
    actor_id: str | None = None,
    runner_id: str | None = None,
    former_runner_id: str | None = None,
    **payload: Any,
) -> None:
    """Record that ``kind`` happened to ``order``, at its present version.

    ``runner_id`` defaults to the runner who has the order. The payload goes to every party of the order, so nothing
    personal belongs into it; the relay adds what only one audience may see.
    """
    uow.outbox.add(
        Event(
            id=uow.new_id(ids.EVENT),
            campus_id=order.campus_id,
            kind=kind,
            subject_id=order.id,
            version=order.version,
            at=uow.now,
            payload={
                "order_id": order.id,
                "code": order.id[-6:],
                "status": str(order.status),
                "task_status": str(task.status) if task else None,
                "version": order.version,
                **payload,
            },
            actor_id=actor_id,
            student_id=order.student_id,
            runner_id=runner_id if runner_id is not None else order.runner_id,
            former_runner_id=former_runner_id,
        )
    )


def tell_about_account(
    uow: UnitOfWork, kind: EventKind, account_id: str, *, actor_id: str | None, **payload: Any
) -> None:
    """Record that ``kind`` happened to an account; its own topic and the console hear of it."""
    uow.outbox.add(
        Event(
            id=uow.new_id(ids.EVENT),
            campus_id=uow.campus_id,
            kind=kind,
            subject_id=account_id,
            version=0,
            at=uow.now,
            payload={"account_id": account_id, **payload},
            actor_id=actor_id,
            runner_id=account_id,
        )
    )
