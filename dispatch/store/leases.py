"""Leases in SQL: who leads, with a fencing number that grows with every change of hands."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import ColumnElement, and_, select, update

from .scope import Scope
from .tables import leases as t


class Leases:
    """Times are of the store's clock, so a ``ttl_s`` is in its seconds."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def acquire(self, name: str, holder: str, ttl_s: float) -> int | None:
        """The fencing number, or None while somebody else holds it. Acquiring what one holds already gives a new
        number too: whoever asks has forgotten the old one."""
        until = self._scope.now + timedelta(seconds=ttl_s)
        first = {"name": name, "holder": holder, "fence": 1, "expires_at": until}
        if self._scope.insert_new(t, first, ("name",)):
            return 1
        taken = self._sql.execute(
            update(t)
            .where(t.c.name == name, (t.c.holder == holder) | (t.c.expires_at <= self._scope.now))
            .values(holder=holder, fence=t.c.fence + 1, expires_at=until)
        )
        if taken.rowcount != 1:
            return None
        return self._sql.scalar(select(t.c.fence).where(t.c.name == name))

    def renew(self, name: str, holder: str, fence: int, ttl_s: float) -> bool:
        """Whether the lease is still ours; a lease that ended is, until somebody else takes it."""
        until = self._scope.now + timedelta(seconds=ttl_s)
        renewed = self._sql.execute(update(t).where(_ours(name, holder, fence)).values(expires_at=until))
        return renewed.rowcount == 1

    def release(self, name: str, holder: str, fence: int) -> bool:
        """Let the next one in at once. The row stays: its number must never be used again."""
        let_go = update(t).where(_ours(name, holder, fence)).values(expires_at=self._scope.now, holder="")
        return self._sql.execute(let_go).rowcount == 1


def _ours(name: str, holder: str, fence: int) -> ColumnElement[bool]:
    return and_(t.c.name == name, t.c.holder == holder, t.c.fence == fence)
