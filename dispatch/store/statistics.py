"""Sums over many orders, for a runner's page and card."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import BigInteger, case, func, select, type_coerce

from ..model.money import Fen
from .columns import from_micros
from .scope import CampusScope
from .tables import orders as t


class RunnerDay(NamedTuple):
    """What a runner has delivered since the day began; ``service_fen`` before it is divided."""

    orders: int
    service_fen: Fen
    on_time: int
    late: int


class WorkedDay(NamedTuple):
    """What a runner has done since the day began: from the taking of each errand to its delivery, added up."""

    runner_id: str
    worked_s: float
    last_at: datetime


class PaidDay(NamedTuple):
    """The orders that were paid since a day began, and what became of their money; when the newest since the day
    before was paid."""

    orders: int
    held_fen: Fen
    captured_fen: Fen
    released_fen: Fen
    refunded_fen: Fen
    last_paid_at: datetime | None


class Statistics:
    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def runner_day(self, runner_id: str, day_start: datetime) -> RunnerDay:
        """Deliveries from ``day_start`` on."""
        is_on_time = case((t.c.delivered_at <= t.c.promised_at, 1), else_=0)
        row = self._sql.execute(
            select(func.count(), func.coalesce(func.sum(t.c.service_fen), 0), func.coalesce(func.sum(is_on_time), 0))
            .where(self._scope.mine(t), t.c.runner_id == runner_id, t.c.delivered_at >= day_start)
        ).one()  # fmt: skip
        orders, service_fen, on_time = (int(value) for value in row)
        return RunnerDay(orders, Fen(service_fen), on_time, orders - on_time)

    def paid_day(self, day_start: datetime) -> PaidDay:
        """Payments from ``day_start`` on."""
        # Nobody takes a day to pay; orders are found by when they were placed.
        recent = select().where(self._scope.mine(t), t.c.placed_at >= day_start - timedelta(days=1))
        names = (t.c.held_fen, t.c.captured_fen, t.c.released_fen, t.c.refunded_fen)
        sums = recent.with_only_columns(func.count(), *(func.coalesce(func.sum(name), 0) for name in names))
        row = self._sql.execute(sums.where(t.c.paid_at >= day_start)).one()
        newest = self._sql.execute(recent.with_only_columns(func.max(t.c.paid_at))).scalar_one()
        orders, held, captured, released, refunded = (int(value) for value in row)
        return PaidDay(orders, Fen(held), Fen(captured), Fen(released), Fen(refunded), newest)

    def days(self, day_start: datetime) -> list[WorkedDay]:
        """Of everybody who has delivered something from ``day_start`` on."""
        # As plain numbers: a difference of two instants is none.
        taken, done = type_coerce(t.c.assigned_at, BigInteger), type_coerce(t.c.delivered_at, BigInteger)
        query = (
            select(t.c.runner_id, func.sum(done - taken), func.max(done))
            .where(self._scope.mine(t), t.c.runner_id.is_not(None), t.c.delivered_at >= day_start)
            .where(t.c.assigned_at.is_not(None))
            .group_by(t.c.runner_id)
        )
        return [
            WorkedDay(runner_id, float(worked) / 1e6, from_micros(int(last)))
            for runner_id, worked, last in self._sql.execute(query)
        ]

    def stars(self, runner_ids: Iterable[str]) -> dict[str, float]:
        """The mean of the ratings of each of these runners who has any."""
        rated = self._scope.mine(t), t.c.runner_id.in_(list(runner_ids)), t.c.rating.is_not(None)
        query = select(t.c.runner_id, func.sum(t.c.rating), func.count()).where(*rated).group_by(t.c.runner_id)
        return {str(runner_id): float(total) / count for runner_id, total, count in self._sql.execute(query)}
