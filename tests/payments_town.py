"""Payments as they ship, assembled from the variables that the simulator writes, before simulated providers: every
call, page and callback goes over real sockets, and one calendar is moved by hand for both sides."""

from __future__ import annotations

import asyncio
import json
import shutil
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import ClientSession, web

from payments.account import Withdraw
from payments.assembly import AssembledPayments, assemble
from payments.books.checks import check_ledger
from payments.port import AnyEvent, IntentView, OpenIntent, Paid, Refund, Refunded, Release, Settle, Share
from payments.reconcile.business_day import CHINA, at_clock
from payments.reconcile.run import RUN_AT
from payments.reconcile.view import ReconciliationView
from payments.settings import read_settings
from payments.simulator.__main__ import as_variables
from payments.simulator.channels import builders
from payments.simulator.house import House, Plan
from payments.simulator.order_book import OrderBook
from tests.simulator_channels import keys_of_all
from tests.simulator_house import running, wrong

STUDENT, RUNNER = "student_1", "runner_1"
AMOUNT_FEN = 1000
PLATFORM = Share(party="platform", account_ref="platform", amount_fen=150)
CAMPUS = Share(party="campus", account_ref="campus", amount_fen=100)
RUNNERS = Share(party="runner", account_ref=RUNNER, amount_fen=600)

#: What channels may need to know of the student, and where the others are paid.
SECRETS = {"openid": "oStudent", "client_ip": "203.0.113.9", "contract_id": "CONTRACT1", "campus_card_token": "CARD1"}
RUNNERS_SECRETS = {"openid": "oRunner", "alipay_user_id": "2088000000000002"}

_WECHAT = {
    "ACCOUNTS": json.dumps({"platform": "1900000109", "campus": "1900000110"}),
    "ACCOUNT_NAMES": json.dumps({"platform": "某某平台有限公司", "campus": "某某大学后勤集团"}),
}
_ALIPAY = {
    "PARTS_PAID_BY": "alipay",
    "ACCOUNTS": json.dumps({"platform": "2088000000000009", "campus": "2088000000000001"}),
}
#: The channels that can be set up here: whose they are, and what is set beside what the simulator says.
CHANNELS: dict[str, tuple[str, Mapping[str, str]]] = {
    "wechat_jsapi": ("wechat", {"TRADE_TYPE": "jsapi", **_WECHAT}),
    "wechat_native": ("wechat", {"TRADE_TYPE": "native", **_WECHAT}),
    "wechat_h5": ("wechat", {"TRADE_TYPE": "h5", **_WECHAT}),
    "edupay": ("edupay", {"SCHOOL_ID": "10001", "SCENE_TYPE": "CANTEEN", "DEVICE_IP": "192.0.2.7", **_WECHAT}),
    "alipay_qr": ("alipay", {"PRODUCT": "qr", **_ALIPAY}),
    "alipay_wap": ("alipay", {"PRODUCT": "wap", **_ALIPAY}),
    "alipay_page": ("alipay", {"PRODUCT": "page", **_ALIPAY}),
    "alipay_freeze": ("alipay", {"PRODUCT": "freeze", **_ALIPAY}),
    "unionpay_wap": ("unionpay", {"PRODUCT": "wap", "PARTS_PAID_BY": "merchant"}),
    "unionpay_app": ("unionpay", {"PRODUCT": "app", "PARTS_PAID_BY": "merchant"}),
    "campus_card": ("campus_card", {"PARTS_PAID_BY": "merchant"}),
}
#: Variables that are no channel's.
TERMS = ("PAYOUT",)
#: Whose books an order is in.
INSTITUTIONS = {"edupay": "wechat"}


