"""The hub over real sockets and a real Redis, spoken to by an independent WebSocket client."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgpack
import pytest
import tornado.httpserver
import tornado.netutil
import tornado.web
from websockets.asyncio.client import ClientConnection, connect as ws_connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from dispatch.clock import real_clock
from dispatch.flow.track_runner import LiveTable
from dispatch.live.bus import Bus
from dispatch.live.connect import connect
from dispatch.live.presence import Presence
from dispatch.live.resume_streams import ResumeStreams
from dispatch.live.tracks import Tracks
from dispatch.model.account import Role
from dispatch.model.errors import NotFound, NotPermitted, NotSignedIn
from dispatch.model.event import EventKind, Publication
from dispatch.wire.hub_server import HubOptions, HubServer, Rooms
from dispatch.wire.upgrade import UpgradeHandler
from geo.redis_index import RedisGeoIndex

CAMPUS = "cmp_1"
JSON, MSGPACK = "campus.v1.json", "campus.v1.msgpack"
AT_MS = 1_000
Eventually = Callable[..., Awaitable[object]]


@dataclass(frozen=True)
class Who:
    account_id: str
    campus_id: str = CAMPUS
    roles: frozenset[Role] = frozenset({Role.STUDENT})
    session_id: str = "ses_1"
    expires_at: datetime = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Grant:
    snapshot: Any
    watch: str | None = None


#: What a token says in these tests: ``account/role[/campus]``.
def verify(token: str) -> Who:
    if token == "old":
        raise NotSignedIn("over", reason="expired")
    account, mark, rest = token.partition("/")
    if not mark:
        raise NotSignedIn("no token of ours", reason="bad_token")
    role, _, campus = rest.partition("/")
    return Who(account, campus or CAMPUS, frozenset({Role(role)}))


@dataclass
class World:
    """The truth that followers are granted from."""

    orders: dict[str, str] = field(default_factory=dict)  # order → runner who has it
    granted: int = 0

    async def authorize(self, who: Who, topic: str, datum: str) -> Grant:
        self.granted += 1
        kind, _, subject = topic.partition(":")
        if kind == "console" and Role.OPERATOR not in who.roles:
            raise NotPermitted()
        if kind == "order":
            if subject not in self.orders:
                raise NotFound()
            return Grant({"order_id": subject, "granted": self.granted}, self.orders[subject])
        return Grant({"topic": topic, "datum": datum})


class Server:
    """One worker: a hub behind a real HTTP server on a free port."""

    def __init__(self, redis_url: str, world: World, options: HubOptions, tls: ssl.SSLContext | None = None) -> None:
        self.redis = connect(redis_url)
        self.clock = real_clock()
        ids = itertools.count(1)
        self.table = LiveTable()
        self.bus = Bus(self.redis, f"worker-{id(self)}")
        self.streams = ResumeStreams(self.redis)
        self.presence = Presence(self.redis)
        self.hub = HubServer(
            Rooms(
                clock=self.clock, bus=self.bus, presence=self.presence, tracks=Tracks(self.redis),
                streams=self.streams, index_of=lambda campus: RedisGeoIndex(self.redis, campus), table=self.table,
                verify_token=verify, authorize=world.authorize, new_connection_id=lambda: f"con_{next(ids)}",
            ),
            options,
        )  # fmt: skip
        application = tornado.web.Application([("/ws", UpgradeHandler, {"server": self.hub})])
        self.http = tornado.httpserver.HTTPServer(application, ssl_options=tls)
        sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
        self.http.add_sockets(sockets)
        self.port = sockets[0].getsockname()[1]
        self.tls = tls

    async def start(self) -> None:
        await self.bus.start()
        await self.hub.start()

    async def stop(self) -> None:
        self.http.stop()
        await self.hub.stop()
        await self.bus.stop()
        await self.redis.aclose()

    @property
    def url(self) -> str:
        return f"{'wss' if self.tls else 'ws'}://127.0.0.1:{self.port}/ws"


class Client:
    """A client of the protocol, with an independent library underneath."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.is_json = socket.subprotocol != MSGPACK

    async def send(self, **frame: Any) -> None:
        await self.socket.send(json.dumps(frame) if self.is_json else msgpack.packb(frame))

    async def receive(self, timeout_s: float = 5.0) -> dict[str, Any]:
        raw = await asyncio.wait_for(self.socket.recv(), timeout_s)
        assert isinstance(raw, str) is self.is_json
        frame: dict[str, Any] = json.loads(raw) if self.is_json else msgpack.unpackb(raw)  # type: ignore[arg-type]
        return frame

    async def until(self, kind: str, timeout_s: float = 5.0, **having: Any) -> dict[str, Any]:
        """The next frame of that kind, whatever comes before it."""
        async with asyncio.timeout(timeout_s):
            while True:
                frame = await self.receive(timeout_s)
                if frame["t"] == kind and all(frame.get(name) == value for name, value in having.items()):
                    return frame

    async def hello(self, token: str, **more: Any) -> dict[str, Any]:
        await self.send(t="hello", token=token, **more)
        return await self.until("welcome")

    async def close_code(self, timeout_s: float = 5.0) -> int:
        with contextlib.suppress(ConnectionClosed):
            async with asyncio.timeout(timeout_s):
                while True:
                    await self.socket.recv()
        assert self.socket.close_code is not None
        return self.socket.close_code


@contextlib.asynccontextmanager
async def dial(server: Server, subprotocol: str = JSON, token: str | None = None, **more: Any) -> AsyncIterator[Client]:
    protocols = [Subprotocol(subprotocol)] if subprotocol else None
    tls = None
    if server.tls is not None:
        tls = ssl.create_default_context()
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    async with ws_connect(server.url, subprotocols=protocols, ssl=tls, **more) as socket:
        client = Client(socket)
        if token:
            await client.hello(token)
        yield client


@pytest.fixture
def world() -> World:
    return World()


OPTIONS = HubOptions(drain_s=0.2, close_timeout_s=1)


@pytest.fixture
async def server(redis_url: str, world: World) -> AsyncIterator[Server]:
    server = Server(redis_url, world, OPTIONS)
    await server.start()
    yield server
    await server.stop()


def now_ms(server: Server) -> int:
    return int(server.clock.now().timestamp() * 1000)


def event(number: int, topic: str, kind: EventKind = EventKind.ORDER_PAID, **more: Any) -> Any:
    return (f"evt_{number}", number, AT_MS + number, Publication(topic, kind, {"n": number}, **more))


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
