"""Decisions in SQL: why each task went where it went."""

from __future__ import annotations

from sqlalchemy import insert, select

from ..model.decision import Decision
from ..model.task import TAKEABLE
from .scope import CampusScope
from .tables import decisions as t
from .tables import tasks


class Decisions:
    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def insert(self, decision: Decision) -> None:
        self._scope.check(decision.campus_id)
        values = {name: getattr(decision, name) for name in Decision.__dataclass_fields__}
        self._sql.execute(insert(t).values(values))

    def for_order(self, order_id: str, limit: int = 100) -> list[Decision]:
        """Newest first."""
        query = select(t).where(self._scope.mine(t), t.c.order_id == order_id).order_by(t.c.id.desc()).limit(limit)
        return [Decision(**row._mapping) for row in self._sql.execute(query)]

    def chosen_runners(self) -> dict[str, frozenset[str]]:
        """For whom each takeable task was ever meant, by plan, grab or force; tasks without a decision are absent."""
        chosen: dict[str, set[str]] = {}
        query = (
            select(t.c.task_id, t.c.runner_id)
            .join(tasks, tasks.c.id == t.c.task_id)
            .where(self._scope.mine(t), self._scope.mine(tasks), tasks.c.status.in_(list(TAKEABLE)))
            .where(t.c.order_id == tasks.c.order_id, t.c.runner_id.is_not(None))
        )
        for task_id, runner_id in self._sql.execute(query):
            chosen.setdefault(task_id, set()).add(runner_id)
        return {task_id: frozenset(runners) for task_id, runners in chosen.items()}
