"""A whole server in this process - real SQL, real Redis, the sandbox's payments - and people who use it over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from dispatch.access.tokens import Tokens
from dispatch.clock import Clock, real_clock
from dispatch.flow.apply_payments import apply_payments
from dispatch.flow.apply_withdrawals import apply_withdrawals
from dispatch.flow.campus_ground import CampusGrounds
from dispatch.flow.context import Context, Options
from dispatch.flow.manage_accounts import create_account
from dispatch.flow.send_commands import send_commands
from dispatch.flow.sign_in import open_session
from dispatch.live.bus import Bus
from dispatch.live.connect import connect
from dispatch.live.counters import Counters
from dispatch.live.notes import Notes
from dispatch.live.presence import Presence
from dispatch.live.tracks import Tracks
from dispatch.model import ids
from dispatch.model.account import Account, Role
from dispatch.model.campus import Campus, CampusSettings
from dispatch.model.ids import NewId, make_id
from dispatch.store.store import Store
from dispatch.store.vault import Vault
from dispatch.web import WebSettings, make_application
from dispatch.web.under_way import UnderWay
from geo.demo_campus import demo_campus
from payments.channels.sandbox import shape
from payments.sandboxed import SandboxedPayments

API = "/api/v1"


class KeptMessages:
    """The SMS provider's side: remembers what it was asked to send."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, dict[str, str]]] = []

    async def send(self, phone: str, template: str, params: Mapping[str, str]) -> None:
        self.sent.append((phone, template, dict(params)))

    async def close(self) -> None:
        return None

    def code(self) -> str:
        return self.sent[-1][2]["code"]


@dataclass
class RealTime:
    """Real time that a test may move forward."""

    shift_s: float = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time() + self.shift_s, UTC)


@dataclass
class ShiftedClock:
    """Business time that a test may move forward."""

    inner: Clock
    real: RealTime

    @property
    def rate(self) -> float:
        return self.inner.rate

    def now(self) -> datetime:
        return self.real.now()

    def monotonic_s(self) -> float:
        return self.inner.monotonic_s() + self.real.shift_s

    def real_s(self, business_s: float) -> float:
        return self.inner.real_s(business_s)


@dataclass
class Answer:
    """What the server said."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        """The stable code of an error, None for anything else."""
        return self.json["error"]["code"] if self.status >= 400 else None


@dataclass
class Person:
    """Somebody with an account and a bearer token."""

    account: Account
    token: str
    campus_id: str
    session_id: str

    @property
    def id(self) -> str:
        return self.account.id


@dataclass
class House:
    """The server and the ways to it."""

    ctx: Context
    url: str
    http: aiohttp.ClientSession
    sms: KeptMessages
    time: RealTime
    payments: SandboxedPayments
    campus_id: str
    other_campus_id: str
    numbers: list[int] = field(default_factory=lambda: [0])
    under_way: UnderWay = field(default_factory=UnderWay)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        who: Person | str | None = None,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request. ``path`` under the API unless it begins with ``//``."""
        url = self.url + (path[1:] if path.startswith("//") else API + path)
        sent = dict(headers or {})
        if who is not None:
            sent["Authorization"] = f"Bearer {who.token if isinstance(who, Person) else who}"
        data = raw
        if body is not None:
            data = json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        async with self.http.request(method, url, data=data, headers=sent, allow_redirects=False) as response:
            return Answer(response.status, response.headers, await response.read())

    async def person(self, *roles: Role, campus_id: str | None = None) -> Person:
        """A new account with these roles, signed in."""
        self.numbers[0] += 1
        at = campus_id or self.campus_id
        phone = f"138{self.numbers[0]:08d}"
        account = await create_account(self.ctx, at, phone, f"人{self.numbers[0]}", frozenset(roles))
        session = await open_session(self.ctx, account.id, at)
        who = self.ctx.tokens.access(session.access_token)
        return Person(account, session.access_token, at, who.session_id)

    async def work(self) -> None:
        """Let what waits in the queues between orders and payments be done."""
        for _ in range(6):
            await send_commands(self.ctx)
            while await self.payments.work():
                pass
            await apply_payments(self.ctx)
            await apply_withdrawals(self.ctx)

    async def quote_body(self) -> dict[str, Any]:
        places = (await self.call("GET", f"/campuses/{self.campus_id}/places")).json
        stops = [{"place_id": places[0]["id"]}, {"place_id": places[1]["id"], "detail": "501", "contact_name": "王"}]
        return {"type_code": "parcel", "stops": stops, "weight_g": 500}

    async def place(self, student: Person, key: str = "k") -> dict[str, Any]:
        """Place an order, not yet paid."""
        body = await self.quote_body()
        quote = await self.call("POST", "/quotes", body, who=student)
        assert quote.status == 200, quote.body
        body |= {"description": "取快递,谢谢", "expected_total_fen": quote.json["total_fen"]}
        placed = await self.call("POST", "/orders", body, who=student, headers={"Idempotency-Key": key})
        assert placed.status == 202, placed.body
        await self.work()
        return dict(placed.json)

    async def paid(self, student: Person, key: str = "k") -> dict[str, Any]:
        """Place an order and pay it."""
        order = await self.place(student, key)
        view = (await self.call("GET", f"/orders/{order['id']}", who=student)).json
        token = view["payment"]["credential"]["token"]
        answer = await self.call("POST", "/sandbox/pay", {"token": token}, who=student)
        assert answer.status == 202, answer.body
        await self.work()
        view = (await self.call("GET", f"/orders/{order['id']}", who=student)).json
        assert view["status"] == "open", view
        return dict(view)

    async def carried(self, student: Person, runner: Person, key: str = "k") -> dict[str, Any]:
        """An order that the runner took from the hall."""
        order = await self.paid(student, key)
        duty = await self.call("POST", "/runner/duty", {"is_on": True}, who=runner)
        assert duty.status == 200, duty.body
        taken = await self.call("POST", f"/orders/{order['id']}/grab", {}, who=runner)
        assert taken.status == 200, taken.body
        return dict(taken.json)


