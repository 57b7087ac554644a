"""Geofences watched: crossings become stays and events once, whoever saw them, however late they are written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from dispatch.access.principal import Principal
from dispatch.flow import manage_geofences
from dispatch.flow.draw_demo_geofences import draw_demo_geofences
from dispatch.flow.record_crossings import end_stays_of_absent
from dispatch.flow.watch_geofences import MAX_WAITING_FIXES, FenceWatch, WatchRhythm
from dispatch.live.bus import Bus
from dispatch.model.errors import InvalidInput, NotFound, NotPermitted, StaleVersion, Unavailable
from dispatch.model.event import EventKind, console_topic
from dispatch.model.geofence import CircleShape, FenceStay, PolygonShape
from dispatch.model.requests import DrawGeofence, ReplaceGeofence
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


async def fenced_of(world: World) -> Fenced:
    operator = await world.operator()
    center = world.map.center
    drawn = DrawGeofence(name="中心广场", shape=CircleShape(center.lat, center.lon, 50.0), dwell_s=300)
    return Fenced(world, operator, await manage_geofences.draw_geofence(world.ctx, operator, drawn))


@pytest.fixture
async def fenced(world: World) -> AsyncIterator[Fenced]:
    made = await fenced_of(world)
    yield made
    for watch in made.watches:
        await watch.stop()


@pytest.fixture
async def yard(home: World) -> AsyncIterator[Fenced]:
    """On SQLite alone."""
    made = await fenced_of(home)
    yield made
    for watch in made.watches:
        await watch.stop()


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


async def settled(watch: FenceWatch) -> None:
    """Until the worker has judged and written everything that it has seen."""
    deadline = asyncio.get_running_loop().time() + 10
    while watch.metrics()["geofence_waiting"] or watch.waiting_fixes:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


async def test_a_worker_that_dies_between_seeing_and_writing_loses_nothing_for_good(yard: Fenced) -> None:
    doomed, heir = await yard.watch(WatchRhythm(write_every_s=0.02)), await yard.watch()
    yard.see(doomed, "acc_in", 0.0)
    yard.see(doomed, "acc_out", 0.0)
    await yard.until_open(2)
    await settled(doomed)
    await kill(doomed)
    yard.see(doomed, "acc_out", 400.0)  # judged, never written
    yard.see(doomed, "acc_new", 0.0)
    yard.see(heir, "acc_out", 420.0, after_s=5)
    yard.see(heir, "acc_new", 3.0, after_s=5)
    yard.see(heir, "acc_in", 3.0, after_s=5)
    await settled(heir)
    await yard.until_left(1)
    await yard.until_open(2)
    assert await yard.told("acc_out") == ["geofence_entered", "geofence_left"]
    assert await yard.told("acc_in") == await yard.told("acc_new") == ["geofence_entered"]


async def kill(watch: FenceWatch) -> None:
    """What a dead process no longer does."""
    assert watch._task is not None
    watch._task.cancel()
    await asyncio.wait({watch._task})
    watch._task = None


async def test_a_commit_of_which_nobody_heard_is_written_again_without_effect(yard: Fenced) -> None:
    store = FlakyStore(yard.world.ctx.store)
    watch = await yard.watch(ctx=replace(yard.world.ctx, store=store))
    store.is_deaf = True
    yard.see(watch, "acc_r", 0.0)
    yard.see(watch, "acc_s", 2.0)
    await yard.until_open(2)
    yard.see(watch, "acc_r", 400.0)
    await yard.until_left(1)
    deadline = asyncio.get_running_loop().time() + 10
    while watch.failures < 2:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)
    store.is_deaf = False
    await settled(watch)
    assert await yard.told("acc_r") == ["geofence_entered", "geofence_left"]
    assert await yard.told("acc_s") == ["geofence_entered"]


class FlakyStore:
    """A real store whose answers get lost on the way back."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.is_deaf = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def run(self, campus_id: str, fn: Any) -> Any:
        answer = await self._store.run(campus_id, fn)
        if self.is_deaf:
            raise Unavailable("the answer was lost")
        return answer


