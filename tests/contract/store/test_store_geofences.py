"""Geofences and stays in SQL: versions, one open stay, crossings that come late, twice or from two workers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dispatch.model.errors import NotFound, StaleVersion
from dispatch.model.event import EventKind
from dispatch.model.geofence import STAY_KEPT, CampusFence, CircleShape, DwellFigures, PolygonShape

SQUARE = PolygonShape([(30.5, 114.4), (30.501, 114.4), (30.501, 114.401), (30.5, 114.401)])


def make_fence(books: Any, **changes: Any) -> CampusFence:
    now = books.clock.now()
    fence = CampusFence(
        books.new_id("fen"), books.here, "第一食堂", "Canteen 1", CircleShape(30.5, 114.4, 60), 300, 1, True, now, now,
        "acc_o",
    )  # fmt: skip
    return replace(fence, **changes)


@pytest.fixture
async def fence(books: Any) -> CampusFence:
    made = make_fence(books)
    await books.store.run(books.here, lambda uow: uow.geofences.insert(made))
    return made


def stays(books: Any, name: str, *args: Any) -> Any:
    """One method of the stays, in a transaction of its own."""
    return books.store.run(books.here, lambda uow: getattr(uow.geofence_stays, name)(*args))


async def test_a_fence_is_stored_as_it_is(books: Any, fence: CampusFence) -> None:
    other = make_fence(books, shape=SQUARE, name_en=None, dwell_s=None)
    await books.store.run(books.here, lambda uow: uow.geofences.insert(other))
    assert await books.store.read(books.here, lambda uow: uow.geofences.get(other.id)) == other
    assert await books.store.read(books.here, lambda uow: uow.geofences.active()) == [fence, other]
    assert await books.store.read(books.here, lambda uow: uow.geofences.count_active()) == 2
    names = await books.store.read(books.here, lambda uow: uow.geofences.names([fence.id, "fen_x"]))
    assert names == {fence.id: "第一食堂"}


async def test_a_deleted_fence_is_known_and_not_active(books: Any, fence: CampusFence) -> None:
    gone = replace(fence, version=2, is_active=False)
    await books.store.run(books.here, lambda uow: uow.geofences.save(gone))
    assert await books.store.read(books.here, lambda uow: uow.geofences.active()) == []
    assert await books.store.read(books.here, lambda uow: uow.geofences.get(fence.id)) == gone
    assert await stays(books, "enter", fence.id, "acc_r", books.clock.now()) is None


async def test_the_version_decides(books: Any, fence: CampusFence) -> None:
    await books.store.run(books.here, lambda uow: uow.geofences.save(replace(fence, version=2, name="新")))
    with pytest.raises(StaleVersion):
        await books.store.run(books.here, lambda uow: uow.geofences.save(replace(fence, version=2)))
    with pytest.raises(NotFound):
        await books.store.run(books.here, lambda uow: uow.geofences.save(replace(fence, id="fen_x", version=2)))


async def test_a_stay_begins_once_and_ends_once(books: Any, fence: CampusFence) -> None:
    at, later = books.clock.now(), books.clock.now() + timedelta(seconds=90)
    begun = await stays(books, "enter", fence.id, "acc_r", at)
    assert (begun.change, begun.at, begun.entered_at) == ("entered", at, at)
    assert await stays(books, "enter", fence.id, "acc_r", later) is None
    assert await stays(books, "enter", fence.id, "acc_s", later) is not None
    dwelled = await stays(books, "dwell", fence.id, "acc_r", later)
    assert (dwelled.change, dwelled.entered_at) == ("dwelled", at)
    assert await stays(books, "dwell", fence.id, "acc_r", later) is None
    left = await stays(books, "leave", fence.id, "acc_r", later)
    assert (left.change, left.at, left.entered_at) == ("left", later, at)
    for name in ("leave", "dwell"):
        assert await stays(books, name, fence.id, "acc_r", later) is None
    inside = await books.store.read(books.here, lambda uow: uow.geofence_stays.runners_inside())
    assert inside == {"acc_s"}


async def test_crossings_that_are_written_again_change_nothing(books: Any, fence: CampusFence) -> None:
    at, later = books.clock.now(), books.clock.now() + timedelta(seconds=9)
    for again in range(3):
        told = [await stays(books, name, fence.id, "acc_r", when) for name, when in (("enter", at), ("leave", later))]
        assert all((change is None) == bool(again) for change in told)


async def test_a_worker_that_is_behind_begins_no_stay_that_has_ended(books: Any, fence: CampusFence) -> None:
    at = books.clock.now()
    await stays(books, "enter", fence.id, "acc_r", at)
    await stays(books, "leave", fence.id, "acc_r", at + timedelta(seconds=9))
    assert await stays(books, "enter", fence.id, "acc_r", at + timedelta(seconds=1)) is None
    assert await stays(books, "enter", fence.id, "acc_r", at + timedelta(seconds=20)) is not None
    assert await stays(books, "leave", fence.id, "acc_r", at + timedelta(seconds=19)) is None


async def test_two_workers_at_once_begin_one_stay_and_end_one(books: Any, fence: CampusFence) -> None:
    other = books.another_store()
    await other.start()
    try:
        at = books.clock.now()
        for name in ("enter", "leave"):
            told = await asyncio.gather(
                *(
                    store.run(
                        books.here,
                        lambda uow, n=n: getattr(uow.geofence_stays, name)(  # noqa: B023
                            fence.id,
                            "acc_r",
                            at + timedelta(seconds=n + 10 * (name == "leave")),  # noqa: B023
                        ),
                    )
                    for n, store in enumerate([books.store, other] * 5)
                )
            )
            assert sum(change is not None for change in told) == 1
    finally:
        await other.stop()


async def test_whoever_is_gone_has_left_everything(books: Any, fence: CampusFence) -> None:
    second = make_fence(books)
    await books.store.run(books.here, lambda uow: uow.geofences.insert(second))
    at = books.clock.now()
    await stays(books, "enter", fence.id, "acc_r", at)
    await stays(books, "enter", second.id, "acc_r", at + timedelta(seconds=8))
    await stays(books, "enter", second.id, "acc_s", at)
    ended = await stays(books, "end_of_runner", "acc_r", at + timedelta(seconds=5))
    assert {(one.fence_id, one.at - one.entered_at) for one in ended} == {
        (fence.id, timedelta(seconds=5)), (second.id, timedelta(0)),
    }  # fmt: skip
    assert await stays(books, "end_of_runner", "acc_r", at) == []
    opened = await books.store.read(books.here, lambda uow: uow.geofence_stays.open_of(["acc_r", "acc_s"]))
    assert [(runner, [one.fence_id for one in found]) for runner, found in opened.items()] == [("acc_s", [second.id])]
    assert len(await stays(books, "end_of_fence", second.id, at + timedelta(seconds=7))) == 1


async def test_the_log_is_paged_newest_first(books: Any, fence: CampusFence) -> None:
    start = books.clock.now()
    for n in range(5):
        runner = f"acc_{n % 2}"
        await stays(books, "enter", fence.id, runner, start + timedelta(seconds=10 * n))
        await stays(books, "leave", fence.id, runner, start + timedelta(seconds=10 * n + 5))

    async def page(**wanted: Any) -> list[Any]:
        found: list[Any] = await books.store.read(books.here, lambda uow: uow.geofence_stays.page(**wanted))
        return found

    everything = await page()
    assert [one.entered_at for one in everything] == [start + timedelta(seconds=10 * n) for n in (4, 3, 2, 1, 0)]
    assert await page(limit=2, before=everything[1].id) == everything[2:4]
    assert await page(runner_id="acc_1") == [everything[1], everything[3]]
    assert await page(fence_id="fen_x") == []
    some = await page(since=start + timedelta(seconds=10), until=start + timedelta(seconds=30))
    assert some == everything[2:4]


async def test_the_dwell_figures(books: Any, fence: CampusFence) -> None:
    start = books.clock.now()
    quiet = make_fence(books)
    await books.store.run(books.here, lambda uow: uow.geofences.insert(quiet))
    for n, took_s in enumerate((10, 400, 20, 50)):
        begin = start + timedelta(seconds=1000 * n)
        await stays(books, "enter", fence.id, "acc_r", begin)
        if took_s == 400:
            await stays(books, "dwell", fence.id, "acc_r", begin + timedelta(seconds=300))
        await stays(books, "leave", fence.id, "acc_r", begin + timedelta(seconds=took_s))
    await stays(books, "enter", fence.id, "acc_s", start + timedelta(seconds=1))
    await stays(books, "enter", quiet.id, "acc_s", start + timedelta(seconds=1))

    async def figures(hours: float) -> dict[str, DwellFigures]:
        until = start + timedelta(hours=hours)
        found: dict[str, DwellFigures] = await books.store.read(
            books.here, lambda uow: uow.geofence_stays.figures(start, until)
        )
        return found

    assert await figures(9) == {
        fence.id: DwellFigures(fence.id, 5, 1, 1, 120.0, 35.0, 400.0),
        quiet.id: DwellFigures(quiet.id, 1, 1, 0, None, None, None),
    }
    assert (await figures(0.5))[fence.id].median_s == 205.0
    assert await figures(0) == {}


async def test_stays_and_what_told_of_them_are_forgotten(books: Any, fence: CampusFence) -> None:
    at = books.clock.now()
    await stays(books, "enter", fence.id, "acc_r", at)
    await stays(books, "leave", fence.id, "acc_r", at)
    await stays(books, "enter", fence.id, "acc_s", at)
    told = [
        books.make_event("acc_r", 0, kind=EventKind.GEOFENCE_LEFT),
        books.make_event("acc_s", 0, kind=EventKind.GEOFENCE_ENTERED),
        books.make_event("ord_1", 1),
    ]
    for event in told:
        await books.store.run(books.here, lambda uow, event=event: uow.outbox.add(event))
    await books.store.run_global(lambda unit: unit.outbox.mark_published([told[0].id, told[2].id]))
    counts = await books.store.run_global(lambda unit: unit.retention(at + STAY_KEPT))
    assert (counts["geofence_stays"], counts["events"]) == (1, 1)
    # Nobody has heard of the second event yet, and somebody is still inside.
    kept = await books.store.read_global(lambda unit: unit.outbox.unpublished())
    assert [event.id for event in kept] == [told[1].id]
    assert len(await books.store.read(books.here, lambda uow: uow.geofence_stays.page())) == 1
