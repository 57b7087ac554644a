"""Every channel that ships, each before its simulator, with a merchant's server and a payer: for tests of promises."""

from __future__ import annotations

import atexit
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import msgspec
from aiohttp import ClientSession, web

from payments.channels.alipay import AlipayChannel
from payments.channels.alipay_config import AlipayConfig
from payments.channels.campus_card import CampusCardChannel
from payments.channels.campus_card_config import CampusCardConfig
from payments.channels.edupay import EduPayChannel, EduPayConfig
from payments.channels.unionpay import UnionpayChannel
from payments.channels.unionpay_config import UnionpayConfig
from payments.channels.wechat import WechatChannel
from payments.channels.wechat_config import SceneReport, WechatConfig
from payments.money import Fen
from payments.outcomes import BadNotice, Issued, MoneyAnswer, OrderToCreate, PaidNotice
from payments.simulator.channels import builders
from payments.simulator.house import House, Plan
from payments.simulator.order_book import OrderBook
from tests.simulator_house import Merchant, admin, running, until

PAYER = {"openid": "oStudent", "client_ip": "203.0.113.9", "contract_id": "CONTRACT1", "campus_card_token": "CARD1"}
ACCOUNTS = {"campus": "2088000000000001", "runner": "2088000000000002"}

#: The kinds of channels, and whose simulator each talks to.
KINDS: dict[str, str] = {
    "wechat": "wechat",
    "edupay": "wechat",
    "alipay_qr": "alipay",
    "alipay_page": "alipay",
    "alipay_freeze": "alipay",
    "unionpay_page": "unionpay",
    "unionpay_app": "unionpay",
    "campus_card": "campus_card",
}


@lru_cache(maxsize=1)
def keys_of_all() -> Path:
    """A state file with the keys of every provider."""
    path = Path(mkdtemp(prefix="simulator-keys-")) / "state.db"
    atexit.register(shutil.rmtree, path.parent, ignore_errors=True)
    # A card centre has a key pair only where the merchant wants RSA; once made, it does no harm to the others.
    House(Plan(state=path, channels=tuple(builders()), options={"campus_card": {"algorithm": "RSA-SHA256"}})).close()
    return path


class Server(Merchant):
    """A merchant's server that answers as the channel would: a callback that is proved is accepted, unless a test
    refuses it."""

    def __init__(self) -> None:
        super().__init__()
        self.channel: Any = None
        #: How many callbacks are refused first.
        self.refusals = 0

    async def _hear(self, request: web.Request) -> web.Response:
        self.heard.append((dict(request.headers), await request.read()))
        is_believed = not isinstance(self.channel.read_callback(*self.heard[-1]), BadNotice)
        self.refusals, is_refused = max(0, self.refusals - 1), self.refusals > 0
        reply = self.channel.reply(is_accepted=is_believed and not is_refused)
        return web.Response(status=reply.status, body=reply.body)

    def notices(self) -> list[Any]:
        """Everything that came, as the channel understands it."""
        return [self.channel.read_callback(*heard) for heard in self.heard]

    def paid(self, number: str) -> list[PaidNotice]:
        """What came of an order's payment."""
        return [each for each in self.notices() if isinstance(each, PaidNotice) and each.attempt_id == number]

    def bad(self) -> list[BadNotice]:
        """What is not believed."""
        return [notice for notice in self.notices() if isinstance(notice, BadNotice)]


