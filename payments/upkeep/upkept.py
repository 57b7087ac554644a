"""The embedded body's part of the port that looks after money day by day."""

from __future__ import annotations

from datetime import date

from payments.reconcile.view import ReconciliationView, WorkItemView
from payments.upkeep.alarms import AlarmView, GhostHour
from payments.upkeep.upkeep import Upkeep


class UpkeptPayments:
    """What ``UpkeepPort`` says, done by this process's upkeep."""

    upkeep: Upkeep

    async def reconciliations(self, limit: int = 100) -> list[ReconciliationView]:
        return await self.upkeep.reconciliation.reconciliations(limit)

    async def reconciliation(self, run_id: str) -> ReconciliationView | None:
        return await self.upkeep.reconciliation.run(run_id)

    async def reconcile(self, channel: str, day: date) -> ReconciliationView:
        return await self.upkeep.reconciler.ask(channel, day)

    async def differences(
        self, run_id: str, limit: int = 1000, campus_ids: list[str] | None = None
    ) -> list[WorkItemView]:
        return await self.upkeep.reconciliation.differences(run_id, limit, campus_ids)

    async def open_items(self, limit: int = 100, campus_ids: list[str] | None = None) -> list[WorkItemView]:
        return await self.upkeep.reconciliation.open_items(limit, campus_ids)

    async def work_item(self, item_id: str) -> WorkItemView | None:
        return await self.upkeep.reconciliation.item(item_id)

    async def take_item(self, item_id: str, handler: str, instead_of: str = "") -> WorkItemView:
        return await self.upkeep.reconciliation.take_item(item_id, handler, instead_of)

    async def close_item(self, item_id: str, handler: str, reason: str) -> WorkItemView:
        return await self.upkeep.reconciliation.close_item(item_id, handler, reason)

    async def differences_csv(self, run_id: str) -> str:
        return await self.upkeep.reconciliation.differences_csv(run_id)

    async def open_items_csv(self) -> str:
        return await self.upkeep.reconciliation.open_items_csv()

    async def reconciliations_csv(self) -> str:
        return await self.upkeep.reconciliation.reconciliations_csv()

    async def alarms(self, limit: int = 100, only_open: bool = False) -> list[AlarmView]:
        return await self.upkeep.watch.alarms(limit, only_open=only_open)

    async def ghosts(self, hours: int = 24) -> list[GhostHour]:
        return await self.upkeep.watch.ghosts(hours)
