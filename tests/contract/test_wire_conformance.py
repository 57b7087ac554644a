"""RFC 6455 byte by byte on every body of the transport: bare TCP and TLS, asyncio and uvloop."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.hub_world import CAMPUS, OPTIONS, Server, World, dial, follow, make_tls_context, now_ms

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0
HELLO = b'{"t":"hello","token":"acc_s/student"}'
Scenario = Callable[[Server], Awaitable[None]]


class Raw:
    """A client that writes any bytes it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def send(self, opcode: int, payload: bytes = b"", *, first: int | None = None, is_masked: bool = True) -> None:
        mask = b"\x0a\x0b\x0c\x0d"
        length = len(payload)
        bit = 0x80 if is_masked else 0
        head = bytes((0x80 | opcode if first is None else first,))
        if length < 126:
            head += bytes((bit | length,))
        elif length < 65_536:
            head += bytes((bit | 126,)) + length.to_bytes(2, "big")
        else:
            head += bytes((bit | 127,)) + length.to_bytes(8, "big")
        body = bytes(b ^ mask[i % 4] for i, b in enumerate(payload)) if is_masked else payload
        self._writer.write(head + (mask if is_masked else b"") + body)

    async def receive(self) -> tuple[int, bytes]:
        async with asyncio.timeout(5):
            first, length = await self._reader.readexactly(2)
            assert first & 0x70 == 0
            assert length < 128, "a server does not mask"
            if length == 126:
                length = int.from_bytes(await self._reader.readexactly(2), "big")
            return first & 0x0F, await self._reader.readexactly(length)

    async def until(self, opcode: int) -> bytes:
        while True:
            got, payload = await self.receive()
            if got == opcode:
                return payload

    async def is_ended(self) -> bool:
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                while await self._reader.read(4096):
                    pass
        return True


@contextlib.asynccontextmanager
async def raw(server: Server, *, says_hello: bool = True) -> AsyncIterator[Raw]:
    tls = None
    if server.tls is not None:
        tls = ssl.create_default_context()
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=tls)
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert b"Extensions" not in head
    client = Raw(reader, writer)
    if says_hello:
        client.send(TEXT, HELLO)
        assert b'"welcome"' in await client.until(TEXT)
    try:
        yield client
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


async def fragments(server: Server) -> None:
    async with raw(server) as client:
        text = '{"t":"follow","topic":"order:校园校园"}'.encode()
        client.send(TEXT, text[:31], first=TEXT)
        client.send(PING, b"between")
        client.send(CONTINUATION, b"", first=CONTINUATION)
        client.send(CONTINUATION, text[31:])
        assert await client.receive() == (PONG, b"between")
        assert b"not_found" in await client.until(TEXT)


async def pings(server: Server) -> None:
    async with raw(server) as client:
        for payload in (b"", b"x" * 125, bytes(range(100))):
            client.send(PING, payload)
            assert await client.receive() == (PONG, payload)
        client.send(PONG, b"nobody asked")
        client.send(TEXT, b'{"t":"ping"}')
        assert b"pong" in await client.until(TEXT)


async def large(server: Server) -> None:
    async with raw(server) as client:
        client.send(TEXT, b'{"t":"ping"' + b" " * 60_000 + b"}")
        assert b"pong" in await client.until(TEXT)
        client.send(BINARY, bytes(70_000))
        assert (await client.until(CLOSE))[:2] == (4503).to_bytes(2, "big")
        assert await client.is_ended()


