"""The writer of positions on a real Redis that goes away and comes back."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from dispatch.live.bus import Bus
from dispatch.live.connect import RedisClient, connect
from dispatch.live.presence import Presence
from dispatch.live.tracks import Tracks
from dispatch.wire import position_writer
from dispatch.wire.position_writer import PositionWriter
from geo.fix import Fix
from geo.redis_index import RedisGeoIndex

CAMPUS, RUNNER = "cmp_1", "acc_r"
Eventually = Callable[..., Awaitable[object]]


def fix(at: int, lat: float = 30.5) -> Fix:
    return Fix(lat=lat, lon=114.4, fixed_at_ms=at, received_at_ms=at)


@pytest.fixture
async def redis(own_redis: Any) -> AsyncIterator[RedisClient]:
    client = connect(own_redis.url)
    yield client
    await client.aclose()


@pytest.fixture
def writer(redis: RedisClient) -> PositionWriter:
    return PositionWriter(Bus(redis, "one"), Presence(redis), Tracks(redis), lambda c: RedisGeoIndex(redis, c))


async def test_positions_wait_for_redis_and_the_newest_wins(
    own_redis: Any, redis: RedisClient, writer: PositionWriter, eventually: Eventually
) -> None:
    own_redis.stop()
    writer.add(CAMPUS, [(RUNNER, fix(1)), ("acc_b", fix(1))])
    writer.add_track(CAMPUS, [(RUNNER, fix(1))])
    writer.kick(10.0)
    await eventually(lambda: writer.failures >= 2)
    writer.add(CAMPUS, [(RUNNER, fix(2))])
    writer.add_track(CAMPUS, [(RUNNER, fix(2))])
    writer.kick(10.1)
    assert writer.pending == 2
    own_redis.start()
    await eventually(lambda: writer.pending == 0)
    await writer.finish()
    assert await Presence(redis).all(CAMPUS) == {RUNNER: fix(2), "acc_b": fix(1)}
    assert await RedisGeoIndex(redis, CAMPUS).size() == 2
    track = await Tracks(redis).read(CAMPUS, RUNNER, since_ms=0, until_ms=9)
    assert [one.fixed_at_ms for one in track] == [1, 2]


async def test_a_batch_that_redis_never_takes_does_not_block_the_next(
    redis: RedisClient, writer: PositionWriter
) -> None:
    writer.add(CAMPUS, [(RUNNER, fix(1, lat=89.0))])  # nearer to the pole than any index reaches
    await writer.finish()
    writer.add(CAMPUS, [(RUNNER, fix(2))])
    await writer.finish()
    assert await Presence(redis).all(CAMPUS) == {RUNNER: fix(2)}


async def test_tracks_that_cannot_be_written_have_a_bound(
    redis: RedisClient, writer: PositionWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(position_writer, "MAX_TRACK_PENDING", 3)
    writer.add_track(CAMPUS, [(RUNNER, fix(n)) for n in range(3)])
    writer.add_track(CAMPUS, [(RUNNER, fix(4))])
    await writer.finish()
    assert len(await Tracks(redis).read(CAMPUS, RUNNER, since_ms=0, until_ms=9)) == 3


async def test_tracks_gather_for_a_while(redis: RedisClient, writer: PositionWriter, eventually: Eventually) -> None:
    tracks = Tracks(redis)
    writer.kick(100.0)
    for at in range(5):
        writer.add_track(CAMPUS, [(RUNNER, fix(at))])
        writer.kick(100.0 + at / 10)
    assert await tracks.read(CAMPUS, RUNNER, since_ms=0, until_ms=9) == []
    writer.kick(104.0)

    async def is_written() -> bool:
        return len(await tracks.read(CAMPUS, RUNNER, since_ms=0, until_ms=9)) == 5

    await eventually(is_written)
    assert await redis.zcard(f"{{{CAMPUS}}}:track:{RUNNER}") == 1


async def test_whoever_is_in_the_index_is_known_to_live(redis: RedisClient, writer: PositionWriter) -> None:
    """The sweep finds the silent by the time that the index was last told of; it is told seldom, never too late."""
    index = RedisGeoIndex(redis, CAMPUS)
    start = 1_000_000
    for at in range(start, start + 3 * position_writer.NOTE_EVERY_MS + 1, 500):
        writer.add(CAMPUS, [(RUNNER, fix(at))])
        await writer.finish()
        assert await index.sweep(at - position_writer.NOTE_EVERY_MS + 1, 10) == []
    writer.forget(CAMPUS, RUNNER)
    writer.note_again(CAMPUS, [RUNNER])
    await writer.finish()
    assert await index.size() == 0
    writer.add(CAMPUS, [(RUNNER, fix(at + 500))])
    await writer.finish()
    assert await index.sweep(at + 501, 10) == [RUNNER]


async def test_what_redis_refuses_for_good_is_not_said_for_ever(redis: RedisClient, writer: PositionWriter) -> None:
    await redis.set(f"{{{CAMPUS}}}:geo", "somebody else's")
    writer.add(CAMPUS, [(RUNNER, fix(1))])
    writer.add("cmp_2", [("acc_b", fix(1))])
    await writer.finish()
    assert writer.pending == 0 and writer.failures == 0
    assert await Presence(redis).all("cmp_2") == {"acc_b": fix(1)}


async def test_a_redis_that_is_frozen_makes_batches_larger_and_nothing_wait(
    own_redis: Any, redis: RedisClient, writer: PositionWriter, eventually: Eventually
) -> None:
    writer.add(CAMPUS, [(RUNNER, fix(1))])
    await writer.finish()
    os.kill(own_redis.pid, signal.SIGSTOP)
    try:
        for at in range(2, 50):
            writer.add(CAMPUS, [(RUNNER, fix(at))])
            writer.kick(at)
            await asyncio.sleep(0)
    finally:
        os.kill(own_redis.pid, signal.SIGCONT)
    await eventually(lambda: writer.pending == 0)
    await writer.finish()
    assert await Presence(redis).all(CAMPUS) == {RUNNER: fix(49)}
