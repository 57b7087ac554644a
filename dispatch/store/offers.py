"""Offers in SQL: one pending per task, held by a unique index; a runner may have several to answer."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Select, case, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from ..model.credit import ACCEPTANCE_LAST
from ..model.errors import NotFound, StaleVersion
from ..model.offer import Offer, OfferStatus
from ..model.task import TAKEABLE
from .scope import CampusScope, by_id
from .tables import memberships, tasks
from .tables import offers as t

_PENDING = OfferStatus.PENDING
_FIELDS = tuple(Offer.__dataclass_fields__)
_ANSWERED = (OfferStatus.ACCEPTED, OfferStatus.DECLINED, OfferStatus.EXPIRED)
_BASE = 10_000
_INSERT, _BY_ID = insert(t), by_id(t)


class Offers:
    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def insert(self, offer: Offer) -> None:
        """Raises :class:`StaleVersion` when the task has a pending offer already."""
        self._scope.check(offer.campus_id)
        try:
            self._sql.execute(_INSERT, {name: getattr(offer, name) for name in _FIELDS})
        except IntegrityError as error:
            raise StaleVersion("the task has a pending offer already") from error

    def get(self, offer_id: str) -> Offer:
        """The offer; raises :class:`NotFound`, also for another campus's."""
        row = self._scope.find(_BY_ID, offer_id)
        if row is None:
            raise NotFound("there is no such offer here")
        return Offer(**row._mapping)

    def save(self, offer: Offer, expected: OfferStatus) -> None:
        """Store the offer's new status; raises :class:`StaleVersion` unless the stored one is ``expected``."""
        self._scope.check(offer.campus_id)
        changed = self._sql.execute(
            update(t)
            .where(self._scope.mine(t), t.c.id == offer.id, t.c.status == expected)
            .values(status=offer.status, expires_at=offer.expires_at)
        )
        if changed.rowcount != 1:
            raise self._scope.missed(t, offer.id, "offer")

    def pending_of_runner(self, runner_id: str) -> list[Offer]:
        """What they have to answer, the soonest to expire first."""
        wanted = self._mine().where(t.c.runner_id == runner_id, t.c.status == _PENDING)
        return self._all(wanted.order_by(t.c.expires_at, t.c.id))

    def pending_of_task(self, task_id: str) -> Offer | None:
        found = self._all(self._mine().where(t.c.task_id == task_id, t.c.status == _PENDING))
        return found[0] if found else None

    def pending(self) -> list[Offer]:
        """Soonest to expire first."""
        return self._all(self._mine().where(t.c.status == _PENDING).order_by(t.c.expires_at, t.c.id))

    def count_of_runner(self, runner_id: str, status: OfferStatus, since: datetime) -> int:
        """How many of the offers made since then ended like this."""
        mine = self._scope.mine(t), t.c.runner_id == runner_id, t.c.status == status, t.c.offered_at >= since
        return int(self._sql.scalar(select(func.count()).where(*mine)) or 0)

    def answers(self, last: int = ACCEPTANCE_LAST) -> dict[str, tuple[int, int]]:
        """Of each runner on duty, how many of their ``last`` newest answered offers they took, and of how many. An
        offer that was taken back before its answer says nothing."""
        newest = (
            select(t.c.status)
            .where(self._scope.mine(t), t.c.runner_id == memberships.c.account_id, t.c.status.in_(_ANSWERED))
            .order_by(t.c.id.desc())
            .limit(last)
            .correlate(memberships)
            .subquery()
        )
        taken = case((newest.c.status == OfferStatus.ACCEPTED, 1), else_=0)
        # Both counts in one number: the newest offers are looked up once.
        both = select(func.coalesce(func.sum(_BASE + taken), 0)).select_from(newest).scalar_subquery()
        query = select(memberships.c.account_id, both).where(self._scope.mine(memberships), memberships.c.is_on_duty)
        return {runner_id: (number % _BASE, number // _BASE) for runner_id, number in self._sql.execute(query)}

    def answers_of(self, runner_id: str, last: int = ACCEPTANCE_LAST) -> tuple[int, int]:
        """As :meth:`answers`, of one runner."""
        mine = self._scope.mine(t), t.c.runner_id == runner_id, t.c.status.in_(_ANSWERED)
        newest = list(self._sql.scalars(select(t.c.status).where(*mine).order_by(t.c.id.desc()).limit(last)))
        return newest.count(OfferStatus.ACCEPTED), len(newest)

    def offered_runners(self) -> dict[str, frozenset[str]]:
        """Whom each takeable task was ever put to, whatever they answered; tasks that nobody was asked are absent."""
        asked: dict[str, set[str]] = {}
        query = (
            select(t.c.task_id, t.c.runner_id)
            .join(tasks, tasks.c.id == t.c.task_id)
            .where(self._scope.mine(t), self._scope.mine(tasks), tasks.c.status.in_(list(TAKEABLE)))
        )
        for task_id, runner_id in self._sql.execute(query):
            asked.setdefault(task_id, set()).add(runner_id)
        return {task_id: frozenset(runners) for task_id, runners in asked.items()}

    def _mine(self) -> Select[Any]:
        return select(t).where(self._scope.mine(t))

    def _all(self, query: Select[Any]) -> list[Offer]:
        return [Offer(**row._mapping) for row in self._sql.execute(query)]
