"""Alerts in SQL: raised once per kind and subject, open until a person has seen them."""

from __future__ import annotations

from sqlalchemy import select, update

from ..model.alert import Alert
from ..model.errors import NotFound
from ..model.ids import ALERT
from .scope import CampusScope
from .tables import alerts as t


class Alerts:
    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def raise_once(self, kind: str, subject_id: str, text_zh: str, text_en: str) -> bool:
        """Whether it is new; a person who has seen it is not told again."""
        values = {
            "id": self._scope.new_id(ALERT), "campus_id": self._scope.campus_id, "kind": kind,
            "subject_id": subject_id, "raised_at": self._scope.now, "text_zh": text_zh, "text_en": text_en,
        }  # fmt: skip
        return self._scope.insert_new(t, values, ("campus_id", "kind", "subject_id"))

    def get(self, alert_id: str) -> Alert:
        """The alert; raises :class:`NotFound`, also for another campus's."""
        row = self._sql.execute(select(t).where(self._scope.mine(t), t.c.id == alert_id)).first()
        if row is None:
            raise NotFound("there is no such alert here")
        return Alert(**row._mapping)

    def find(self, kind: str, subject_id: str) -> Alert | None:
        """The alert of this kind about that subject."""
        query = select(t).where(self._scope.mine(t), t.c.kind == kind, t.c.subject_id == subject_id)
        row = self._sql.execute(query).first()
        return None if row is None else Alert(**row._mapping)

    def open_alerts(self, limit: int = 100) -> list[Alert]:
        """Not yet acknowledged, newest first."""
        query = select(t).where(self._scope.mine(t), t.c.acknowledged_at.is_(None)).order_by(t.c.id.desc())
        return [Alert(**row._mapping) for row in self._sql.execute(query.limit(limit))]

    def acknowledge(self, alert_id: str, actor_id: str) -> Alert:
        """The alert as it is now; who was first stays. Raises :class:`NotFound`."""
        self._sql.execute(
            update(t)
            .where(self._scope.mine(t), t.c.id == alert_id, t.c.acknowledged_at.is_(None))
            .values(acknowledged_at=self._scope.now, acknowledged_by=actor_id)
        )
        return self.get(alert_id)
