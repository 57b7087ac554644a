"""What Redis holds, on a real Redis: presence, tracks, streams, counters, the bus, and what happens when it is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from redis.exceptions import DataError, RedisError

from dispatch.live import keys
from dispatch.live.bus import Bus, PositionRow
from dispatch.live.cluster import ClusterClient
from dispatch.live.connect import RedisClient, connect
from dispatch.live.counters import Counters
from dispatch.live.packing import pack_fix, unpack_fix
from dispatch.live.presence import Presence
from dispatch.live.resume_streams import CAPS, ResumeStreams, StreamEvent
from dispatch.live.tracks import Tracks
from dispatch.model.event import EventKind, Publication
from geo.fix import Fix
from geo.point import Point
from geo.redis_index import RedisGeoIndex

CAMPUS = "cmp_1"
TOPIC = "order:ord_1"
Eventually = Callable[..., Awaitable[object]]


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[RedisClient]:
    client = connect(redis_url)
    yield client
    await client.aclose()


def fix(at: int, lat: float = 30.5, **more: Any) -> Fix:
    return Fix(lat=lat, lon=114.4, fixed_at_ms=at, received_at_ms=at + 7, **more)


def event(number: int, topic: str = TOPIC, **more: Any) -> Any:
    return (f"evt_{number}", number, 1_000 + number, Publication(topic, EventKind.ORDER_PAID, {"n": number}, **more))


@pytest.mark.parametrize("url", ["redis://h:1", "rediss://h:1", "unix:///tmp/x"])
def test_urls_of_one_server(url: str) -> None:
    assert connect(url) is not None


def test_urls_of_a_cluster_and_of_nothing() -> None:
    assert isinstance(connect("redis+cluster://127.0.0.1:7000"), ClusterClient)
    assert isinstance(connect("rediss+cluster://me:secret@10.0.0.1:7000,10.0.0.2:7001/?x=1"), ClusterClient)
    for wrong in ("http://x", "nothing", ""):
        with pytest.raises(ValueError, match="no Redis URL"):
            connect(wrong)


async def test_quick_packing_writes_what_the_library_would(redis: RedisClient) -> None:
    await redis.execute_command("HSET", "h", "校", 1.25, b"\x00\r\n", 7)
    assert await redis.hgetall("h") == {"校".encode(): b"1.25", b"\x00\r\n": b"7"}  # type: ignore[misc]
    assert await redis.config_get("save")  # a command of two words
    with pytest.raises(DataError):
        await redis.execute_command("SET", "k", None)


def test_a_fix_survives_its_packing() -> None:
    whole = fix(5, accuracy_m=3.0, speed_mps=1.0, bearing_deg=9.0, battery=0.5, seq=4)
    assert unpack_fix(pack_fix(whole)) == whole
    assert unpack_fix(pack_fix(fix(5))) == fix(5)


async def test_presence_is_read_in_one_go_and_swept(redis: RedisClient) -> None:
    presence, index = Presence(redis), RedisGeoIndex(redis, CAMPUS)
    await presence.put_many(CAMPUS, [])
    await presence.put_many(CAMPUS, [("acc_a", fix(1)), ("acc_b", fix(2)), ("acc_c", fix(3))])
    await presence.put_many(CAMPUS, [("acc_a", fix(9))])
    await index.put_many(
        [(name, Point(30.5, 114.4), at) for name, at in (("acc_a", 900), ("acc_b", 100), ("acc_c", 100))]
    )
    assert await presence.all(CAMPUS) == {"acc_a": fix(9), "acc_b": fix(2), "acc_c": fix(3)}
    assert await presence.get(CAMPUS, []) == {}
    assert await presence.get(CAMPUS, ["acc_b", "acc_x"]) == {"acc_b": fix(2)}
    assert sorted(await presence.sweep(CAMPUS, 500)) == ["acc_b", "acc_c"]
    assert await presence.sweep(CAMPUS, 500) == []
    assert list(await presence.all(CAMPUS)) == ["acc_a"]
    await presence.remove(CAMPUS, [])
    await presence.remove(CAMPUS, ["acc_a"])
    assert await presence.all(CAMPUS) == {}
    assert await index.size() == 0
    assert await presence.all("cmp_2") == {}


async def test_a_track_is_ordered_whole_and_capped(redis: RedisClient) -> None:
    tracks = Tracks(redis, cap=3, span_ms=10_000)
    await tracks.append_many(CAMPUS, [])
    await tracks.append_many(CAMPUS, [("acc_a", fix(50)), ("acc_b", fix(1)), ("acc_a", fix(10)), ("acc_a", fix(30))])
    await tracks.append_many(CAMPUS, [("acc_a", fix(30)), ("acc_a", fix(40)), ("acc_a", fix(20))])
    read = await tracks.read(CAMPUS, "acc_a", since_ms=20, until_ms=40)
    assert [one.fixed_at_ms for one in read] == [20, 30, 40]
    assert [one.fixed_at_ms for one in await tracks.read(CAMPUS, "acc_a", since_ms=0, until_ms=99, limit=2)] == [40, 50]
    assert read[0].received_at_ms == 0
    for at in (60, 70):
        await tracks.append_many(CAMPUS, [("acc_a", fix(at))])
    kept = await tracks.read(CAMPUS, "acc_a", since_ms=0, until_ms=99)
    assert [one.fixed_at_ms for one in kept] == [10, 30, 50, 60, 70]  # of four chunks the one that ends first went
    await tracks.append_many(CAMPUS, [("acc_a", fix(20_000))])
    assert [one.fixed_at_ms for one in await tracks.read(CAMPUS, "acc_a", since_ms=0, until_ms=10**9)] == [20_000]
    await tracks.forget(CAMPUS, "acc_a")
    assert await tracks.read(CAMPUS, "acc_a", since_ms=0, until_ms=10**9) == []
    many = [(f"acc_{n}", fix(n)) for n in range(450)]
    await tracks.append_many(CAMPUS, many)
    assert await tracks.read(CAMPUS, "acc_449", since_ms=0, until_ms=10**9) != []


async def test_a_repeated_event_is_published_once(redis: RedisClient) -> None:
    streams = ResumeStreams(redis)
    assert await streams.publish_many(CAMPUS, []) == []
    first = await streams.publish_many(CAMPUS, [event(1), event(2)])
    again = await streams.publish_many(CAMPUS, [event(2), event(3)])
    assert [p.offset for p in first + again] == [1, 2, 2, 3]
    assert len({p.epoch for p in first + again}) == 1
    missed = await streams.read_since(CAMPUS, TOPIC, 1, first[0].epoch)
    assert [(e.offset, e.id, e.version, e.at_ms, e.data) for e in missed.events] == [
        (2, "evt_2", 2, 1_002, {"n": 2}),
        (3, "evt_3", 3, 1_003, {"n": 3}),
    ]
    other = await streams.publish_many(CAMPUS, [event(2, "hall:cmp_1")])
    assert other[0].offset == 1  # the same event in another topic


async def test_what_cannot_be_resumed_says_so(redis: RedisClient) -> None:
    streams = ResumeStreams(redis)
    empty = await streams.read_since(CAMPUS, TOPIC, 0, "x")
    assert (empty.is_recovered, empty.position.offset) == (False, 0)
    epoch = empty.position.epoch
    assert (await streams.read_since(CAMPUS, TOPIC, 0, epoch)).is_recovered
    cap = CAPS["order"]
    await streams.publish_many(CAMPUS, [event(n) for n in range(1, cap + 21)])
    assert await streams.position(CAMPUS, TOPIC) == (cap + 20, epoch)
    assert not (await streams.read_since(CAMPUS, TOPIC, 19, epoch)).is_recovered
    assert len((await streams.read_since(CAMPUS, TOPIC, 20, epoch)).events) == cap
    assert not (await streams.read_since(CAMPUS, TOPIC, cap + 21, epoch)).is_recovered
    assert not (await streams.read_since(CAMPUS, TOPIC, 30, "other")).is_recovered
    await redis.delete(keys.stream(CAMPUS, TOPIC))
    assert not (await streams.read_since(CAMPUS, TOPIC, 30, epoch)).is_recovered


async def test_old_events_are_forgotten(redis: RedisClient, eventually: Eventually) -> None:
    streams = ResumeStreams(redis, max_age_s=0)
    epoch = (await streams.publish_many(CAMPUS, [event(1)]))[0].epoch

    async def is_trimmed() -> bool:
        await streams.publish_many(CAMPUS, [event(1_000 + await redis.incr("n"))])
        return not (await streams.read_since(CAMPUS, TOPIC, 0, epoch)).is_recovered

    await eventually(is_trimmed)


async def test_a_topic_that_redis_lost_has_a_new_epoch(redis: RedisClient) -> None:
    streams = ResumeStreams(redis)
    before = (await streams.publish_many(CAMPUS, [event(1)]))[0]
    await redis.flushall()
    await redis.script_flush()
    after = (await streams.publish_many(CAMPUS, [event(1)]))[0]
    assert after.offset == 1
    assert after.epoch != before.epoch


async def test_the_clock_of_redis_steps_back(redis: RedisClient) -> None:
    streams = ResumeStreams(redis)
    epoch = (await streams.publish_many(CAMPUS, [event(1)]))[0].epoch
    await redis.hset(keys.meta(CAMPUS, TOPIC), "m", str(10**13 * 9))  # type: ignore[misc]
    await streams.publish_many(CAMPUS, [event(2), event(3)])
    assert [e.offset for e in (await streams.read_since(CAMPUS, TOPIC, 1, epoch)).events] == [2, 3]


async def test_counting_goes_on_without_redis(redis: RedisClient) -> None:
    now_s = 1_000.0
    counters = Counters(redis, lambda: now_s)
    assert [await counters.hit("a", 2, 60) for _ in range(3)] == [True, True, False]
    assert await counters.hit("b", 2, 60)
    assert counters.retry_after_s(60) == 20
    now_s = 1_030.0
    assert await counters.hit("a", 2, 60)
    await counters.clear("a", 60)
    assert await counters.count("a", 60) == 1
    alone = Counters(connect("unix:///nowhere/at/all"), lambda: now_s)
    assert [await alone.hit("a", 2, 60) for _ in range(3)] == [True, True, False]
    await alone.clear("a", 60)
    assert await alone.hit("a", 2, 60)


class Listener:
    """Notes what it hears."""

    def __init__(self) -> None:
        self.rows: list[PositionRow] = []
        self.gone: list[str] = []
        self.events: list[StreamEvent] = []
        self.rejoined: list[str] = []

    def on_positions(self, campus_id: str, rows: list[PositionRow]) -> None:
        self.rows += rows

    def on_gone(self, campus_id: str, runner_ids: list[str]) -> None:
        self.gone += runner_ids

    def on_event(self, campus_id: str, event: StreamEvent) -> None:
        self.events.append(event)

    def on_rejoined(self, campus_id: str) -> None:
        self.rejoined.append(campus_id)


ROW: PositionRow = ("acc_a", 30.5, 114.4, 1, None, 1.5, None, 2)


async def publish(bus: Bus, redis: RedisClient, campus_id: str) -> None:
    """As the position writer does."""
    command = bus.positions_command(campus_id, [ROW])
    if command is not None:
        await redis.execute_command(*command)


async def test_the_bus_carries_what_is_of_the_campus(redis: RedisClient, eventually: Eventually) -> None:
    here, there = Listener(), Listener()
    one, two = Bus(redis, "one", here), Bus(redis, "two")
    two.set_listener(there)
    assert one.is_up
    await one.start()
    await two.start()
    try:
        assert await one.join(CAMPUS)
        assert await two.join(CAMPUS)
        assert await two.join(CAMPUS)
        two.want(CAMPUS, {"acc_a"})
        await eventually(lambda: one.wanted(CAMPUS, [ROW]))
        await publish(one, redis, CAMPUS)
        await publish(one, redis, "cmp_2")
        await one.publish_gone(CAMPUS, ["acc_z"])
        await one.publish_gone(CAMPUS, [])
        await ResumeStreams(redis).publish_many(CAMPUS, [event(1, watch="acc_a", close="order_ended")])
        await eventually(lambda: here.events and there.events)
        assert there.rows == [ROW]
        assert here.rows == []
        assert (here.gone, there.gone) == (["acc_z"], ["acc_z"])
        assert (there.events[0].watch, there.events[0].close) == ("acc_a", "order_ended")
        await redis.publish(keys.events_channel(CAMPUS), "garbage")
        await redis.publish(keys.positions_channel(CAMPUS), b"\xff")
        two.leave(CAMPUS)
        two.leave(CAMPUS)
        await eventually(lambda: not one.wanted(CAMPUS, [ROW]))
        assert await two.join(CAMPUS)
        two.want(CAMPUS, None)

        async def is_heard_again() -> bool:
            await publish(one, redis, CAMPUS)
            return len(there.rows) > 1

        await eventually(is_heard_again)
        assert here.rejoined == []
    finally:
        await one.stop()
        await two.stop()


async def test_positions_are_heard_only_while_somebody_here_follows(redis: RedisClient, eventually: Eventually) -> None:
    channel = keys.positions_channel(CAMPUS)

    async def hearers() -> int:
        ((_, count),) = await redis.pubsub_numsub(channel)
        return int(count)

    one, two = Bus(redis, "one", Listener()), Bus(redis, "two", Listener())
    await one.start()
    await two.start()
    try:
        assert await one.join(CAMPUS) and await two.join(CAMPUS)
        assert await hearers() == 0
        assert one.positions_command(CAMPUS, [ROW]) is None
        two.want(CAMPUS, ["acc_z"])
        await eventually(lambda: one.wanted(CAMPUS, [("acc_z",)]))
        assert one.positions_command(CAMPUS, [ROW]) is None, "somebody else is followed"
        one.want(CAMPUS, ["acc_a"])
        await eventually(lambda: two.positions_command(CAMPUS, [ROW]))

        async def both_hear() -> bool:
            return await hearers() == 2

        await eventually(both_hear)
        two.want(CAMPUS, ())
        await eventually(lambda: not one.wanted(CAMPUS, [("acc_z",)]))

        async def one_hears() -> bool:
            return await hearers() == 1

        await eventually(one_hears)
        # A newcomer asks what is followed, and need not wait until it is said again.
        three = Bus(redis, "three", Listener())
        await three.start()
        try:
            assert await three.join(CAMPUS)
            await eventually(lambda: three.wanted(CAMPUS, [ROW]), timeout_s=1)
        finally:
            await three.stop()
    finally:
        await one.stop()
        await two.stop()


async def test_somebody_is_woken(redis: RedisClient, eventually: Eventually) -> None:
    bus = Bus(redis, "one")
    woken: list[str] = []
    await bus.start()
    try:
        bus.on_wake("relay", woken.append)
        bus.on_wake("relay", woken.append)

        async def is_woken() -> bool:
            await bus.wake("relay", CAMPUS)
            return len(woken) >= 2

        await eventually(is_woken)
        assert set(woken) == {CAMPUS}
    finally:
        await bus.stop()
    await Bus(connect("unix:///nowhere/at/all"), "none").wake("relay")


async def test_the_bus_comes_back_after_a_restart_and_says_so(own_redis: Any, eventually: Eventually) -> None:
    redis = connect(own_redis.url)
    listener = Listener()
    bus = Bus(redis, "one", listener)
    await bus.start()
    try:
        assert await bus.join(CAMPUS)
        own_redis.stop()
        await eventually(lambda: not bus.is_up)
        with pytest.raises((RedisError, OSError)):
            await bus.publish_gone(CAMPUS, ["acc_a"])
        assert not await bus.join("cmp_2", timeout_s=0.05)
        own_redis.start()
        await eventually(lambda: sorted(listener.rejoined) == [CAMPUS, "cmp_2"], timeout_s=10)
        await ResumeStreams(redis).publish_many(CAMPUS, [event(1)])
        await eventually(lambda: listener.events)
    finally:
        await bus.stop()
        await redis.aclose()


async def test_a_connection_that_is_cut_is_noticed(redis: RedisClient, eventually: Eventually) -> None:
    listener = Listener()
    bus = Bus(redis, "one", listener)
    await bus.start()
    try:
        await bus.join(CAMPUS)
        await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await eventually(lambda: listener.rejoined == [CAMPUS], timeout_s=10)
        await asyncio.gather(*(bus.publish_gone(CAMPUS, [f"acc_{n}"]) for n in range(3)))
    finally:
        await bus.stop()
