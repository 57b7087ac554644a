"""The opening and the closing of a socket: who is let in with which answer, and how it ends."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from dispatch.wire.hub_server import HubOptions
from tests.hub_world import JSON, MSGPACK, OPTIONS, Eventually, Server, World, dial, follow, now_ms, running


async def raw_upgrade(server: Server, *lines: str) -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(("\r\n".join(("GET /ws HTTP/1.1", *lines)) + "\r\n\r\n").encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status = int(head.split()[1])
    writer.close()
    return status, head


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
@pytest.mark.parametrize("has_porch", [True, False])
async def test_the_handshake(
    redis_url: str, world: World, lines: tuple[str, ...], status: int, has_porch: bool
) -> None:
    options = HubOptions(allowed_origins=frozenset({"https://pages.example"}))
    async with running(redis_url, world, options, has_porch=has_porch) as server:
        got, head = await raw_upgrade(server, *lines)
        assert got == status
        if status == 101:
            assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
            assert ("Sec-WebSocket-Protocol: campus.v1.msgpack" in head) is ("msgpack" in str(lines))


def retry_after_s(head: str) -> int:
    (line,) = (line for line in head.split("\r\n") if line.startswith("Retry-After: "))
    return int(line.split()[1])


@pytest.mark.parametrize("has_porch", [True, False])
async def test_so_many_sockets_and_not_more(redis_url: str, world: World, has_porch: bool) -> None:
    options = HubOptions(upgrades_per_address_per_s=3, max_connections=5, drain_s=0.1)
    async with running(redis_url, world, options, has_porch=has_porch) as server:
        answers = [await raw_upgrade(server, HOST, *UPGRADE, KEY) for _ in range(6)]
        refused = [head for status, head in answers if status == 503]
        assert refused
        assert all(1 <= retry_after_s(head) <= 4 for head in refused)
        await server.hub.drain()
        status, head = await raw_upgrade(server, HOST, *UPGRADE, KEY)
        assert status == 503 and 1 <= retry_after_s(head) <= 4


async def test_what_a_client_sends_with_its_handshake_is_not_lost(server: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = "\r\n".join(("GET /ws HTTP/1.1", HOST, *UPGRADE, KEY)) + "\r\n\r\n"
    text = b'{"t":"hello","token":"acc_early/student"}'
    writer.write(head.encode() + bytes((0x81, 0x80 | len(text))) + bytes(4) + text)
    assert b"acc_early" in await asyncio.wait_for(reader.readuntil(b"acc_early"), 5)
    writer.close()


async def test_closing_ends_in_an_orderly_way(server: Server, eventually: Eventually) -> None:
    async with dial(server, JSON, "acc_s/student") as client:
        await client.socket.close(3001, "bye")
        assert client.socket.close_code == 3001
    await eventually(lambda: not server.hub.hub.connections)


async def test_tls_speaks_the_same_protocol(redis_url: str, world: World, tls_context: ssl.SSLContext) -> None:
    async with running(redis_url, world, OPTIONS, tls_context) as server:
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
