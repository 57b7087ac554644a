"""What is written down of each way in which a task finds its runner, whoever decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..model import ids
from ..model.decision import Decision
from ..model.task import Task
from ..store.unit_of_work import UnitOfWork


def decide(
    uow: UnitOfWork,
    task: Task,
    runner_id: str,
    mode: str,
    note: str,
    *,
    fence: int | None = None,
    regret_s: float | None = None,
    candidates: Sequence[Mapping[str, Any]] = (),
    tick_id: str | None = None,
) -> Decision:
    """A decision made now, not stored yet. ``fence``: of the planner that made it, else the one the task has."""
    return Decision(
        id=uow.new_id(ids.DECISION),
        campus_id=uow.campus_id,
        task_id=task.id,
        order_id=task.order_id,
        at=uow.now,
        mode=mode,
        runner_id=runner_id,
        regret_s=regret_s,
        fence=task.fence if fence is None else fence,
        candidates=candidates,
        note=note,
        tick_id=tick_id,
    )
