"""The hub over real sockets and a real Redis, spoken to by an independent WebSocket client."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Any

import msgpack
import pytest

from dispatch.live.tracks import Tracks
from dispatch.model.event import EventKind, Publication
from dispatch.wire.hub_server import HubOptions
from geo.redis_index import RedisGeoIndex
from tests.hub_world import (
    AT_MS,
    CAMPUS,
    JSON,
    MSGPACK,
    OPTIONS,
    Eventually,
    Server,
    World,
    dial,
    event,
    follow,
    make_tls_context,
    now_ms,
)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def server(redis_url: str, world: World) -> AsyncIterator[Server]:
    server = Server(redis_url, world, OPTIONS)
    await server.start()
    yield server
    await server.stop()


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
        await eventually(lambda: not world.gates)
        first.set()
        second.set()
        followed = await watcher.until("followed")
        assert followed["offset"] == 1 and followed["re"] == 2
        await server.streams.publish_many(CAMPUS, [event(2, topic)])
        assert (await watcher.until("event"))["offset"] == 2


async def test_a_ghost_leaves_the_map_though_word_of_it_was_lost(redis_url: str, world: World) -> None:
    options = HubOptions(drain_s=0.2, close_timeout_s=1, presence_s=0.5, silent_every_s=1)
    server = Server(redis_url, world, options)
    await server.start()
    try:
        async with dial(server, token="acc_o/operator") as console, dial(server, token="acc_r/runner") as runner:
            await follow(console, f"console:{CAMPUS}")
            await runner.send(t="fix", at=now_ms(server), lat=30.5, lon=114.4)
            await console.until("pos")
            assert (await console.until("gone"))["runners"] == ["acc_r"]
    finally:
        await server.stop()


async def test_two_workers_are_one_hub(redis_url: str, world: World, eventually: Eventually) -> None:
    world.orders["ord_1"] = "acc_r"
    one, two = Server(redis_url, world, OPTIONS), Server(redis_url, world, OPTIONS)
    await one.start()
    await two.start()
    try:
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
    finally:
        await one.stop()
        await two.stop()


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


async def test_redis_restarts_and_nobody_has_a_silent_hole(
    own_redis: Any, world: World, eventually: Eventually
) -> None:
    server = Server(own_redis.url, world, OPTIONS)
    await server.start()
    try:
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
    finally:
        await server.stop()


async def test_following_while_redis_is_away_gives_a_snapshot_and_heals(own_redis: Any, world: World) -> None:
    server = Server(own_redis.url, world, OPTIONS)
    await server.start()
    try:
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
    finally:
        await server.stop()


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


async def test_tls_speaks_the_same_protocol(redis_url: str, world: World, tls_context: ssl.SSLContext) -> None:
    server = Server(redis_url, world, OPTIONS, tls_context)
    await server.start()
    try:
        world.orders["ord_1"] = "acc_r"
        async with dial(server, JSON, "acc_r/runner") as runner, dial(server, MSGPACK, "acc_s/student") as student:
            await follow(student, "order:ord_1")
            await runner.send(
                t="fixes", fixes=[{"at": now_ms(server) - n, "lat": 30.5, "lon": 114.4} for n in (5, 1, 9)]
            )
            assert len((await student.until("pos"))["p"]) == 1
            big = [{"at": now_ms(server) + n, "lat": 30.5, "lon": 114.4} for n in range(240)]
            await runner.send(t="fixes", fixes=big, seq=1)
            await student.until("pos")
            await server.hub.drain()
            assert await student.close_code() == 4000
    finally:
        await server.stop()


@pytest.fixture(scope="module")
def tls_context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    return make_tls_context(tmp_path_factory.mktemp("tls"))


# --- limits and abuse


@pytest.mark.parametrize(
    ("subprotocol", "first", "code"),
    [
        (JSON, '{"t":"ping"}', 4502),
        (JSON, "not json", 4502),
        (JSON, b"\x81\xa1t\xa4ping", 4502),
        (JSON, '{"t":"hello","token":"nobody"}', 4500),
        (JSON, '{"t":"hello","token":"old"}', 4002),
        (MSGPACK, '{"t":"hello","token":"a/student"}', 4502),
        (JSON, "x" * 70_000, 4503),
    ],
)
async def test_a_bad_beginning_has_a_code(server: Server, subprotocol: str, first: str | bytes, code: int) -> None:
    async with dial(server, subprotocol) as client:
        await client.socket.send(first)
        assert await client.close_code() == code


async def test_whoever_says_nothing_is_let_go(redis_url: str, world: World) -> None:
    server = Server(redis_url, world, HubOptions(hello_timeout_s=1))
    await server.start()
    try:
        async with dial(server) as client:
            assert await client.close_code() == 4003
    finally:
        await server.stop()


async def test_garbage_costs_nobody_anything(server: Server) -> None:
    async with dial(server, JSON, "acc_r/runner") as runner, dial(server, JSON, "acc_o/operator") as operator:
        await follow(operator, f"console:{CAMPUS}")
        for text in (
            "{",
            "[]",
            '{"t":"fix"}',
            '{"t":"fix","at":1,"lat":"a","lon":1}',
            '{"t":"fix","at":1,"lat":1e999,"lon":1}',
        ):
            await runner.socket.send(text)
            assert (await runner.receive())["t"] in ("error", "refused")
        await runner.socket.send(b"\x00")
        assert (await runner.until("error"))["code"] == "wrong_frame_kind"
        for wrong, code in (
            ({"lat": 91.0, "lon": 1.0}, "out_of_range"), ({"lat": 0.0, "lon": 0.0}, "no_position"),
            ({"lat": 1.0, "lon": 1.0, "at": 5}, "too_old"), ({"lat": 1.0, "lon": 1.0, "at": 2**52}, "from_future"),
        ):  # fmt: skip
            await runner.send(**({"t": "fix", "at": now_ms(server)} | wrong))
            assert (await runner.until("refused"))["code"] == code
        await runner.send(t="fix", at=now_ms(server), lat=30.5, lon=114.4)
        assert (await operator.until("pos"))["p"][0][0] == "acc_r"
        await runner.send(t="follow", topic=f"console:{CAMPUS}", re=5)
        assert (await runner.until("error", re=5))["code"] == "not_permitted"
        await runner.send(t="follow", topic="order:ord_none", re=6)
        assert (await runner.until("error", re=6))["code"] == "not_found"


async def test_another_campus_is_invisible(server: Server) -> None:
    async with dial(server, JSON, "acc_r/runner/cmp_2") as runner, dial(server, JSON, "acc_o/operator") as operator:
        await follow(operator, f"console:{CAMPUS}")
        await operator.send(t="follow", topic="console:cmp_2", re=1)
        assert (await operator.until("error", re=1))["code"] == "not_found"
        await runner.send(t="fix", at=now_ms(server), lat=30.5, lon=114.4)
        await runner.send(t="ping", re=2)
        await runner.until("pong")
        await server.presence.all("cmp_2")
        await operator.send(t="ping", re=3)
        assert (await operator.receive())["t"] == "pong"


async def test_a_watcher_that_stops_reading_delays_nobody(redis_url: str, world: World, eventually: Eventually) -> None:
    server = Server(redis_url, world, HubOptions(queue_bytes=100_000, close_timeout_s=1))
    await server.start()
    try:
        topic = f"hall:{CAMPUS}"
        async with dial(server, JSON, "acc_a/runner") as good:
            await follow(good, topic)
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
            writer.write(
                b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            await reader.readuntil(b"\r\n\r\n")
            for text in (b'{"t":"hello","token":"acc_b/runner"}', b'{"t":"follow","topic":"hall:cmp_1"}'):
                writer.write(bytes((0x81, 0x80 | len(text))) + bytes(4) + text)
            await eventually(
                lambda: any(len(t.followers) == 2 for t in server.hub.hub.topics.campus(CAMPUS).topics.values())
            )
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            blob = "x" * 20_000
            sent = 0
            while server.hub.hub.counts["closed_4001"] == 0:
                assert sent < 3_000
                batch = [
                    (f"evt_{sent + n}", 1, 1, Publication(topic, EventKind.ORDER_PAID, {"blob": blob}))
                    for n in range(4)
                ]
                await server.streams.publish_many(CAMPUS, batch)
                for n in range(4):
                    assert (await good.until("event"))["id"] == f"evt_{sent + n}"
                sent += 4
            await eventually(lambda: len(server.hub.hub.connections) == 1)
            writer.close()
    finally:
        await server.stop()


async def test_whoever_is_gone_without_a_word_is_found(redis_url: str, world: World, eventually: Eventually) -> None:
    server = Server(redis_url, world, HubOptions(ping_every_s=1, close_timeout_s=1))
    await server.start()
    try:
        async with dial(server, JSON, "acc_s/student", ping_interval=None) as alive:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(
                b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            text = b'{"t":"hello","token":"acc_b/runner"}'
            writer.write(bytes((0x81, 0x80 | len(text))) + bytes(4) + text)
            await reader.readuntil(b"welcome")
            await eventually(lambda: server.hub.hub.counts["closed_4004"] == 1, timeout_s=8)
            await eventually(lambda: len(server.hub.hub.connections) == 1, timeout_s=8)
            await alive.send(t="ping", re=1)
            await alive.until("pong")
            writer.close()
    finally:
        await server.stop()


async def raw_upgrade(server: Server, *lines: str) -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(("\r\n".join(("GET /ws HTTP/1.1", *lines)) + "\r\n\r\n").encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status = int(head.split()[1])
    body = "" if status == 101 else (await reader.read(1000)).decode() if "Connection: close" in head else head
    writer.close()
    return status, body or head


HOST = "Host: campus.example"
UPGRADE = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((HOST, *UPGRADE, KEY), 101),
        ((HOST, *UPGRADE, KEY, "Origin: https://campus.example"), 101),
        ((HOST, *UPGRADE, KEY, "Origin: https://pages.example"), 101),
        ((HOST, *UPGRADE, KEY, "Origin: https://evil.example"), 403),
        ((HOST, *UPGRADE, KEY, "Origin: null"), 403),
        ((HOST, *UPGRADE, KEY, "Sec-WebSocket-Protocol: chat, campus.v1.msgpack"), 101),
        ((HOST, *UPGRADE, KEY, "Sec-WebSocket-Protocol: chat"), 400),
        ((HOST, *UPGRADE, "Sec-WebSocket-Key: short"), 400),
        ((HOST, *UPGRADE), 400),
        ((HOST, *UPGRADE[:2], "Sec-WebSocket-Version: 8", KEY), 426),
        ((HOST, "Upgrade: h2c", "Connection: Upgrade", KEY), 426),
        ((HOST,), 426),
    ],
)  # fmt: skip
async def test_the_handshake(redis_url: str, world: World, lines: tuple[str, ...], status: int) -> None:
    server = Server(redis_url, world, HubOptions(allowed_origins=frozenset({"https://pages.example"})))
    await server.start()
    try:
        got, head = await raw_upgrade(server, *lines)
        assert got == status
        if status == 101:
            assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
            assert ("Sec-WebSocket-Protocol: campus.v1.msgpack" in head) is ("msgpack" in str(lines))
    finally:
        await server.stop()


async def test_so_many_sockets_and_not_more(redis_url: str, world: World) -> None:
    server = Server(redis_url, world, HubOptions(upgrades_per_address_per_s=3, max_connections=5, drain_s=0.1))
    await server.start()
    try:
        answers = [await raw_upgrade(server, HOST, *UPGRADE, KEY) for _ in range(6)]
        refused = [head for status, head in answers if status == 503]
        assert refused
        assert all("Retry-After: " in head for head in refused)
        await server.hub.drain()
        status, head = await raw_upgrade(server, HOST, *UPGRADE, KEY)
        assert (status, "Retry-After: 1" in head) == (503, True)
    finally:
        await server.stop()


async def test_what_a_client_sends_with_its_handshake_is_not_lost(server: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = "\r\n".join(("GET /ws HTTP/1.1", HOST, *UPGRADE, KEY)) + "\r\n\r\n"
    text = b'{"t":"hello","token":"acc_early/student"}'
    writer.write(head.encode() + bytes((0x81, 0x80 | len(text))) + bytes(4) + text)
    assert b"acc_early" in await asyncio.wait_for(reader.readuntil(b"acc_early"), 5)
    writer.close()


async def test_a_bug_of_ours_ends_one_connection_and_says_1011(server: Server, world: World) -> None:
    async with dial(server, JSON, "acc_o/operator") as other, dial(server) as client:
        await client.send(t="hello", token="bug")
        assert await client.close_code() == 1011
        await other.send(t="follow", topic="order:bug", re=1)
        assert (await other.until("error", re=1))["code"] == "unavailable"
        await other.send(t="ping")
        await other.until("pong")


async def test_closing_ends_in_an_orderly_way(server: Server, eventually: Eventually) -> None:
    async with dial(server, JSON, "acc_s/student") as client:
        await client.socket.close(3001, "bye")
        assert client.socket.close_code == 3001
    await eventually(lambda: not server.hub.hub.connections)


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
        place = (await RedisGeoIndex(server.redis, CAMPUS).positions(["acc_r"]))["acc_r"]  # type: ignore[arg-type]
        assert place == pytest.approx((30.5, 114.4), abs=1e-5)
        assert (await server.presence.all(CAMPUS))["acc_r"].fixed_at_ms == at
        figures = server.hub.metrics()
        assert figures["live_total"] == 1
        assert figures["late_total"] == 19
        assert figures["fixes_unwritten"] == 0
