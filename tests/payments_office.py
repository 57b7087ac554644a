"""An office that reconciles the days of a desk with the sandbox bank's real books."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from payments.outcomes import BillAnswer
from payments.reconcile.run import Reconciler
from payments.reconcile.view import ReconciliationView, WorkItemView
from payments.store.database import Sql
from tests.payments_desk import START, Desk

#: The desk's day; it starts at noon.
DAY = date(2026, 3, 2)
NEXT = DAY + timedelta(days=1)


class Office:
    """A desk, and the reconciliation of its database."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.reconciler = self.another()
        self.people = desk.payments.upkeep.reconciliation

    def another(self) -> Reconciler:
        """Another process's."""
        payments = self.desk.payments
        return Reconciler(payments._store, payments._channels, lambda: self.desk.at, payments._new_id)

    async def until(self, day: date, clock_s: float = 10.5 * 3600) -> None:
        """Let the time pass until the clocks in China show that, and work."""
        start_s = (day - DAY) / timedelta(seconds=1) + clock_s - 12 * 3600
        await self.desk.advance((START - self.desk.at).total_seconds() + start_s)
        await self.rest()

    async def rest(self) -> None:
        """Work until nothing is due."""
        for _ in range(50):
            if not await self.reconciler.work() + await self.desk.payments.work():
                return
        raise AssertionError("reconciliation never comes to rest")

    async def run(self, day: date = DAY, channel: str = "sandbox") -> ReconciliationView:
        return next(run for run in await self.people.reconciliations() if (run.channel, run.day) == (channel, day))

    async def items(self) -> list[WorkItemView]:
        return [item for run in await self.people.reconciliations() for item in await self.people.differences(run.id)]

    async def only(self) -> WorkItemView:
        (item,) = await self.items()
        return item

    async def bank(self, statement: str) -> None:
        """Change the bank's own books."""
        assert await self.desk.bank._database.run(lambda c: Sql(c).do(statement)) > 0

    async def ours(self, statement: str) -> None:
        """Change our own books."""
        assert await self.desk.payments._store.database.run(lambda c: Sql(c).do(statement)) > 0


def named(item: WorkItemView) -> tuple[str, str, str, str]:
    return item.kind, item.cause, item.state, item.reason


class OddChannel:
    """The sandbox's channel with a bill of our own making."""

    def __init__(self, inner: Any, answer: Callable[[date], BillAnswer]) -> None:
        self._inner = inner
        self._answer = answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def bill(self, day: date) -> BillAnswer:
        return self._answer(day)
