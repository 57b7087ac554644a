"""Reconciliation as people use it: lists to look at, items to take and close, a run on demand, and CSV."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

import msgspec

from payments.port import ItemRefused, UnknownItem
from payments.reconcile.as_csv import items_csv, runs_csv
from payments.reconcile.view import ItemState, ReconciliationView, WorkItemView
from payments.store.unit_of_work import Store, UnitOfWork

#: No list is longer.
MOST = 1000
_LONGEST_TEXT = 500


class ReconciliationDesk:
    """What a page or a command line needs. Who may do it is the caller's to decide; ``handler`` is who does."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    async def reconciliations(self, limit: int = 100) -> list[ReconciliationView]:
        """Runs, the newest day first."""
        return await self._store.read(lambda uow: uow.reconciliations.newest(_bounded(limit)))

    async def run(self, run_id: str) -> ReconciliationView | None:
        """One run."""
        return await self._store.read(lambda uow: uow.reconciliations.get(run_id))

    async def differences(
        self, run_id: str, limit: int = MOST, campus_ids: Collection[str] | None = None
    ) -> list[WorkItemView]:
        """Everything that a run ever found, repaired or not; of these campuses, "" being nobody's, or of all."""
        return await self._store.read(lambda uow: uow.reconciliations.items_of_run(run_id, _bounded(limit), campus_ids))

    async def open_items(self, limit: int = 100, campus_ids: Collection[str] | None = None) -> list[WorkItemView]:
        """What needs a person, of all runs, oldest first; of these campuses, or of all."""
        return await self._store.read(lambda uow: uow.reconciliations.unfinished_items(_bounded(limit), campus_ids))

    async def item(self, item_id: str) -> WorkItemView | None:
        """One item, whatever became of it."""
        return await self._store.read(lambda uow: uow.reconciliations.item(item_id))

    async def take_item(self, item_id: str, handler: str, instead_of: str = "") -> WorkItemView:
        """Say that one looks into it, ``instead_of`` whoever has it now. UnknownItem; ItemRefused: somebody else does,
        or nothing is left to do."""
        return await self._change(item_id, "taken", handler, "", ("open",), instead_of or handler)

    async def close_item(self, item_id: str, handler: str, reason: str) -> WorkItemView:
        """It is settled, and why. UnknownItem, ItemRefused; ValueError: no reason."""
        if not reason.strip() or len(reason) > _LONGEST_TEXT:
            raise ValueError(f"reason: 1 to {_LONGEST_TEXT} characters")
        return await self._change(item_id, "closed", handler, reason, ("repairing", "open"), handler)

    async def differences_csv(self, run_id: str) -> str:
        """What a run found."""
        return items_csv(await self.differences(run_id))

    async def open_items_csv(self) -> str:
        return items_csv(await self.open_items(MOST))

    async def reconciliations_csv(self) -> str:
        return runs_csv(await self.reconciliations(MOST))

    async def _change(
        self, item_id: str, state: ItemState, handler: str, reason: str, states: tuple[ItemState, ...], holder: str
    ) -> WorkItemView:
        if not handler.strip() or len(handler) > _LONGEST_TEXT:
            raise ValueError(f"handler: 1 to {_LONGEST_TEXT} characters")

        def change(uow: UnitOfWork) -> WorkItemView:
            item = uow.reconciliations.item(item_id)
            if item is None:
                raise UnknownItem(item_id)
            if (item.state, item.handler, item.reason) == (state, handler, reason or item.reason):
                return item  # The same wish again.
            is_held = item.state == "taken" and item.handler == holder
            if item.state not in states and not is_held:
                raise ItemRefused(f"item {item_id} is {item.state}")
            changed = msgspec.structs.replace(
                item,
                state=state,
                handler=handler,
                reason=reason or item.reason,
                changed_at=self._now(),
                due_at=None,
            )
            uow.reconciliations.save_item(changed)
            return changed

        return await self._store.run(change)


def _bounded(limit: int) -> int:
    return max(1, min(limit, MOST))