@asynccontextmanager
async def open_house(
    database_url: str, payments_url: str, bank_url: str, redis_url: str, *, web: WebSettings | None = None
) -> AsyncIterator[House]:
    """Everything that one process of the server has, without the hub and the loops."""
    real = RealTime()
    clock = ShiftedClock(real_clock(), real)

    def new_id(prefix: str) -> str:
        return make_id(prefix, clock.now(), os.urandom(10))

    async with AsyncExitStack() as stack:
        redis = connect(redis_url)
        stack.push_async_callback(redis.aclose)
        store = Store(database_url, now=clock.now, new_id=new_id, vault=Vault({"1": b"d" * 32}, "1", b"l" * 32))
        store.migrate()
        await store.start()
        stack.push_async_callback(store.stop)
        shapes = (shape("sandbox"), shape("sandbox_backup"))
        payments = SandboxedPayments(payments_url, bank_url, clock.now, new_id, b"s" * 32, shapes=shapes)
        await payments.migrate()
        await payments.start()
        stack.push_async_callback(payments.stop)
        sms = KeptMessages()
        ctx = Context(
            store=store, payments=payments, presence=Presence(redis), tracks=Tracks(redis),
            counters=Counters(redis, lambda: real.now().timestamp()), notes=Notes(redis), bus=Bus(redis, "test"),
            grounds=CampusGrounds(store, clock), clock=clock, new_id=new_id,
            tokens=Tokens({"1": b"t" * 32}, "1", real.now), sms=sms, options=Options(), sandbox=payments.bank,
        )  # fmt: skip
        if not await store.read_global(lambda unit: unit.campuses.all()):
            await _found_campuses(store, clock.now(), new_id)
        campuses = [campus.id for campus in await store.read_global(lambda unit: unit.campuses.all())]
        under_way = UnderWay()
        application = make_application(
            ctx, settings=web or WebSettings(), under_way=under_way,
            checks={"database": lambda: store.read_global(lambda unit: unit.campuses.all()), "redis": redis.ping},
        )  # fmt: skip
        server = HTTPServer(application, max_body_size=2_200_000, max_header_size=32_768)
        sockets = bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        stack.push_async_callback(server.close_all_connections)
        stack.callback(server.stop)
        url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
        http = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        yield House(ctx, url, http, sms, real, payments, *campuses, under_way=under_way)


async def _found_campuses(store: Store, now: datetime, new_id: NewId) -> None:
    raw = await asyncio.to_thread(lambda: demo_campus().to_bytes())
    for name in ("一号校区", "二号校区"):
        campus = Campus(new_id(ids.CAMPUS), name, CampusSettings(), now)
        await store.run_global(lambda unit, campus=campus: unit.campuses.insert(campus, raw))


_FILES = ("dispatch", "payments", "bank")


def _urls(folder: Path) -> list[str]:
    return [f"sqlite:///{folder}/{name}.db" for name in _FILES]


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory, redis_server: Any) -> Path:
    """A folder with the databases of a server that has two campuses and nobody on them; tests copy it."""
    folder = tmp_path_factory.mktemp("founded")

    async def found() -> None:
        async with open_house(*_urls(folder), redis_server.url):
            return

    asyncio.run(found())
    return folder


@pytest.fixture
def urls(founded: Path, tmp_path: Path) -> list[str]:
    """Databases of the test's own."""
    for name in _FILES:
        shutil.copy(founded / f"{name}.db", tmp_path)
    return _urls(tmp_path)


@pytest.fixture
async def house(urls: list[str], redis_url: str) -> AsyncIterator[House]:
    """A server on SQLite."""
    async with open_house(*urls, redis_url) as opened:
        yield opened


@pytest.fixture
def open_a_house(urls: list[str], redis_url: str) -> Callable[..., Any]:
    """Opens servers with settings of the test's own."""
    return lambda **more: open_house(*urls, **{"redis_url": redis_url, **more})
