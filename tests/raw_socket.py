"""A client of the hub that writes any bytes it likes, over TCP or TLS."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
from collections.abc import AsyncIterator, Sequence

from tests.hub_world import Server
from tests.wire_cases import CLOSE, PING, PONG, Case, Speech, frame

DEADLINE_S = 10.0
_NOT_NEWS = (ConnectionError, ssl.SSLError)


class Raw:
    """One connection after its handshake."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    def send(self, opcode: int, payload: bytes = b"") -> None:
        self.writer.write(frame(opcode, payload))

    async def receive(self) -> tuple[int, bytes]:
        async with asyncio.timeout(DEADLINE_S):
            first, length = await self._reader.readexactly(2)
            assert first & 0xF0 == 0x80, "a server sends whole frames without reserved bits"
            assert length < 128, "a server does not mask"
            if length >= 126:
                length = int.from_bytes(await self._reader.readexactly(2 if length == 126 else 8), "big")
            return first & 0x0F, await self._reader.readexactly(length)

    async def until(self, opcode: int) -> bytes:
        while True:
            got, payload = await self.receive()
            if got == opcode:
                return payload

    async def is_ended(self) -> bool:
        """Whether the server closes the connection; what it still says is read."""
        async with asyncio.timeout(DEADLINE_S):
            with contextlib.suppress(*_NOT_NEWS):
                while await self._reader.read(4096):
                    pass
        return True


@functools.cache
def trusting() -> ssl.SSLContext:
    """For a server with a certificate of its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@contextlib.asynccontextmanager
async def connected(server: Server) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare connection, before any handshake."""
    tls = trusting() if server.tls is not None else None
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=tls)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(*_NOT_NEWS):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def raw(server: Server, speech: Speech, account: str = "") -> AsyncIterator[Raw]:
    """A connection whose handshake is done, and which has said hello if it has an account."""
    async with connected(server) as (reader, writer):
        writer.write(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
            b"Sec-WebSocket-Protocol: " + speech.subprotocol.encode() + b"\r\n\r\n"
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        assert b"Extensions" not in head
        client = Raw(reader, writer)
        if account:
            client.send(speech.opcode, speech.pack({"t": "hello", "token": f"{account}/student"}))
            assert speech.summary(await client.until(speech.opcode)).startswith("welcome")
        yield client


async def play(client: Raw, speech: Speech, pieces: Sequence[bytes], *, ends: bool) -> Case:
    """Write the pieces one by one; what comes back, until the end or the answer to a last question."""
    for piece in pieces:
        client.writer.write(piece)
        await asyncio.sleep(0)
    if not ends:
        client.send(speech.opcode, speech.ask(999))
    answers: list[str] = []
    pongs: list[bytes] = []
    while "pong 999" not in answers:
        opcode, payload = await client.receive()
        if opcode == CLOSE:
            return Case("", (), answers, pongs, int.from_bytes(payload[:2], "big"))
        if opcode == PONG:
            pongs.append(payload)
        elif opcode != PING:  # the server asks when it likes
            answers.append(speech.summary(payload))
    return Case("", (), answers[:-1], pongs)
