"""What the rules of shifts, zones, pins and the ladder say in a world now."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from dispatch.access.principal import Principal
from dispatch.flow.availability import Rules, TaskRules, read_rules
from tests.flow_world import World


def ms(world: World, seconds: float = 0) -> int:
    """The instant so many seconds from now."""
    return round((world.clock.now() + timedelta(seconds=seconds)).timestamp() * 1000)


async def rules(world: World) -> Rules:
    """For all runners on duty and everything that waits."""
    settings = (await world.ctx.store.read_global(lambda unit: unit.campuses.get(world.campus_id))).settings

    def read(uow: Any) -> Rules:
        members = [member for member, _ in uow.memberships.runners(on_duty_only=True)]
        tasks = uow.tasks.takeable()
        orders = uow.orders.many(task.order_id for task in tasks)
        return read_rules(uow, settings, members, [(task, orders[task.order_id]) for task in tasks])

    found: Rules = await world.read(read)
    return found


async def rules_for(world: World, order_id: str) -> TaskRules:
    """For one order that waits."""
    return (await rules(world)).tasks[(await world.task(order_id)).id]


async def excluded(world: World, who: Principal) -> str | None:
    """Why this runner on duty gets nothing new now."""
    found = (await rules(world)).runners[who.account_id].excluded
    return None if found is None else str(found)
