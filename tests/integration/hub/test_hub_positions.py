"""Positions over real sockets and a real Redis: who sees whom, how a dot leaves the map, what is written down."""

from __future__ import annotations

import asyncio

import pytest

from dispatch.live.tracks import Tracks
from dispatch.model.event import EventKind
from dispatch.wire.hub_server import HubOptions
from geo.redis_index import RedisGeoIndex
from tests.hub_world import CAMPUS, JSON, MSGPACK, Eventually, Server, World, dial, event, follow, now_ms, running


@pytest.mark.parametrize("subprotocol", [JSON, MSGPACK, ""])
async def test_a_fix_reaches_console_and_order(server: Server, world: World, subprotocol: str) -> None:
    world.orders["ord_1"] = "acc_r"
    async with (
        dial(server, subprotocol, "acc_r/runner") as runner,
        dial(server, subprotocol, "acc_s/student") as student,
        dial(server, subprotocol, "acc_o/operator") as operator,
    ):
        await student.send(t="follow", re=1, topic="order:ord_1")
        followed = await student.until("followed", re=1)
        assert followed["recovered"] is False
        assert (await student.until("snapshot"))["data"]["order_id"] == "ord_1"
        await operator.send(t="follow", re=2, topic=f"console:{CAMPUS}")
        await operator.until("snapshot")
        at = now_ms(server)
        await runner.send(t="fix", at=at, lat=30.5, lon=114.4, acc=5, spd=1.2, brg=90)
        for watcher, topic in ((student, "order:ord_1"), (operator, f"console:{CAMPUS}")):
            (row,) = (await watcher.until("pos", topic=topic))["p"]
            assert row[:7] == ["acc_r", 30.5, 114.4, at, 90, 1.2, 5]
            assert at <= row[7] <= now_ms(server)
    assert server.hub.hub.topics.ages.total == 2


async def test_a_ghost_leaves_the_map_though_word_of_it_was_lost(redis_url: str, world: World) -> None:
    options = HubOptions(drain_s=0.2, close_timeout_s=1, presence_s=0.5, silent_every_s=1)
    async with (
        running(redis_url, world, options) as server,
        dial(server, token="acc_o/operator") as console,
        dial(server, token="acc_r/runner") as runner,
    ):
        await follow(console, f"console:{CAMPUS}")
        await runner.send(t="fix", at=now_ms(server), lat=30.5, lon=114.4)
        await console.until("pos")
        assert (await console.until("gone"))["runners"] == ["acc_r"]


async def test_two_workers_are_one_hub(redis_url: str, world: World, eventually: Eventually) -> None:
    world.orders["ord_1"] = "acc_r"
    async with running(redis_url, world) as one, running(redis_url, world) as two:
        async with dial(one, JSON, "acc_r/runner") as runner, dial(two, JSON, "acc_s/student") as student:
            await follow(student, "order:ord_1")
            at = now_ms(one)
            await runner.send(t="fix", at=at, lat=30.5, lon=114.4)
            assert (await student.until("pos"))["p"][0][:4] == ["acc_r", 30.5, 114.4, at]
            await one.streams.publish_many(CAMPUS, [event(1, "order:ord_1")])
            assert (await student.until("event"))["id"] == "evt_1"
            await one.bus.publish_gone(CAMPUS, ["acc_r"])
            assert (await student.until("gone"))["runners"] == ["acc_r"]
            # The runner moves to the other worker with an old fix in its pocket: the dot does not go back.
            await runner.send(t="fix", at=at + 2, lat=30.5001, lon=114.4)
            assert (await student.until("pos"))["p"][0][3] == at + 2
        await eventually(lambda: CAMPUS not in one.hub.hub.campus_ids())
        async with dial(two, JSON, "acc_o/operator") as operator, dial(two, JSON, "acc_r/runner") as runner:
            await follow(operator, f"console:{CAMPUS}")
            assert (await operator.until("pos"))["p"][0][:4] == ["acc_r", 30.5001, 114.4, at + 2]
            await runner.send(t="fix", at=at + 1, lat=30.4999, lon=114.4)
            await runner.send(t="fix", at=at + 9, lat=30.5002, lon=114.4)
            assert (await operator.until("pos"))["p"][0][3] == at + 9
        # Watchers hear of a fix before it is written down.
        async with asyncio.timeout(5):
            while (await two.presence.get(CAMPUS, ["acc_r"]))["acc_r"].fixed_at_ms != at + 9:
                await asyncio.sleep(0.01)


async def test_whose_position_an_order_shows_follows_the_events(server: Server, world: World) -> None:
    world.orders["ord_1"] = ""
    topic = "order:ord_1"
    async with (
        dial(server, JSON, "acc_a/runner") as first,
        dial(server, JSON, "acc_b/runner") as second,
        dial(server, JSON, "acc_s/student") as student,
    ):
        await follow(student, topic)
        await follow(first, topic)
        await first.send(t="fix", at=now_ms(server), lat=30.5, lon=114.4)
        await second.send(t="fix", at=now_ms(server), lat=30.6, lon=114.5)
        await server.streams.publish_many(CAMPUS, [event(1, topic, EventKind.TASK_ASSIGNED, watch="acc_a")])
        assert (await student.until("pos"))["p"][0][0] == "acc_a"
        await server.streams.publish_many(CAMPUS, [event(2, topic, EventKind.TASK_REASSIGNED, watch="acc_b")])
        assert (await student.until("gone"))["runners"] == ["acc_a"]
        assert (await student.until("pos"))["p"][0][0] == "acc_b"
        assert (await first.until("closed"))["code"] == "not_permitted"
        await server.streams.publish_many(CAMPUS, [event(3, topic, EventKind.ORDER_SETTLED, close="order_ended")])
        assert (await student.until("event", offset=3))["kind"] == "order_settled"
        assert (await student.until("closed"))["code"] == "order_ended"
    assert server.hub.hub.topics.topic_count == 0


async def test_positions_reach_redis_and_tracks(server: Server, eventually: Eventually) -> None:
    async with dial(server, JSON, "acc_r/runner") as runner:
        await runner.send(t="hello", token="acc_r/runner", acks=True)
        at = now_ms(server)
        back = [{"at": at - n * 1_000, "lat": 30.5 + n / 1e5, "lon": 114.4, "seq": n} for n in range(20)]
        await runner.send(t="fixes", fixes=back, seq=20)
        assert await runner.until("ack", seq=20) == {"t": "ack", "seq": 20, "accepted": 20, "refused": 0}
        tracks = Tracks(server.redis)

        async def has_all() -> bool:
            return len(await tracks.read(CAMPUS, "acc_r", since_ms=0, until_ms=at)) == 20

        await eventually(has_all)
        track = await tracks.read(CAMPUS, "acc_r", since_ms=at - 5_000, until_ms=at - 1_000)
        assert [fix.fixed_at_ms for fix in track] == [at - n * 1_000 for n in (5, 4, 3, 2, 1)]
        place = (await RedisGeoIndex(server.redis, CAMPUS).positions(["acc_r"]))["acc_r"]
        assert place == pytest.approx((30.5, 114.4), abs=1e-5)
        assert (await server.presence.all(CAMPUS))["acc_r"].fixed_at_ms == at
        figures = server.hub.metrics()
        assert figures["live_total"] == 1
        assert figures["late_total"] == 19
        assert figures["fixes_unwritten"] == 0
