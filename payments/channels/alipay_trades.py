"""Orders at Alipay as trades: a code to scan, a page or an app's text; asked, closed, refunded, split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from payments.channels.alipay_config import AlipayConfig, Product
from payments.channels.alipay_gateway import AlipayGateway, Answer
from payments.channels.alipay_money import AlipayMoney
from payments.channels.alipay_notices import PAID
from payments.channels.china import beijing_text, fen_of_yuan
from payments.channels.http import CREATE_S
from payments.money import Fen, yuan
from payments.outcomes import (
    CloseAnswer,
    CreateAnswer,
    Issued,
    MoneyAnswer,
    NotIssued,
    OrderToCreate,
    QueryAnswer,
    Receiver,
    Refused,
    SplitAnswer,
)

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


class AlipayTrades:
    """One merchant's trades."""

    def __init__(self, config: AlipayConfig, gateway: AlipayGateway, money: AlipayMoney) -> None:
        self._config = config
        self._gateway = gateway
        self._money = money

    async def create(self, order: OrderToCreate) -> CreateAnswer:
        """Something the payer can pay with."""
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
        return not_created(answer)

    def _order(self, order: OrderToCreate) -> dict[str, Any]:
        content: dict[str, Any] = {
            "out_trade_no": order.attempt_id,
            "total_amount": yuan(order.amount_fen),
            "subject": subject_of(order.description) or self._config.names[0],
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

    async def query(self, attempt_id: str) -> QueryAnswer:
        """How the trade stands."""
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

    async def give_back(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        """Out of what is frozen."""
        return await self._money.refund(attempt_id, number, amount_fen)

    async def refund(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        """Out of the merchant's balance."""
        return await self._money.refund(attempt_id, number, amount_fen)

    async def split(
        self, attempt_id: str, number: str, receivers: Sequence[Receiver], later: Sequence[Receiver] = ()
    ) -> SplitAnswer:
        """Pay the receivers."""
        return await self._money.split(attempt_id, number, receivers, later)


def not_created(answer: Answer) -> CreateAnswer:
    """Why there is no credential, and whether another channel may be tried."""
    is_alarm = answer.code in _ALARM_CODES or answer.sub_code.startswith(_ALARMS)
    if answer.is_proved and not is_alarm and (answer.code in _JUDGED_CODES or answer.sub_code in _JUDGED):
        return Refused(answer.reason)
    return NotIssued(answer.reason, is_alarm=is_alarm)


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


def subject_of(description: str) -> str:
    """A description as Alipay takes one."""
    return " ".join(description.translate(_ODD).split())[:128]
