"""Geofences watched while something fails: a worker that dies, answers that are lost, books that do not answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from dispatch.flow.watch_geofences import MAX_WAITING_FIXES, FenceWatch, WatchRhythm
from dispatch.model.errors import Unavailable
from tests.fenced_world import Fenced, settled


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


class SilentStore(FlakyStore):
    """One that does not answer at all, too."""

    is_silent = False

    async def run(self, campus_id: str, fn: Any) -> Any:
        if self.is_silent:
            await asyncio.Event().wait()
        return await super().run(campus_id, fn)

    async def read(self, campus_id: str, fn: Any) -> Any:
        if self.is_silent:
            raise Unavailable("nobody answers")
        return await self._store.read(campus_id, fn)


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
