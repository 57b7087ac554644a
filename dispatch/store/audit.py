"""The audit log in SQL: append-only, written in the transaction of what it tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import insert, select

from ..model.audit import AuditEntry
from ..model.ids import AUDIT
from .scope import CampusScope
from .tables import audit as t


class Audit:
    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def add(
        self,
        actor_id: str,
        action: str,
        subject: str,
        reason: str,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> str:
        """The id of the new entry."""
        entry_id = self._scope.new_id(AUDIT)
        values = {
            "id": entry_id, "campus_id": self._scope.campus_id, "at": self._scope.now, "actor_id": actor_id,
            "action": action, "subject": subject, "reason": reason, "before": before, "after": after,
        }  # fmt: skip
        self._sql.execute(insert(t).values(values))
        return entry_id

    def page(self, limit: int = 50, before: str | None = None) -> list[AuditEntry]:
        """Newest first; ``before`` is the id of the last entry of the page before."""
        query = select(t).where(self._scope.mine(t)).order_by(t.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(t.c.id < before)
        return [AuditEntry(**row._mapping) for row in self._sql.execute(query)]
