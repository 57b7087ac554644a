"""The part of the port that looks after money day by day: reconciliation with its items of work, and alarms."""

from __future__ import annotations

from datetime import date, datetime
from typing import Protocol

from payments.port_views import CallbackTally
from payments.reconcile.view import ReconciliationView, WorkItemView
from payments.upkeep.alarms import AlarmView, GhostHour


class UpkeepPort(Protocol):
    """Every body of the payments port has these too. Who may do what is the caller's to decide."""

    async def reconciliations(self, limit: int = 100) -> list[ReconciliationView]:
        """The runs, the newest day first."""

    async def reconciliation(self, run_id: str) -> ReconciliationView | None:
        """One run."""

    async def reconcile(self, channel: str, day: date) -> ReconciliationView:
        """Run a day, whether it ran before or not, as soon as may be: the run as it stands until then. NoSuchRun."""

    async def differences(
        self, run_id: str, limit: int = 1000, campus_ids: list[str] | None = None
    ) -> list[WorkItemView]:
        """Everything that a run ever found, repaired or not, oldest first; ``campus_ids``: of these alone, "" being
        nobody's."""

    async def open_items(self, limit: int = 100, campus_ids: list[str] | None = None) -> list[WorkItemView]:
        """What needs a person, of all runs, oldest first; ``campus_ids`` as above."""

    async def work_item(self, item_id: str) -> WorkItemView | None:
        """One item, whatever became of it."""

    async def take_item(self, item_id: str, handler: str, instead_of: str = "") -> WorkItemView:
        """Say that one looks into it, ``instead_of`` whoever has it now. UnknownItem; ItemRefused: somebody else does,
        or nothing is left to do."""

    async def close_item(self, item_id: str, handler: str, reason: str) -> WorkItemView:
        """It is settled, and why. UnknownItem, ItemRefused; ValueError: no reason."""

    async def differences_csv(self, run_id: str) -> str:
        """``differences`` as a table, safe to open in a spreadsheet."""

    async def open_items_csv(self) -> str:
        """``open_items`` as a table."""

    async def reconciliations_csv(self) -> str:
        """``reconciliations`` as a table."""

    async def alarms(self, limit: int = 100, only_open: bool = False) -> list[AlarmView]:
        """Alarms, the newest first; ``only_open``: what is wrong now."""

    async def ghosts(self, hours: int = 24) -> list[GhostHour]:
        """Per channel and hour: payments, and those that no callback ever told of."""

    async def callback_tallies(self, since: datetime) -> list[CallbackTally]:
        """How callbacks fared, in every process, in the hours from ``since`` on."""
