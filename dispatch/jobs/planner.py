"""The planner process: leads the campuses whose lease it holds, and plans each of them once per tick."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial

from ..assign.params import Params
from ..flow.assign_tasks import Tick, assign_tasks
from ..flow.context import Context
from ..flow.foresee_orders import keep_outlook
from ..flow.planning import Desk
from ..store.unit_of_work import GlobalUnit
from .loop import Loop

log = logging.getLogger(__name__)

#: Real seconds: a planner that died is replaced after this long.
LEASE_S = 6.0
RENEW_S = 2.0


class Planner:
    """``tick_s`` is business time; the lease is real time, converted for the store, whose clock runs at the rate."""

    def __init__(
        self,
        ctx: Context,
        holder: str,
        tick_s: float,
        params: Params | None = None,
        desk: Desk | None = None,
        on_tick: Callable[[str, Tick], None] = lambda campus_id, tick: None,
    ) -> None:
        self._ctx = ctx
        self._holder = holder
        self._params = params or Params()
        self._on_tick = on_tick
        self.desk = desk or Desk(ctx)
        self._fences: dict[str, int] = {}
        self._renewed_s: dict[str, float] = {}
        self.waiting: dict[str, Mapping[str, str]] = {}
        self.ticks = 0
        self.loop = Loop("planner", self.tick, max(0.1, ctx.clock.real_s(tick_s)))

    def start(self) -> None:
        self.loop.start()

    async def stop(self) -> None:
        await self.loop.stop()
        if self.desk.recorder is not None:
            await asyncio.to_thread(self.desk.recorder.close)
        for campus_id, fence in list(self._fences.items()):
            await self._ctx.store.run_global(partial(self._release, campus_id, fence))

    async def tick(self) -> int:
        """Plan every campus that this planner leads, once."""
        for campus in await self._ctx.store.read_global(lambda unit: unit.campuses.all()):
            fence = await self.lead(campus.id)
            if fence is None:
                continue
            try:
                tick = await assign_tasks(self._ctx, campus.id, fence, self._params, self.desk)
            except Exception:
                # One campus's trouble must not keep the others' orders waiting.
                log.exception("planning failed; the next tick tries again", extra={"fields": {"campus": campus.id}})
                continue
            self.waiting[campus.id] = tick.waiting or {}
            await keep_outlook(self._ctx, campus.id, tick.foreseen)
            self._on_tick(campus.id, tick)
        self.ticks += 1
        return 0

    def fence(self, campus_id: str) -> int | None:
        """The fencing number under which this planner leads the campus, as far as it knows."""
        return self._fences.get(campus_id)

    async def lead(self, campus_id: str) -> int | None:
        """The fencing number of our lease of this campus; None while another planner leads it."""
        now_s, ttl_s = self._ctx.clock.monotonic_s(), LEASE_S * self._ctx.clock.rate
        fence = self._fences.get(campus_id)
        if fence is not None:
            if now_s - self._renewed_s[campus_id] < RENEW_S:
                return fence
            if await self._ctx.store.run_global(partial(self._renew, campus_id, fence, ttl_s)):
                self._renewed_s[campus_id] = now_s
                return fence
            log.warning("another planner took over", extra={"fields": {"campus": campus_id}})
            del self._fences[campus_id]
        fence = await self._ctx.store.run_global(
            lambda unit: unit.leases.acquire(_lease(campus_id), self._holder, ttl_s)
        )
        if fence is not None:
            self._fences[campus_id] = fence
            self._renewed_s[campus_id] = now_s
        return fence

    def _renew(self, campus_id: str, fence: int, ttl_s: float, unit: GlobalUnit) -> bool:
        return unit.leases.renew(_lease(campus_id), self._holder, fence, ttl_s)

    def _release(self, campus_id: str, fence: int, unit: GlobalUnit) -> bool:
        return unit.leases.release(_lease(campus_id), self._holder, fence)


def _lease(campus_id: str) -> str:
    return f"planner:{campus_id}"
