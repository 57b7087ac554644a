"""The hub as independent client libraries find it: websockets, aiohttp and Tornado, over TCP and TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

import aiohttp
import pytest
import tornado.httpclient
import tornado.websocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.hub_world import CAMPUS, JSON, MSGPACK, OPTIONS, Server, World, now_ms, running
from tests.raw_socket import trusting
from tests.wire_cases import LIMIT, Speech

DEADLINE_S = 10.0


class Library(Protocol):
    """What the tests do with a connection of whichever library."""

    subprotocol: str | None
    is_compressed: bool

    async def send(self, payload: bytes, is_text: bool) -> None: ...

    async def receive(self) -> bytes | None:
        """A message, or None at the end."""

    async def ping(self, payload: bytes) -> None:
        """Returns when the pong is here."""

    async def close(self, code: int, reason: str) -> None: ...

    def closed_with(self) -> tuple[int | None, str | None]: ...


class OfWebsockets:
    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.subprotocol = socket.subprotocol
        self.is_compressed = bool(socket.protocol.extensions)

    async def send(self, payload: bytes, is_text: bool) -> None:
        await self._socket.send(payload.decode() if is_text else payload)

    async def receive(self) -> bytes | None:
        try:
            message = await self._socket.recv()
        except ConnectionClosed:
            return None
        return message.encode() if isinstance(message, str) else message

    async def ping(self, payload: bytes) -> None:
        await (await self._socket.ping(payload))

    async def close(self, code: int, reason: str) -> None:
        await self._socket.close(code, reason)

    def closed_with(self) -> tuple[int | None, str | None]:
        return self._socket.close_code, self._socket.close_reason


class OfAiohttp:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._reason: str | None = None
        self._kept: list[bytes] = []
        self._pongs: list[bytes] = []
        self.subprotocol = socket.protocol
        self.is_compressed = bool(socket.compress)

    async def send(self, payload: bytes, is_text: bool) -> None:
        await (self._socket.send_str(payload.decode()) if is_text else self._socket.send_bytes(payload))

    async def receive(self) -> bytes | None:
        return self._kept.pop(0) if self._kept else await self._next()

    async def _next(self) -> bytes | None:
        while True:
            message = await self._socket.receive()
            match message.type:
                case aiohttp.WSMsgType.TEXT:
                    return str(message.data).encode()
                case aiohttp.WSMsgType.BINARY:
                    return bytes(message.data)
                case aiohttp.WSMsgType.PING:
                    await self._socket.pong(message.data)
                case aiohttp.WSMsgType.PONG:
                    self._pongs.append(bytes(message.data))
                    return b""
                case aiohttp.WSMsgType.CLOSE:
                    self._reason = message.extra
                    return None
                case _:
                    return None

    async def ping(self, payload: bytes) -> None:
        # With autoping the library keeps pongs to itself; here they are read like any message.
        await self._socket.ping(payload)
        while payload not in self._pongs:
            if message := await self._next():
                self._kept.append(message)

    async def close(self, code: int, reason: str) -> None:
        await self._socket.close(code=code, message=reason.encode())

    def closed_with(self) -> tuple[int | None, str | None]:
        return self._socket.close_code, self._reason


class OfTornado:
    def __init__(self, socket: tornado.websocket.WebSocketClientConnection, pongs: asyncio.Queue[bytes]) -> None:
        self._socket = socket
        self._pongs = pongs
        self.subprotocol = socket.selected_subprotocol
        self.is_compressed = "Sec-WebSocket-Extensions" in (socket.headers or {})

    async def send(self, payload: bytes, is_text: bool) -> None:
        await self._socket.write_message(payload, binary=not is_text)

    async def receive(self) -> bytes | None:
        message = await self._socket.read_message()
        return message.encode() if isinstance(message, str) else message

    async def ping(self, payload: bytes) -> None:
        self._socket.ping(payload)
        assert await self._pongs.get() == payload

    async def close(self, code: int, reason: str) -> None:
        self._socket.close(code, reason)
        while await self._socket.read_message() is not None:
            pass

    def closed_with(self) -> tuple[int | None, str | None]:
        return self._socket.close_code, self._socket.close_reason


@asynccontextmanager
async def of_websockets(server: Server, subprotocol: str) -> AsyncIterator[Library]:
    tls = trusting() if server.tls else None
    protocols = [Subprotocol("chat"), Subprotocol(subprotocol)]
    async with connect(server.url, subprotocols=protocols, ssl=tls, compression="deflate") as socket:
        yield OfWebsockets(socket)


@asynccontextmanager
async def of_aiohttp(server: Server, subprotocol: str) -> AsyncIterator[Library]:
    tls: Any = trusting() if server.tls else True
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            server.url, protocols=["chat", subprotocol], compress=15, ssl=tls, autoping=False, max_msg_size=0
        ) as socket,
    ):
        yield OfAiohttp(socket)


@asynccontextmanager
async def of_tornado(server: Server, subprotocol: str) -> AsyncIterator[Library]:
    request = tornado.httpclient.HTTPRequest(server.url, validate_cert=False)
    socket = await tornado.websocket.websocket_connect(
        request, compression_options={}, subprotocols=["chat", subprotocol]
    )
    pongs: asyncio.Queue[bytes] = asyncio.Queue()
    socket.on_pong = pongs.put_nowait  # type: ignore[method-assign]
    try:
        yield OfTornado(socket, pongs)
    finally:
        socket.close()


async def hear(library: Library, speech: Speech, start: str) -> str:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            message = await library.receive()
            assert message is not None, library.closed_with()
            if (summary := speech.summary(message)).startswith(start):
                return summary


async def say(library: Library, speech: Speech, **said: Any) -> None:
    await library.send(speech.pack(said), speech.is_json)


async def until_the_end(library: Library) -> tuple[int | None, str | None]:
    async with asyncio.timeout(DEADLINE_S):
        while await library.receive() is not None:
            pass
    return library.closed_with()


@pytest.fixture(params=["tcp", "tls"])
async def server(request: pytest.FixtureRequest, redis_url: str, tls_context: ssl.SSLContext) -> AsyncIterator[Server]:
    async with running(redis_url, World(), OPTIONS, tls_context if request.param == "tls" else None) as server:
        yield server


@pytest.mark.parametrize("subprotocol", [JSON, MSGPACK])
@pytest.mark.parametrize("dial", [of_websockets, of_aiohttp, of_tornado], ids=lambda dial: dial.__name__)
async def test_a_library_of_somebody_else(server: Server, dial: Any, subprotocol: str) -> None:
    speech = Speech(subprotocol)
    async with AsyncExitStack() as stack:
        runner, console, wordy, idle = [await stack.enter_async_context(dial(server, subprotocol)) for _ in range(4)]
        for library, token in ((runner, "acc_r/runner"), (console, "acc_o/operator"), (wordy, "acc_w/student")):
            assert (library.subprotocol, library.is_compressed) == (subprotocol, False)
            await say(library, speech, t="hello", token=token)
            await hear(library, speech, "welcome")
        await say(console, speech, t="follow", topic=f"console:{CAMPUS}", re=1)
        await hear(console, speech, "followed 1")
        back = [{"at": now_ms(server) - n * 1000, "lat": 30.5, "lon": 114.4} for n in range(240)]
        await say(runner, speech, t="fixes", fixes=back)
        await hear(console, speech, "pos")
        async with asyncio.timeout(DEADLINE_S):
            await runner.ping(b"are you there?")
        payload, answer = speech.padded(LIMIT)
        await wordy.send(payload, speech.is_json)
        await hear(wordy, speech, answer)
        await wordy.send(payload + b" ", speech.is_json)
        assert await until_the_end(wordy) == (4503, "a message has at most 65536 bytes")
        await idle.send(b"{}", speech.is_json)
        assert (await until_the_end(idle))[0] == 4502
        async with asyncio.timeout(DEADLINE_S):
            await runner.close(3001, "bye")
            while len(server.hub.hub.connections) > 1:
                await asyncio.sleep(0.01)
        assert runner.closed_with()[0] == 3001
        await server.hub.drain()
        code, reason = await until_the_end(console)
        assert code == 4000 and reason is not None and reason.startswith("server_drain")
