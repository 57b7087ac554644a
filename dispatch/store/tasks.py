"""Tasks in SQL: the conditional UPDATE on the version is what makes one runner win, whatever else is in place."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from sqlalchemy import Select, insert, select, update

from ..model.errors import NotFound
from ..model.task import HELD, TAKEABLE, Task, TaskStatus
from .scope import CampusScope
from .tables import leases
from .tables import tasks as t

_FIXED = frozenset({"id", "campus_id", "order_id"})


def planner_lease(campus_id: str) -> str:
    """The name of the lease under which a planner assigns at this campus."""
    return f"planner:{campus_id}"


class Tasks:
    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def insert(self, task: Task) -> None:
        self._scope.check(task.campus_id)
        self._sql.execute(insert(t).values(asdict(task)))

    def get(self, task_id: str) -> Task:
        """The task; raises :class:`NotFound`, also for another campus's."""
        found = self._all(self._mine().where(t.c.id == task_id))
        if not found:
            raise NotFound("there is no such task here")
        return found[0]

    def by_order(self, order_id: str) -> Task | None:
        found = self._all(self._mine().where(t.c.order_id == order_id))
        return found[0] if found else None

    def by_orders(self, order_ids: Collection[str]) -> dict[str, Task]:
        """The tasks of these orders, by order id."""
        return {task.order_id: task for task in self._all(self._mine().where(t.c.order_id.in_(list(order_ids))))}

    def save(self, task: Task, fence: int | None = None) -> None:
        """Store a change; ``task.version`` is the new version.

        With ``fence`` the same UPDATE also asks that the campus's planner lease still has that fencing number. Raises
        :class:`StaleVersion` when either has moved on, and :class:`NotFound`.
        """
        self._scope.check(task.campus_id)
        values = {name: value for name, value in asdict(task).items() if name not in _FIXED}
        change = update(t).where(self._scope.mine(t), t.c.id == task.id, t.c.version == task.version - 1)
        if fence is not None:
            is_leader = select(leases.c.name).where(
                leases.c.name == planner_lease(self._scope.campus_id), leases.c.fence == fence
            )
            change = change.where(is_leader.exists())
        if self._sql.execute(change.values(values)).rowcount != 1:
            raise self._scope.missed(t, task.id, "task")

    def takeable(self) -> list[Task]:
        """Nobody has these yet; longest waiting first."""
        return self._with(TAKEABLE)

    def held(self) -> list[Task]:
        """Somebody carries these out."""
        return self._with(HELD)

    def held_by(self, runner_id: str) -> list[Task]:
        return self._all(self._mine().where(t.c.runner_id == runner_id, t.c.status.in_(list(HELD))))

    def _with(self, statuses: frozenset[TaskStatus]) -> list[Task]:
        return self._all(self._mine().where(t.c.status.in_(list(statuses))).order_by(t.c.opened_at, t.c.id))

    def _mine(self) -> Select[Any]:
        return select(t).where(self._scope.mine(t))

    def _all(self, query: Select[Any]) -> list[Task]:
        return [Task(**row._mapping) for row in self._sql.execute(query)]
