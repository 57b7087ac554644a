"""Tasks in SQL: the conditional UPDATE on the version is what makes one runner win, whatever else is in place."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, bindparam, func, insert, literal, literal_column, select, union_all

from ..model.errors import NotFound
from ..model.offer import OfferStatus
from ..model.task import HELD, TAKEABLE, Task, TaskStatus
from .scope import CampusScope, by_id, next_version
from .tables import leases, offers
from .tables import tasks as t

_FIELDS = tuple(Task.__dataclass_fields__)
_FIXED = frozenset({"id", "campus_id", "order_id"})
_INSERT, _BY_ID, _SAVE = insert(t), by_id(t), next_version(t)
_BY_ORDER = select(t).where(t.c.campus_id == bindparam("_campus_id"), t.c.order_id == bindparam("_id"))
#: spelt out: SQLite uses the index of pending offers only when it sees that they are asked for
_PENDING: ColumnElement[str] = literal_column(f"'{OfferStatus.PENDING}'")
_IS_LEADER = select(leases.c.name).where(leases.c.name == bindparam("_lease"), leases.c.fence == bindparam("_fence"))
_SAVE_AS_LEADER = _SAVE.where(_IS_LEADER.exists())


def planner_lease(campus_id: str) -> str:
    """The name of the lease under which a planner assigns at this campus."""
    return f"planner:{campus_id}"


def _values(task: Task) -> dict[str, Any]:
    return {name: getattr(task, name) for name in _FIELDS}


class InHand(NamedTuple):
    """What runners have in hand, by account id."""

    carriers: frozenset[str]
    asked: frozenset[str]


class Tasks:
    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def insert(self, task: Task) -> None:
        self._scope.check(task.campus_id)
        self._sql.execute(_INSERT, _values(task))

    def get(self, task_id: str) -> Task:
        """The task; raises :class:`NotFound`, also for another campus's."""
        row = self._scope.find(_BY_ID, task_id)
        if row is None:
            raise NotFound("there is no such task here")
        return Task(**row._mapping)

    def by_order(self, order_id: str) -> Task | None:
        row = self._scope.find(_BY_ORDER, order_id)
        return None if row is None else Task(**row._mapping)

    def by_orders(self, order_ids: Collection[str]) -> dict[str, Task]:
        """The tasks of these orders, by order id."""
        return {task.order_id: task for task in self._all(self._mine().where(t.c.order_id.in_(list(order_ids))))}

    def save(self, task: Task, fence: int | None = None) -> None:
        """Store a change; ``task.version`` is the new version.

        With ``fence`` the same UPDATE also asks that the campus's planner lease still has that fencing number. Raises
        :class:`StaleVersion` when either has moved on, and :class:`NotFound`.
        """
        self._scope.check(task.campus_id)
        values = {name: value for name, value in _values(task).items() if name not in _FIXED}
        change = _SAVE
        if fence is not None:
            change = _SAVE_AS_LEADER
            values |= {"_lease": planner_lease(self._scope.campus_id), "_fence": fence}
        if not self._scope.save_next(change, task.id, task.version, values):
            raise self._scope.missed(t, task.id, "task")

    def takeable(self) -> list[Task]:
        """Nobody has these yet; longest waiting first."""
        return self._with(TAKEABLE)

    def held(self) -> list[Task]:
        """Somebody carries these out."""
        return self._with(HELD)

    def counts(self) -> tuple[int, int]:
        """How many of :meth:`takeable` and :meth:`held` there are."""
        c = t.c.status
        query = select(c, func.count()).where(self._scope.mine(t), c.in_(list(TAKEABLE | HELD))).group_by(c)
        found = {row[0]: int(row[1]) for row in self._sql.execute(query)}
        return sum(found.get(one, 0) for one in TAKEABLE), sum(found.get(one, 0) for one in HELD)

    def held_by(self, runner_id: str) -> list[Task]:
        return self._all(self._mine().where(t.c.runner_id == runner_id, t.c.status.in_(list(HELD))))

    def held_by_any(self, runner_ids: Iterable[str]) -> list[Task]:
        """What these runners carry out; longest waiting first."""
        wanted = self._mine().where(t.c.runner_id.in_(list(runner_ids)), t.c.status.in_(list(HELD)))
        return self._all(wanted.order_by(t.c.opened_at, t.c.id))

    def in_hand(self, runner_ids: Collection[str]) -> InHand:
        """Who of these runners carries something out, and who has an offer to answer."""
        carriers = (
            select(t.c.runner_id, literal(True))
            .where(self._scope.mine(t), t.c.runner_id.in_(list(runner_ids)), t.c.status.in_(list(HELD)))
        )  # fmt: skip
        asked = (
            select(offers.c.runner_id, literal(False))
            .where(self._scope.mine(offers), offers.c.runner_id.in_(list(runner_ids)))
            .where(offers.c.status == _PENDING)
        )  # fmt: skip
        found = self._sql.execute(union_all(carriers, asked)).all()
        return InHand(
            carriers=frozenset(runner_id for runner_id, is_carrying in found if is_carrying),
            asked=frozenset(runner_id for runner_id, is_carrying in found if not is_carrying),
        )

    def _with(self, statuses: frozenset[TaskStatus]) -> list[Task]:
        return self._all(self._mine().where(t.c.status.in_(list(statuses))).order_by(t.c.opened_at, t.c.id))

    def _mine(self) -> Select[Any]:
        return select(t).where(self._scope.mine(t))

    def _all(self, query: Select[Any]) -> list[Task]:
        return [Task(**row._mapping) for row in self._sql.execute(query)]
