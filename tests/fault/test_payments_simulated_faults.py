"""Payments against the simulated WeChat Pay while much goes wrong: in the end both sides' books agree order by order,
and nobody was charged more than once for one thing."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from payments.books.checks import check_ledger
from payments.channels.edupay import EduPayChannel, EduPayConfig
from payments.channels.wechat import WechatChannel
from payments.channels.wechat_config import WechatConfig
from payments.embedded import EmbeddedPayments
from payments.port import IntentView, OpenIntent
from payments.simulator.faults import read
from payments.simulator.house import House, Plan
from payments.simulator.people import Habits
from tests.simulator_house import admin, running, state_with_keys

#: ``SOAK=1 pytest`` runs the long form.
IS_SOAK = os.environ.get("SOAK") == "1"
PAYMENTS = 1000 if IS_SOAK else 40
#: Business seconds per real one, on both sides.
RATE = 400.0
DEADLINE_S = 900.0 if IS_SOAK else 60.0
AMOUNT_FEN = 1250

FAULTS = (
    "delay op=create p=0.1 ms=1000",
    "delay_after op=create p=0.1 ms=1000",
    "drop_before p=0.05",
    "drop_after p=0.1",
    "error p=0.05 status=503",
    "error_after p=0.05",
    "refuse op=create p=0.05 code=SYSTEM_ERROR",
    "bad_signature p=0.03",
    "clock_skewed p=0.03",
    "no_effect op=close p=0.3",
    "absent op=query p=0.05",
    "pay_before_close p=0.2",
    "insufficient op=debit p=0.1",
    "refund_pending p=0.3 s=2000",
    "notice_lost p=0.3",
    "notice_doubled p=0.2",
    "notice_late p=0.2 s=600",
    "notice_reordered p=0.1",
    "notice_before_reply op=debit p=0.2",
    "notice_probe p=0.1",
)


class Shop:
    """A merchant's payments that work in the background, with a server for callbacks."""

    def __init__(self, house: House, folder: Path, url: str) -> None:
        self.house = house
        given: dict[str, Any] = {**house.settings()["wechat"], "sub_mchid": ""}
        settings = WechatConfig(**given, trade_type="native", notify_url=f"{url}/wechat")
        debits = EduPayConfig(
            merchant=WechatConfig(**given, code="edupay", notify_url=f"{url}/edupay"),
            school_id="1",
            scene_type="CANTEEN",
            device_ip="192.0.2.7",
        )
        self.payments = EmbeddedPayments(
            f"sqlite:///{folder / 'payments.db'}",
            house.clock.now,
            lambda kind: f"{kind}_{uuid.uuid4().hex}",
            [WechatChannel(settings), EduPayChannel(debits)],
            real_s=lambda business_s: business_s / RATE,
            reveal=self._reveal,
        )

    async def _reveal(self, payer_ref: str, names: tuple[str, ...]) -> Mapping[str, str]:
        return {"contract_id": f"CONTRACT{payer_ref}"}

    async def open(self, n: int) -> str:
        intent = f"int_{n}"
        channels = (("wechat", "edupay"), ("edupay", "wechat"), ("wechat",))[n % 3]
        await self.payments.submit(
            OpenIntent(
                id=f"open_{n}",
                intent_id=intent,
                campus_id="campus",
                order_ref=f"order_{n}",
                payer_ref=f"student_{n}",
                amount_fen=AMOUNT_FEN,
                description="奶茶",
                channels=channels,
                expires_at=self.house.clock.now() + timedelta(minutes=45),
            )
        )
        return intent

    async def view(self, intent: str) -> IntentView:
        found = await self.payments.view(intent)
        assert found is not None
        return found


@asynccontextmanager
async def opened(folder: Path, seed: int) -> AsyncIterator[Shop]:
    plan = Plan(
        state=state_with_keys(folder),
        seed=seed,
        rate=RATE,
        calendar_rate=RATE,
        faults=[read(text) for text in FAULTS],
        habits=Habits(pay_share=0.8, think_s=(0.0, 4.0)),
    )
    shops: list[Shop] = []

    async def hear(request: web.Request) -> web.Response:
        channel, body = request.match_info["channel"], await request.read()
        reply = await shops[0].payments.callback(channel, dict(request.headers), body)
        return web.Response(status=reply.status, body=reply.body)

    app = web.Application()
    app.router.add_post("/{channel}", hear)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with running(plan) as house:
            shop = Shop(house, folder, f"http://127.0.0.1:{runner.addresses[0][1]}")
            shops.append(shop)
            await shop.payments.start(is_driving=True)
            try:
                yield shop
            finally:
                await shop.payments.stop()
    finally:
        await runner.cleanup()


def kept_fen(lines: list[dict[str, Any]]) -> int:
    """What the provider took of a student for an intent and did not give back."""
    return sum(line["paid_fen"] - line["refunded_fen"] for line in lines)


async def disagreements(shop: Shop, intents: list[str]) -> list[str]:
    """Where the provider's books do not say what ours do, from its own words alone."""
    lines: dict[str, dict[str, Any]] = {}
    after: int | None = 0
    while after is not None:
        _, page = await admin(shop.house, f"/admin/books?limit=500&after={after}")
        lines |= {line["number"]: line for line in page["orders"]}
        after = page["next"]
    found = [f"{n} was charged {line['times_charged']} times" for n, line in lines.items() if line["times_charged"] > 1]
    for intent in intents:
        view = await shop.view(intent)
        mine = [lines[a.attempt_id] for a in view.attempts if a.attempt_id in lines]
        expected_fen = AMOUNT_FEN if view.state == "success" else 0
        if view.state not in ("success", "failed"):
            found.append(f"{intent} is {view.state}: {[(a.channel, a.state, a.reason) for a in view.attempts]}")
        elif kept_fen(mine) != expected_fen:
            found.append(f"{intent} is {view.state}, and the provider kept {kept_fen(mine)} fen")
        if sum(1 for line in mine if line["paid_fen"] > line["refunding_fen"]) > 1:
            found.append(f"{intent} is paid twice over")
    return found


@pytest.mark.slow
@pytest.mark.timeout(1200 if IS_SOAK else 180)
async def test_both_books_agree_whatever_went_wrong(tmp_path: Path) -> None:
    async with opened(tmp_path, seed=7) as shop:
        intents = [await shop.open(n) for n in range(PAYMENTS)]
        deadline = time.monotonic() + DEADLINE_S
        while left := await disagreements(shop, intents):
            assert time.monotonic() < deadline, left[:10]
            await asyncio.sleep(0.5)
        states = [(await shop.view(intent)).state for intent in intents]
        assert {"success", "failed"} == set(states), "both ends were seen"
        assert sum(rule.fired for rule in shop.house.faults.rules()) > PAYMENTS
        assert await check_ledger(shop.payments._store) == []
