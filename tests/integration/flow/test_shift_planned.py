"""The planner obeys shifts, breaks, rests, zones, pins and the ladder, and says why somebody was left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dispatch.access.principal import Principal
from dispatch.assign.params import Params
from dispatch.assign.state import Exclusion
from dispatch.flow import answer_offer, manage_geofences, pin_order, plan_shifts, set_zone
from dispatch.flow.assign_tasks import assign_tasks, why_waiting
from dispatch.model.campus import AssignMode
from dispatch.model.geofence import CircleShape
from dispatch.model.requests import DeclineOffer, DrawGeofence
from dispatch.model.shift import Absence, Entry
from dispatch.model.shift_requests import HoldOrder, SavePlan, SetZone, TakeBreak
from geo.point import Point
from tests.flow_world import World
from tests.shift_reading import ms

NOW = Entry(kind="class", weekday=1, from_min=9 * 60, to_min=12 * 60)


async def asked(world: World, order_id: str) -> str | None:
    """Whom one tick puts the order to."""
    await world.tick()
    task = await world.task(order_id)
    pending = await world.read(lambda uow: uow.offers.pending_of_task(task.id))
    return None if pending is None else str(pending.runner_id)


async def why(world: World, order_id: str) -> str | None:
    """Why it waits; None where the next tick would offer it."""
    waits = await why_waiting(world.ctx, world.campus_id, order_id)
    return None if waits is None else waits.reason


def near(world: World) -> Point:
    """Where the world's orders are picked up."""
    return next(place.point for place in world.map.quick(8) if place.id == world.places()[0])


async def excluded(world: World, order_id: str) -> dict[str, str]:
    """Who was left out of the newest decision, with the rule."""
    decisions = await world.read(lambda uow: uow.decisions.for_order(order_id))
    return {one["runner_id"]: one["excluded"] for one in decisions[0].candidates if one.get("excluded")}


def test_the_optimizer_has_a_word_for_every_absence() -> None:
    assert {str(one) for one in Absence} <= {str(one) for one in Exclusion}


async def test_whoever_is_in_class_or_on_a_break_is_not_asked(world: World) -> None:
    student, pupil, idler, free = await world.student(), *[await world.runner(at=near(world)) for _ in range(3)]
    await plan_shifts.save_plan(world.ctx, pupil, SavePlan(version=0, entries=[NOW]))
    await plan_shifts.take_break(world.ctx, idler, TakeBreak(until_ms=ms(world, 600)))
    await world.stand(free, world.map.center)
    order_id = await world.paid(student)
    assert await asked(world, order_id) == free.account_id
    assert await excluded(world, order_id) == {pupil.account_id: "in_class", idler.account_id: "on_break"}


async def test_an_order_waits_rather_than_disturb_a_class(world: World) -> None:
    pupil = await world.runner(at=near(world))
    await plan_shifts.save_plan(world.ctx, pupil, SavePlan(version=0, entries=[NOW]))
    order_id = await world.paid(await world.student())
    assert await asked(world, order_id) is None
    assert await why(world, order_id) is not None
    world.advance(2 * 3600)
    await world.stand(pupil, near(world))
    assert await asked(world, order_id) == pupil.account_id


async def test_nobody_is_sent_on_an_errand_that_ends_in_their_class(world: World) -> None:
    pupil, free = await world.runner(at=near(world)), await world.runner()
    soon = Entry(kind="class", weekday=1, from_min=10 * 60 + 2, to_min=11 * 60)
    await plan_shifts.save_plan(world.ctx, pupil, SavePlan(version=0, entries=[soon]))
    order_id = await world.paid(await world.student())
    assert await asked(world, order_id) == free.account_id, "who is nearer has class in two minutes"
    assert await excluded(world, order_id) == {pupil.account_id: "not_back_in_time"}


async def test_whoever_declined_is_asked_for_nothing_for_a_minute(world: World) -> None:
    runner = await world.runner(at=near(world))
    first = await world.paid(await world.student())
    offer = await world.offered(first)
    await answer_offer.decline(world.ctx, runner, offer.id, DeclineOffer())
    second = await world.paid(await world.student())
    assert await asked(world, second) is None
    world.advance(60)
    await world.stand(runner, near(world))
    assert await asked(world, second) == runner.account_id
    assert (await world.task(first)).status == "open", "never offered twice"


async def zone(world: World, operator: Principal, mode: Any, **more: Any) -> str:
    here = near(world)
    shape = CircleShape(here.lat, here.lon, 60)
    fence = await manage_geofences.draw_geofence(world.ctx, operator, DrawGeofence(name="区", shape=shape))
    await set_zone.set_zone(world.ctx, operator, fence.id, SetZone(version=1, mode=mode, **more))
    return fence.id