async def faults(server: Server) -> None:
    cases: list[tuple[dict[str, Any], int]] = [
        ({"opcode": TEXT, "payload": b"x", "first": 0xC1}, 1002),
        ({"opcode": TEXT, "payload": b"x", "first": 0xA1}, 1002),
        ({"opcode": TEXT, "payload": b"x", "first": 0x91}, 1002),
        ({"opcode": 3, "payload": b"x"}, 1002),
        ({"opcode": 11}, 1002),
        ({"opcode": TEXT, "payload": b"{}", "is_masked": False}, 1002),
        ({"opcode": PING, "payload": b"x" * 126}, 1002),
        ({"opcode": PING, "first": PING}, 1002),
        ({"opcode": CONTINUATION, "payload": b"x"}, 1002),
        ({"opcode": TEXT, "payload": b"\xed\xa0\x80"}, 1007),
        ({"opcode": CLOSE, "payload": b"\x03"}, 1002),
        ({"opcode": CLOSE, "payload": b"\x03\xed"}, 1002),
        ({"opcode": CLOSE, "payload": b"\x03\xe8\xff"}, 1007),
    ]
    for frame, code in cases:
        async with raw(server) as client:
            client.send(**frame)
            assert (await client.until(CLOSE))[:2] == code.to_bytes(2, "big"), frame
            assert await client.is_ended()


async def closing(server: Server) -> None:
    for payload, answer in ((b"", 1000), (b"\x03\xe8bye", 1000), ((3999).to_bytes(2, "big"), 3999)):
        async with raw(server) as client:
            client.send(CLOSE, payload)
            client.send(TEXT, b'{"t":"ping"}')  # too late: nobody looks at it
            assert await client.receive() == (CLOSE, answer.to_bytes(2, "big"))
            assert await client.is_ended()
    async with raw(server, says_hello=False) as client:
        client.send(TEXT, b"{}")
        assert (await client.until(CLOSE))[:2] == (4502).to_bytes(2, "big")
        client.send(CLOSE, (4502).to_bytes(2, "big"))
        assert await client.is_ended()
    async with raw(server, says_hello=False) as client:
        client.send(TEXT, b"{}")
        assert await client.until(CLOSE)
        assert await client.is_ended()  # nobody answers our close: it ends all the same


async def ping_flood(server: Server) -> None:
    async with raw(server) as client:
        for number in range(200):
            client.send(PING, str(number).encode())
        client.send(TEXT, b'{"t":"ping"}')
        answered = 0
        while (await client.receive())[0] == PONG:
            answered += 1
        assert answered == 50


async def an_independent_client(server: Server) -> None:
    async with (
        dial(server, "campus.v1.msgpack", "acc_o/operator") as operator,
        dial(server, token="acc_r/runner") as runner,
    ):
        await follow(operator, f"console:{CAMPUS}")
        await runner.send(t="fix", at=now_ms(server), lat=30.5, lon=114.4)
        assert (await operator.until("pos"))["p"][0][0] == "acc_r"


async def one_that_stops_reading(server: Server) -> None:
    async with dial(server, token="acc_r/runner") as runner, raw(server) as client:
        client._writer.transport.pause_reading()  # type: ignore[attr-defined]
        connection = next(c for c in server.hub.hub.connections if c.account_id == "acc_s")
        async with asyncio.timeout(20):
            while server.hub.hub.counts["closed_4001"] == 0:
                for _ in range(40):
                    connection.put_raw(b"\x81\x7e\x13\x88" + bytes(5_000))
                await runner.send(t="ping")
                await runner.until("pong")
                # At the hub's own rhythm: faster than that the pings themselves are over their limit.
                await asyncio.sleep(server.hub.options.flush_s)


SCENARIOS = [
    fragments, pings, large, faults, closing, ping_flood, an_independent_client, one_that_stops_reading,
]  # fmt: skip


@pytest.fixture(scope="module")
def tls_context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    return make_tls_context(tmp_path_factory.mktemp("tls"))


def _uvloop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        pytest.skip("no uvloop here")
    import uvloop

    return uvloop.new_event_loop()


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, _uvloop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("transport", ["tcp", "tls"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_conformance(
    redis_url: str,
    tls_context: ssl.SSLContext,
    scenario: Scenario,
    transport: str,
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def main() -> None:
        server = Server(redis_url, World(), OPTIONS, tls_context if transport == "tls" else None)
        await server.start()
        try:
            await scenario(server)
        finally:
            await server.stop()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
