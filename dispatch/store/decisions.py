"""Decisions in SQL: why each task went where it went."""

from __future__ import annotations

from sqlalchemy import insert, select

from ..model.decision import Decision
from .scope import CampusScope
from .tables import decisions as t


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
