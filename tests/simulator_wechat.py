"""The WeChat Pay channel that ships, joined to its simulator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from payments.channels.wechat import WechatChannel
from payments.channels.wechat_config import SceneReport, WechatConfig
from payments.money import Fen
from payments.outcomes import Issued, OrderToCreate, Receiver
from payments.simulator.house import House, Plan
from payments.simulator.order_book import OrderBook
from tests.simulator_house import Merchant, merchant_server, running, state_with_keys, until

OPENID = "oStudent"
PLATFORM = Receiver(party="platform", account_ref="platform", amount_fen=Fen(200))
CAMPUS = Receiver(party="campus", account_ref="campus", amount_fen=Fen(100))


async def find_account(account_ref: str) -> dict[str, str]:
    """Where receivers are paid."""
    return {
        "platform": {"mchid": "1900000109", "name": "平台公司"},
        "campus": {"mchid": "1900000110", "name": "学校后勤"},
        "runner": {"openid": "oRunner", "name": "张三"},
    }[account_ref]


class Rig:
    """A house, a merchant's server and the merchant's channel."""

    def __init__(self, house: House, merchant: Merchant, **config: Any) -> None:
        self.house = house
        self.merchant = merchant
        fields = {**house.settings()["wechat"], "notify_url": merchant.url, "trade_type": "native", **config}
        fields |= {"transfer_scene_id": "1005", "transfer_reports": (SceneReport("岗位类型", "跑腿"),)}
        self.config = WechatConfig(**fields)
        self.channel = WechatChannel(self.config, find_account=find_account)

    def order(self, number: str, fen: int = 1000, **payer: str) -> OrderToCreate:
        return OrderToCreate(
            attempt_id=number,
            amount_fen=Fen(fen),
            description="奶茶一杯",
            order_ref="order_1",
            payer_ref="account_1",
            expires_at=self.house.clock.now() + timedelta(minutes=15),
            payer={"openid": OPENID, "client_ip": "203.0.113.9", "contract_id": "CONTRACT1", **payer},
        )

    def book(self, number: str) -> OrderBook:
        return self.house.books.orders_of_number("wechat", number)[0]

    async def paid(self, number: str, fen: int = 1000) -> OrderBook:
        """An order that its payer paid."""
        assert isinstance(await self.channel.create_credential(self.order(number, fen)), Issued)
        assert self.house.desk.pay(self.book(number), OPENID) == "paid"
        return self.book(number)

    async def settled(self, ask: Callable[[], Any]) -> Any:
        """The same question until the provider has finished with it."""
        for _ in range(3):
            await until(lambda: not self.house.books.unfinished(), "the provider's work")
            answer = await ask()
        return answer


@asynccontextmanager
async def rig(folder: Path, *, options: dict[str, str] | None = None, **config: Any) -> AsyncIterator[Rig]:
    plan = Plan(
        state=state_with_keys(folder),
        options={
            "wechat": {"split_permille": "1000", "bills_at_once": "true", "service_provider": "true", **(options or {})}
        },
        work_s=0.02,
        rate=100,
    )
    async with running(plan) as house, merchant_server() as merchant:
        made = Rig(house, merchant, **config)
        await made.channel.start()
        try:
            yield made
        finally:
            await made.channel.stop()
