"""The load test's connection against a server that misbehaves on purpose: holes, doubles, steps back, refusals."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from loadtest.figures import Figures
from loadtest.hub_client import SUBPROTOCOL, HubClient

TOPIC = "order:ord_1"
WELCOME = {"t": "welcome", "renew_ms": 900_000, "report_every_ms": 5000, "time_scale": 1.0, "now_ms": 0}
PATIENCE_S = 15


class Line:
    """The server's side of one connection."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def hear(self, kind: str) -> dict[str, Any]:
        """The next frame of that kind."""
        while True:
            frame: dict[str, Any] = msgspec.msgpack.decode(await self._socket.receive_bytes())
            if frame["t"] == kind:
                return frame

    async def say(self, **frame: Any) -> None:
        await self._socket.send_bytes(msgspec.msgpack.encode(frame))

    async def welcome(self) -> dict[str, Any]:
        """Let the client in; gives the first thing that it follows."""
        await self.hear("hello")
        await self.say(**WELCOME)
        return await self.hear("follow")

    async def followed(self, offset: int, *, recovered: bool = False) -> None:
        await self.say(t="followed", topic=TOPIC, recovered=recovered, offset=offset, epoch="e")

    async def event(self, offset: int, event_id: str = "") -> None:
        await self.say(t="event", topic=TOPIC, offset=offset, id=event_id or f"evt_{offset}", kind="k", at=0, data={})

    async def positions(self, *rows: tuple[str, int]) -> None:
        await self.say(t="pos", topic=TOPIC, p=[[r, 30.0, 114.0, at, None, None, None, at] for r, at in rows])

    async def close(self, code: int, reason: str) -> None:
        await self._socket.close(code=code, message=reason.encode())


Script = Callable[[Line], Awaitable[None]]


class Scripted:
    """One script per connection, in turn; ``asked_s``: when each handshake came."""

    def __init__(self, *scripts: Script | int) -> None:
        self._scripts = list(scripts)
        self.asked_s: list[float] = []
        self.done = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked_s.append(time.monotonic())
        script = self._scripts.pop(0)
        if isinstance(script, int):
            return web.Response(status=script, headers={"Retry-After": "1"})
        socket = web.WebSocketResponse(protocols=(SUBPROTOCOL,))
        await socket.prepare(request)
        await script(Line(socket))
        if not self._scripts:
            self.done.set()
            with contextlib.suppress(TypeError):
                while True:
                    await socket.receive_bytes()
        return socket


@contextlib.asynccontextmanager
async def client_of(scripted: Scripted) -> AsyncIterator[tuple[HubClient, Figures, list[dict[str, Any]]]]:
    application = web.Application()
    application.router.add_get("/ws", scripted.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert runner.addresses
    heard: list[dict[str, Any]] = []
    figures = Figures(time.perf_counter)

    async def token() -> str:
        return "token"

    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        client = HubClient(session, url, token, heard.append, figures, Random(1))
        client.follow(TOPIC)
        running = asyncio.create_task(client.run())
        try:
            yield client, figures, heard
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await runner.cleanup()


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.01)


def offsets(heard: list[dict[str, Any]]) -> list[int]:
    return [frame["offset"] for frame in heard if frame["t"] == "event"]


async def test_a_hole_is_counted_and_filled() -> None:
    again: list[dict[str, Any]] = []

    async def loses_one(line: Line) -> None:
        await line.welcome()
        await line.followed(0)
        for offset in (1, 3, 4):
            await line.event(offset)
        again.append(await line.hear("follow"))
        await line.followed(4, recovered=True)
        for offset in (2, 3, 4, 5):
            await line.event(offset)

    async with client_of(Scripted(loses_one)) as (client, figures, heard):
        await until(lambda: len(offsets(heard)) == 5)
        assert offsets(heard) == [1, 2, 3, 4, 5]
        assert (again[0]["offset"], again[0]["epoch"]) == (1, "e")
        assert client.order.holes == 1, "it was there, however well it healed"
        assert figures.counts["resumed"] == 1


async def test_what_comes_twice_is_heard_once() -> None:
    async def doubles(line: Line) -> None:
        await line.welcome()
        await line.followed(0)
        for offset, event_id in ((1, "a"), (1, "a"), (2, "b"), (3, "a"), (4, "c")):
            await line.event(offset, event_id)

    async with client_of(Scripted(doubles)) as (_, figures, heard):
        await until(lambda: 4 in offsets(heard))
        assert offsets(heard) == [1, 2, 4]
        assert (figures.counts["events_doubled"], figures.counts["events_repeated"]) == (1, 1)


async def test_a_position_that_is_older_is_noticed_and_not_counted_as_seen() -> None:
    async def goes_back(line: Line) -> None:
        await line.welcome()
        await line.followed(0)
        await line.positions(("r", 10), ("s", 5))
        await line.positions(("r", 9), ("s", 5), ("s", 6))
        await line.say(t="gone", topic=TOPIC, runners=["r"])
        await line.positions(("r", 9))
        await line.event(1)

    async with client_of(Scripted(goes_back)) as (_, figures, heard):
        await until(lambda: offsets(heard))
        assert (figures.counts["positions_back"], figures.counts["fixes_seen"]) == (1, 4)


async def test_a_follow_that_cannot_be_answered_now_is_asked_again() -> None:
    async def is_busy(line: Line) -> None:
        first = await line.welcome()
        await line.say(t="error", code="unavailable", message="busy", topic=TOPIC, re=first["re"])
        await line.hear("follow")
        await line.followed(0)
        await line.event(1)

    async with client_of(Scripted(is_busy)) as (_, figures, heard):
        await until(lambda: offsets(heard))
        assert figures.counts["follows_put_off"] == 1 and not figures.errors


async def test_it_stays_away_as_long_as_it_is_told_and_for_good_when_it_is_told() -> None:
    async def drains(line: Line) -> None:
        await line.welcome()
        await line.close(4000, "server_drain retry_ms=1500")

    async def blocks(line: Line) -> None:
        await line.hear("hello")
        await line.close(4501, "account_blocked")

    scripted = Scripted(drains, 503, blocks)
    async with client_of(scripted) as (client, figures, _):
        await until(lambda: client.closed_for_good)
        assert client.closed_for_good == 4501
        first, second, third = scripted.asked_s
        assert 1.5 <= second - first < 3.5, "what was asked for and a second of jitter at most"
        assert 1.0 <= third - second < 5.5, "Retry-After, and up to four seconds for a second attempt"
        assert figures.counts["closed_4000"] == 1 and figures.counts["handshake_503"] == 1
        assert list(figures.errors) == ["socket closed for good: 4501"]