async def test_a_grab_zone_is_not_planned_until_whoever_is_free_is_called(world: World) -> None:
    operator, runner = await world.operator(), await world.runner(at=near(world))
    await zone(world, operator, "grab")
    order_id = await world.paid(await world.student())
    assert await asked(world, order_id) is None and await why(world, order_id) == "grab_only"
    await world.pass_time(240)
    await world.stand(runner, near(world))
    assert await asked(world, order_id) == runner.account_id


async def test_a_dispatch_zone_is_planned_on_a_campus_that_grabs(world: World) -> None:
    operator, runner = await world.operator(), await world.runner(at=near(world))
    await world.settings(mode=AssignMode.GRAB)
    order_id = await world.paid(await world.student())
    assert await asked(world, order_id) is None and await why(world, order_id) == "grab_only"
    await zone(world, operator, "dispatch")
    assert await asked(world, order_id) == runner.account_id


async def test_runners_of_other_zones_are_asked_when_nobody_else_came(world: World) -> None:
    operator, mine, other = await world.operator(), await world.runner(is_on=False), await world.runner(at=near(world))
    await zone(world, operator, "mixed", runner_ids=[mine.account_id])
    order_id = await world.paid(await world.student())
    assert await asked(world, order_id) is None
    world.advance(90)
    await world.stand(other, near(world))
    assert await asked(world, order_id) == other.account_id


async def test_a_held_order_goes_to_nobody_else_even_if_they_are_nearer(world: World) -> None:
    operator, nearer, wanted = await world.operator(), await world.runner(at=near(world)), await world.runner()
    order_id = await world.paid(await world.student())
    version = (await world.order(order_id)).version
    request = HoldOrder(runner_id=wanted.account_id, version=version, minutes=1, reason="认识路")
    await pin_order.hold(world.ctx, operator, order_id, request)
    assert await asked(world, order_id) == wanted.account_id
    assert (await excluded(world, order_id)).get(nearer.account_id) == "pinned_to_another"


async def test_a_wish_is_asked_first(world: World) -> None:
    student, wanted, nearer = await world.student(), await world.runner(), await world.runner(at=near(world))
    await world.delivered(student, wanted)
    await world.stand(wanted, world.map.center)
    order_id = await world.paid(student, wish_runner_id=wanted.account_id)
    assert await asked(world, order_id) == wanted.account_id
    task = await world.task(order_id)
    pending = await world.read(lambda uow: uow.offers.pending_of_task(task.id))
    await answer_offer.decline(world.ctx, wanted, pending.id, DeclineOffer())
    assert await asked(world, order_id) == nearer.account_id


class Meanwhile:
    """Positions, during whose reading something happens: the books were read before."""

    def __init__(self, inner: Any, happens: Any) -> None:
        self._inner = inner
        self._happens = happens

    async def all(self, campus_id: str) -> Any:
        found = await self._inner.all(campus_id)
        await self._happens()
        return found


async def test_a_break_that_begins_while_a_tick_is_planned_is_kept(world: World) -> None:
    await world.tick()
    runner = await world.runner(at=near(world))
    order_id = await world.paid(await world.student())

    async def rest() -> None:
        await plan_shifts.take_break(world.ctx, runner, TakeBreak(until_ms=ms(world, 600)))

    ctx = replace(world.ctx, presence=Meanwhile(world.ctx.presence, rest))
    tick = await assign_tasks(ctx, world.campus_id, world.fence, Params())
    assert (tick.offered, tick.lost) == (0, 1)
    assert (await world.task(order_id)).status == "open"


async def test_a_hold_that_is_placed_while_a_tick_is_planned_is_kept(world: World) -> None:
    await world.tick()
    operator, nearer, wanted = await world.operator(), await world.runner(at=near(world)), await world.runner()
    order_id = await world.paid(await world.student())
    version = (await world.order(order_id)).version

    async def keep() -> None:
        request = HoldOrder(runner_id=wanted.account_id, version=version, reason="认识路")
        await pin_order.hold(world.ctx, operator, order_id, request)

    ctx = replace(world.ctx, presence=Meanwhile(world.ctx.presence, keep))
    tick = await assign_tasks(ctx, world.campus_id, world.fence, Params())
    assert (tick.offered, tick.lost) == (0, 1), f"not {nearer.account_id}"
    assert await asked(world, order_id) == wanted.account_id
