"""Geofences in SQL: an area with a version; a deleted one stays for the log's sake."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import func, insert, select

from ..model.errors import NotFound
from ..model.geofence import CampusFence
from .scope import CampusScope, by_id, next_version
from .tables import geofences as t

_FIELDS = tuple(CampusFence.__dataclass_fields__)
_BY_ID, _NEXT = by_id(t), next_version(t)


class Geofences:
    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def insert(self, fence: CampusFence) -> None:
        self._scope.check(fence.campus_id)
        self._sql.execute(insert(t), {name: getattr(fence, name) for name in _FIELDS})

    def get(self, fence_id: str) -> CampusFence:
        """The fence, deleted or not; raises :class:`NotFound`, also for another campus's."""
        row = self._scope.find(_BY_ID, fence_id)
        if row is None:
            raise NotFound("there is no such geofence here")
        return CampusFence(**row._mapping)

    def active(self) -> list[CampusFence]:
        """Oldest first."""
        query = select(t).where(self._scope.mine(t), t.c.is_active).order_by(t.c.id)
        return [CampusFence(**row._mapping) for row in self._sql.execute(query)]

    def count_active(self) -> int:
        return self._sql.scalar(select(func.count()).select_from(t).where(self._scope.mine(t), t.c.is_active)) or 0

    def names(self, fence_ids: Collection[str]) -> dict[str, str]:
        """The names of these fences, deleted or not."""
        query = select(t.c.id, t.c.name).where(self._scope.mine(t), t.c.id.in_(list(fence_ids)))
        return {row.id: row.name for row in self._sql.execute(query)}

    def save(self, fence: CampusFence) -> None:
        """Store the fence; ``fence.version`` is the new version. Raises :class:`StaleVersion` and
        :class:`NotFound`."""
        self._scope.check(fence.campus_id)
        values = {name: getattr(fence, name) for name in _FIELDS if name not in ("id", "campus_id", "created_at")}
        if not self._scope.save_next(_NEXT, fence.id, fence.version, values):
            raise self._scope.missed(t, fence.id, "geofence")
