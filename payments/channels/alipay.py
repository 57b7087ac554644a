"""Alipay as a way to pay: codes to scan, and pages that are signed here; queried, closed, refunded, split, billed."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date

from payments.channels.alipay_bills import MOST_BYTES, BadBill, read_flows, read_trades
from payments.channels.alipay_config import AlipayConfig
from payments.channels.alipay_frozen import AlipayFrozen
from payments.channels.alipay_gateway import AlipayGateway
from payments.channels.alipay_money import PAYEE, AlipayMoney, FindAccount
from payments.channels.alipay_notices import ACCEPTED, NOT_ACCEPTED, Notice, read_notice
from payments.channels.alipay_trades import AlipayTrades
from payments.channels.china import is_bill_overdue
from payments.channels.exchange import Observe, unobserved
from payments.channels.http import HttpReply, HttpRequest, ProviderHttp
from payments.channels.over_http import OverHttp
from payments.money import Fen
from payments.outcomes import (
    Bill,
    BillAnswer,
    BillLine,
    Capabilities,
    CloseAnswer,
    CreateAnswer,
    DebitAnswer,
    Declined,
    MoneyAnswer,
    NoBill,
    OrderToCreate,
    QueryAnswer,
    Receiver,
    SplitAnswer,
)
from payments.port import CallbackReply

#: Real seconds for a bill's file.
BILL_S = 60.0


class AlipayChannel(OverHttp):
    """One product of one merchant account."""

    def __init__(
        self,
        config: AlipayConfig,
        *,
        observe: Observe = unobserved,
        find_account: FindAccount | None = None,
        wall_s: Callable[[], float] = time.time,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._config = config
        http = ProviderHttp(config.code, config.gateway_url, observe=observe, tls=tls, wall_s=wall_s)
        super().__init__(http, _shape(config))
        self._gateway = AlipayGateway(config, http, wall_s)
        self._money = AlipayMoney(config, self._gateway, find_account)
        orders = AlipayFrozen if config.product == "freeze" else AlipayTrades
        self._orders: AlipayFrozen | AlipayTrades = orders(config, self._gateway, self._money)

    # -- money in -----------------------------------------------------------------------------------------------------

    async def create_credential(self, order: OrderToCreate) -> CreateAnswer:
        return await self._orders.create(order)

    async def debit(self, order: OrderToCreate) -> DebitAnswer:
        return Declined("not_a_debit")

    async def query(self, attempt_id: str) -> QueryAnswer:
        return await self._orders.query(attempt_id)

    async def close(self, attempt_id: str) -> CloseAnswer:
        return await self._orders.close(attempt_id)

    # -- money out ----------------------------------------------------------------------------------------------------

    async def split(
        self, attempt_id: str, number: str, receivers: Sequence[Receiver], later: Sequence[Receiver] = ()
    ) -> SplitAnswer:
        return await self._orders.split(attempt_id, number, receivers, later)

    async def give_back(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        return await self._orders.give_back(attempt_id, number, amount_fen)

    async def refund(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        return await self._orders.refund(attempt_id, number, amount_fen)

    async def take_back(self, attempt_id: str, number: str, split_number: str, receiver: Receiver) -> MoneyAnswer:
        """Alipay takes a part back only within a refund; the merchant bears it."""
        return MoneyAnswer(standing="failed", reason="not_offered")

    async def transfer(self, number: str, account_ref: str, to: Mapping[str, str], amount_fen: Fen) -> MoneyAnswer:
        return await self._money.transfer(number, to, amount_fen)

    # -- what Alipay says --------------------------------------------------------------------------------

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> Notice:
        return read_notice(self._config, self._gateway.alipay_key, body)

    def reply(self, *, is_accepted: bool) -> CallbackReply:
        return ACCEPTED if is_accepted else NOT_ACCEPTED

    async def bill(self, day: date) -> BillAnswer:
        trades = await self._lines(day, "trade", read_trades)
        if isinstance(trades, NoBill):
            return trades
        flows = await self._lines(day, "signcustomer", read_flows)
        # Not every contract has the second bill, and the trades are worth having alone.
        return Bill(day=day, trades=trades, flows=None if isinstance(flows, NoBill) else flows)

    async def _lines(
        self, day: date, kind: str, read: Callable[[bytes], tuple[BillLine, ...]]
    ) -> tuple[BillLine, ...] | NoBill:
        content = {"bill_type": kind, "bill_date": day.isoformat()}
        method = "alipay.data.dataservice.bill.downloadurl.query"
        answer = await self._gateway.call(method, content, operation="bill", subject=day.isoformat())
        url = answer.text("bill_download_url")
        if answer.verdict != "ok" or not url.startswith(("https://", "http://")):
            is_absent = answer.verdict == "denied" and "bill_not_exist" in answer.sub_code.lower()
            return NoBill(reason=answer.reason, is_final=is_absent and is_bill_overdue(day, self._gateway.now()))
        request = HttpRequest(method="GET", target=url, operation="bill_file", subject=day.isoformat())
        file = await self._http.send(request, total_s=BILL_S, most_bytes=MOST_BYTES)
        if not isinstance(file, HttpReply) or file.status != 200:
            return NoBill(reason=f"http_{file.status}" if isinstance(file, HttpReply) else file.kind)
        try:
            return await asyncio.to_thread(read, file.body)
        except BadBill as error:
            return NoBill(reason=str(error))


def _shape(config: AlipayConfig) -> Capabilities:
    name_zh, name_en = config.names
    return Capabilities(
        code=config.code,
        name_zh=name_zh,
        name_en=name_en,
        is_demo=config.environment != "live",
        creates_locally=config.product != "qr",
        can_close=True,
        # What takes a freeze back may do so with one that was made a moment ago, and whose message is still to come.
        confirms_by_query=config.product == "freeze",
        expiry_max_s=float(config.longest_s),
        # A freeze may be begun until its end, and takes as long again.
        expiry_margin_s=float(config.expiry_margin_s + (config.longest_s if config.product == "freeze" else 0)),
        can_split=config.parts_paid_by != "nobody",
        # What is frozen becomes a trade once, with everything that is to be paid out of it.
        keeps_parts=config.product != "freeze",
        can_transfer=bool(config.app_certificate),
        transfer_needs=PAYEE,
        # A bill shows what is taken, and nothing of what is frozen and unfrozen.
        has_bills=config.product != "freeze",
        billed_parts=config.billed_parts,
        bills_transfers=bool(config.app_certificate) and config.product != "freeze",
        limit_fen=config.limit_fen,
        pays_to=("alipay_user_id",) if config.runner_payout == "personal" else (),
    )
