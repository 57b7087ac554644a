"""A runner who walks to the stops of one order, and a worker that sees where they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from dispatch.access.principal import Principal
from dispatch.flow.watch_stops import StopRhythm, StopWatch
from dispatch.model.visit import StopVisit
from geo.fix import Fix
from geo.point import LocalPlane, Point
from tests.flow_world import World

QUICK = StopRhythm(write_every_s=0.02, look_again_s=60.0)
SEEN = ("runner_arriving", "runner_at_stop")


class Walk:
    """One order, who ordered it and who carries it, and a worker that sees where they are."""

    def __init__(self, world: World, watch: StopWatch, student: Principal, runner: Principal, order_id: str) -> None:
        self.world, self.watch = world, watch
        self.student, self.runner, self.order_id = student, runner, order_id

    async def stop(self, role: str) -> Point:
        stops = (await self.world.order(self.order_id)).stops
        return next(Point(stop.lat, stop.lon) for stop in stops if stop.role == role)

    async def see(self, role: str, east_m: float = 0.0, after_s: float = 15.0, who: Principal | None = None) -> None:
        """The runner is seen so many metres east of a stop, after so many seconds."""
        self.world.advance(after_s)
        at_ms = round(self.world.clock.now().timestamp() * 1000)
        place = LocalPlane(await self.stop(role)).point(east_m, 0)
        fix = Fix(*place, at_ms, 5.0, received_at_ms=at_ms)
        self.watch.observe(self.world.campus_id, [((who or self.runner).account_id, fix)])
        await settled(self.watch)

    async def stay(self, role: str, east_m: float = 0.0) -> None:
        await self.see(role, east_m)
        await self.see(role, east_m)

    async def visits(self, role: str = "") -> list[StopVisit]:
        found = await self.world.read(lambda uow: uow.stop_visits.of_orders([self.order_id]))
        return [visit for visit in found.get(self.order_id, []) if visit.role == role or not role]

    async def told(self) -> list[str]:
        return [kind for kind in await self.world.kinds(self.order_id) if kind in SEEN]

    async def publish(self) -> None:
        """Let the relay tell the worker what has changed."""
        await self.world.publish()
        await settled(self.watch)


async def settled(watch: StopWatch) -> None:
    """Until the worker has judged, asked and written everything."""
    deadline = asyncio.get_running_loop().time() + 10
    while not watch.is_at_rest:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


@asynccontextmanager
async def walk_of(world: World, **changes: Any) -> AsyncIterator[Walk]:
    student, runner = await world.student(), await world.runner()
    await world.ctx.bus.start()
    watch = StopWatch(world.ctx, QUICK)
    await watch.start()
    order_id = await world.assigned(student, runner, **changes)
    try:
        yield Walk(world, watch, student, runner, order_id)
    finally:
        await watch.stop()
        await world.ctx.bus.stop()
