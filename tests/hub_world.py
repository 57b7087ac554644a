"""A hub behind a real HTTP server for tests, and a client with an independent WebSocket library underneath."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgpack
import tornado.httpserver
import tornado.netutil
import tornado.web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as ws_connect
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
from dispatch.model.errors import NotFound, NotPermitted, NotSignedIn, Refusal, Unavailable
from dispatch.model.event import EventKind, Publication
from dispatch.wire.hub_server import HubOptions, HubServer, Rooms
from dispatch.wire.porch import Porch
from dispatch.wire.rooms import Fences, NoFences
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
    lasts_s: float = 900.0


@dataclass(frozen=True)
class Grant:
    snapshot: Any
    watch: str | None = None


#: What a token says in these tests: ``account/role[/campus]``.
def verify(token: str) -> Who:
    if token == "bug":
        raise ZeroDivisionError
    if token == "old":
        raise NotSignedIn("over", reason="expired")
    account, mark, rest = token.partition("/")
    if not mark:
        raise NotSignedIn("no token of ours", reason="bad_token")
    role, _, campus = rest.partition("/")
    return Who(account, campus or CAMPUS, frozenset({Role(role)}))


@dataclass(frozen=True)
class Standing:
    principal: Who
    is_on_duty: bool = True
    is_tracked: bool = True
    is_busy: bool = False


@dataclass
class World:
    """The truth that followers are granted from."""

    #: what the books say of an account today, where it differs from its token
    standings: dict[str, Standing | Refusal] = field(default_factory=dict)
    asked: int = 0
    is_away: bool = False

    orders: dict[str, str] = field(default_factory=dict)  # order → runner who has it
    granted: int = 0
    rounds: list[int] = field(default_factory=list)  # how many were asked about together
    gates: list[asyncio.Event] = field(default_factory=list)  # each grant waits for the next of these, while there are

    async def ask_standings(self, whos: Sequence[Who]) -> list[Standing | Refusal]:
        self.asked += len(whos)
        if self.is_away:
            raise Unavailable()
        return [self.standings.get(who.account_id, Standing(who)) for who in whos]

    async def may_follow(self, asked: Sequence[tuple[Who, str]]) -> list[Grant | Refusal]:
        self.rounds.append(len(asked))
        return [await self._answer(who, topic, "") for who, topic in asked]

    async def read_topics(self, asked: Sequence[tuple[Who, str, str]]) -> list[Grant | Refusal]:
        self.rounds.append(len(asked))
        return [await self._answer(*one) for one in asked]

    async def _answer(self, who: Who, topic: str, datum: str) -> Grant | Refusal:
        try:
            return await self.authorize(who, topic, datum)
        except Refusal as refusal:
            return refusal

    async def authorize(self, who: Who, topic: str, datum: str) -> Grant:
        self.granted += 1
        if self.gates:
            await self.gates.pop(0).wait()
        kind, _, subject = topic.partition(":")
        if kind == "console" and Role.OPERATOR not in who.roles:
            raise NotPermitted()
        if subject == "bug":
            raise ZeroDivisionError
        if kind == "order":
            if subject not in self.orders:
                raise NotFound()
            return Grant({"order_id": subject, "granted": self.granted}, self.orders[subject])
        return Grant({"topic": topic, "datum": datum})


class Server:
    """One worker: a hub behind a real HTTP server on a free port."""

    def __init__(
        self,
        redis_url: str,
        world: Any,
        options: HubOptions,
        tls: ssl.SSLContext | None = None,
        verify_token: Callable[[str], Any] = verify,
        port: int = 0,
        *,
        has_porch: bool = True,
        fences: Fences | None = None,
    ) -> None:
        """``port`` 0: any that is free. ``has_porch`` False: every handshake is Tornado's, as with TLS."""
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
                verify_token=verify_token, may_follow=world.may_follow, read_topics=world.read_topics,
                ask_standings=world.ask_standings, lasts_s=lambda who: getattr(who, "lasts_s", 900.0),
                new_connection_id=lambda: f"con_{next(ids)}",
                fences=fences or NoFences(),
            ),
            options,
        )  # fmt: skip
        application = tornado.web.Application([("/ws", UpgradeHandler, {"server": self.hub})])
        self.http = tornado.httpserver.HTTPServer(application, ssl_options=tls)
        (listener,) = tornado.netutil.bind_sockets(port, "127.0.0.1")
        self.port = listener.getsockname()[1]
        self.porch: Porch | None = None
        if tls is None and has_porch:
            self.porch = Porch(listener, self.http, self.hub, lambda peer, _: peer)
        else:
            self.http.add_sockets([listener])
        self.tls = tls

    async def start(self) -> None:
        await self.bus.start()
        await self.hub.start()
        if self.porch is not None:
            self.porch.start()

    def stop_listening(self) -> None:
        if self.porch is not None:
            self.porch.stop()
        self.http.stop()

    async def stop(self) -> None:
        self.stop_listening()
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
    async with ws_connect(server.url, subprotocols=protocols, ssl=tls, max_queue=None, **more) as socket:
        client = Client(socket)
        if token:
            await client.hello(token)
        yield client


OPTIONS = HubOptions(drain_s=0.2, close_timeout_s=1)


@contextlib.asynccontextmanager
async def running(
    redis_url: str, world: World, options: HubOptions = OPTIONS, tls: ssl.SSLContext | None = None, **more: Any
) -> AsyncIterator[Server]:
    server = Server(redis_url, world, options, tls, **more)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def now_ms(server: Server) -> int:
    return int(server.clock.now().timestamp() * 1000)


def event(number: int, topic: str, kind: EventKind = EventKind.ORDER_PAID, **more: Any) -> Any:
    return (f"evt_{number}", number, AT_MS + number, Publication(topic, kind, {"n": number}, **more))


async def follow(client: Client, topic: str, **more: Any) -> dict[str, Any]:
    await client.send(t="follow", topic=topic, **more)
    return await client.until("followed", topic=topic)


def make_tls_context(folder: Path) -> ssl.SSLContext:
    """A server's context with a certificate of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = folder / "both.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context
