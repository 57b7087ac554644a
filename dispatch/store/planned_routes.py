"""Planned routes in SQL: in which order a runner was to visit their stops when they were asked last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from sqlalchemy import select

from .scope import CampusScope
from .tables import planned_routes as t

#: Of an errand of long ago nobody carries anything.
ROUTE_KEPT = timedelta(days=2)

#: A task's id, and the role of its stop.
Visit = tuple[str, str]


class PlannedRoutes:
    """One row a runner: the newest plan replaces the one before. Visits of errands that they never got, or that are
    done, are still named; whoever reads leaves them out."""

    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def save(self, runner_id: str, visits: Sequence[Visit]) -> None:
        values = {
            "campus_id": self._scope.campus_id,
            "runner_id": runner_id,
            "visits": tuple(visits),
            "planned_at": self._scope.now,
        }
        change = self._scope.upsert(t).values(values)
        new = {"visits": change.excluded.visits, "planned_at": change.excluded.planned_at}
        self._sql.execute(change.on_conflict_do_update(index_elements=["campus_id", "runner_id"], set_=new))

    def of(self, runner_ids: Iterable[str]) -> Mapping[str, tuple[Visit, ...]]:
        """The routes of those of the runners who have one."""
        wanted = select(t.c.runner_id, t.c.visits).where(self._scope.mine(t), t.c.runner_id.in_(list(runner_ids)))
        return {row.runner_id: row.visits for row in self._sql.execute(wanted)}
