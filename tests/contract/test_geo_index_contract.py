"""One promise, two bodies: the index in memory and the index in a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from geo.errors import BadPoint
from geo.index import Index, MemoryIndex
from geo.point import LocalPlane, Point, distance_m
from geo.redis_index import RedisGeoIndex

HERE = Point(30.5, 114.4)
PLANE = LocalPlane(HERE)


@pytest.fixture(params=["memory", "redis", "redis-text"])
async def index(request: pytest.FixtureRequest) -> AsyncIterator[Index]:
    if request.param == "memory":
        yield MemoryIndex()
        return
    client = Redis.from_url(request.getfixturevalue("redis_url"), decode_responses=request.param == "redis-text")
    try:
        yield RedisGeoIndex(client, "cmp_a")
    finally:
        await client.aclose()


async def fill(index: Index, count: int = 5) -> None:
    await index.put_many([(f"r{n}", PLANE.point(100.0 * n, 0), 1_000 * n) for n in range(count)])


async def test_near_ones_come_nearest_first_and_bounded(index: Index) -> None:
    await fill(index)
    found = await index.nearby(HERE, 250, 10)
    assert [near.runner_id for near in found] == ["r0", "r1", "r2"]
    assert found[1].distance_m == pytest.approx(100, abs=1.5)
    assert found[2].at_ms == 2_000
    assert [near.runner_id for near in await index.nearby(HERE, 1_000, 2)] == ["r0", "r1"]
    assert await index.nearby(HERE, 1_000, 0) == []
    assert await index.nearby(Point(40, 100), 1_000, 5) == []


async def test_places_are_kept_to_a_metre(index: Index) -> None:
    await fill(index)
    places = await index.positions(["r3", "nobody", "r0"])
    assert set(places) == {"r0", "r3"}
    assert distance_m(places["r3"], PLANE.point(300, 0)) < 1.0
    assert await index.positions([]) == {}


async def test_the_last_entry_of_a_runner_wins(index: Index) -> None:
    await index.put_many([("r", PLANE.point(0, 0), 1_000), ("r", PLANE.point(50, 0), 2_000)])
    await index.put_many([("r", PLANE.point(90, 0), 3_000)])
    assert distance_m((await index.positions(["r"]))["r"], PLANE.point(90, 0)) < 1.0
    assert await index.size() == 1
    assert await index.sweep(3_000, 10) == []


async def test_one_bad_place_stores_nothing(index: Index) -> None:
    with pytest.raises(BadPoint):
        await index.put_many([("good", HERE, 1), ("bad", Point(89.0, 0.0), 1)])
    assert await index.size() == 0
    await index.put_many([])
    assert await index.size() == 0


async def test_removed_is_gone(index: Index) -> None:
    await fill(index)
    assert await index.remove(["r1", "r2", "nobody"]) == 2
    assert await index.remove([]) == 0
    assert [near.runner_id for near in await index.nearby(HERE, 1_000, 10)] == ["r0", "r3", "r4"]
    assert await index.sweep(2_500, 10) == ["r0"]


async def test_a_sweep_takes_the_oldest_and_says_whom(index: Index) -> None:
    await fill(index, 6)
    assert await index.sweep(4_000, 3) == ["r0", "r1", "r2"]
    assert await index.sweep(4_000, 3) == ["r3"]
    assert await index.sweep(4_000, 3) == []
    assert await index.size() == 2
    assert await index.sweep(99_000, 0) == []


async def test_a_runner_seen_again_survives_the_sweep(index: Index) -> None:
    await fill(index, 3)
    await index.put_many([("r0", HERE, 50_000)])
    assert await index.sweep(10_000, 100) == ["r1", "r2"]
    assert set(await index.positions(["r0", "r1"])) == {"r0"}


async def test_campuses_do_not_see_each_other(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as client:
        one, other = RedisGeoIndex(client, "cmp_a"), RedisGeoIndex(client, "cmp_b")
        await one.put_many([("r", HERE, 1)])
        assert await other.nearby(HERE, 10_000, 10) == []
        assert await other.size() == 0
        assert {one.geo_key, one.seen_key} == {"{cmp_a}:geo", "{cmp_a}:seen"}
