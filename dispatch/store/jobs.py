"""Jobs in SQL: work that falls due, leased to one holder at a time and fenced."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update

from ..model.job import Job
from .scope import CampusScope, Scope, upsert
from .tables import jobs as t


@cache
def _schedule(dialect: str) -> Any:
    """Insert a job, or move the one that is there and take it from whoever holds it."""
    statement = upsert(t, dialect)
    fresh = {name: statement.excluded[name] for name in ("due_at", "payload", "tries", "holder", "leased_until")}
    return statement.on_conflict_do_update(
        index_elements=["campus_id", "kind", "subject_id"], set_={**fresh, "fence": t.c.fence + 1}
    )


class Jobs:
    """One campus's jobs."""

    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def schedule(self, kind: str, subject_id: str, due_at: datetime, payload: Mapping[str, Any] | None = None) -> None:
        """Let ``kind`` fall due for ``subject_id``. Scheduled again, it moves; a holder of the old one loses its
        lease, so it cannot complete what was asked anew."""
        fresh = {"due_at": due_at, "payload": dict(payload or {}), "tries": 0, "holder": None, "leased_until": None}
        key = {"campus_id": self._scope.campus_id, "kind": kind, "subject_id": subject_id}
        self._sql.execute(_schedule(self._scope.dialect), {**key, **fresh, "fence": 0})

    def cancel(self, kind: str, subject_id: str) -> bool:
        """Whether there was such a job."""
        gone = delete(t).where(self._scope.mine(t), t.c.kind == kind, t.c.subject_id == subject_id)
        return self._sql.execute(gone).rowcount == 1

    def due_at(self, kind: str, subject_id: str) -> datetime | None:
        """When it falls due; None when there is no such job."""
        query = select(t.c.due_at).where(self._scope.mine(t), t.c.kind == kind, t.c.subject_id == subject_id)
        due_at: datetime | None = self._sql.scalar(query)
        return due_at


class DueJobs:
    """All campuses' jobs, as those who carry them out see them."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def lease_due(self, now: datetime, limit: int, lease_s: float, holder: str) -> list[Job]:
        """Take up to ``limit`` due jobs that nobody holds, longest due first, for ``lease_s`` seconds of the same time
        as ``now``. A holder that dies loses them when its lease ends."""
        free = or_(t.c.leased_until.is_(None), t.c.leased_until <= now)
        query = select(t).where(t.c.due_at <= now, free).order_by(t.c.due_at).limit(limit)
        if self._sql.dialect.name == "postgresql":
            query = query.with_for_update(skip_locked=True)
        leased = []
        for row in self._sql.execute(query).all():
            job = Job(
                kind=row.kind, campus_id=row.campus_id, subject_id=row.subject_id, payload=row.payload,
                fence=row.fence + 1, tries=row.tries + 1, due_at=row.due_at,
            )  # fmt: skip
            self._sql.execute(
                update(t)
                .where(_same(job), t.c.fence == row.fence)
                .values(fence=job.fence, tries=job.tries, holder=holder, leased_until=now + timedelta(seconds=lease_s))
            )
            leased.append(job)
        return leased

    def complete(self, job: Job) -> bool:
        """The job is done and gone; False when somebody else has the lease, or it was scheduled anew."""
        return self._sql.execute(delete(t).where(_same(job), t.c.fence == job.fence)).rowcount == 1

    def retry(self, job: Job, due_at: datetime) -> bool:
        """Give the job back until ``due_at``; False as in :meth:`complete`. Its tries are kept."""
        back = update(t).where(_same(job), t.c.fence == job.fence)
        return self._sql.execute(back.values(due_at=due_at, holder=None, leased_until=None)).rowcount == 1

    def next_due_at(self) -> datetime | None:
        """When the next job falls due or an abandoned lease ends; None when there is no job at all."""
        next_due_at: datetime | None = self._sql.scalar(
            select(func.min(func.coalesce(t.c.leased_until, t.c.due_at), type_=t.c.due_at.type))
        )
        return next_due_at


def _same(job: Job) -> ColumnElement[bool]:
    return and_(t.c.campus_id == job.campus_id, t.c.kind == job.kind, t.c.subject_id == job.subject_id)
