"""What Redis holds, on a Redis Cluster of three primaries: many campuses, no command that spans two slots, and channels
that only the campus's own server carries where that is offered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from redis.exceptions import RedisError, ResponseError

from dispatch.live import keys
from dispatch.live.bus import Bus, PositionRow
from dispatch.live.cluster import ClusterClient
from dispatch.live.connect import connect
from dispatch.live.counters import Counters
from dispatch.live.presence import Presence
from dispatch.live.resume_streams import ResumeStreams, StreamEvent
from dispatch.live.tracks import Tracks
from dispatch.model.event import EventKind, Publication
from geo.fix import Fix
from geo.point import Point
from geo.redis_index import RedisGeoIndex
from tests.redis_nodes import RedisNodes, redis_binaries

CAMPUSES = [f"cmp_{n}" for n in range(6)]
ROW: PositionRow = ("acc_a", 1.0, 2.0, 3, None, None, None, 4)
Eventually = Callable[..., Awaitable[object]]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[None, *list(redis_binaries().values())[1:]], ids=lambda path: path or "newest")
def nodes(request: pytest.FixtureRequest) -> Iterator[RedisNodes]:
    """The newest Redis there is, and whatever else is on PATH: Redis 6.2 has no sharded channels."""
    nodes = RedisNodes(request.param)
    yield nodes
    nodes.close()


@pytest.fixture
async def cluster(nodes: RedisNodes) -> AsyncIterator[ClusterClient]:
    client = connect(nodes.url)
    assert isinstance(client, ClusterClient)
    yield client
    await client.aclose()


def fix(at: int) -> Fix:
    return Fix(lat=30.5, lon=114.4, fixed_at_ms=at, received_at_ms=at)


def event(number: int, topic: str = "order:ord_1") -> tuple[str, int, int, Publication]:
    return (f"evt_{number}", number, number, Publication(topic, EventKind.ORDER_PAID, {}))


class Listener:
    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def on_positions(self, campus_id: str, rows: list[PositionRow]) -> None:
        self.heard += [(campus_id, row[0]) for row in rows]

    def on_gone(self, campus_id: str, runner_ids: list[str]) -> None:
        self.heard += [(campus_id, f"gone {runner_id}") for runner_id in runner_ids]

    def on_event(self, campus_id: str, event: StreamEvent) -> None:
        self.heard.append((campus_id, event.id))

    def on_rejoined(self, campus_id: str) -> None:
        self.heard.append((campus_id, "rejoined"))


async def publish(bus: Bus, cluster: ClusterClient, campus_id: str) -> None:
    """As the position writer does."""
    command = bus.positions_command(campus_id, [ROW])
    if command is not None:
        await cluster.execute_command(*command)


async def test_everything_that_is_kept(cluster: ClusterClient) -> None:
    presence, tracks, streams = Presence(cluster), Tracks(cluster), ResumeStreams(cluster)
    for campus in CAMPUSES:
        await presence.put_many(campus, [("acc_a", fix(1)), ("acc_b", fix(2))])
        index = RedisGeoIndex(cluster, campus)
        await index.put_many([("acc_a", Point(30.5, 114.4), 1), ("acc_b", Point(30.5, 114.4), 2)])
        assert [one.runner_id for one in await index.nearby(Point(30.5, 114.4), 100, 9)] == ["acc_a", "acc_b"]
        assert await presence.sweep(campus, 2) == ["acc_a"]
        assert list(await presence.all(campus)) == ["acc_b"]
        await tracks.append_many(campus, [("acc_a", fix(1)), ("acc_b", fix(2)), ("acc_a", fix(3))])
        assert len(await tracks.read(campus, "acc_a", since_ms=0, until_ms=9)) == 2
        at = (await streams.publish_many(campus, [event(n, f"order:{n % 3}") for n in range(9)]))[-1]
        assert at.offset == 3
        assert len((await streams.read_since(campus, "order:2", 1, at.epoch)).events) == 2
        await presence.remove(campus, ["acc_b"])
        assert await index.size() == 0
    counters = Counters(cluster, lambda: 1_000.0)
    assert [await counters.hit("a", 1, 60) for _ in range(2)] == [True, False]
    await counters.clear("a", 60)
    assert await cluster.ping()


async def test_the_bus_of_many_campuses(cluster: ClusterClient, nodes: RedisNodes, eventually: Eventually) -> None:
    streams, listener = ResumeStreams(cluster), Listener()
    bus, other = Bus(cluster, "one", listener), Bus(cluster, "two")
    woken: list[str] = []
    bus.on_wake("relay", woken.append)
    await bus.start()
    await other.start()
    try:
        for campus in CAMPUSES:
            assert await bus.join(campus) and await other.join(campus)
            bus.want(campus, ["acc_a"])
        for campus in CAMPUSES:
            await eventually(lambda campus=campus: other.wanted(campus, [ROW]))  # type: ignore[misc]
            await eventually(lambda: bus.is_up)
            await streams.publish_many(campus, [event(n) for n in range(3)])
            await publish(other, cluster, campus)
            await other.publish_gone(campus, ["acc_b"])
            expected = [(campus, "evt_0"), (campus, "evt_1"), (campus, "evt_2"), (campus, "acc_a")]
            await eventually(lambda campus=campus: (campus, "gone acc_b") in listener.heard)  # type: ignore[misc]
            assert [heard for heard in listener.heard if heard in expected] == expected

        async def is_woken() -> bool:
            await other.wake("relay", "now")
            await asyncio.sleep(0)
            return bool(woken)

        await eventually(is_woken)
        if nodes.version >= (7, 0):
            home = nodes.primary_of(keys.events_channel(CAMPUSES[0]))
            assert cluster.publish_verb == "SPUBLISH"
            channels = home.do("PUBSUB", "SHARDCHANNELS")
            for channel in (keys.events_channel, keys.positions_channel, keys.want_channel, keys.gone_channel):
                assert channel(CAMPUSES[0]).encode() in channels
        else:
            assert cluster.publish_verb == "PUBLISH"
        bus.leave(CAMPUSES[0])
        await eventually(lambda: not other.wanted(CAMPUSES[0], [ROW]))
    finally:
        await bus.stop()
        await other.stop()
    assert "rejoined" not in [what for _, what in listener.heard]


async def test_pipelines_and_errors(cluster: ClusterClient) -> None:
    async with cluster.pipeline() as pipe:
        for campus in CAMPUSES:
            pipe.hset(f"{{{campus}}}:h", "a", 1)
            pipe.hget(f"{{{campus}}}:h", "a")
        assert len(pipe) == 12
        assert (await pipe.execute())[1::2] == [b"1"] * 6
    pipe = cluster.pipeline(transaction=False)
    for campus in CAMPUSES[:2]:
        pipe.execute_command("HINCRBY", f"{{{campus}}}:h", "a", 1)
        pipe.execute_command("INCR", f"{{{campus}}}:h")
        pipe.execute_command("HINCRBY", f"{{{campus}}}:h", "a", 1)
    answers = await pipe.execute(raise_on_error=False)
    assert [answers[0], answers[2], answers[3], answers[5]] == [2, 3, 2, 3]
    assert isinstance(answers[1], ResponseError)
    pipe.execute_command("INCR", f"{{{CAMPUSES[0]}}}:h")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await pipe.execute()
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await cluster.execute_command("INCR", f"{{{CAMPUSES[0]}}}:h")


async def test_a_cluster_that_is_not_there_says_so_soon() -> None:
    client = connect("redis+cluster://127.0.0.1:1,127.0.0.1:2")
    async with asyncio.timeout(5):
        with pytest.raises((RedisError, OSError)):
            await client.execute_command("GET", "a")
        with pytest.raises((RedisError, OSError)):
            await client.pipeline().get("a").execute()
    await client.aclose()