class Rig:
    """One kind of channel before its simulator."""

    def __init__(self, kind: str, house: House, server: Server, **config: Any) -> None:
        self.kind = kind
        self.institution = KINDS[kind]
        self.house = house
        self.server = server
        #: When each number was first written down.
        self.written: dict[str, datetime] = {}
        #: The number of the test's own order; others are made of it by one more letter.
        self.number = "ATTEMPT0000"
        self._tests = 0
        given = {**house.settings()[self.institution], "notify_url": server.url}
        self.config: Any = None
        self.channel = server.channel = getattr(self, f"_{self.institution}")(kind, given, config)

    def _wechat(self, kind: str, given: dict[str, Any], config: Mapping[str, Any]) -> Any:
        fields: dict[str, Any] = {**given, "sub_mchid": "", "trade_type": "native", "transfer_scene_id": "1005"}
        fields |= {"transfer_reports": (SceneReport("岗位类型", "跑腿"),), **config}
        if kind == "wechat":
            self.config = WechatConfig(**fields)
            return WechatChannel(self.config)
        merchant = WechatConfig(**fields, code="edupay")
        self.config = EduPayConfig(merchant=merchant, school_id="10001", scene_type="OTHER", device_ip="203.0.113.9")
        return EduPayChannel(self.config)

    def _alipay(self, kind: str, given: dict[str, Any], config: Mapping[str, Any]) -> Any:
        product = kind.removeprefix("alipay_")
        self.config = AlipayConfig(**{**given, "product": product, **config})
        return AlipayChannel(self.config)

    def _unionpay(self, kind: str, given: dict[str, Any], config: Mapping[str, Any]) -> Any:
        product = kind.removeprefix("unionpay_")
        fields = {**given, "issuers": (given["issuers"],), "product": product, **config}
        self.config = UnionpayConfig(**fields)
        return UnionpayChannel(self.config, self._first_written)

    def _campus_card(self, _: str, given: dict[str, Any], config: Mapping[str, Any]) -> Any:
        self.config = CampusCardConfig(**{**given, **config})
        return CampusCardChannel(self.config)

    async def _first_written(self, number: str) -> datetime | None:
        return self.written.setdefault(number, datetime.now(UTC))

    async def fresh(self) -> None:
        """Another test begins: nothing goes wrong any more, what the last one left is told, and nobody heard it."""
        self.house.faults.remove()
        self.house.set_clock(rate=self.house.plan.rate, calendar_rate=1, now_ms=round(time.time() * 1000))
        self.server.refusals = 0
        notices = self.house.books.notices.values()
        await until(lambda: all(n.is_heard or n.due_at_s is None for n in notices), "what the last test left")
        self.server.heard.clear()
        self._tests += 1
        self.number = f"ATTEMPT{self._tests:04d}"

    def is_told(self, number: str = "") -> bool:
        """Whether the merchant has heard everything about the order, as far as the provider goes on."""
        notices = self.house.books.notices_of(self.book(number).key)
        return all(notice.is_heard or notice.due_at_s is None for notice in notices)

    # -- what a payer does --------------------------------------------------------------------------------------------

    @property
    def is_debit(self) -> bool:
        return bool(self.channel.shape.is_direct_debit)

    @property
    def create(self) -> str:
        """The operation that brings an order to the provider."""
        return "debit" if self.is_debit else "open" if self.channel.shape.creates_locally else "create"

    def order(self, number: str = "", fen: int = 1000) -> OrderToCreate:
        return OrderToCreate(
            attempt_id=number or self.number,
            amount_fen=Fen(fen),
            description="奶茶一杯",
            order_ref="order_1",
            payer_ref="account_1",
            expires_at=self.house.clock.now() + timedelta(minutes=15),
            payer=PAYER,
        )

    async def credential(self, number: str = "", fen: int = 1000) -> Mapping[str, Any]:
        issued = await self.channel.create_credential(self.order(number, fen))
        assert isinstance(issued, Issued), issued
        return issued.credential

    async def till(self, credential: Mapping[str, Any]) -> str:
        """Where the payer pays: they scan the code, open the page, or hand the number to the app."""
        match credential["kind"]:
            case "wechat_native":
                return f"/pay/{str(credential['code_url']).rpartition('=')[2]}"
            case "qr" | "redirect":
                return await self._visit("GET", credential.get("code_url") or credential["url"])
            case "form":
                return await self._visit("POST", credential["url"], credential["fields"])
            case "alipay_app":
                return await self._visit("GET", f"{self.house.base_url}/gateway.do?{credential['order']}")
            case "unionpay_app":
                return f"/pay/{credential['tn']}"
            case other:
                raise AssertionError(other)

    async def _visit(self, method: str, url: str, fields: Mapping[str, str] | None = None) -> str:
        async with (
            ClientSession() as session,
            session.request(method, url, data=fields, allow_redirects=False) as response,
        ):
            location = response.headers.get("Location", "")
            assert response.status in (302, 303), await response.text()
        return location.removeprefix(self.house.base_url)

    async def pay(self, till: str) -> str:
        """The payer presses the button."""
        status, said = await admin(self.house, till, "POST", {"how": "pay"})
        assert status == 200, said
        return str(said["result"])

    async def begin(self, number: str = "", fen: int = 1000) -> str:
        """An order that its payer has before their eyes; where they pay it."""
        return await self.till(await self.credential(number, fen))

    async def paid(self, number: str = "", fen: int = 1000) -> OrderBook:
        """An order that is paid, in the provider's books."""
        if self.is_debit:
            await self.channel.debit(self.order(number, fen))
        else:
            assert await self.pay(await self.begin(number, fen)) == "paid"
        return self.book(number)

    def book(self, number: str = "") -> OrderBook:
        return self.house.books.orders_of_number(self.institution, number or self.number)[0]

    async def settled(self, ask: Callable[[], Awaitable[MoneyAnswer]]) -> MoneyAnswer:
        """The same question until the provider has finished with it."""
        answer, refunds = await ask(), self.book().refunds
        for _ in range(3):
            await until(lambda: all(r.standing != "pending" for r in refunds.values()), "the provider's work")
            answer = await ask()
        return answer


@asynccontextmanager
async def rig(
    kind: str, folder: Path, *, options: Mapping[str, str] | None = None, rate: float = 10_000, **config: Any
) -> AsyncIterator[Rig]:
    """A kind of channel with everything around it."""
    institution = KINDS[kind]
    usual = {"bills_at_once": "true"} | (
        {} if institution in ("unionpay", "campus_card") else {"split_permille": "1000"}
    )
    channels = ("wechat", "edupay") if institution == "wechat" else (institution,)
    shutil.copy(keys_of_all(), folder / "simulator.db")
    plan = Plan(
        state=folder / "simulator.db",
        channels=channels,
        options={institution: {**usual, **(options or {})}},
        work_s=0.02,
        rate=rate,
    )
    server = Server()
    await server.start()
    try:
        async with running(plan) as house:
            made = Rig(kind, house, server, **config)
            await made.channel.start()
            try:
                yield made
            finally:
                await made.channel.stop()
    finally:
        await server.stop()


def decoded(body: bytes) -> Any:
    """JSON."""
    return msgspec.json.decode(body)
