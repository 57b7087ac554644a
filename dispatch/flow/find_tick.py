"""The recorded tick in which something was decided, or the newest one: what every later question is answered from."""

from __future__ import annotations

import asyncio

from ..model.decision import Decision
from ..ticks.archive import RecordedTick
from .context import Context


async def recorded_tick(ctx: Context, campus_id: str, decision: Decision) -> RecordedTick | None:
    """What the planner saw when it decided; None where that is not kept (any more), or nobody planned."""
    if ctx.ticks is None or decision.tick_id is None:
        return None
    return await asyncio.to_thread(ctx.ticks.find, campus_id, decision.tick_id)


async def latest_tick(ctx: Context, campus_id: str) -> RecordedTick | None:
    """What the planner saw last; None where nothing is recorded."""
    return None if ctx.ticks is None else await asyncio.to_thread(ctx.ticks.latest, campus_id)
