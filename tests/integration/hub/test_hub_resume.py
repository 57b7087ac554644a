"""Events over real sockets and a real Redis: numbered, without a hole, whatever went away meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import msgpack

from tests.hub_world import (
    AT_MS,
    CAMPUS,
    JSON,
    MSGPACK,
    Eventually,
    Server,
    World,
    dial,
    event,
    follow,
    now_ms,
    running,
)


async def test_events_come_numbered_and_a_returning_client_gets_what_it_missed(server: Server, world: World) -> None:
    world.orders["ord_1"] = ""
    topic = "order:ord_1"
    async with dial(server, JSON, "acc_s/student") as student:
        seat = await follow(student, topic, re=7)
        assert (seat["re"], seat["offset"], seat["recovered"]) == (7, 0, False)
        await server.streams.publish_many(CAMPUS, [event(1, topic), event(2, topic)])
        first = await student.until("event")
        assert (first["offset"], first["id"], first["kind"], first["at"]) == (1, "evt_1", "order_paid", AT_MS + 1)
        assert (await student.until("event"))["data"] == {"n": 2}
    await server.streams.publish_many(CAMPUS, [event(n, topic) for n in (2, 3, 4)])
    async with dial(server, MSGPACK, "acc_s/student") as student:
        again = await follow(student, topic, offset=2, epoch=seat["epoch"])
        assert (again["recovered"], again["offset"]) == (True, 4)
        await server.streams.publish_many(CAMPUS, [event(5, topic)])
        assert [(await student.until("event"))["id"] for _ in range(3)] == ["evt_3", "evt_4", "evt_5"]
    async with dial(server, JSON, "acc_s/student") as student:
        strange = await follow(student, topic, offset=2, epoch="another")
        assert (strange["recovered"], strange["offset"], strange["epoch"]) == (False, 5, seat["epoch"])
        assert (await student.until("snapshot"))["topic"] == topic


async def test_no_gap_and_no_double_at_the_seam_under_a_stream_of_events(server: Server, world: World) -> None:
    world.orders["ord_1"] = ""
    topic, total = "order:ord_1", 90
    async with dial(server, JSON, "acc_s/student") as student:
        seat = await follow(student, topic)

    async def publish() -> None:
        for number in range(1, total + 1):
            await server.streams.publish_many(CAMPUS, [event(number, topic)])

    async def come_and_go() -> list[int]:
        seen: list[int] = []
        offset, epoch = 0, seat["epoch"]
        while len(seen) < total:
            async with dial(server, JSON, "acc_s/student") as client:
                await client.send(t="follow", topic=topic, offset=offset, epoch=epoch)
                followed = await client.until("followed")
                assert followed["recovered"]
                for _ in range(7):
                    if len(seen) == total:
                        break
                    frame = await client.until("event")
                    offset = frame["offset"]
                    seen.append(offset)
        return seen

    async with asyncio.timeout(30):
        _, *seen = await asyncio.gather(publish(), *(come_and_go() for _ in range(5)))
    assert seen == [list(range(1, total + 1))] * 5


async def test_leaving_and_coming_back_before_the_answer_leaves_no_hole(
    server: Server, world: World, eventually: Eventually
) -> None:
    world.orders["ord_1"] = "acc_r"
    topic = "order:ord_1"
    first, second = asyncio.Event(), asyncio.Event()
    async with dial(server, token="acc_s/student") as watcher, dial(server, token="acc_o/student") as other:
        await follow(other, topic)
        world.gates = [first, second]
        await watcher.send(t="follow", topic=topic, re=1)
        await eventually(lambda: len(world.gates) == 1)
        await watcher.send(t="unfollow", topic=topic)
        await watcher.until("unfollowed")
        await server.streams.publish_many(CAMPUS, [event(1, topic)])
        assert (await other.until("event"))["offset"] == 1
        await watcher.send(t="follow", topic=topic, re=2)
        await eventually(lambda: server.hub.hub.counts["follows"] == 3)
        first.set()
        second.set()
        followed = await watcher.until("followed")
        assert followed["offset"] == 1 and followed["re"] == 2
        await server.streams.publish_many(CAMPUS, [event(2, topic)])
        assert (await watcher.until("event"))["offset"] == 2


async def test_redis_restarts_and_nobody_has_a_silent_hole(
    own_redis: Any, world: World, eventually: Eventually
) -> None:
    async with running(own_redis.url, world) as server:
        world.orders["ord_1"] = "acc_r"
        topic = "order:ord_1"
        async with dial(server, JSON, "acc_r/runner") as runner, dial(server, JSON, "acc_s/student") as student:
            seat = await follow(student, topic)
            await server.streams.publish_many(CAMPUS, [event(1, topic)])
            await student.until("event", offset=1)
            await runner.send(t="fix", at=now_ms(server), lat=30.5, lon=114.4)
            await student.until("pos")
            own_redis.stop()
            at = now_ms(server)
            await runner.send(t="fix", at=at, lat=30.5001, lon=114.4)
            assert (await student.until("pos"))["p"][0][3] == at  # those on this worker go on seeing each other
            await runner.send(t="ping", re=3)
            await runner.until("pong", re=3)
            own_redis.start()
            again = await student.until("followed", timeout_s=15)
            assert (again["recovered"], again["offset"]) == (False, 0)
            assert again["epoch"] != seat["epoch"]
            await student.until("snapshot")
            await server.streams.publish_many(CAMPUS, [event(2, topic)])
            assert (await student.until("event"))["offset"] == 1

            async def is_back() -> bool:
                fixes = await server.presence.get(CAMPUS, ["acc_r"])
                return "acc_r" in fixes and fixes["acc_r"].fixed_at_ms == at

            await eventually(is_back, timeout_s=10)


async def test_following_while_redis_is_away_gives_a_snapshot_and_heals(own_redis: Any, world: World) -> None:
    async with running(own_redis.url, world) as server:
        world.orders["ord_1"] = ""
        async with dial(server, JSON, "acc_x/student"):
            own_redis.stop()
            async with dial(server, JSON, "acc_s/student") as student:
                await student.send(t="follow", topic="order:ord_1")
                followed = await student.until("followed", timeout_s=20)
                assert (followed["recovered"], followed["epoch"]) == (False, "")
                await student.until("snapshot")
                own_redis.start()
                healed = await student.until("followed", timeout_s=20)
                assert healed["epoch"] != ""
                await server.streams.publish_many(CAMPUS, [event(1, "order:ord_1")])
                assert (await student.until("event"))["offset"] == 1


async def test_an_event_that_the_bus_lost_is_fetched_when_the_next_one_shows_it(server: Server, world: World) -> None:
    world.orders["ord_1"] = ""
    topic = "order:ord_1"
    async with dial(server, JSON, "acc_s/student") as student:
        await follow(student, topic)
        await server.streams.publish_many(CAMPUS, [event(1, topic)])
        await student.until("event", offset=1)
        # Stored, numbered, and never heard of: as when a publication fell into a reconnect.
        await server.redis.eval(
            "redis.call('HINCRBY', KEYS[1], 'o', 1) redis.call('XADD', KEYS[2], '99999999999999-2', 'b', ARGV[1])", 2,
            f"{{{CAMPUS}}}:m:{topic}", f"{{{CAMPUS}}}:s:{topic}",
            msgpack.packb((topic, "evt_lost", 2, "order_paid", 5, {}, None, None)),
        )  # fmt: skip
        await server.redis.hset(f"{{{CAMPUS}}}:m:{topic}", "m", "99999999999999")
        await server.streams.publish_many(CAMPUS, [event(3, topic)])
        assert [(await student.until("event"))["id"] for _ in range(2)] == ["evt_lost", "evt_3"]
    assert server.hub.hub.topics.heals == 1
