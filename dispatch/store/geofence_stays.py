"""Stays in geofences: each crossing changes one row or nothing, so it makes no difference who saw it first or twice."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import case, func, literal, select, update
from sqlalchemy import cast as as_type
from sqlalchemy.types import BigInteger

from ..model.geofence import ChangedStay, DwellFigures, FenceStay
from ..model.ids import STAY
from .scope import CampusScope
from .tables import geofence_stays as t
from .tables import geofences

_COLUMNS = ("id", "campus_id", "fence_id", "runner_id", "entered_at", "left_at", "has_dwelled")
_MICROS = 1_000_000


class GeofenceStays:
    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    # --- crossings

    def enter(self, fence_id: str, runner_id: str, at: datetime) -> ChangedStay | None:
        """Begin a stay. Nothing changes when one is open, when a later one has ended already (this crossing comes from
        a worker that is behind), or when the fence is no longer active."""
        begins_at = literal(at, t.c.entered_at.type)
        # Stays of one runner in one fence do not overlap: the newest speaks for all; an open one is in the way below.
        newest = (
            select(t.c.left_at)
            .where(self._scope.mine(t), t.c.fence_id == fence_id, t.c.runner_id == runner_id)
            .order_by(t.c.entered_at.desc())
            .limit(1)
            .scalar_subquery()
        )
        values = (literal(self._scope.new_id(STAY)), geofences.c.campus_id, geofences.c.id, literal(runner_id),
                  begins_at, literal(None, t.c.left_at.type), literal(False))  # fmt: skip
        source = select(*values).where(
            self._scope.mine(geofences),
            geofences.c.id == fence_id,
            geofences.c.is_active,
            func.coalesce(newest, begins_at) <= begins_at,
        )
        begin = self._scope.upsert(t).from_select(list(_COLUMNS), source).on_conflict_do_nothing()
        if self._sql.execute(begin.returning(literal(1))).first() is None:
            return None
        return ChangedStay(fence_id, runner_id, "entered", at, at)

    def leave(self, fence_id: str, runner_id: str, at: datetime) -> ChangedStay | None:
        """End the open stay, if there is one that began before ``at``."""
        change = (
            update(t)
            .where(self._scope.mine(t), t.c.fence_id == fence_id, t.c.runner_id == runner_id)
            .where(t.c.left_at.is_(None), t.c.entered_at <= at)
            .values(left_at=at)
            .returning(t.c.entered_at)
        )
        row = self._sql.execute(change).first()
        return None if row is None else ChangedStay(fence_id, runner_id, "left", at, row.entered_at)

    def dwell(self, fence_id: str, runner_id: str, at: datetime) -> ChangedStay | None:
        """Note that the open stay is a long one, once."""
        change = (
            update(t)
            .where(self._scope.mine(t), t.c.fence_id == fence_id, t.c.runner_id == runner_id)
            .where(t.c.left_at.is_(None), t.c.has_dwelled.is_(False), t.c.entered_at <= at)
            .values(has_dwelled=True)
            .returning(t.c.entered_at)
        )
        row = self._sql.execute(change).first()
        return None if row is None else ChangedStay(fence_id, runner_id, "dwelled", at, row.entered_at)

    def end_of_runner(self, runner_id: str, at: datetime) -> list[ChangedStay]:
        """End every open stay of somebody who is gone; none ends before it began."""
        return self._end(t.c.runner_id == runner_id, at)

    def end_of_fence(self, fence_id: str, at: datetime) -> list[ChangedStay]:
        """End every open stay in a fence that is deleted."""
        return self._end(t.c.fence_id == fence_id, at)

    def _end(self, which: object, at: datetime) -> list[ChangedStay]:
        end_at = literal(at, t.c.left_at.type)
        change = (
            update(t)
            .where(self._scope.mine(t), which, t.c.left_at.is_(None))  # type: ignore[arg-type]
            .values(left_at=case((t.c.entered_at > end_at, t.c.entered_at), else_=end_at))
            .returning(t.c.fence_id, t.c.runner_id, t.c.entered_at, t.c.left_at)
        )
        rows = self._sql.execute(change).all()
        return [ChangedStay(row.fence_id, row.runner_id, "left", row.left_at, row.entered_at) for row in rows]

    # --- looking

    def open_of(self, runner_ids: Collection[str]) -> dict[str, list[FenceStay]]:
        """The open stays of each of these runners who has some."""
        found: dict[str, list[FenceStay]] = {}
        query = select(t).where(self._scope.mine(t), t.c.left_at.is_(None), t.c.runner_id.in_(list(runner_ids)))
        for row in self._sql.execute(query):
            found.setdefault(row.runner_id, []).append(FenceStay(**row._mapping))
        return found

    def open_stays(self, limit: int = 5_000) -> list[FenceStay]:
        """Everybody's, those that began first."""
        query = select(t).where(self._scope.mine(t), t.c.left_at.is_(None)).order_by(t.c.entered_at, t.c.id)
        return [FenceStay(**row._mapping) for row in self._sql.execute(query.limit(limit))]

    def runners_inside(self) -> set[str]:
        """Everybody who is in a fence."""
        query = select(t.c.runner_id).where(self._scope.mine(t), t.c.left_at.is_(None)).distinct()
        return set(self._sql.scalars(query))

    def page(
        self,
        *,
        fence_id: str | None = None,
        runner_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[FenceStay]:
        """Stays that began from ``since`` and before ``until``, newest first; ``before``: the last id of the page
        before."""
        wanted = [self._scope.mine(t)]
        wanted += [] if fence_id is None else [t.c.fence_id == fence_id]
        wanted += [] if runner_id is None else [t.c.runner_id == runner_id]
        wanted += [] if since is None else [t.c.entered_at >= since]
        wanted += [] if until is None else [t.c.entered_at < until]
        wanted += [] if before is None else [t.c.id < before]
        query = select(t).where(*wanted).order_by(t.c.id.desc()).limit(limit)
        return [FenceStay(**row._mapping) for row in self._sql.execute(query)]

    def figures(self, since: datetime, until: datetime) -> dict[str, DwellFigures]:
        """Per fence, over the stays that began in this time."""
        took = (as_type(t.c.left_at, BigInteger) - as_type(t.c.entered_at, BigInteger)).label("took")
        ended = t.c.left_at.is_not(None)
        group = (t.c.fence_id, ended)
        place = func.row_number().over(partition_by=group, order_by=took)
        count = func.count().over(partition_by=group)
        stays = (
            select(t.c.fence_id, t.c.has_dwelled, ended.label("ended"), took, place.label("place"), count.label("n"))
            .where(self._scope.mine(t), t.c.entered_at >= since, t.c.entered_at < until)
            .subquery()
        )
        c = stays.c
        is_middle = c.ended & c.place.in_([(c.n + 1) // 2, (c.n + 2) // 2])
        query = select(
            c.fence_id,
            func.count(),
            func.sum(case((c.ended, 0), else_=1)),
            func.sum(case((c.has_dwelled, 1), else_=0)),
            func.avg(c.took),
            func.avg(case((is_middle, c.took))),
            func.max(c.took),
        ).group_by(c.fence_id)
        return {row[0]: _figures(*row) for row in self._sql.execute(query)}


def _figures(
    fence_id: str, visits: int, inside: int, dwelled: int, mean: object, median: object, longest: object
) -> DwellFigures:
    seconds = [None if micros is None else float(micros) / _MICROS for micros in (mean, median, longest)]  # type: ignore[arg-type]
    return DwellFigures(fence_id, int(visits), int(inside), int(dwelled), *seconds)
