"""The whole of it over WeChat Pay: payments with their database, the channel, and the simulated provider over HTTP."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from payments.account import AccountEvent, Withdraw, Withdrawn
from payments.books.checks import check_ledger
from payments.channels.edupay import EduPayChannel, EduPayConfig
from payments.channels.wechat import WechatChannel
from payments.channels.wechat_config import WechatConfig
from payments.embedded import EmbeddedPayments
from payments.port import (
    AnyEvent,
    IntentReady,
    OpenIntent,
    Paid,
    Refund,
    Refunded,
    Release,
    Released,
    Settle,
    Settled,
    Share,
)
from payments.simulator.house import House, Plan
from payments.simulator.order_book import OrderBook
from tests.simulator_house import Merchant, merchant_server, running, state_with_keys

PLATFORM = Share(party="platform", account_ref="platform", amount_fen=200)
RUNNER = Share(party="runner", account_ref="runner_1", amount_fen=600)


class Whole:
    """A merchant's payments, whose time can be moved on, and its provider."""

    def __init__(self, folder: Path, house: House, merchant: Merchant) -> None:
        self.house = house
        self.merchant = merchant
        self.behind = 0
        self.moved = timedelta()
        fields: dict[str, Any] = {**house.settings()["wechat"], "notify_url": merchant.url, "sub_mchid": ""}
        fields |= {"accounts": {"platform": "1900000109"}, "account_names": {"platform": "某某平台有限公司"}}
        settings = WechatConfig(**fields, trade_type="native")
        debits = EduPayConfig(
            merchant=WechatConfig(**fields, code="edupay"), school_id="1", scene_type="CANTEEN", device_ip="192.0.2.7"
        )
        self.payments = EmbeddedPayments(
            f"sqlite:///{folder / 'payments.db'}",
            self.now,
            lambda kind: f"{kind}_{uuid.uuid4().hex}",
            [WechatChannel(settings), EduPayChannel(debits)],
            reveal=self._reveal,
        )
        self.seen: list[AnyEvent] = []

    async def _reveal(self, *_: Any) -> dict[str, str]:
        return {"contract_id": "CONTRACT1"}

    def now(self) -> datetime:
        return self.house.clock.now() + self.moved

    async def work(self) -> None:
        for _ in range(100):
            for headers, body in self.merchant.heard[self.behind :]:
                self.behind += 1
                assert (await self.payments.callback(self.channel, headers, body)).status == 200
            if not await self.payments.work():
                break
        events = await self.payments.events()
        self.seen += events
        await self.payments.acknowledge(event.id for event in events)

    channel = "wechat"

    async def open(self, channel: str = "wechat") -> str:
        self.channel = channel
        intent = f"intent_{uuid.uuid4().hex}"
        order = OpenIntent(
            id=f"open_{intent}",
            intent_id=intent,
            campus_id="campus",
            order_ref=f"order_{intent}",
            payer_ref="student_1",
            amount_fen=1000,
            description="奶茶 ¥10",
            channels=(channel,),
            expires_at=self.now() + timedelta(minutes=15),
        )
        await self.payments.submit(order)
        await self.work()
        return intent

    async def until(self, kind: type[AnyEvent]) -> Any:
        """Work, and let payments' own time pass, until an event of this kind has come."""
        for _ in range(200):
            await self.work()
            found = [event for event in self.seen if isinstance(event, kind)]
            if found:
                return found[-1]
            await asyncio.sleep(0.01)
            self.moved += timedelta(seconds=1)
        raise AssertionError(f"no {kind.__name__}; there were {self.seen}")

    async def withdraw(self, amount_fen: int) -> AccountEvent:
        """Let the runner have so much; what is told in the end."""
        await self.payments.submit(
            Withdraw(
                id="w1", campus_id="campus", account_ref="runner_1", amount_fen=amount_fen, requested_at=self.now()
            )
        )
        for _ in range(200):
            await self.work()
            if told := await self.payments.account_events():
                return told[-1]
            await asyncio.sleep(0.01)
            self.moved += timedelta(seconds=1)
        raise AssertionError("the withdrawal does not end")

    async def order(self, intent: str) -> OrderBook:
        view = await self.payments.view(intent)
        assert view is not None
        return self.house.books.orders_of_number("wechat", view.attempts[-1].attempt_id)[0]

    async def paid(self) -> str:
        intent = await self.open()
        ready = await self.until(IntentReady)
        assert ready.credential["code_url"].startswith("weixin://")
        assert self.house.desk.pay(await self.order(intent), "oStudent") == "paid"
        assert (await self.until(Paid)).amount_fen == 1000
        assert self.behind == 1, "it was the callback that told"
        return intent


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Whole]:
    plan = Plan(state=state_with_keys(folder), work_s=0.01, rate=100, channels=("wechat", "edupay"))
    async with running(plan) as house, merchant_server() as merchant:
        whole = Whole(folder, house, merchant)
        await whole.payments.start()
        try:
            yield whole
            assert await check_ledger(whole.payments._store) == []
        finally:
            await whole.payments.stop()


async def test_paid_split_released_withdrawn_and_refunded(tmp_path: Path) -> None:
    async with opened(tmp_path) as whole:
        intent = await whole.paid()
        await whole.payments.submit(Settle(id="s1", intent_id=intent, shares=(PLATFORM, RUNNER), at=whole.now()))
        settled = await whole.until(Settled)
        assert (settled.captured_fen, settled.released_fen) == (800, 200)
        order = await whole.order(intent)
        assert (order.paid_fen, order.split_fen, order.refunded_fen, order.frozen_fen) == (1000, 200, 200, 600)
        assert not order.is_unfrozen, "the runner's part stays with the provider"
        balances = await whole.payments.balances("runner_1")
        assert (balances.available_fen, balances.withdrawn_fen) == (600, 0)

        assert isinstance(await whole.withdraw(600), Withdrawn)
        assert (order.split_fen, order.refunded_fen, order.frozen_fen) == (200, 200, 0)
        assert order.is_unfrozen, "the team has the runner's part"
        balances = await whole.payments.balances("runner_1")
        assert (balances.available_fen, balances.withdrawn_fen) == (0, 600)
        view = await whole.payments.view(intent)
        assert view is not None and (view.captured_fen, view.released_fen) == (800, 200)

        await whole.payments.submit(
            Refund(id="r1", intent_id=intent, refund_id=f"{order.key.number}R1", amount_fen=100, reason="late")
        )
        assert (await whole.until(Refunded)).amount_fen == 100
        assert order.refunded_fen == 300


async def test_a_payment_that_is_not_wanted_any_more_goes_back_whole(tmp_path: Path) -> None:
    async with opened(tmp_path) as whole:
        intent = await whole.paid()
        await whole.payments.submit(Release(id="x1", intent_id=intent, reason="nobody came"))
        assert (await whole.until(Released)).amount_fen == 1000
        order = await whole.order(intent)
        assert (order.refunded_fen, order.frozen_fen) == (1000, 0)


async def test_a_debit_is_paid_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as whole:
        intent = await whole.open("edupay")
        paid = await whole.until(Paid)
        assert (paid.channel, paid.amount_fen, paid.intent_id) == ("edupay", 1000, intent)
        assert len((await whole.order(intent)).charges) == 1
