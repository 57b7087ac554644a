"""Somebody's socket: signs in, follows topics, comes back with offset and epoch, and notices every hole."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import aiohttp
import msgspec

from .figures import Figures, TopicOrder
from .fix_queue import FixQueue
from .pauses import Pauses, asked_by_header_s, asked_by_reason_s, may_return
from .websocket_bytes import SUBPROTOCOL

MOST_WAITING = 2000
LARGEST_FRAME = 8 * 1024 * 1024
OPEN_S = 15.0
#: A server that sends nothing for so long, not even a ping, is taken for gone.
SILENT_S = 60.0
#: After so long a connection has gone well: the next pause is a short one.
STEADY_S = 10.0
RENEW_SHARE = 0.7
#: A token opens connections for a while: who is turned away or comes back need not ask for another each time. How long
#: it lasts is known from the first welcome on; of that, so much is left unused.
TOKEN_GOOD_S = 45.0
TOKEN_MARGIN = 0.1
TOKEN_EXPIRED = 4002
#: A follow that the server could not answer now is asked again after so long, and up to as long again.
ASK_AGAIN_S = 2.0
FOR_LATER = frozenset({"unavailable", "too_many"})
MOST_IDS = 64

OnFrame = Callable[[dict[str, Any]], None]
Box = tuple[float, float, float, float]

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True)
class Ending:
    """How a connection ended, or why none came about (``is_refused``); ``asked_s``: stay away at least so long."""

    code: int | None = None
    asked_s: float = 0.0
    is_refused: bool = False


@dataclass(slots=True)
class _Topic:
    view: dict[str, Any] = field(default_factory=dict)
    asked: int = 0  # the number of the follow that waits for its answer
    ids: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_IDS))
    newest: dict[str, int] = field(default_factory=dict)  # runner → fixed_at_ms


class HubClient:
    """One connection that is kept up. ``on_frame`` gets every frame but events that were heard already."""

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
        self._topics: dict[str, _Topic] = {}
        self._requests = 0
        self._token = ""
        self._token_until_s = 0.0
        self._later: set[asyncio.TimerHandle] = set()
        self.fixes = FixQueue(self.send, is_acked=wants_acks)
        self.order = TopicOrder()
        self.welcome: dict[str, Any] = {}
        self.connected = asyncio.Event()
        self.closed_for_good: int | None = None

    # --- what is said

    def send(self, frame: dict[str, Any]) -> bool:
        """Send a frame if there is a connection and room before it; nothing is kept. Fixes that are to be kept
        through a gap go to ``report``."""
        if not self.connected.is_set():
            self._figures.tick("frames_unsent")
            return False
        try:
            self._outbox.put_nowait(frame)
        except asyncio.QueueFull:
            self._figures.tick("frames_unsent")
            return False
        return True

    def report(self, fix: dict[str, Any]) -> bool:
        """A fix without ``t`` and ``seq``: sent now, which is what is given back, or kept and sent after the gap."""
        return self.fixes.report(fix)

    def follow(self, topic: str, *, every_ms: int | None = None, box: Box | None = None) -> None:
        """Follow a topic through every connection until ``unfollow``; of positions so often, and within that box."""
        self._topics[topic] = _Topic(_view(every_ms, box))
        if self.connected.is_set():
            self._ask(topic)

    def view(self, topic: str, *, every_ms: int | None = None, box: Box | None = None) -> None:
        """Another rhythm or box for a topic that is followed; it replaces the one before as a whole."""
        self._topics[topic].view = _view(every_ms, box)
        if self.connected.is_set():
            self.send({"t": "view", "topic": topic, **self._topics[topic].view})

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

    def _ask(self, topic: str) -> None:
        self._requests += 1
        known = self._topics[topic]
        known.asked = self._requests
        follow: dict[str, Any] = {"t": "follow", "re": self._requests, "topic": topic, **known.view}
        at = self.order.position(topic)
        if at is not None and at[0]:
            follow |= {"epoch": at[0], "offset": at[1]}
        self.send(follow)

    def _ask_later(self, topic: str, asked: int) -> None:
        def ask() -> None:
            self._later.discard(handle)
            known = self._topics.get(topic)
            if known is not None and known.asked == asked and self.connected.is_set():
                self._ask(topic)

        handle = asyncio.get_running_loop().call_later(ASK_AGAIN_S * self._luck.uniform(1.0, 2.0), ask)
        self._later.add(handle)

    # --- the connection

    async def run(self) -> None:
        """Stay connected until cancelled or told not to come back."""
        pauses = Pauses(self._luck)
        try:
            while True:
                began_s = time.monotonic()
                ending = await self._once()
                was_in = self.connected.is_set()
                self.connected.clear()
                self.fixes.pause()
                self._figures.tick(f"closed_{ending.code or 'lost'}")
                if not may_return(ending.code):
                    self.closed_for_good = ending.code
                    self._figures.problem(f"socket closed for good: {ending.code}")
                    return
                if ending.code == TOKEN_EXPIRED:
                    self._token_until_s = 0.0
                if was_in and time.monotonic() - began_s > STEADY_S:
                    pauses.reset()
                await asyncio.sleep(pauses.next_s(is_refused=ending.is_refused, asked_s=ending.asked_s))
        finally:
            self.connected.clear()
            for handle in self._later:
                handle.cancel()

    async def _once(self) -> Ending:
        """One connection from its handshake to its end."""
        try:
            token = await self._good_token()
            if not token:
                return Ending(is_refused=True)
            async with asyncio.timeout(OPEN_S):
                socket = await self._session.ws_connect(
                    self._url,
                    protocols=(SUBPROTOCOL,),
                    max_msg_size=LARGEST_FRAME,
                    timeout=aiohttp.ClientWSTimeout(ws_close=5),
                )
        except aiohttp.WSServerHandshakeError as refused:
            self._figures.tick(f"handshake_{refused.status}")
            if refused.status != 503:
                self._figures.problem(f"socket: handshake {refused.status}")
            asked_s = asked_by_header_s(refused.headers.get("Retry-After") if refused.headers else None)
            return Ending(asked_s=asked_s, is_refused=True)
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            self._figures.problem(f"socket: {type(fault).__name__}")
            return Ending(is_refused=True)
        try:
            async with socket:
                return await self._live(socket, token)
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            self._figures.problem(f"socket: {type(fault).__name__}")
            return Ending()

    async def _live(self, socket: aiohttp.ClientWebSocketResponse, token: str) -> Ending:
        self._socket = socket
        await socket.send_bytes(_encoder.encode(self._hello(token)))
        beside = [asyncio.create_task(self._send(socket)), asyncio.create_task(self._renew())]
        try:
            return await self._receive(socket)
        finally:
            self._socket = None
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _good_token(self, *, is_new: bool = False) -> str:
        """One that still opens a connection; one that was not used up saves the server a question."""
        if is_new or time.monotonic() >= self._token_until_s:
            self._token = await self._get_token()
            self._token_until_s = time.monotonic() + (TOKEN_GOOD_S if self._token else 0.0)
        return self._token

    def _hello(self, token: str) -> dict[str, Any]:
        """Each hello says the whole wish anew: one that leaves ``acks`` out ends them."""
        hello: dict[str, Any] = {"t": "hello", "token": token}
        return hello | {"acks": True} if self._wants_acks else hello

    async def _send(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        with contextlib.suppress(ConnectionError):  # the receiving side says so as well
            while True:
                frame = await self._outbox.get()
                await socket.send_bytes(_encoder.encode(frame))

    async def _renew(self) -> None:
        """Show a newer token before the connection's time is over; not everybody at once who came at once."""
        await self.connected.wait()
        while True:
            lasts_s = float(self.welcome.get("renew_ms", 900_000)) / 1000
            await asyncio.sleep(RENEW_SHARE * lasts_s * self._luck.uniform(0.9, 1.0))
            token = await self._good_token(is_new=True)
            if token:
                self.send(self._hello(token))

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> Ending:
        while True:
            message = await socket.receive(timeout=SILENT_S)
            if message.type is aiohttp.WSMsgType.BINARY:
                self._got(_decoder.decode(message.data))
            elif message.type is aiohttp.WSMsgType.CLOSE:
                return Ending(int(message.data), asked_by_reason_s(message.extra or ""))
            elif message.type in (aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED):
                return Ending(socket.close_code)
            elif message.type is aiohttp.WSMsgType.ERROR:
                raise aiohttp.ClientError(str(message.data))

    # --- what is heard

    def _got(self, frame: dict[str, Any]) -> None:
        match frame.get("t"):
            case "welcome":
                self._welcomed(frame)
            case "event":
                if not self._is_news(frame):
                    return
                self._figures.tick("events")
            case "pos":
                self._seen(frame)
            case "followed":
                self._followed(frame)
            case "closed":
                self._topics.pop(frame["topic"], None)
                self.order.forget(frame["topic"])
            case "gone":
                self._gone(frame)
            case "ack":
                self.fixes.acknowledge(frame["seq"])
            case "refused":
                self._figures.refused_fixes[str(frame["code"])] += 1
            case "error":
                self._refused(frame)
        self._on_frame(frame)

    def _is_news(self, frame: dict[str, Any]) -> bool:
        """Whether nobody heard of this event yet. One that comes after a hole waits until the server has told again
        what lies in it; the hole is counted."""
        topic, offset, known = frame["topic"], frame["offset"], self._topics.get(frame["topic"])
        at = self.order.position(topic)
        if known is not None and at is not None and at[0] and offset > at[1] + 1:
            if not known.asked:
                self.order.holes += 1
                self._ask(topic)
            return False
        if not self.order.event(topic, offset):
            self._figures.tick("events_doubled")
            return False
        if known is None:
            return True
        if frame["id"] in known.ids:
            self._figures.tick("events_repeated")
            return False
        known.ids.append(frame["id"])
        return True

    def _seen(self, frame: dict[str, Any]) -> None:
        """A watcher has positions before it: one older than what it shows is not shown."""
        known = self._topics.get(frame["topic"])
        if known is None:
            return
        newest = known.newest
        for row in frame["p"]:
            runner, fixed_at_ms = row[0], row[3]
            if fixed_at_ms > newest.get(runner, -1):
                newest[runner] = fixed_at_ms
                self._figures.seen(runner, fixed_at_ms)
            elif fixed_at_ms < newest[runner]:
                self._figures.tick("positions_back")

    def _gone(self, frame: dict[str, Any]) -> None:
        known = self._topics.get(frame["topic"])
        if known is not None:
            for runner in frame["runners"]:
                known.newest.pop(runner, None)

    def _followed(self, frame: dict[str, Any]) -> None:
        topic, is_recovered = frame["topic"], frame["recovered"]
        known = self._topics.get(topic)
        if known is not None:
            known.asked = 0
            if not is_recovered:
                known.newest.clear()
        if self.order.position(topic) is not None:
            self._figures.tick("resumed" if is_recovered else "resumed_by_snapshot")
        self.order.followed(topic, frame["epoch"], frame["offset"], is_recovered=is_recovered)

    def _refused(self, frame: dict[str, Any]) -> None:
        code, topic = frame.get("code"), frame.get("topic", "")
        known = self._topics.get(topic)
        if known is not None and known.asked and frame.get("re") == known.asked and code in FOR_LATER:
            self._figures.tick("follows_put_off")
            self._ask_later(topic, known.asked)
            return
        self._figures.problem(f"hub: {code} {topic.split(':')[0]}".strip())

    def _welcomed(self, frame: dict[str, Any]) -> None:
        self.welcome = frame
        self._token_until_s = time.monotonic() + (1.0 - TOKEN_MARGIN) * float(frame["renew_ms"]) / 1000
        if self.connected.is_set():
            return  # the answer to a newer token
        while not self._outbox.empty():
            self._outbox.get_nowait()
        self.connected.set()
        for topic in self._topics:
            self._ask(topic)
        self.fixes.resume()


def _view(every_ms: int | None, box: Box | None) -> dict[str, Any]:
    wish: dict[str, Any] = {"every_ms": every_ms} if every_ms is not None else {}
    return wish | {"box": list(box)} if box is not None else wish
