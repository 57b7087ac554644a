"""Geofences watched: crossings become stays and events once, whoever saw them, however late they are written."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from dispatch.flow import manage_geofences
from dispatch.flow.record_crossings import end_stays_of_absent
from dispatch.flow.watch_geofences import WatchRhythm
from dispatch.live.bus import Bus
from dispatch.model.event import EventKind, console_topic
from dispatch.model.geofence import CircleShape
from dispatch.model.requests import DrawGeofence
from tests.fenced_world import Fenced, settled


async def test_a_runner_enters_dwells_and_leaves_and_the_console_hears_it(fenced: Fenced) -> None:
    watch, world = await fenced.watch(), fenced.world
    fenced.see(watch, "acc_r", 0.0)
    await fenced.until_open(1)
    for x in (20.0, 0.0, 10.0, -10.0, 0.0, 5.0):
        fenced.see(watch, "acc_r", x)
    fenced.see(watch, "acc_r", 300.0)
    await fenced.until_left(1)
    await watch.stop()
    (stay,) = await fenced.stays()
    assert (stay.left_at - stay.entered_at).total_seconds() == 420
    await world.publish()
    heard = [event for event in await world.heard(console_topic(world.campus_id)) if event.kind.startswith("geofence")]
    assert [event.kind for event in heard][:1] == ["geofence_entered"] and heard[-1].kind == "geofence_left"
    first, last = heard[0].data, heard[-1].data
    here = fenced.fix(0.0)
    assert first == {
        "runner_id": "acc_r", "fence_id": fenced.fence.id, "name": "中心广场", "at_ms": here.fixed_at_ms - 420_000,
        "position": pytest.approx([here.lat, here.lon, here.fixed_at_ms - 420_000]),
    }  # fmt: skip
    assert last["inside_s"] == 420 and last["at_ms"] == here.fixed_at_ms
    topics = {event.topic for event in await world.heard(f"runner:{'acc_r'}")}
    assert topics == set()


async def test_a_dwell_is_told_once_a_stay(yard: Fenced) -> None:
    watch = await yard.watch()
    yard.see(watch, "acc_r", 0.0)
    await yard.until_open(1)
    for _ in range(3):
        yard.see(watch, "acc_r", 1.0, after_s=200)
        await settled(watch)
    await watch.stop()
    assert await yard.told("acc_r") == ["geofence_entered", "geofence_dwelled"]
    (stay,) = await yard.stays()
    assert stay.has_dwelled and stay.left_at is None


async def test_a_runner_who_moves_to_another_worker_still_leaves(fenced: Fenced) -> None:
    first, second = await fenced.watch(), await fenced.watch()
    fenced.see(first, "acc_r", 0.0)
    await fenced.until_open(1)
    first.release(fenced.world.campus_id, "acc_r")
    fenced.see(second, "acc_r", 400.0)
    await fenced.until_left(1)
    assert await fenced.told("acc_r") == ["geofence_entered", "geofence_left"]


async def test_two_workers_that_see_the_same_runner_tell_it_once(fenced: Fenced) -> None:
    watches = [await fenced.watch() for _ in range(2)]
    for x, is_inside in ((0.0, True), (400.0, False), (1.0, True), (500.0, False)):
        fenced.world.advance(60)
        for watch in watches:
            watch.observe(fenced.world.campus_id, [("acc_r", fenced.fix(x))])
        await (fenced.until_open(1) if is_inside else fenced.until_open(0))
        for watch in watches:
            await settled(watch)
    assert await fenced.told("acc_r") == ["geofence_entered", "geofence_left"] * 2
    assert len(await fenced.stays()) == 2


async def test_whoever_goes_off_duty_has_left(yard: Fenced) -> None:
    watch = await yard.watch()
    yard.see(watch, "acc_r", 0.0)
    yard.see(watch, "acc_s", 0.0, after_s=0)
    await yard.until_open(2)
    watch.forget(yard.world.campus_id, "acc_r")
    watch.forget(yard.world.campus_id, "acc_stranger")
    watch.forget("cmp_nowhere", "acc_r")
    await yard.until_left(1)
    (event,) = [one for one in await yard.world.events("acc_r") if one.kind is EventKind.GEOFENCE_LEFT]
    assert event.payload["position"][:2] == pytest.approx(list(yard.world.map.center))
    yard.see(watch, "acc_r", 1.0)
    await yard.until_open(2)
    assert await yard.told("acc_r") == ["geofence_entered", "geofence_left", "geofence_entered"]


async def test_the_stays_of_runners_whom_no_worker_knows_are_ended(yard: Fenced) -> None:
    watch, world = await yard.watch(), yard.world
    runner = await world.runner()
    yard.see(watch, runner.account_id, 0.0)
    yard.see(watch, "acc_lost", 0.0)
    await yard.until_open(2)
    await watch.stop()
    absent = await end_stays_of_absent(world.ctx, world.campus_id, ())
    assert absent == {"acc_lost"} and await yard.told("acc_lost") == ["geofence_entered"]
    world.advance(300)
    assert await end_stays_of_absent(world.ctx, world.campus_id, absent) == absent
    assert await yard.told("acc_lost") == ["geofence_entered", "geofence_left"]
    assert await yard.told(runner.account_id) == ["geofence_entered"]
    assert await end_stays_of_absent(world.ctx, world.campus_id, absent) == set()
    assert await end_stays_of_absent(world.ctx, world.other_campus_id, absent) == set()


async def test_what_the_books_say_of_a_known_runner_wins_within_a_minute(yard: Fenced) -> None:
    watch = await yard.watch(WatchRhythm(write_every_s=0.02, look_again_s=60, silent_s=10_000))
    campus_id = yard.world.campus_id
    yard.see(watch, "acc_r", 900.0)
    await settled(watch)
    at = yard.world.clock.now()
    # Another worker saw them enter, and was gone before they left.
    await yard.world.ctx.store.run(campus_id, lambda uow: uow.geofence_stays.enter(yard.fence.id, "acc_r", at))
    yard.world.advance(61)
    yard.see(watch, "acc_other", 900.0)
    await settled(watch)
    deadline = asyncio.get_running_loop().time() + 10
    while not await ended(yard):
        yard.see(watch, "acc_r", 901.0, after_s=1)
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)
    assert await yard.told("acc_r") == ["geofence_left"]


async def ended(yard: Fenced) -> bool:
    return all(stay.left_at is not None for stay in await yard.stays())


async def test_new_fences_count_at_once_and_deleted_ones_no_more(yard: Fenced) -> None:
    world = yard.world
    bus = Bus(world.redis, "worker", None)
    await bus.start()
    try:
        watch = await yard.watch(ctx=replace(world.ctx, bus=bus))
        yard.see(watch, "acc_r", 0.0)
        await yard.until_open(1)
        point = yard.plane.point(500.0, 0.0)
        drawn = DrawGeofence(name="东门", shape=CircleShape(point.lat, point.lon, 30.0))
        east = await manage_geofences.draw_geofence(world.ctx, yard.operator, drawn)
        deadline = asyncio.get_running_loop().time() + 10
        while not await yard.stays(fence_id=east.id):
            yard.see(watch, "acc_s", 500.0, after_s=1)
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.05)
        await manage_geofences.delete_geofence(world.ctx, yard.operator, yard.fence.id, 1)
        await yard.until_left(1)
        assert await yard.told("acc_r") == ["geofence_entered"], "a deletion is no crossing"
        yard.see(watch, "acc_r", 1.0)
        await settled(watch)
        assert len(await yard.stays()) == 2
    finally:
        await bus.stop()


async def test_a_campus_without_fences_costs_nothing_and_tells_nothing(yard: Fenced) -> None:
    watch = await yard.watch()
    watch.observe(yard.world.other_campus_id, [("acc_r", yard.fix(0.0))])
    await settled(watch)
    watch.observe(yard.world.other_campus_id, [("acc_r", yard.fix(0.0))])
    assert watch.waiting_fixes == 0
    await watch.stop()
    await watch.stop()
    assert await yard.stays() == []
