"""What the porch takes for a plain handshake, what it leaves to Tornado, and what both answer."""

from __future__ import annotations

import asyncio

from dispatch.wire.porch import read_head
from tests.hub_world import Eventually, HubOptions, Server, World, running

GOOD = (
    "Host: campus.example",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def head_of(*lines: str, first: str = "GET /ws HTTP/1.1") -> bytes:
    return "\r\n".join((first, *lines, "", "")).encode("latin-1")


def test_a_plain_head_is_read_and_anything_else_is_not() -> None:
    headers = read_head(head_of(*GOOD, "X-Empty:", "x-Blanks: \t a b\t "))
    assert headers is not None
    assert (headers["host"], headers["x-empty"], headers["x-blanks"]) == ("campus.example", "", "a b")
    for other in (
        head_of(*GOOD)[:-2],
        head_of(*GOOD, first="GET /ws?x=1 HTTP/1.1"),
        head_of(*GOOD, first="GET /wsx HTTP/1.1"),
        head_of(*GOOD, first="POST /ws HTTP/1.1"),
        head_of(*GOOD, first="GET /ws HTTP/1.10"),
        head_of(*GOOD[1:]),
        head_of(*GOOD, GOOD[0]),
        head_of(*GOOD, "Content-Length: 3"),
        head_of(*GOOD, "Transfer-Encoding: chunked"),
        head_of(*GOOD, " folded: line"),
        head_of(*GOOD, "no colon"),
        head_of(*GOOD, "a b: c"),
        head_of(*GOOD, "a : c"),
        head_of(*GOOD, ": c"),
        head_of(*GOOD, "a: b\nc: d"),
        head_of(*GOOD, "a: \0"),
        b"GET /ws HTTP/1.1\n\n",
        b"",
    ):
        assert read_head(other) is None, other


async def ask(server: Server, *parts: bytes) -> bytes:
    """Everything that is answered until the other side is silent or gone."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for part in parts:
        writer.write(part)
        await writer.drain()
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    writer.close()
    return answer


async def test_other_requests_and_heads_in_pieces_are_tornados(server: Server, eventually: Eventually) -> None:
    assert (await ask(server, head_of("Host: x", first="GET /nothing HTTP/1.1"))).startswith(b"HTTP/1.1 404")
    assert (await ask(server, head_of("Host: x"))).startswith(b"HTTP/1.1 426")
    assert (await ask(server, head_of(*GOOD, "Origin: https://evil.example"))).startswith(b"HTTP/1.1 403")
    assert (await ask(server, head_of(*GOOD, first="GET /ws?token=x HTTP/1.1"))).startswith(b"HTTP/1.1 101")
    whole = head_of(*GOOD)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(whole[:30])
    await writer.drain()
    await eventually(lambda: server.http._connections)
    writer.write(whole[30:])
    assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).startswith(b"HTTP/1.1 101")
    writer.close()


async def test_whoever_is_turned_away_hears_so_whole_and_when_to_return(redis_url: str) -> None:
    async with running(redis_url, World(), HubOptions(upgrades_per_address_per_s=1, drain_s=0.1)) as server:
        answers = []
        for _ in range(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(head_of(*GOOD) + b"\x81\x80\x00\x00\x00\x00")  # and has said more already
            answers.append((await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10), reader, writer))
        refused = [(head, reader) for head, reader, _ in answers if b" 503 " in head]
        assert refused
        for head, reader in refused:
            assert b"Retry-After: " in head and b"Connection: close" in head
            assert b'"too_many"' in await asyncio.wait_for(reader.read(), 10)
        assert server.hub.hub.counts["upgrades_refused"] == len(refused)
        for _, _, writer in answers:
            writer.close()


async def test_who_waits_is_let_in_later_and_who_has_gone_costs_nothing(redis_url: str, eventually: Eventually) -> None:
    options = HubOptions(upgrades_per_s=40, flush_s=0.05, drain_s=0.1)  # two per flush
    async with running(redis_url, World(), options) as server:
        made = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(20)]
        for _, writer in made:
            writer.write(head_of(*GOOD))
        for _, writer in made[10:]:
            writer.close()
        for reader, _ in made[:10]:
            assert b" 101 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        await eventually(lambda: len(server.hub.hub.connections) == 10, timeout_s=10)
        for _, writer in made:
            writer.close()
