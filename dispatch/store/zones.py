"""Zones, pins and escalations in SQL: what says who may have an order that waits."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, func, select

from ..model.escalation import Escalation
from ..model.offer import OfferStatus
from ..model.order import OrderStatus
from ..model.pin import Pin
from ..model.task import TAKEABLE
from ..model.zone import Zone
from .scope import CampusScope
from .tables import escalations as e
from .tables import geofences, offers, orders, tasks
from .tables import pins as p
from .tables import zones as t

_ZONE, _PIN = tuple(Zone.__dataclass_fields__), tuple(Pin.__dataclass_fields__)
_ESCALATION = tuple(Escalation.__dataclass_fields__)
_REFUSED = [OfferStatus.DECLINED, OfferStatus.EXPIRED]


class Zones:
    """Which geofences are zones."""

    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def all(self) -> list[Zone]:
        """The zones whose geofence is not deleted, oldest first."""
        query = (
            select(t)
            .join(geofences, (geofences.c.id == t.c.fence_id) & (geofences.c.campus_id == t.c.campus_id))
            .where(self._scope.mine(t), geofences.c.is_active)
            .order_by(t.c.fence_id)
        )
        return [Zone(**row._mapping) for row in self._sql.execute(query)]

    def save(self, zone: Zone) -> None:
        _put(self._scope, t, zone, _ZONE, ("campus_id", "fence_id"))

    def remove(self, fence_id: str) -> bool:
        """Whether it was a zone."""
        gone = delete(t).where(self._scope.mine(t), t.c.fence_id == fence_id)
        return self._sql.execute(gone).rowcount == 1


class Pins:
    """Who an order is kept for."""

    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def get(self, order_id: str) -> Pin | None:
        row = self._sql.execute(select(p).where(self._scope.mine(p), p.c.order_id == order_id)).first()
        return None if row is None else Pin(**row._mapping)

    def of_waiting(self) -> dict[str, Pin]:
        """The pins of orders that nobody has yet, by order id."""
        query = _of_waiting(self._scope, p)
        return {row.order_id: Pin(**row._mapping) for row in self._sql.execute(query)}

    def save(self, pin: Pin) -> None:
        """Place it, instead of one that was there."""
        _put(self._scope, p, pin, _PIN, ("campus_id", "order_id"))

    def remove(self, order_id: str) -> bool:
        """Whether there was one."""
        gone = delete(p).where(self._scope.mine(p), p.c.order_id == order_id)
        return self._sql.execute(gone).rowcount == 1

    def carried_before(self, student_id: str, limit: int) -> list[tuple[str, datetime]]:
        """Runners who delivered something to the student, with the time of the last, the latest first."""
        done = [OrderStatus.DELIVERED, OrderStatus.CONFIRMED, OrderStatus.SETTLED]
        last = func.max(orders.c.delivered_at, type_=orders.c.delivered_at.type).label("last_at")
        query = (
            select(orders.c.runner_id, last)
            .where(self._scope.mine(orders), orders.c.student_id == student_id, orders.c.runner_id.is_not(None))
            .where(orders.c.status.in_(done))
            .group_by(orders.c.runner_id)
            .order_by(last.desc(), orders.c.runner_id)
            .limit(limit)
        )
        return [(row.runner_id, row.last_at) for row in self._sql.execute(query)]


class Escalations:
    """How far the ladder was told of each order that waits."""

    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def get(self, order_id: str) -> Escalation | None:
        row = self._sql.execute(select(e).where(self._scope.mine(e), e.c.order_id == order_id)).first()
        return None if row is None else Escalation(**row._mapping)

    def of_waiting(self) -> dict[str, Escalation]:
        """Of orders that nobody has yet, by order id."""
        query = _of_waiting(self._scope, e)
        return {row.order_id: Escalation(**row._mapping) for row in self._sql.execute(query)}

    def save(self, escalation: Escalation) -> None:
        _put(self._scope, e, escalation, _ESCALATION, ("campus_id", "order_id"))

    def remove(self, order_id: str) -> None:
        self._sql.execute(delete(e).where(self._scope.mine(e), e.c.order_id == order_id))

    def last_call(self) -> datetime | None:
        """When the runners of this campus were called last."""
        last = func.max(e.c.called_at, type_=e.c.called_at.type)
        found: datetime | None = self._sql.scalar(select(last).where(self._scope.mine(e)))
        return found

    def refusals(self) -> dict[str, int]:
        """How often each task that nobody has yet was refused or left unanswered; tasks without are absent."""
        query = (
            select(offers.c.task_id, func.count())
            .join(tasks, tasks.c.id == offers.c.task_id)
            .where(self._scope.mine(offers), self._scope.mine(tasks), tasks.c.status.in_(list(TAKEABLE)))
            .where(offers.c.status.in_(_REFUSED))
            .group_by(offers.c.task_id)
        )
        return {row[0]: row[1] for row in self._sql.execute(query)}

    def refused_by(self, task_id: str) -> frozenset[str]:
        """Who refused this task or left it unanswered."""
        query = select(offers.c.runner_id).where(self._scope.mine(offers), offers.c.task_id == task_id)
        return frozenset(self._sql.scalars(query.where(offers.c.status.in_(_REFUSED))))


def _of_waiting(scope: CampusScope, table: Any) -> Select[Any]:
    is_its = (tasks.c.order_id == table.c.order_id) & (tasks.c.campus_id == table.c.campus_id)
    return (
        select(table)
        .join(tasks, is_its)
        .where(scope.mine(table), scope.mine(tasks), tasks.c.status.in_(list(TAKEABLE)))
    )


def _put(scope: CampusScope, table: Any, row: Any, names: tuple[str, ...], key: tuple[str, ...]) -> None:
    scope.check(row.campus_id)
    insert = scope.upsert(table).values({name: getattr(row, name) for name in names})
    fresh = {name: insert.excluded[name] for name in names if name not in key}
    scope.connection.execute(insert.on_conflict_do_update(index_elements=list(key), set_=fresh))
