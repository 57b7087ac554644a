"""The outbox in SQL: events written in the transaction that made them true, published later by the relay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row, bindparam, func, insert, select, update

from ..model.event import Event
from .scope import CampusScope, Scope
from .tables import events as t

_FIELDS = tuple(Event.__dataclass_fields__)
_INSERT = insert(t)


class Outbox:
    """One campus's events."""

    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def add(self, event: Event) -> None:
        self._scope.check(event.campus_id)
        self._sql.execute(_INSERT, {name: getattr(event, name) for name in _FIELDS})

    def timeline(self, subject_id: str, limit: int = 200) -> list[Event]:
        """What happened to one order or account, oldest first; of more than ``limit`` the newest."""
        query = select(t).where(self._scope.mine(t), t.c.subject_id == subject_id)
        rows = self._sql.execute(query.order_by(t.c.version.desc(), t.c.seq.desc()).limit(limit))
        return [_event(row) for row in rows][::-1]


class Relayed:
    """All campuses' events, as the relay sees them."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def unpublished(self, limit: int = 500, without: Sequence[str] = ()) -> list[Event]:
        """What waits to be published, ``without`` that of some campuses. Within a subject strictly by its version, then
        as written; between subjects by time. A subject's next version commits only after the one before, so there is
        never a gap to jump over."""
        query = select(t).where(t.c.published_at.is_(None))
        if without:
            query = query.where(t.c.campus_id.not_in(without))
        query = query.order_by(t.c.subject_id, t.c.version, t.c.seq).limit(limit)
        return by_time([_event(row) for row in self._sql.execute(query)])

    def mark_published(self, event_ids: Sequence[str]) -> int:
        """How many of them were unpublished until now."""
        if not event_ids:
            return 0
        change = update(t).where(t.c.id.in_(bindparam("ids", expanding=True)), t.c.published_at.is_(None))
        done = self._sql.execute(change.values(published_at=self._scope.now), {"ids": list(event_ids)})
        return done.rowcount

    def count_unpublished(self) -> int:
        return self._sql.scalar(select(func.count()).select_from(t).where(t.c.published_at.is_(None))) or 0


def by_time(events: Iterable[Event]) -> list[Event]:
    """Order by time without ever letting an event overtake an earlier one of its own subject.

    The clocks of two machines differ a little; so an event counts as no earlier than what its subject did before it.
    """
    reached: dict[str, float] = {}
    keyed = []
    for event in events:
        at = max(event.at.timestamp(), reached.get(event.subject_id, 0.0))
        reached[event.subject_id] = at
        keyed.append((at, event))
    return [event for _, event in sorted(keyed, key=lambda pair: pair[0])]


def _event(row: Row[Any]) -> Event:
    stored = row._mapping
    return Event(**{name: stored[name] for name in _FIELDS})
