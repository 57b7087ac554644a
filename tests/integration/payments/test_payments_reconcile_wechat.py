"""A day with WeChat Pay over HTTP, reconciled with the bills that the simulated provider makes of its own books."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from payments.channels.wechat import WechatChannel
from payments.channels.wechat_config import WechatConfig
from payments.embedded import EmbeddedPayments
from payments.port import OpenIntent, Refund, Release, Settle, Share
from payments.reconcile.business_day import CHINA, day_of
from payments.reconcile.run import Reconciler
from payments.simulator.house import House, Plan
from payments.store.database import Sql
from tests.simulator_house import Merchant, merchant_server, running, state_with_keys


class Room:
    """A merchant's payments beside its provider; time here is the provider's and some."""

    def __init__(self, folder: Path, house: House, merchant: Merchant) -> None:
        self.house = house
        self.moved = timedelta()
        fields: dict[str, Any] = {**house.settings()["wechat"], "notify_url": merchant.url, "sub_mchid": ""}
        fields |= {"accounts": {"platform": "1900000109"}, "account_names": {"platform": "某某平台有限公司"}}
        self.payments = EmbeddedPayments(
            f"sqlite:///{folder / 'payments.db'}",
            self.now,
            lambda kind: f"{kind}_{uuid.uuid4().hex}",
            [WechatChannel(WechatConfig(**fields, trade_type="native"))],
        )

    def now(self) -> datetime:
        return self.house.clock.now() + self.moved

    async def until(self, intent: str, *holds: str) -> None:
        """Work, and let our own time pass, until the intent's hold stands so."""
        for _ in range(300):
            await self.payments.work()
            view = await self.payments.view(intent)
            assert view is not None
            if view.hold_state in holds or (view.state in holds and view.attempts):
                return
            await asyncio.sleep(0.01)
            self.moved += timedelta(seconds=1)
        raise AssertionError(f"{intent} is not {holds}")

    async def open(self) -> str:
        intent = f"int_{uuid.uuid4().hex}"
        await self.payments.submit(
            OpenIntent(
                id=f"open_{intent}",
                intent_id=intent,
                campus_id="nu",
                order_ref=f"ord_{intent}",
                payer_ref="student_1",
                amount_fen=1000,
                description="奶茶 ¥10",
                channels=("wechat",),
                expires_at=self.now() + timedelta(hours=1),
            )
        )
        await self.until(intent, "pending")
        return intent

    async def charged(self, intent: str) -> None:
        """The payer pays; nobody here hears of it."""
        view = await self.payments.view(intent)
        assert view is not None
        order = self.house.books.orders_of_number("wechat", view.attempts[-1].attempt_id)[0]
        assert self.house.desk.pay(order, "oStudent") == "paid"


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Room]:
    options = {"wechat": {"bills_at_once": "true"}}
    plan = Plan(state=state_with_keys(folder), work_s=0.01, rate=100, channels=("wechat",), options=options)
    async with running(plan) as house, merchant_server() as merchant:
        room = Room(folder, house, merchant)
        await room.payments.start()
        try:
            yield room
        finally:
            await room.payments.stop()


async def test_a_day_of_the_simulated_provider_agrees_and_its_ghost_is_booked(tmp_path: Path) -> None:
    async with opened(tmp_path) as room:
        settled, released, ghost = [await room.open() for _ in range(3)]
        for intent in (settled, released):
            await room.charged(intent)
            await room.until(intent, "held")
        shares = (
            Share(party="platform", account_ref="platform", amount_fen=200),
            Share(party="runner", account_ref="runner_1", amount_fen=600),
        )
        await room.payments.submit(Settle(id="s1", intent_id=settled, shares=shares, at=room.now()))
        await room.payments.submit(Release(id="x1", intent_id=released, reason="nobody came"))
        await room.until(settled, "captured")
        await room.until(released, "released")
        await room.payments.submit(
            Refund(id="r1", intent_id=settled, refund_id="REFUND0001", amount_fen=100, reason="late")
        )
        await room.charged(ghost)
        await room.payments._store.database.run(lambda c: Sql(c).do("UPDATE intents SET due_at = NULL"))
        for _ in range(100):
            await room.payments.work()
            room.moved += timedelta(seconds=2)
            await asyncio.sleep(0.01)
        day = day_of(room.house.clock.now(), CHINA)
        room.moved += timedelta(days=1)
        reconciler = Reconciler(room.payments._store, room.payments._channels, room.now, room.payments._new_id)
        run = await reconciler.reconcile("wechat", day)
        # Three payments; the rest of one, all of another and a refund on their way back; the platform's part, and what
        # of it came back for the refund.
        assert (run.state, run.lines) == ("differing", 8)
        assert (run.sums.theirs.paid_fen, run.sums.theirs.refunded_fen, run.sums.theirs.split_fen) == (3000, 1300, 200)
        await reconciler.work()
        (item,) = await room.payments.differences(run.id)
        assert (item.kind, item.cause, item.state, item.intent_id) == (
            "paid_there_not_here", "not_booked", "repaired", ghost
        )  # fmt: skip
        run = await reconciler.reconcile("wechat", day)
        assert (run.state, run.mismatches) == ("agreed", 1)
