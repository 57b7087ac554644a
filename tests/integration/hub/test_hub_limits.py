"""Limits and abuse over real sockets: each has a name or a code, and costs nobody else anything."""

from __future__ import annotations

import asyncio

import pytest

from dispatch.model.event import EventKind, Publication
from dispatch.wire.hub_server import HubOptions
from tests.hub_world import CAMPUS, JSON, MSGPACK, Eventually, Server, World, dial, follow, now_ms, running


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
    async with running(redis_url, world, HubOptions(hello_timeout_s=1)) as server, dial(server) as client:
        assert await client.close_code() == 4003


async def test_garbage_costs_nobody_anything(server: Server) -> None:
    async with dial(server, JSON, "acc_r/runner") as runner, dial(server, JSON, "acc_o/operator") as operator:
        await follow(operator, f"console:{CAMPUS}")
        await runner.until("report")
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
    async with running(redis_url, world, HubOptions(queue_bytes=100_000, close_timeout_s=1)) as server:
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


async def test_whoever_is_gone_without_a_word_is_found(redis_url: str, world: World, eventually: Eventually) -> None:
    options = HubOptions(ping_every_s=1, close_timeout_s=1)
    async with (
        running(redis_url, world, options) as server,
        dial(server, JSON, "acc_s/student", ping_interval=None) as alive,
    ):
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


async def test_a_bug_of_ours_ends_one_connection_and_says_1011(server: Server, world: World) -> None:
    async with dial(server, JSON, "acc_o/operator") as other, dial(server) as client:
        await client.send(t="hello", token="bug")
        assert await client.close_code() == 1011
        await other.send(t="follow", topic="order:bug", re=1)
        assert (await other.until("error", re=1))["code"] == "unavailable"
        await other.send(t="ping")
        await other.until("pong")
