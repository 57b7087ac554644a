"""What every way to pay at one merchant of WeChat Pay has in common: money out, bills, callbacks, the keys' care."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import date

from payments.channels import wechat_trades
from payments.channels.exchange import Observe
from payments.channels.wechat_api import WechatApi
from payments.channels.wechat_bills import WechatBills
from payments.channels.wechat_config import WechatConfig
from payments.channels.wechat_money import FindAccount, WechatMoney
from payments.channels.wechat_trades import WechatTrades
from payments.channels.wechat_transfers import WechatTransfers
from payments.money import Fen
from payments.outcomes import (
    BadNotice,
    BillAnswer,
    Capabilities,
    MoneyAnswer,
    MoneyNotice,
    OtherNotice,
    PaidNotice,
    QueryAnswer,
    Receiver,
    SplitAnswer,
)
from payments.port import CallbackReply


class WechatMerchant:
    """One merchant account; ``order_target`` is where an order is asked about."""

    def __init__(
        self,
        merchant: WechatConfig,
        shape: Capabilities,
        order_target: Callable[[str], str],
        *,
        find_account: FindAccount | None,
        observe: Observe,
        wall_s: Callable[[], float],
        tls: ssl.SSLContext | None,
    ) -> None:
        self.api = WechatApi(merchant, observe=observe, wall_s=wall_s, tls=tls)
        self._shape = shape
        self._trades = WechatTrades(self.api, order_target)
        self._money = WechatMoney(self.api, self._trades, find_account)
        self._transfers = WechatTransfers(self.api)
        self._bills = WechatBills(self.api)
        self.is_available = True

    @property
    def shape(self) -> Capabilities:
        return self._shape

    async def start(self) -> None:
        await self.api.start()

    async def stop(self) -> None:
        await self.api.stop()

    async def work(self) -> int:
        """Keep the platform's certificates fresh."""
        return await self.api.work()

    async def query(self, attempt_id: str) -> QueryAnswer:
        return await self._trades.query(attempt_id)

    # -- money out ----------------------------------------------------------------------------------------------------

    async def split(
        self, attempt_id: str, number: str, receivers: Sequence[Receiver], later: Sequence[Receiver] = ()
    ) -> SplitAnswer:
        return await self._money.split(attempt_id, number, receivers, later)

    async def give_back(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        return await self._money.refund(attempt_id, number, amount_fen)

    async def refund(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        return await self._money.refund(attempt_id, number, amount_fen)

    async def take_back(self, attempt_id: str, number: str, split_number: str, receiver: Receiver) -> MoneyAnswer:
        return await self._money.take_back(attempt_id, number, split_number, receiver)

    async def transfer(self, number: str, account_ref: str, to: Mapping[str, str], amount_fen: Fen) -> MoneyAnswer:
        return await self._transfers.transfer(number, account_ref, to, amount_fen)

    async def bill(self, day: date) -> BillAnswer:
        """The merchant's bill: what was paid in other ways to the same merchant is on it, too."""
        return await self._bills.bill(day)

    # -- being called -------------------------------------------------------------------------------------------------

    def read_callback(
        self, headers: Mapping[str, str], body: bytes
    ) -> PaidNotice | MoneyNotice | OtherNotice | BadNotice:
        return self._trades.read_callback(headers, body)

    def reply(self, *, is_accepted: bool) -> CallbackReply:
        return wechat_trades.reply(is_accepted=is_accepted)