class Town:
    """A student, a runner, payments and providers. Events are applied as they come."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.seen: list[AnyEvent] = []
        #: What came in by callback: (channel, whether it was accepted).
        self.calls: list[tuple[str, bool]] = []
        self.payments: AssembledPayments

    def now(self) -> datetime:
        return self.house.clock.now()

    def advance(self, **time: float) -> None:
        """Let the calendar go on for everybody."""
        self.set_clock(self.now() + timedelta(**time))

    def set_clock(self, at: datetime) -> None:
        self.house.set_clock(rate=self.house.plan.rate, calendar_rate=1, now_ms=round(at.timestamp() * 1000))

    def wrong(self, *faults: str) -> None:
        """Let these go wrong."""
        wrong(self.house, *faults)

    async def hear(self, request: web.Request) -> web.Response:
        """The merchant's server: what providers call."""
        channel, body = request.match_info["channel"], await request.read()
        reply = await self.payments.callback(channel, dict(request.headers), body)
        self.calls.append((channel, reply == self.payments._channels[channel].reply(is_accepted=True)))
        return web.Response(status=reply.status, body=reply.body)

    # -- payments at work ---------------------------------------------------------------------------------------------

    async def work(self) -> None:
        """Everything that is due, and what it brings with it."""
        for _ in range(100):
            if not await self.payments.work():
                break
        events = await self.payments.events()
        self.seen += events
        await self.payments.acknowledge(event.id for event in events)

    async def until(self, is_so: Any, what: str, step_s: float = 1.0, steps: int = 400) -> Any:
        """Work, and let time pass, until it is so; what it is then. ``is_so`` may be a coroutine function."""
        for _ in range(steps):
            await self.work()
            found = is_so()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.005)
            self.advance(seconds=step_s)
        raise AssertionError(f"{what} did not come to pass; there were {[type(each).__name__ for each in self.seen]}")

    async def event(self, intent: str, kind: type[AnyEvent], step_s: float = 1.0) -> Any:
        """The newest event of this kind about the intent, once there is one."""

        def find() -> AnyEvent | None:
            found = [each for each in self.seen if isinstance(each, kind) and each.intent_id == intent]
            return found[-1] if found else None

        return await self.until(find, f"{kind.__name__} of {intent}", step_s)

    def kinds(self, intent: str) -> list[str]:
        """What was told of an intent."""
        return [type(each).__name__ for each in self.seen if each.intent_id == intent]

    def fen_of(self, intent: str, kind: type[Paid | Refunded]) -> int:
        """What events of this kind come to."""
        return sum(each.amount_fen for each in self.seen if isinstance(each, kind) and each.intent_id == intent)

    async def view(self, intent: str) -> IntentView:
        found = await self.payments.view(intent)
        assert found is not None
        return found

    async def states(self, intent: str) -> list[str]:
        """Every attempt, as channel:state."""
        return [f"{each.channel}:{each.state}" for each in (await self.view(intent)).attempts]

    # -- what people do -----------------------------------------------------------------------------------------------

    async def open(self, *channels: str, fen: int = AMOUNT_FEN, minutes: float = 15) -> str:
        """An order that is to be paid; its intent."""
        intent = f"int_{uuid.uuid4().hex[:26].upper()}"
        await self.payments.submit(
            OpenIntent(
                id=f"open_{intent}",
                intent_id=intent,
                campus_id="campus",
                order_ref=f"ord_{intent}",
                payer_ref=STUDENT,
                amount_fen=fen,
                description="奶茶 ¥10",
                channels=channels,
                expires_at=self.now() + timedelta(minutes=minutes),
            )
        )
        await self.work()
        return intent

    async def till(self, intent: str) -> str:
        """Where the student pays: with the credential they hold now they scan, open or hand over what it is."""
        credential = (await self.view(intent)).credential
        assert credential is not None, await self.states(intent)
        return await self.till_of(credential)

    async def till_of(self, credential: Mapping[str, Any]) -> str:
        match credential["kind"]:
            case "wechat_native":
                return f"/pay/{credential['code_url'].rpartition('=')[2]}"
            case "wechat_jsapi":
                return f"/pay/{credential['invoke']['package'].rpartition('=')[2]}"
            case "wechat_h5":
                return str(credential["h5_url"]).removeprefix(self.house.base_url)
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
        async with ClientSession() as session:
            answer = await session.request(method, url, data=fields, allow_redirects=False)
            assert answer.status in (302, 303), await answer.text()
            return answer.headers["Location"].removeprefix(self.house.base_url)

    async def pay(self, till: str) -> str:
        """The student presses the button; what the till says."""
        async with ClientSession() as session, session.post(self.house.base_url + till, json={"how": "pay"}) as answer:
            assert answer.status == 200, await answer.text()
            return str(msgspec.json.decode(await answer.read())["result"])

    async def paid(self, *channels: str, fen: int = AMOUNT_FEN) -> str:
        """An order whose money is held; its intent."""
        intent = await self.open(*channels, fen=fen)
        if (await self.view(intent)).credential is not None:
            assert await self.pay(await self.till(intent)) == "paid"
        await self.event(intent, Paid)
        return intent

    async def settle(self, intent: str, *shares: Share) -> None:
        await self.payments.submit(Settle(id=f"settle_{intent}", intent_id=intent, shares=shares, at=self.now()))

    async def release(self, intent: str) -> None:
        await self.payments.submit(Release(id=f"release_{intent}", intent_id=intent, reason="nobody came"))

    async def refund(self, intent: str, name: str, fen: int) -> Refunded:
        """Give so much back, until it is."""
        refund = Refund(id=f"{name}_{intent}", intent_id=intent, refund_id=f"{name}{intent[-26:]}"[:32], amount_fen=fen,
                        reason="late")  # fmt: skip
        await self.payments.submit(refund)

        def done() -> Refunded | None:
            return next((e for e in self.seen if isinstance(e, Refunded) and e.refund_id == refund.refund_id), None)

        found: Refunded = await self.until(done, f"the refund {name}")
        return found

    async def withdraw(self, fen: int, name: str = "w1") -> Any:
        """The runner asks for so much; what is told in the end."""
        await self.payments.submit(
            Withdraw(id=name, campus_id="campus", account_ref=RUNNER, amount_fen=fen, requested_at=self.now())
        )
        told = (await self.until(self.payments.account_events, "the end of the withdrawal"))[-1]
        await self.payments.acknowledge([told.id])
        return told

    # -- both books ---------------------------------------------------------------------------------------------------

    async def book(self, intent: str) -> OrderBook:
        """The newest attempt in the provider's own books."""
        attempt = (await self.view(intent)).attempts[-1]
        return self.books(attempt.channel, attempt.attempt_id)[0]

    def books(self, channel: str, number: str) -> list[OrderBook]:
        kind = CHANNELS[channel][0]
        return self.house.books.orders_of_number(INSTITUTIONS.get(kind, kind), number)

    async def reconciled(self, channel: str, day: date) -> ReconciliationView:
        """The day, once it is over and its bill is there, as the daily round does it by itself."""
        self.set_clock(max(self.now(), at_clock(day + timedelta(days=1), RUN_AT, CHINA) + timedelta(minutes=1)))
        for _ in range(50):
            await self.payments.upkeep.reconciler.work()
            await self.work()
            runs = await self.payments.reconciliations()
            found = next((each for each in runs if (each.channel, each.day) == (channel, day)), None)
            if found is not None and found.ran_at is not None:
                return found
            self.advance(minutes=6)
        raise AssertionError(f"{channel} was not reconciled")

    async def differences(self) -> list[str]:
        """The ledger's own faults, and every attempt whose money the provider counts otherwise than we do."""
        found = [str(each) for each in await check_ledger(self.payments._store)]
        mine = await self.payments._store.read(lambda uow: {a.id: a for a in uow.attempts.with_money()})
        for attempt in mine.values():
            for order in self.books(attempt.channel, attempt.id):
                if len(order.charges) != 1 or order.paid_fen != attempt.amount_fen:
                    found.append(f"{attempt.id}: {attempt.amount_fen} here, {order.paid_fen} in {len(order.charges)}")
        for key, order in self.house.books.orders.items():
            is_capture = key.number.endswith("P") and key.number[:-1] in mine
            if order.charges and key.number not in mine and not is_capture:
                found.append(f"{key.number}: {order.paid_fen} there, nothing here")
        return found