async def test_crossings_beyond_the_queue_are_told_late_rather_than_never(yard: Fenced) -> None:
    watch = await yard.watch(WatchRhythm(write_every_s=0.02, capacity=3))
    yard.see(watch, "acc_0", 900.0)
    await settled(watch)
    runners = [f"acc_{n}" for n in range(8)]
    everybody = [(runner, yard.fix(900.0)) for runner in runners]
    watch.observe(yard.world.campus_id, everybody)
    await settled(watch)
    yard.world.advance(60)
    watch.observe(yard.world.campus_id, [(runner, yard.fix(float(n))) for n, runner in enumerate(runners)])
    await settled(watch)
    assert watch.metrics()["geofence_overflow_total"] == 5
    assert len(await yard.stays()) == 3
    # The five are strangers now, and three fit into the queue at a time.
    for _ in range(5):
        yard.world.advance(5)
        watch.observe(yard.world.campus_id, [(runner, yard.fix(float(n))) for n, runner in enumerate(runners)])
        await settled(watch)
    assert len(await yard.stays()) == 8
    assert all([await yard.told(runner) == ["geofence_entered"] for runner in runners])


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
    watch, campus_id = await yard.watch(WatchRhythm(write_every_s=0.02, look_again_s=60, silent_s=10_000)), None
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


async def test_a_batch_that_cannot_be_judged_stops_nothing(yard: Fenced, caplog: pytest.LogCaptureFixture) -> None:
    watch = await yard.watch()
    yard.see(watch, "acc_r", 900.0)
    await settled(watch)
    watch.observe(yard.world.campus_id, [("acc_r", None)])  # type: ignore[list-item]
    await settled(watch)
    assert "were not compared" in caplog.text
    yard.see(watch, "acc_r", 0.0)
    await yard.until_open(1)


async def test_fixes_wait_while_the_books_do_not_answer(yard: Fenced) -> None:
    store = SilentStore(yard.world.ctx.store)
    watch = await yard.watch(ctx=replace(yard.world.ctx, store=store))
    yard.see(watch, "acc_r", 900.0)
    await settled(watch)
    store.is_silent = True
    for n in range(MAX_WAITING_FIXES + 5):
        yard.see(watch, "acc_s", 0.0 if n == MAX_WAITING_FIXES else 900.0, after_s=40)
        watch._judge_all()
    assert watch.waiting_fixes == MAX_WAITING_FIXES
    deadline = asyncio.get_running_loop().time() + 10
    while not watch.failures:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)
    store.is_silent = False
    await settled(watch)
    assert await yard.told("acc_s") == ["geofence_entered", "geofence_left"]
    assert watch.failures >= 1


@pytest.mark.parametrize("is_deaf", [False, True])
async def test_a_worker_ends_in_time_though_the_books_do_not_answer(
    yard: Fenced, caplog: pytest.LogCaptureFixture, is_deaf: bool
) -> None:
    store = SilentStore(yard.world.ctx.store)
    watch = await yard.watch(WatchRhythm(write_every_s=0.02, stop_s=0.2), replace(yard.world.ctx, store=store))
    yard.see(watch, "acc_r", 900.0)
    await settled(watch)
    store.is_silent, store.is_deaf = not is_deaf, is_deaf
    yard.see(watch, "acc_r", 0.0)
    async with asyncio.timeout(5):
        await watch.stop()
    assert "1 crossings of geofences were not written" in caplog.text
    store.is_silent = False
    heir = await yard.watch()
    yard.see(heir, "acc_r", 1.0)
    await yard.until_open(1)
    assert await yard.told("acc_r") == ["geofence_entered"]


class SilentStore(FlakyStore):
    is_silent = False

    async def run(self, campus_id: str, fn: Any) -> Any:
        if self.is_silent:
            await asyncio.Event().wait()
        return await super().run(campus_id, fn)

    async def read(self, campus_id: str, fn: Any) -> Any:
        if self.is_silent:
            raise Unavailable("nobody answers")
        return await self._store.read(campus_id, fn)


# --- the campus team --------------------------------------------------------------------------------------------------


