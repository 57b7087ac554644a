"""A campus with a geofence, and workers that watch it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from dispatch.access.principal import Principal
from dispatch.flow import manage_geofences
from dispatch.flow.watch_geofences import FenceWatch, WatchRhythm
from dispatch.model.event import EventKind
from dispatch.model.geofence import CircleShape, FenceStay
from dispatch.model.requests import DrawGeofence
from geo.fix import Fix
from geo.point import LocalPlane
from tests.flow_world import World

QUICK = WatchRhythm(write_every_s=0.02, look_again_s=60.0)
KINDS = [EventKind.GEOFENCE_ENTERED, EventKind.GEOFENCE_LEFT, EventKind.GEOFENCE_DWELLED]


class Fenced:
    """A campus with one fence of 50 m around its middle, and workers that watch it."""

    def __init__(self, world: World, operator: Principal, fence: Any) -> None:
        self.world, self.operator, self.fence = world, operator, fence
        self.plane = LocalPlane(world.map.center)
        self.watches: list[FenceWatch] = []

    async def watch(self, rhythm: WatchRhythm = QUICK, ctx: Any = None) -> FenceWatch:
        """Another worker."""
        watch = FenceWatch(ctx or self.world.ctx, rhythm)
        self.watches.append(watch)
        await watch.start()
        return watch

    def fix(self, x: float, y: float = 0.0, accuracy_m: float = 5.0) -> Fix:
        """Here and now, so many metres east and north of the middle."""
        at_ms = round(self.world.clock.now().timestamp() * 1000)
        return Fix(*self.plane.point(x, y), at_ms, accuracy_m, received_at_ms=at_ms)

    def see(self, watch: FenceWatch, runner: str, x: float, after_s: float = 60.0) -> None:
        self.world.advance(after_s)
        watch.observe(self.world.campus_id, [(runner, self.fix(x))])

    async def stays(self, **wanted: Any) -> list[FenceStay]:
        found: list[FenceStay] = await self.world.read(lambda uow: uow.geofence_stays.page(**wanted))
        return found

    async def told(self, runner: str) -> list[str]:
        """What the books' events say of a runner, oldest first."""
        return [str(event.kind) for event in await self.world.events(runner) if event.kind in KINDS]

    async def until_open(self, count: int) -> None:
        await self._until(lambda stays: sum(stay.left_at is None for stay in stays) == count and (stays or not count))

    async def until_left(self, count: int) -> None:
        await self._until(lambda stays: sum(stay.left_at is not None for stay in stays) == count)

    async def _until(self, is_so: Any) -> None:
        deadline = asyncio.get_running_loop().time() + 10
        while not is_so(await self.stays()):
            assert asyncio.get_running_loop().time() < deadline, await self.stays()
            await asyncio.sleep(0.01)


@asynccontextmanager
async def fenced_of(world: World) -> AsyncIterator[Fenced]:
    operator = await world.operator()
    center = world.map.center
    drawn = DrawGeofence(name="中心广场", shape=CircleShape(center.lat, center.lon, 50.0), dwell_s=300)
    made = Fenced(world, operator, await manage_geofences.draw_geofence(world.ctx, operator, drawn))
    yield made
    for watch in made.watches:
        await watch.stop()


async def settled(watch: FenceWatch) -> None:
    """Until the worker has judged and written everything that it has seen."""
    deadline = asyncio.get_running_loop().time() + 10
    while watch.metrics()["geofence_waiting"] or watch.waiting_fixes:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)
