"""Campuses in SQL: settings with a version, and the map as the bytes that geo reads."""

from __future__ import annotations

from sqlalchemy import insert, select, update

from ..model.campus import Campus
from ..model.errors import NotFound, StaleVersion
from .scope import Scope
from .tables import campuses as t

_FIELDS = (t.c.id, t.c.name, t.c.settings, t.c.created_at, t.c.version)


class Campuses:
    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def insert(self, campus: Campus, map_bytes: bytes) -> None:
        values = {name: getattr(campus, name) for name in Campus.__dataclass_fields__}
        self._sql.execute(insert(t).values(**values, map=map_bytes))

    def get(self, campus_id: str) -> Campus:
        """The campus; raises :class:`NotFound`."""
        row = self._sql.execute(select(*_FIELDS).where(t.c.id == campus_id)).first()
        if row is None:
            raise NotFound("there is no such campus")
        return Campus(**row._mapping)

    def all(self) -> list[Campus]:
        """Oldest first."""
        return [Campus(**row._mapping) for row in self._sql.execute(select(*_FIELDS).order_by(t.c.created_at, t.c.id))]

    def map_bytes(self, campus_id: str) -> bytes:
        """Raises :class:`NotFound`."""
        stored = self._sql.scalar(select(t.c.map).where(t.c.id == campus_id))
        if stored is None:
            raise NotFound("there is no such campus")
        return bytes(stored)

    def save(self, campus: Campus) -> None:
        """Store name and settings; ``campus.version`` is the new version. Raises :class:`StaleVersion` and
        :class:`NotFound`."""
        change = update(t).where(t.c.id == campus.id, t.c.version == campus.version - 1)
        values = {"name": campus.name, "settings": campus.settings, "version": campus.version}
        if self._sql.execute(change.values(**values)).rowcount != 1:
            self.get(campus.id)
            raise StaleVersion("somebody else changed this campus first; fetch it again")
