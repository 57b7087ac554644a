"""The planner leads a campus by a lease, and what it decided under an older one is refused by the database."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dispatch.assign.params import Params
from dispatch.flow.assign_tasks import assign_tasks
from dispatch.jobs.planner import LEASE_S, Planner
from dispatch.model.errors import StaleVersion
from dispatch.model.task import TaskMove, next_status
from tests.flow_world import World, run


def _planner(world: World, name: str, **changes: Any) -> Planner:
    ctx = replace(world.ctx, **changes) if changes else world.ctx
    return Planner(ctx, name, 2.0)


async def _step(planner: Planner) -> None:
    """One tick, without the loop around it."""
    await planner.tick()


async def test_one_of_two_planners_leads_until_it_is_silent_too_long(world: World) -> None:
    student = await world.student()
    await world.runner()
    await world.paid(student)
    first, second = _planner(world, "first"), _planner(world, "second")
    await _step(first)
    await _step(second)
    assert first.fence(world.campus_id) == 1 and second.fence(world.campus_id) is None
    assert len(await world.read(lambda uow: uow.offers.pending())) == 1
    for _ in range(4):
        world.advance(LEASE_S / 2)
        await _step(first)
        await _step(second)
    assert second.fence(world.campus_id) is None, "renewed in time"
    world.advance(LEASE_S)
    await _step(second)
    assert second.fence(world.campus_id) == 2
    await _step(first)
    assert first.fence(world.campus_id) is None, "it notices that it was replaced"


async def test_what_was_decided_under_an_old_lease_is_refused(world: World) -> None:
    student = await world.student()
    await world.runner()
    order_id = await world.paid(student)
    first, second = _planner(world, "first"), _planner(world, "second")
    await first.lead(world.campus_id)
    world.advance(LEASE_S)
    await second.lead(world.campus_id)
    await world.stand(await world.runner(), world.map.center)
    # The first wakes up from a long pause in the middle of its tick.
    tick = await assign_tasks(world.ctx, world.campus_id, 1, Params())
    assert (tick.offered, tick.lost) == (0, 1)
    task = await world.task(order_id)
    assert task.status == "open" and await world.read(lambda uow: uow.offers.pending()) == []
    offered = replace(task, status=next_status(task.status, TaskMove.OFFER), version=task.version + 1, fence=1)
    with pytest.raises(StaleVersion):
        await run(world, lambda uow: uow.tasks.save(offered, fence=1))
    assert (await assign_tasks(world.ctx, world.campus_id, 2, Params())).offered == 1


async def test_a_planner_that_stops_lets_the_next_one_in_at_once(world: World, eventually: Any) -> None:
    first, second = _planner(world, "first"), _planner(world, "second")
    first.start()
    await eventually(lambda: first.ticks > 0)
    await first.stop()
    await _step(second)
    assert second.fence(world.campus_id) == 2


async def test_one_campus_in_trouble_does_not_stop_the_others(home: World) -> None:
    class Presence:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        async def all(self, campus_id: str) -> Any:
            if campus_id == home.campus_id:
                raise ConnectionError("no answer for this campus")
            return await self._inner.all(campus_id)

    planner = _planner(home, "one", presence=Presence(home.ctx.presence))
    await _step(planner)
    assert planner.ticks == 1 and home.other_campus_id in planner.waiting
    assert home.campus_id not in planner.waiting


async def test_orders_that_wait_are_said_to_wait_and_why(home: World) -> None:
    student = await home.student()
    order_id = await home.paid(student)
    planner = _planner(home, "one")
    await _step(planner)
    assert planner.waiting[home.campus_id] == {order_id: "no_runners"}