def _variables(house: House, folder: Path, url: str, codes: Sequence[str], more: Mapping[str, str]) -> dict[str, str]:
    """What a team sets beside the file that the simulator wrote."""
    found = {"PAYMENTS_CHANNELS": ",".join(codes), "PAYMENTS_DATA_DIR": str(folder / "payments")}
    found |= {f"PAYMENTS_{name.upper()}": text for name, text in more.items() if name.upper() in TERMS}
    for code in codes:
        kind, fields = CHANNELS[code]
        mchid = house.settings()[kind].get("mchid", "")
        for name, value in {"NOTIFY_URL": f"{url}/{code}", **fields, **_fields_of(more, code, kind)}.items():
            found[f"PAYMENTS_{code.upper()}_{name}"] = value.replace("$mchid", mchid)
    return found


def _fields_of(more: Mapping[str, str], code: str, kind: str) -> dict[str, str]:
    """``alipay_runner_payout="personal"`` is for every channel of Alipay, ``alipay_qr_life_s="60"`` for one."""
    found = {}
    for of in (kind, code):
        found |= {name.removeprefix(f"{of}_").upper(): text for name, text in more.items() if name.startswith(f"{of}_")}
    return found


@asynccontextmanager
async def town(
    folder: Path,
    *codes: str,
    options: Mapping[str, Mapping[str, str]] | None = None,
    is_driving: bool = False,
    **more: str,
) -> AsyncIterator[Town]:
    """Payments with these channels; ``more``: fields of their configuration, by the channel's name and theirs, and
    the terms."""
    kinds = tuple(dict.fromkeys(CHANNELS[code][0] for code in codes))
    shutil.copy(keys_of_all(), folder / "simulator.db")
    plan = Plan(
        state=folder / "simulator.db",
        channels=tuple(name for name in builders() if name in kinds or (name == "wechat" and "edupay" in kinds)),
        options=options or {},
        work_s=0.01,
        rate=1000,
    )
    async with running(plan) as house:
        made = Town(house)
        made.set_clock(at_clock(made.now().astimezone(CHINA).date(), RUN_AT, CHINA) + timedelta(hours=3))
        app = web.Application()
        app.router.add_post("/{channel}", made.hear)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            env = folder / "payments.env"
            env.write_text(as_variables(house.settings()))
            env.chmod(0o600)
            settings = read_settings(_variables(house, folder, url, codes, more), env)
            made.payments = assemble(settings, made.now, lambda kind: f"{kind}_{uuid.uuid4().hex}")
            await made.payments.start(is_driving=is_driving)
            try:
                await made.payments.entrust(STUDENT, SECRETS)
                await made.payments.entrust(RUNNER, RUNNERS_SECRETS)
                yield made
            finally:
                await made.payments.stop()
        finally:
            await runner.cleanup()
