"""Visits of stops in SQL: one row per order, stop and runner; what is known already changes nothing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import insert, select, update

from ..model.order import Order
from ..model.stop import Stop, StopRole
from ..model.task import HELD, TaskStatus
from ..model.visit import StopVisit
from .scope import CampusScope
from .tables import orders, tasks
from .tables import stop_visits as t

_FIELDS = tuple(StopVisit.__dataclass_fields__)
_KEY = frozenset({"campus_id", "order_id", "role", "runner_id"})


class Ahead(NamedTuple):
    """One errand that a runner has in hand, with as much of it as says where they go next."""

    runner_id: str
    order_id: str
    status: TaskStatus
    stops: tuple[Stop, ...]


class StopVisits:
    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    # --- what happens

    def near(self, order: Order, role: StopRole, runner_id: str, at: datetime) -> bool:
        """The runner is about to arrive; whether that is new of this order and stop, whoever carries it."""
        self._scope.check(order.campus_id)
        known = self.of_orders([order.id]).get(order.id, [])
        if any(visit.role is role and visit.near_at is not None for visit in known):
            return False
        visit = self._find(order, role, runner_id)
        self._save(replace(visit or self._new(order, role, runner_id), near_at=at), is_new=visit is None)
        return True

    def arrive(self, order: Order, role: StopRole, runner_id: str, at: datetime) -> StopVisit | None:
        """The runner's device is at the stop; None when that was known, or is older than what is known."""
        visit = self._find(order, role, runner_id)
        if visit is not None and (visit.is_there or visit.done_at is not None or _is_before(at, visit.left_at)):
            return None
        found = visit or self._new(order, role, runner_id)
        # Who has said that they are there and steps out for a moment has been there all the time.
        is_waiting = found.confirmed_at is not None and found.arrived_at is not None
        began = found.arrived_at if is_waiting else at
        left = None if is_waiting else found.left_at
        there = replace(found, arrived_at=began, left_at=left, times=found.times + 1)
        self._save(there, is_new=visit is None)
        return there

    def leave(self, order: Order, role: StopRole, runner_id: str, at: datetime) -> StopVisit | None:
        """The runner's device is not at the stop any more; None when that was known."""
        visit = self._find(order, role, runner_id)
        if visit is None or not visit.is_there or _is_before(at, visit.arrived_at):
            return None
        gone = replace(visit, left_at=at)
        self._save(gone, is_new=False)
        return gone

    def confirm(self, order: Order, role: StopRole, runner_id: str, at: datetime) -> StopVisit:
        """The runner says that they are there."""
        visit = self._find(order, role, runner_id)
        found = visit or self._new(order, role, runner_id)
        said = found if found.confirmed_at is not None else replace(found, confirmed_at=at)
        self._save(said, is_new=visit is None)
        return said

    def finish(self, order: Order, role: StopRole, runner_id: str, at: datetime) -> StopVisit:
        """The runner says that they have it, or have handed it over."""
        visit = self._find(order, role, runner_id)
        done = replace(visit or self._new(order, role, runner_id), done_at=at)
        self._save(done, is_new=visit is None)
        return done

    # --- looking

    def of_orders(self, order_ids: Collection[str]) -> dict[str, list[StopVisit]]:
        """The visits of each of these orders that has some."""
        found: dict[str, list[StopVisit]] = {}
        if order_ids:
            query = select(t).where(self._scope.mine(t), t.c.order_id.in_(list(order_ids)))
            for row in self._sql.execute(query):
                found.setdefault(row.order_id, []).append(StopVisit(**row._mapping))
        return found

    def ahead(self, runner_ids: Collection[str]) -> list[Ahead]:
        """What these runners have in hand; the personal part of the stops stays sealed."""
        query = (
            select(tasks.c.runner_id, orders.c.id, tasks.c.status, orders.c.stops)
            .join(orders, orders.c.id == tasks.c.order_id)
            .where(self._scope.mine(tasks), tasks.c.runner_id.in_(list(runner_ids)), tasks.c.status.in_(list(HELD)))
            .order_by(tasks.c.opened_at, tasks.c.id)
        )
        return [Ahead(*row) for row in self._sql.execute(query)]

    def served(self, since: datetime, limit: int = 5_000) -> list[StopVisit]:
        """Visits that ended since then, newest first: what the seconds at counters and doors are learned from."""
        query = select(t).where(self._scope.mine(t), t.c.done_at >= since).order_by(t.c.done_at.desc()).limit(limit)
        return [StopVisit(**row._mapping) for row in self._sql.execute(query)]

    # --- rows

    def _find(self, order: Order, role: StopRole, runner_id: str) -> StopVisit | None:
        self._scope.check(order.campus_id)
        query = select(t).where(
            self._scope.mine(t), t.c.order_id == order.id, t.c.role == role, t.c.runner_id == runner_id
        )
        row = self._sql.execute(query).first()
        return None if row is None else StopVisit(**row._mapping)

    def _new(self, order: Order, role: StopRole, runner_id: str) -> StopVisit:
        place_id = next((stop.place_id for stop in order.stops if stop.role is role), None)
        campus_id, now = self._scope.campus_id, self._scope.now
        return StopVisit(campus_id, order.id, role, runner_id, order.type_code, now, place_id)

    def _save(self, visit: StopVisit, *, is_new: bool) -> None:
        values = {name: getattr(visit, name) for name in _FIELDS}
        if is_new:
            self._sql.execute(insert(t), values)
            return
        mine = (t.c.order_id == visit.order_id, t.c.role == visit.role, t.c.runner_id == visit.runner_id)
        changed = {name: value for name, value in values.items() if name not in _KEY}
        self._sql.execute(update(t).where(self._scope.mine(t), *mine).values(changed))


def _is_before(at: datetime, known: datetime | None) -> bool:
    return known is not None and at < known
