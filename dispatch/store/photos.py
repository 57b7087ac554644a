"""Photos in SQL: the proof of a hand-over lies with the order, not in a folder that a backup forgets."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import insert, select

from ..model.errors import NotFound
from ..model.photo import Photo
from .scope import CampusScope
from .tables import photos as t


class Photos:
    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def insert(self, photo: Photo) -> None:
        self._scope.check(photo.campus_id)
        values = {name: getattr(photo, name) for name in Photo.__dataclass_fields__}
        self._sql.execute(insert(t).values(values))

    def get(self, photo_id: str) -> Photo:
        """The photo; raises :class:`NotFound`, also for another campus's."""
        row = self._sql.execute(select(t).where(self._scope.mine(t), t.c.id == photo_id)).first()
        if row is None:
            raise NotFound("there is no such photo here")
        return Photo(**{**row._mapping, "jpeg": bytes(row.jpeg)})

    def of_order(self, order_id: str) -> list[str]:
        """The ids of its photos, oldest first."""
        query = select(t.c.id).where(self._scope.mine(t), t.c.order_id == order_id).order_by(t.c.id)
        return list(self._sql.scalars(query))

    def of_orders(self, order_ids: Collection[str]) -> dict[str, list[str]]:
        """The ids of the photos of each of these orders that has some, oldest first."""
        query = select(t.c.order_id, t.c.id).where(self._scope.mine(t), t.c.order_id.in_(list(order_ids)))
        found: dict[str, list[str]] = {}
        for order_id, photo_id in self._sql.execute(query.order_by(t.c.id)):
            found.setdefault(order_id, []).append(photo_id)
        return found
