"""Somebody's socket: signs in, follows topics, comes back with offset and epoch, and notices every hole."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import aiohttp
import msgspec

from .figures import Figures, TopicOrder

SUBPROTOCOL = "campus.v1.msgpack"
MOST_WAITING = 2000
FIRST_WAIT_S = 0.3
LONGEST_WAIT_S = 15.0
LARGEST_FRAME = 8 * 1024 * 1024
#: A server that sends nothing for so long, not even a ping, is taken for gone.
SILENT_S = 90.0
RENEW_SHARE = 0.7

OnFrame = Callable[[dict[str, Any]], None]

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(dict[str, Any])


def may_return(code: int | None) -> bool:
    """4000-4499 and lost connections: come back; 4500-4999: stay away."""
    return code is None or not 4500 <= code <= 4999


class HubClient:
    """One connection that is kept up. ``on_frame`` gets every frame but positions of a follower that only counts."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        get_token: Callable[[], Awaitable[str]],
        on_frame: OnFrame,
        figures: Figures,
        luck: Random,
        *,
        wants_acks: bool = False,
    ) -> None:
        self._session = session
        self._url = url.replace("http", "ws", 1) + "/ws"
        self._get_token = get_token
        self._on_frame = on_frame
        self._figures = figures
        self._luck = luck
        self._wants_acks = wants_acks
        self._outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue(MOST_WAITING)
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._topics: dict[str, None] = {}
        self.order = TopicOrder()
        self.welcome: dict[str, Any] = {}
        self.connected = asyncio.Event()
        self.closed_for_good: int | None = None

    def send(self, frame: dict[str, Any]) -> bool:
        """Send a frame if there is a connection; fixes of a person without one are not kept."""
        if not self.connected.is_set():
            self._figures.tick("frames_unsent")
            return False
        try:
            self._outbox.put_nowait(frame)
        except asyncio.QueueFull:
            self._figures.tick("frames_unsent")
            return False
        return True

    def follow(self, topic: str) -> None:
        self._topics[topic] = None
        if self.connected.is_set():
            self.send({"t": "follow", "topic": topic})

    def unfollow(self, topic: str) -> None:
        if topic in self._topics:
            del self._topics[topic]
            self.order.forget(topic)
            if self.connected.is_set():
                self.send({"t": "unfollow", "topic": topic})

    async def drop(self) -> None:
        """Lose the connection as a phone in a lift does; ``run`` connects again."""
        if self._socket is not None:
            await self._socket.close(code=1001)

    async def run(self) -> None:
        """Stay connected until cancelled or told not to come back."""
        wait_s = FIRST_WAIT_S
        while True:
            code: int | None = None
            try:
                code = await self._once()
            except (aiohttp.ClientError, TimeoutError, OSError) as fault:
                self._figures.problem(f"socket: {type(fault).__name__}")
            was_in = self.connected.is_set()
            self.connected.clear()
            if was_in:
                wait_s = FIRST_WAIT_S
            self._figures.tick(f"closed_{code or 'lost'}")
            if not may_return(code):
                self.closed_for_good = code
                self._figures.problem(f"socket closed for good: {code}")
                return
            await asyncio.sleep(wait_s * self._luck.uniform(0.5, 1.5))
            wait_s = min(LONGEST_WAIT_S, wait_s * 2)

    async def _once(self) -> int | None:
        token = await self._get_token()
        if not token:
            return None
        connecting = self._session.ws_connect(
            self._url, protocols=(SUBPROTOCOL,), max_msg_size=LARGEST_FRAME, timeout=aiohttp.ClientWSTimeout(ws_close=5)
        )
        async with connecting as socket:
            self._socket = socket
            await socket.send_bytes(_encoder.encode(self._hello(token)))
            beside = [asyncio.create_task(self._send(socket)), asyncio.create_task(self._renew())]
            try:
                await self._receive(socket)
            finally:
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)
                self._socket = None
            return socket.close_code

    def _hello(self, token: str) -> dict[str, Any]:
        """Each hello says the whole wish anew: one that leaves ``acks`` out ends them."""
        hello: dict[str, Any] = {"t": "hello", "token": token}
        return hello | {"acks": True} if self._wants_acks else hello

    async def _send(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            frame = await self._outbox.get()
            await socket.send_bytes(_encoder.encode(frame))

    async def _renew(self) -> None:
        """Show a newer token before the connection's time is over."""
        await self.connected.wait()
        while True:
            await asyncio.sleep(RENEW_SHARE * float(self.welcome.get("renew_ms", 900_000)) / 1000)
            token = await self._get_token()
            if token:
                self.send(self._hello(token))

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            message = await socket.receive(timeout=SILENT_S)
            if message.type is aiohttp.WSMsgType.BINARY:
                self._got(_decoder.decode(message.data))
            elif message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED):
                return
            elif message.type is aiohttp.WSMsgType.ERROR:
                raise aiohttp.ClientError(str(message.data))

    def _got(self, frame: dict[str, Any]) -> None:
        match frame.get("t"):
            case "welcome":
                self._welcomed(frame)
            case "event":
                if not self.order.event(frame["topic"], frame["offset"]):
                    self._figures.tick("events_doubled")
                    return
                self._figures.tick("events")
            case "pos":
                for row in frame["p"]:
                    self._figures.seen(row[0], row[3])
            case "followed":
                is_recovered = frame["recovered"]
                known = self.order.position(frame["topic"]) is not None
                if known:
                    self._figures.tick("resumed" if is_recovered else "resumed_by_snapshot")
                self.order.followed(frame["topic"], frame["epoch"], frame["offset"], is_recovered=is_recovered)
            case "closed":
                self._topics.pop(frame["topic"], None)
                self.order.forget(frame["topic"])
            case "refused":
                self._figures.refused_fixes[str(frame["code"])] += 1
            case "error":
                self._figures.problem(f"hub: {frame.get('code')} {frame.get('topic', '').split(':')[0]}".strip())
        self._on_frame(frame)

    def _welcomed(self, frame: dict[str, Any]) -> None:
        self.welcome = frame
        if self.connected.is_set():
            return  # the answer to a newer token
        while not self._outbox.empty():
            self._outbox.get_nowait()
        self.connected.set()
        for topic in self._topics:
            follow: dict[str, Any] = {"t": "follow", "topic": topic}
            at = self.order.position(topic)
            if at is not None:
                follow |= {"epoch": at[0], "offset": at[1]}
            self.send(follow)
