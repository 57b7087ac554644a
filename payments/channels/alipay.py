"""Alipay as a way to pay: codes to scan, and pages that are signed here; queried, closed, refunded, split, billed."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from payments.channels.alipay_bills import MOST_BYTES, BadBill, read_flows, read_trades
from payments.channels.alipay_config import AlipayConfig, Product
from payments.channels.alipay_gateway import AlipayGateway, Answer
from payments.channels.alipay_money import AlipayMoney, FindAccount
from payments.channels.alipay_notices import ACCEPTED, NOT_ACCEPTED, PAID, Notice, read_notice
from payments.channels.china import BEIJING, beijing_text, fen_of_yuan
from payments.channels.exchange import Observe, unobserved
from payments.channels.http import CREATE_S, HttpReply, HttpRequest, ProviderHttp
from payments.money import Fen, yuan
from payments.outcomes import (
    OVERLOAD,
    Bill,
    BillAnswer,
    BillLine,
    Capabilities,
    CloseAnswer,
    CreateAnswer,
    DebitAnswer,
    Declined,
    Issued,
    MoneyAnswer,
    NoBill,
    NotIssued,
    OrderToCreate,
    QueryAnswer,
    Receiver,
    Refused,
    SplitAnswer,
)
from payments.port import CallbackReply

#: Real seconds for a bill's file.
BILL_S = 60.0
#: Until so many hours into the next day a bill that is not there may still come.
BILL_HOURS = 12

#: How a payer's browser or app is sent to Alipay: the method, and the product of the contract.
_PAGES: dict[Product, tuple[str, str]] = {
    "wap": ("alipay.trade.wap.pay", "QUICK_WAP_WAY"),
    "page": ("alipay.trade.page.pay", "FAST_INSTANT_TRADE_PAY"),
    "app": ("alipay.trade.app.pay", "QUICK_MSECURITY_PAY"),
}

#: Our key, our clock or a right is at fault, or we ask too often: another channel may serve, a person should look.
_ALARMS = ("isv.invalid-signature", "isv.invalid-app-id", "isv.invalid-timestamp", "isv.missing-signature")
_ALARM_CODES = frozenset({"20001", "40005", "40006"})
#: The order itself was judged, by a rule or for our own mistake: no other channel may be tried.
_JUDGED_CODES = frozenset({"40001", "40002"})
_JUDGED = frozenset(
    {
        "ACQ.INVALID_PARAMETER",
        "ACQ.CONTEXT_INCONSISTENT",
        "ACQ.EXIST_FORBIDDEN_WORD",
        "ACQ.BUYER_SELLER_EQUAL",
        "ACQ.TOTAL_FEE_EXCEED",
        "ACQ.PRODUCT_AMOUNT_LIMIT_ERROR",
        "ACQ.BEYOND_PAY_RESTRICTION",
        "ACQ.BEYOND_PER_RECEIPT_RESTRICTION",
        "ACQ.BEYOND_PER_RECEIPT_SINGLE_RESTRICTION",
        "ACQ.BEYOND_PER_RECEIPT_DAY_RESTRICTION",
        "ACQ.PAYMENT_REQUEST_HAS_RISK",
        "ACQ.RISK_MERCHANT_IP_NOT_EXIST",
    }
)


class AlipayChannel:
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
        self._http = ProviderHttp(config.code, config.gateway_url, observe=observe, tls=tls, wall_s=wall_s)
        self._gateway = AlipayGateway(config, self._http, wall_s)
        self._money = AlipayMoney(config, self._gateway, find_account)
        self._shape = _shape(config)
        self.is_available = True

    @property
    def shape(self) -> Capabilities:
        return self._shape

    async def start(self) -> None:
        await self._http.start()

    async def stop(self) -> None:
        await self._http.stop()

    # -- money in -----------------------------------------------------------------------------------------------------

    async def create_credential(self, order: OrderToCreate) -> CreateAnswer:
        content = self._order(order)
        if self._config.product == "qr":
            return await self._precreate(order, content)
        method, product_code = _PAGES[self._config.product]
        content["product_code"] = product_code
        addresses = self._addresses()
        if self._config.product == "app":
            return Issued({"kind": "alipay_app", "order": self._gateway.order_text(method, content, **addresses)})
        return Issued({"kind": "redirect", "url": self._gateway.page_url(method, content, **addresses)})

    async def _precreate(self, order: OrderToCreate, content: dict[str, Any]) -> CreateAnswer:
        """A code: it becomes a trade when it is scanned, so its end is set twice, for the trade and for the code."""
        left_s = (order.expires_at - self._gateway.now()).total_seconds()
        content["qr_code_timeout_express"] = f"{max(1, int(left_s // 60))}m"
        answer = await self._gateway.call(
            "alipay.trade.precreate",
            content,
            operation="create",
            subject=order.attempt_id,
            total_s=CREATE_S,
            notify_url=self._config.notify_url,
        )
        url = answer.text("qr_code")
        if answer.verdict == "ok" and url and answer.text("out_trade_no") == order.attempt_id:
            return Issued({"kind": "qr", "code_url": url})
        return _not_created(answer)

    def _order(self, order: OrderToCreate) -> dict[str, Any]:
        content: dict[str, Any] = {
            "out_trade_no": order.attempt_id,
            "total_amount": yuan(order.amount_fen),
            "subject": _subject(order.description) or self._shape.name_zh,
            "time_expire": beijing_text(order.expires_at),
        }
        if self._config.parts_paid_by == "alipay":
            content["extend_params"] = {"royalty_freeze": "true"}
        if self._config.disabled_pay_channels:
            content["disable_pay_channels"] = ",".join(self._config.disabled_pay_channels)
        return content

    def _addresses(self) -> dict[str, str]:
        addresses = {"notify_url": self._config.notify_url}
        if self._config.return_url and self._config.product != "app":
            addresses["return_url"] = self._config.return_url
        return addresses

    async def debit(self, order: OrderToCreate) -> DebitAnswer:
        return Declined("not_a_debit")

    async def query(self, attempt_id: str) -> QueryAnswer:
        content = {"out_trade_no": attempt_id}
        answer = await self._gateway.call("alipay.trade.query", content, operation="query", subject=attempt_id)
        return standing_of(answer, attempt_id)

    async def close(self, attempt_id: str) -> CloseAnswer:
        """``alipay.trade.close`` and never ``cancel``: what the payer paid a moment ago would be refunded by that, and
        the message that it is paid could still come."""
        content = {"out_trade_no": attempt_id}
        answer = await self._gateway.call("alipay.trade.close", content, operation="close", subject=attempt_id)
        if answer.verdict == "unsure":
            return "no_answer"
        return "paid" if answer.sub_code == "ACQ.TRADE_HAS_SUCCESS" else "asked"

    # -- money out ----------------------------------------------------------------------------------------------------

    async def split(self, attempt_id: str, number: str, receivers: Sequence[Receiver]) -> SplitAnswer:
        return await self._money.split(attempt_id, number, receivers)

    async def give_back(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        return await self._money.refund(attempt_id, number, amount_fen)

    async def refund(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        return await self._money.refund(attempt_id, number, amount_fen)

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
            return NoBill(reason=answer.reason, is_final=is_absent and self._is_late_for(day))
        request = HttpRequest(method="GET", target=url, operation="bill_file", subject=day.isoformat())
        file = await self._http.send(request, total_s=BILL_S, most_bytes=MOST_BYTES)
        if not isinstance(file, HttpReply) or file.status != 200:
            return NoBill(reason=f"http_{file.status}" if isinstance(file, HttpReply) else file.kind)
        try:
            return await asyncio.to_thread(read, file.body)
        except BadBill as error:
            return NoBill(reason=str(error))

    def _is_late_for(self, day: date) -> bool:
        ready_at = datetime(day.year, day.month, day.day, tzinfo=BEIJING) + timedelta(days=1, hours=BILL_HOURS)
        return self._gateway.now() >= ready_at

    async def work(self) -> int:
        return 0


def _shape(config: AlipayConfig) -> Capabilities:
    name_zh, name_en = config.names
    return Capabilities(
        code=config.code,
        name_zh=name_zh,
        name_en=name_en,
        is_demo=config.environment != "live",
        creates_locally=config.product != "qr",
        can_close=True,
        expiry_max_s=float(config.longest_s),
        expiry_margin_s=float(config.expiry_margin_s),
        can_split=config.parts_paid_by != "nobody",
        has_bills=True,
        limit_fen=config.limit_fen,
    )


def _not_created(answer: Answer) -> CreateAnswer:
    is_alarm = answer.code in _ALARM_CODES or answer.sub_code.startswith(_ALARMS)
    if answer.is_proved and not is_alarm and (answer.code in _JUDGED_CODES or answer.sub_code in _JUDGED):
        return Refused(answer.reason)
    return NotIssued(OVERLOAD if answer.sub_code == OVERLOAD else answer.reason, is_alarm=is_alarm)


def standing_of(answer: Answer, attempt_id: str) -> QueryAnswer:
    """What a query's answer says of the order; only an answer that names it says anything."""
    if answer.verdict == "denied" and answer.sub_code == "ACQ.TRADE_NOT_EXIST":
        return QueryAnswer(standing="absent")
    if answer.verdict != "ok" or answer.text("out_trade_no") != attempt_id:
        return QueryAnswer(standing="no_answer")
    status = answer.text("trade_status")
    if status in PAID:
        amount_fen, transaction_id = fen_of_yuan(answer.text("total_amount")), answer.text("trade_no")
        if amount_fen is None or not transaction_id:
            return QueryAnswer(standing="no_answer")
        return QueryAnswer(standing="paid", amount_fen=amount_fen, transaction_id=transaction_id)
    if status == "WAIT_BUYER_PAY":
        return QueryAnswer(standing="unpaid")
    return QueryAnswer(standing="closed" if status == "TRADE_CLOSED" else "no_answer")


#: Characters that Alipay does not take in a subject.
_ODD = str.maketrans(dict.fromkeys("/=&\r\n\t", " "))


def _subject(description: str) -> str:
    return " ".join(description.translate(_ODD).split())[:128]
