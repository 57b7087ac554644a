"""Zones: drawn on geofences, each with its own way in which orders find their runner, and who works there."""

from __future__ import annotations

from typing import Any

import pytest

from dispatch.access.principal import Principal
from dispatch.flow import answer_offer, go_on_duty, manage_geofences, plan_shifts, set_zone
from dispatch.model.errors import InvalidInput, NotAvailable, NotFound, NotPermitted, StaleVersion
from dispatch.model.geofence import CircleShape
from dispatch.model.requests import DrawGeofence
from dispatch.model.shift_requests import SavePlan, SetZone
from tests.flow_world import World
from tests.shift_reading import rules, rules_for


async def zone(world: World, operator: Principal, mode: Any, *, radius_m: float = 60, **more: Any) -> str:
    """A zone around the place where the world's orders are picked up."""
    here = next(place for place in world.map.quick(8) if place.id == world.places()[0])
    shape = CircleShape(here.point.lat, here.point.lon, radius_m)
    fence = await manage_geofences.draw_geofence(world.ctx, operator, DrawGeofence(name=f"{mode}区", shape=shape))
    made = await set_zone.set_zone(world.ctx, operator, fence.id, SetZone(version=1, mode=mode, **more))
    assert made.version == 2 and made.zone is not None and made.zone.mode == mode
    return fence.id


async def shown(world: World, runner: Principal) -> list[str]:
    return [item.order_id for item in (await go_on_duty.hall(world.ctx, runner)).items]


async def test_a_dispatch_zone_is_not_in_the_hall_and_not_to_be_grabbed(world: World) -> None:
    operator, runner = await world.operator(), await world.runner()
    zone_id = await zone(world, operator, "dispatch")
    order_id = await world.paid(await world.student())
    await world.publish()
    assert await shown(world, runner) == []
    heard = await world.heard(f"hall:{world.campus_id}")
    assert [event.kind for event in heard] == ["order_paid"] and "item" not in heard[0].data
    with pytest.raises(NotPermitted) as refused:
        await answer_offer.grab(world.ctx, runner, order_id)
    assert refused.value.detail == {"reason": "dispatch_zone", "zone_id": zone_id}
    found = await rules_for(world, order_id)
    assert (found.zone, found.is_grab_only, found.is_in_hall) == (zone_id, False, False)
    offer = await world.offered(order_id)
    assert (await answer_offer.accept(world.ctx, runner, offer.id)).status == "assigned"


async def test_a_grab_zone_is_left_to_the_runners(world: World) -> None:
    operator, runner = await world.operator(), await world.runner()
    await zone(world, operator, "grab")
    order_id = await world.paid(await world.student())
    assert (await rules_for(world, order_id)).is_grab_only
    assert await shown(world, runner) == [order_id]
    assert (await answer_offer.grab(world.ctx, runner, order_id)).status == "assigned"


async def test_of_zones_around_one_place_the_smaller_counts_and_a_deleted_one_does_not(home: World) -> None:
    operator = await home.operator()
    await zone(home, operator, "grab", radius_m=500)
    small = await zone(home, operator, "dispatch", radius_m=40)
    order_id = await home.paid(await home.student())
    assert (await rules_for(home, order_id)).zone == small
    await manage_geofences.delete_geofence(home.ctx, operator, small, 2)
    assert (await rules_for(home, order_id)).is_grab_only


async def test_a_zone_may_be_kept_to_some_runners(world: World) -> None:
    operator, mine, other = await world.operator(), await world.runner(), await world.runner()
    zone_id = await zone(world, operator, "mixed", runner_ids=[mine.account_id])
    order_id = await world.paid(await world.student())
    found = await rules(world)
    assert found.runners[mine.account_id].zones is None and found.runners[other.account_id].zones == frozenset()
    assert await shown(world, mine) == [order_id] and await shown(world, other) == []
    with pytest.raises(NotAvailable) as refused:
        await answer_offer.grab(world.ctx, other, order_id)
    assert refused.value.detail == {"reason": "other_zone", "zone_id": zone_id}
    known = (await plan_shifts.plan(world.ctx, other)).known_zones
    assert [(one.id, one.is_open) for one in known] == [(zone_id, False)]
    await answer_offer.grab(world.ctx, mine, order_id)


async def test_a_runner_chooses_where_to_work(world: World) -> None:
    operator, runner = await world.operator(), await world.runner()
    here = await zone(world, operator, "mixed")
    far = CircleShape(world.map.center.lat + 0.02, world.map.center.lon, 50)
    there = await manage_geofences.draw_geofence(world.ctx, operator, DrawGeofence(name="南", shape=far))
    await set_zone.set_zone(world.ctx, operator, there.id, SetZone(version=1, mode="mixed"))
    order_id = await world.paid(await world.student())
    await plan_shifts.save_plan(world.ctx, runner, SavePlan(version=0, entries=[], zones=[there.id]))
    assert (await rules(world)).runners[runner.account_id].zones == {there.id}
    assert await shown(world, runner) == []
    await plan_shifts.save_plan(world.ctx, runner, SavePlan(version=1, entries=[], zones=[here, there.id]))
    assert await shown(world, runner) == [order_id]
    request = SavePlan(version=2, entries=[], zones=[here, "fen_00000000000000000000000000"])
    with pytest.raises(InvalidInput) as refused:
        await plan_shifts.save_plan(world.ctx, runner, request)
    assert refused.value.field == "zones.1"


async def test_a_zone_is_drawn_changed_and_ended_by_the_campus_team_alone(world: World) -> None:
    operator, runner = await world.operator(), await world.runner()
    zone_id = await zone(world, operator, "grab", runner_ids=[runner.account_id])
    listed = (await manage_geofences.geofences(world.ctx, operator)).geofences
    assert [(one.id, one.zone and one.zone.runner_ids) for one in listed] == [(zone_id, [runner.account_id])]
    with pytest.raises(StaleVersion):
        await set_zone.set_zone(world.ctx, operator, zone_id, SetZone(version=1, mode=None))
    for who in (runner, await world.student()):
        with pytest.raises(NotPermitted):
            await set_zone.set_zone(world.ctx, who, zone_id, SetZone(version=2, mode=None))
    stranger = await world.operator(campus_id=world.other_campus_id)
    with pytest.raises(NotFound):
        await set_zone.set_zone(world.ctx, stranger, zone_id, SetZone(version=2, mode=None))
    for wrong, field in (
        (SetZone(version=2, mode="grab", runner_ids=[operator.account_id]), "runner_ids.0"),
        (SetZone(version=2, mode=None, runner_ids=[runner.account_id]), "runner_ids"),
    ):
        with pytest.raises(InvalidInput) as refused:
            await set_zone.set_zone(world.ctx, operator, zone_id, wrong)
        assert refused.value.field == field
    world.advance(1)  # what is done in one instant has no order
    ended = await set_zone.set_zone(world.ctx, operator, zone_id, SetZone(version=2, mode=None))
    assert (ended.version, ended.zone) == (3, None)
    rows = [row for row in await world.read(lambda uow: uow.audit.page()) if row.action == "set_zone"]
    assert [row.after and row.after["mode"] for row in rows] == [None, "grab"]