async def test_only_the_campus_team_draws_and_looks(home: World) -> None:
    student, runner, operator = await home.student(), await home.runner(), await home.operator()
    foreign = await home.operator(campus_id=home.other_campus_id)
    drawn = DrawGeofence(name="门", shape=CircleShape(*home.map.center, 20.0))
    fence = await manage_geofences.draw_geofence(home.ctx, operator, drawn)
    again = ReplaceGeofence(name="门", shape=drawn.shape, version=1)
    for who in (student, runner):
        for ask in (
            manage_geofences.geofences(home.ctx, who),
            manage_geofences.draw_geofence(home.ctx, who, drawn),
            manage_geofences.replace_geofence(home.ctx, who, fence.id, again),
            manage_geofences.delete_geofence(home.ctx, who, fence.id, 1),
            manage_geofences.stays(home.ctx, who),
            manage_geofences.dwell_report(home.ctx, who),
        ):
            with pytest.raises(NotPermitted):
                await ask
    for ask in (
        manage_geofences.replace_geofence(home.ctx, foreign, fence.id, again),
        manage_geofences.delete_geofence(home.ctx, foreign, fence.id, 1),
    ):
        with pytest.raises(NotFound):
            await ask
    assert (await manage_geofences.geofences(home.ctx, foreign)).geofences == []
    assert [one.id for one in (await manage_geofences.geofences(home.ctx, operator)).geofences] == [fence.id]


async def test_changes_are_audited_and_bound_to_a_version(home: World) -> None:
    operator = await home.operator()
    drawn = DrawGeofence(name=" 门 ", shape=CircleShape(*home.map.center, 20.0), dwell_s=60)
    fence = await manage_geofences.draw_geofence(home.ctx, operator, drawn)
    assert fence.name == "门" and fence.version == 1
    square = PolygonShape([tuple(LocalPlane(home.map.center).point(x, y)) for x, y in ((0, 0), (90, 0), (90, 90))])
    again = ReplaceGeofence(name="南门", name_en="South gate", shape=square, version=1)
    after = await manage_geofences.replace_geofence(home.ctx, operator, fence.id, again)
    assert (after.version, after.name_en, after.dwell_s, after.shape) == (2, "South gate", None, square)
    with pytest.raises(StaleVersion) as stale:
        await manage_geofences.replace_geofence(home.ctx, operator, fence.id, again)
    assert stale.value.detail == {"version": 2}
    with pytest.raises(StaleVersion):
        await manage_geofences.delete_geofence(home.ctx, operator, fence.id, 1)
    await manage_geofences.delete_geofence(home.ctx, operator, fence.id, 2)
    with pytest.raises(NotFound):
        await manage_geofences.delete_geofence(home.ctx, operator, fence.id, 3)
    (drew,) = await home.audit("draw_geofence")
    (replaced,) = await home.audit("replace_geofence")
    (deleted,) = await home.audit("delete_geofence")
    assert drew.after["name"] == replaced.before["name"] == "门" and replaced.after["name"] == "南门"
    assert deleted.before["shape"]["kind"] == "polygon" and deleted.after is None


async def test_the_shape_is_in_the_datum_of_whoever_drew_it(home: World) -> None:
    operator = await home.operator()
    plane = LocalPlane(home.map.center)
    drawn = DrawGeofence(name="门", shape=CircleShape(*plane.point(0, 0), 20.0), datum="gcj02")
    fence = await manage_geofences.draw_geofence(home.ctx, operator, drawn)
    assert (fence.shape.lat, fence.shape.lon) == pytest.approx((plane.origin.lat, plane.origin.lon), abs=1e-7)
    (stored,) = (await manage_geofences.geofences(home.ctx, operator)).geofences
    x, y = plane.xy((stored.shape.lat, stored.shape.lon))
    assert 100 < abs(x) + abs(y) < 1_500


