"""Commands to payments in SQL: committed with the order that asks for them, sent afterwards."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select, update

from .scope import CampusScope, Scope
from .tables import commands as t


class Commands:
    """What one campus asks of payments."""

    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def add(self, command_id: str, order_id: str, kind: str, body: bytes) -> None:
        """Deterministic ids make asking twice ask once; the same id with another body is a bug."""
        values = {
            "id": command_id, "campus_id": self._scope.campus_id, "order_id": order_id, "kind": kind, "body": body,
            "created_at": self._scope.now,
        }  # fmt: skip
        if not self._scope.insert_new(t, values, ("id",)):
            stored = self._sql.execute(select(t.c.campus_id, t.c.body).where(t.c.id == command_id)).one()
            assert stored == (self._scope.campus_id, body), f"command {command_id} was added before with another body"


class Courier:
    """All campuses' commands, as whoever sends them sees them."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def unsent(self, limit: int = 500) -> list[tuple[str, str, bytes]]:
        """(id, kind, body), in the order in which each order asked."""
        query = select(t.c.id, t.c.kind, t.c.body).where(t.c.sent_at.is_(None)).order_by(t.c.seq).limit(limit)
        return [(row.id, row.kind, bytes(row.body)) for row in self._sql.execute(query)]

    def mark_sent(self, command_ids: Sequence[str]) -> int:
        """How many of them were unsent until now."""
        if not command_ids:
            return 0
        change = update(t).where(t.c.id.in_(list(command_ids)), t.c.sent_at.is_(None))
        return self._sql.execute(change.values(sent_at=self._scope.now)).rowcount

    def count_unsent(self) -> int:
        return self._sql.scalar(select(func.count()).select_from(t).where(t.c.sent_at.is_(None))) or 0
