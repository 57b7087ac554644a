"""Orders at Alipay as frozen money (资金预授权): it stays on the payer's account until the order is settled.

A freeze is the hold; unfreezing gives it back; settling turns the captured sum into one trade, out of which the
receivers are paid and later refunds come.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from payments.channels.alipay_config import AlipayConfig
from payments.channels.alipay_gateway import AlipayGateway, Answer
from payments.channels.alipay_money import AlipayMoney
from payments.channels.alipay_trades import standing_of, subject_of
from payments.channels.china import fen_of_yuan
from payments.money import Fen, yuan
from payments.outcomes import (
    CloseAnswer,
    CreateAnswer,
    Issued,
    MoneyAnswer,
    OrderToCreate,
    QueryAnswer,
    Receiver,
    SplitAnswer,
)

_DETAIL = "alipay.fund.auth.operation.detail.query"
_PRODUCT = "PREAUTH_PAY"
#: How Alipay says that it knows no such freeze.
_ABSENT = ("AUTH_ORDER_NOT_EXIST", "AUTH_OPERATION_NOT_EXIST")


class AlipayFrozen:
    """One merchant's freezes."""

    def __init__(self, config: AlipayConfig, gateway: AlipayGateway, money: AlipayMoney) -> None:
        self._config = config
        self._gateway = gateway
        self._money = money

    async def create(self, order: OrderToCreate) -> CreateAnswer:
        """The text for Alipay's app, signed here. Its end is given in minutes from when the app shows it, hence the
        longer margin of this product."""
        left_s = (order.expires_at - self._gateway.now()).total_seconds()
        content = {
            "out_order_no": order.attempt_id,
            "out_request_no": order.attempt_id,
            "order_title": subject_of(order.description) or self._config.names[0],
            "amount": yuan(order.amount_fen),
            "product_code": _PRODUCT,
            "payee_user_id": self._config.seller_id,
            "timeout_express": f"{max(1, int(left_s // 60))}m",
        }
        text = self._gateway.order_text(
            "alipay.fund.auth.order.app.freeze", content, notify_url=self._config.notify_url
        )
        return Issued({"kind": "alipay_app", "order": text})

    async def query(self, attempt_id: str) -> QueryAnswer:
        """How the freeze stands: frozen is held is paid."""
        answer = await self._freeze(attempt_id)
        if answer.verdict == "denied" and answer.sub_code.endswith(_ABSENT):
            return QueryAnswer(standing="absent")
        if answer.verdict != "ok" or answer.text("out_order_no") != attempt_id:
            return QueryAnswer(standing="no_answer")
        match answer.text("status"):
            case "SUCCESS":
                amount_fen, auth_no = fen_of_yuan(answer.text("amount")), answer.text("auth_no")
                if amount_fen is None or not auth_no:
                    return QueryAnswer(standing="no_answer")
                return QueryAnswer(standing="paid", amount_fen=amount_fen, transaction_id=auth_no)
            case "INIT":
                return QueryAnswer(standing="unpaid")
            case status:
                return QueryAnswer(standing="closed" if status == "CLOSED" else "no_answer")

    async def _freeze(self, attempt_id: str) -> Answer:
        content = {"out_order_no": attempt_id, "out_request_no": attempt_id, "operation_type": "FREEZE"}
        return await self._gateway.call(_DETAIL, content, operation="query", subject=attempt_id)

    async def close(self, attempt_id: str) -> CloseAnswer:
        """Take it back, even if it was frozen a moment ago; the next question says what became of it."""
        content = {"out_order_no": attempt_id, "out_request_no": attempt_id, "remark": "order closed"}
        answer = await self._gateway.call(
            "alipay.fund.auth.operation.cancel", content, operation="close", subject=attempt_id
        )
        return "no_answer" if answer.verdict == "unsure" else "asked"

    # -- money out ----------------------------------------------------------------------------------------------------

    async def give_back(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        """Unfreeze this much of it."""
        auth_no = (await self._freeze(attempt_id)).text("auth_no")
        if not auth_no:
            return MoneyAnswer(standing="no_answer", reason="freeze_not_found")
        content = {"auth_no": auth_no, "out_request_no": number, "amount": yuan(amount_fen), "remark": "order settled"}
        told = await self._gateway.call(
            "alipay.fund.auth.order.unfreeze", content, operation="give_back", subject=number
        )
        if told.verdict == "unsure":
            return MoneyAnswer(standing="no_answer", reason=told.reason)
        if told.verdict == "ok" and told.text("status") == "SUCCESS" and told.text("out_request_no") == number:
            return MoneyAnswer(standing="done")
        # Under way, or denied: perhaps for being the second one, when the answer to the first was lost.
        asked = await self._gateway.call(
            _DETAIL,
            {"auth_no": auth_no, "out_request_no": number, "operation_type": "UNFREEZE"},
            operation="query_give_back",
            subject=number,
        )
        return _unfrozen(told, asked, amount_fen)

    async def refund(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        """Out of the trade that the settlement made."""
        return await self._money.refund(capture_number(attempt_id), number, amount_fen)

    async def split(
        self, attempt_id: str, number: str, receivers: Sequence[Receiver], later: Sequence[Receiver] = ()
    ) -> SplitAnswer:
        """Take the sum of the parts from what is frozen, once for the order, and pay them out of it. Parts that are
        tried anew under another number find it taken."""
        trade = capture_number(attempt_id)
        found = await self._gateway.call(
            "alipay.trade.query", {"out_trade_no": trade}, operation="query", subject=trade
        )
        standing = standing_of(found, trade).standing
        if standing in ("absent", "unpaid"):
            total_fen = sum(receiver.amount_fen for receiver in receivers)
            why = await self._capture(attempt_id, trade, Fen(total_fen))
            if why is not None:
                return SplitAnswer(reason=why)
        elif standing != "paid":
            return SplitAnswer(reason=f"capture_{standing}")
        return await self._money.split(trade, number, receivers, later)

    async def _capture(self, attempt_id: str, trade: str, amount_fen: Fen) -> str | None:
        """Turn frozen money into a trade, leaving the rest frozen; why it is not done yet, or None."""
        freeze = await self._freeze(attempt_id)
        if freeze.verdict != "ok" or freeze.text("status") != "SUCCESS":
            return "freeze_not_found"
        content: dict[str, Any] = {
            "out_trade_no": trade,
            "total_amount": yuan(amount_fen),
            "subject": self._config.names[0],
            "product_code": _PRODUCT,
            "auth_no": freeze.text("auth_no"),
            "auth_confirm_mode": "NOT_COMPLETE",
            "seller_id": self._config.seller_id,
        }
        if freeze.text("payer_user_id"):
            content["buyer_id"] = freeze.text("payer_user_id")
        if self._config.parts_paid_by == "alipay":
            content["extend_params"] = {"royalty_freeze": "true"}
        # No notify_url: a message about this number would be of an order that nobody gave.
        answer = await self._gateway.call("alipay.trade.pay", content, operation="capture", subject=trade)
        is_taken = answer.verdict == "ok" and answer.text("out_trade_no") == trade
        return None if is_taken else answer.reason


def capture_number(attempt_id: str) -> str:
    """The number of the trade that an attempt's frozen money becomes.

    >>> capture_number("01J8ZQ4Y5T6V7W8X9Y0Z1A2B3CA01")
    '01J8ZQ4Y5T6V7W8X9Y0Z1A2B3CA01P'
    """
    return f"{attempt_id}P"


def _unfrozen(told: Answer, asked: Answer, amount_fen: Fen) -> MoneyAnswer:
    if asked.verdict == "denied" and asked.sub_code.endswith(_ABSENT) and told.verdict == "denied":
        return MoneyAnswer(standing="failed", reason=told.reason)
    if asked.verdict != "ok":
        return MoneyAnswer(standing="no_answer", reason=asked.reason)
    match asked.text("status"):
        case "SUCCESS" if fen_of_yuan(asked.text("amount")) == amount_fen:
            return MoneyAnswer(standing="done")
        case "SUCCESS":
            return MoneyAnswer(standing="failed", reason="other_amount")
        case "CLOSED":
            return MoneyAnswer(standing="failed", reason="unfreeze_closed")
        case _:
            return MoneyAnswer(standing="pending", reason="unfreeze_processing")