@pytest.mark.parametrize(
    ("shape", "field"),
    [
        (CircleShape(0.0, 0.0, 50.0), "shape"),
        (PolygonShape([(30.5, 114.4), (30.501, 114.4), (30.5, 115.4)]), "shape.corners.2"),
        (PolygonShape([(30.5, 114.4), (30.501, 114.4), (30.5005, 114.4)]), "shape.corners"),
        (PolygonShape([(30.5, 114.4), (30.50001, 114.4), (30.50001, 114.40001)]), "shape.corners"),
        (PolygonShape([(30.4, 114.3), (30.6, 114.3), (30.6, 114.5), (30.4, 114.5)]), "shape.corners"),
    ],
)
async def test_what_is_no_fence_of_this_campus_is_refused_by_name(home: World, shape: Any, field: str) -> None:
    operator = await home.operator()
    with pytest.raises(InvalidInput) as refused:
        await manage_geofences.draw_geofence(home.ctx, operator, DrawGeofence(name="门", shape=shape))
    assert refused.value.field == field
    nameless_one = DrawGeofence(name="门", name_en=" ", shape=CircleShape(*home.map.center, 9.0))
    with pytest.raises(InvalidInput) as nameless:
        await manage_geofences.draw_geofence(home.ctx, operator, nameless_one)
    assert nameless.value.field == "name_en"


async def test_a_campus_has_at_most_two_hundred_fences(home: World) -> None:
    operator = await home.operator()
    drawn = DrawGeofence(name="门", shape=CircleShape(*home.map.center, 20.0))
    made = [await manage_geofences.draw_geofence(home.ctx, operator, drawn) for _ in range(200)]
    with pytest.raises(InvalidInput, match="200"):
        await manage_geofences.draw_geofence(home.ctx, operator, drawn)
    await manage_geofences.delete_geofence(home.ctx, operator, made[7].id, 1)
    await manage_geofences.draw_geofence(home.ctx, operator, drawn)


async def test_the_log_and_the_report(yard: Fenced) -> None:
    watch, world = await yard.watch(), yard.world
    runner = await world.runner()
    for x in (0.0, 400.0, 1.0):
        yard.see(watch, runner.account_id, x)
        await yard.until_open(int(x < 100))
        await settled(watch)
    page = await manage_geofences.stays(world.ctx, yard.operator, limit=1)
    name = (await world.read(lambda uow: uow.accounts.get(runner.account_id))).name
    (newest,) = page.stays
    assert (newest.fence_name, newest.runner_name, newest.left_at_ms) == ("中心广场", name, None)
    rest = await manage_geofences.stays(world.ctx, yard.operator, before=page.next_before)
    assert [stay.inside_s for stay in rest.stays] == [60.0] and rest.next_before is None
    since_ms = newest.entered_at_ms
    later = await manage_geofences.stays(world.ctx, yard.operator, since_ms=since_ms, until_ms=since_ms + 1)
    assert later.stays == [newest]
    (fence,) = (await manage_geofences.geofences(world.ctx, yard.operator)).geofences
    assert fence.inside == [runner.account_id]
    report = await manage_geofences.dwell_report(world.ctx, yard.operator, until_ms=since_ms + 1)
    (row,) = report.rows
    assert (row.visits, row.inside_now, row.mean_s, row.median_s, row.longest_s) == (2, 1, 60.0, 60.0, 60.0)
    assert report.until_ms - report.since_ms == 86_400_000
    await manage_geofences.delete_geofence(world.ctx, yard.operator, yard.fence.id, 1)
    report = await manage_geofences.dwell_report(world.ctx, yard.operator, until_ms=since_ms + 1)
    assert [(row.name, row.is_active) for row in report.rows] == [("中心广场", False)]
    for span in ({"since_ms": 0}, {"since_ms": since_ms, "until_ms": since_ms}):
        with pytest.raises(InvalidInput) as refused:
            await manage_geofences.dwell_report(world.ctx, yard.operator, **span)
        assert refused.value.field == "since"


async def test_a_campus_of_the_demonstration_begins_with_fences(home: World) -> None:
    count = await draw_demo_geofences(home.ctx, home.campus_id)
    assert await draw_demo_geofences(home.ctx, home.campus_id) == 0
    fences = (await manage_geofences.geofences(home.ctx, await home.operator())).geofences
    assert len(fences) == count >= 8
    names = {fence.name for fence in fences}
    assert {"图书馆", "第一食堂", "梅园快递站", "南门"} <= names
    # What the demonstration draws, the campus team could draw as well.
    operator = await home.operator()
    for fence in fences:
        drawn = DrawGeofence(name=fence.name, name_en=fence.name_en, shape=fence.shape, dwell_s=fence.dwell_s)
        await manage_geofences.draw_geofence(home.ctx, operator, drawn)
