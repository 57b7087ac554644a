"""Frozen money at the simulated Alipay (资金预授权): let go again, taken back as a whole, or turned into a trade."""

from __future__ import annotations

from typing import Any

import msgspec

from payments.money import yuan
from payments.simulator import events
from payments.simulator.alipay_account import INSTITUTION, Account
from payments.simulator.alipay_orders import FREEZE, buyer_id
from payments.simulator.alipay_words import Denied, fen, parsed, refused, said
from payments.simulator.desk import Desk, Refusal
from payments.simulator.events import OrderKey, Part
from payments.simulator.order_book import OrderBook, RefundBook
from payments.simulator.protocol import Answer

#: The books' word for a trade that frozen money became.
CAPTURE = "CAPTURE"


class Frozen(msgspec.Struct, frozen=True, kw_only=True):
    """What was frozen, by Alipay's number or the merchant's; ``out_request_no`` is the freezing's or unfreezing's."""

    auth_no: str = ""
    out_order_no: str = ""
    out_request_no: str = ""
    amount: str | float = "0.00"
    operation_type: str = "FREEZE"
    remark: str = ""


class _Capture(msgspec.Struct, frozen=True, kw_only=True):
    out_trade_no: str
    total_amount: str | float
    subject: str
    auth_no: str = ""
    #: COMPLETE lets go of what is left.
    auth_confirm_mode: str = "NOT_COMPLETE"
    extend_params: dict[str, str] = {}


class FrozenMoney:
    """Freezes; each is opened by its payer, like a page."""

    def __init__(self, desk: Desk, account: Account) -> None:
        self._desk = desk
        self._account = account

    def find(self, wish: Frozen) -> OrderBook | None:
        """The freezing of that number."""
        books = self._desk.books
        if wish.auth_no:
            order = books.order_of_transaction(INSTITUTION, wish.auth_no)
        else:
            order = books.order(OrderKey(INSTITUTION, self._account.seller_id, wish.out_order_no))
        return None if order is None or order.opened.kind != FREEZE else order

    def query(self, wish: Frozen, order: OrderBook | None) -> Answer:
        """One operation: the freezing itself, or an unfreezing."""
        if order is None or self._desk.is_hidden(order, "query"):
            raise Denied("AUTH_ORDER_NOT_EXIST", "支付宝资金授权订单不存在")
        refund = order.refunds.get(wish.out_request_no)
        is_freezing = wish.operation_type == "FREEZE" and wish.out_request_no in (
            "",
            order.opened.terms["out_request_no"],
        )
        if refund is None and not is_freezing:
            raise Denied("AUTH_OPERATION_NOT_EXIST", "支付宝资金操作流水不存在")
        return said(self.words(order, refund))

    def words(self, order: OrderBook, refund: RefundBook | None = None) -> dict[str, Any]:
        """An operation as a query and a notification show it."""
        stands = {"open": "INIT", "paid": "SUCCESS", "closed": "CLOSED"}[order.standing(self._desk.clock.now())]
        if _taken_back(order) in order.refunds:
            stands = "CLOSED"
        if refund is not None:
            stands = {"pending": "INIT", "done": "SUCCESS"}.get(refund.standing, "CLOSED")
        return {
            "auth_no": order.opened.terms["transaction_id"],
            "out_order_no": order.key.number,
            "out_request_no": refund.opened.number if refund else order.opened.terms["out_request_no"],
            "operation_type": "UNFREEZE" if refund else "FREEZE",
            "amount": yuan(refund.opened.amount_fen if refund else order.paid_fen or order.opened.amount_fen),
            "status": stands,
            "order_title": order.opened.description,
            "rest_amount": yuan(order.frozen_fen),
            "payer_user_id": buyer_id(order.charges[0].payer) if order.charges else None,
        }

    def unfreeze(self, text: str, order: OrderBook | None) -> Answer:
        """Let so much of it go; the same again moves nothing."""
        wish = parsed(text, Frozen)
        if order is None:
            raise Denied("AUTH_ORDER_NOT_EXIST", "支付宝资金授权订单不存在")
        if not wish.out_request_no:
            raise Denied("isv.missing-param", "out_request_no", "40001")
        refund = self._desk.refund(order, wish.out_request_no, fen(wish.amount, "amount"), takes_s=0.0)
        if isinstance(refund, Refusal):
            raise refused(refund, too_much="ORDER_AMOUNT_NOT_ENOUGH", not_paid="ORDER_ALREADY_CLOSED")
        self._desk.work()
        return said(self.words(order, refund))

    def cancel(self, order: OrderBook | None) -> Answer:
        """Nothing stays frozen: what waits is closed, what was frozen is let go of."""
        if order is None:
            raise Denied("AUTH_ORDER_NOT_EXIST", "支付宝资金授权订单不存在")
        words = {name: self.words(order)[name] for name in ("auth_no", "out_order_no", "out_request_no")}
        if self._desk.close(order.key) != "paid":
            return said({**words, "action": "close"})
        if order.frozen_fen > 0:
            self._let_go(order, _taken_back(order), order.frozen_fen)
        return said({**words, "action": "unfreeze"})

    def _let_go(self, order: OrderBook, number: str, amount_fen: int) -> None:
        refund = self._desk.refund(order, number, amount_fen, takes_s=0.0)
        if isinstance(refund, Refusal):
            raise refused(refund)
        self._desk.work()

    def capture(self, text: str, trade: OrderBook | None) -> Answer:
        """Frozen money becomes a trade of its own, once: the same number again is the same trade."""
        wish = parsed(text, _Capture)
        freeze = self.find(Frozen(auth_no=wish.auth_no)) if wish.auth_no else None
        if freeze is None:
            raise Denied("ACQ.PAYMENT_AUTH_CODE_INVALID", "auth_no: nothing is frozen under it")
        amount_fen = fen(wish.total_amount, "total_amount")
        if trade is None:
            trade = self._captured(freeze, wish, amount_fen)
        elif (trade.opened.terms.get("auth_no"), trade.opened.amount_fen) != (wish.auth_no, amount_fen):
            raise Denied("ACQ.CONTEXT_INCONSISTENT", "交易信息被篡改")
        return said(
            {
                "out_trade_no": trade.key.number,
                "trade_no": trade.charges[0].transaction_id,
                "total_amount": yuan(trade.paid_fen),
                "receipt_amount": yuan(trade.paid_fen),
                "buyer_user_id": buyer_id(trade.charges[0].payer),
            }
        )

    def _captured(self, freeze: OrderBook, wish: _Capture, amount_fen: int) -> OrderBook:
        if amount_fen > freeze.frozen_fen:
            raise Denied("ACQ.AUTH_AMOUNT_NOT_ENOUGH", "预授权剩余金额不足")
        key = OrderKey(INSTITUTION, self._account.seller_id, wish.out_trade_no)
        trade_no = self._desk.new_number("2026", 24)
        # The freeze's own lines say where its money went: to a trade.
        part = Part(
            kind="trade",
            account=wish.out_trade_no,
            amount_fen=amount_fen,
            detail_id=self._desk.new_number("2026", 24),
        )
        self._desk.books.book(
            events.SplitOpened(
                key=freeze.key,
                number=wish.out_trade_no,
                split_id=trade_no,
                parts=(part,),
                is_last=False,
                ends_at_s=self._desk.clock.wall_s(),
            ),
            events.SplitEnded(key=freeze.key, number=wish.out_trade_no),
            events.Opened(
                key=key,
                channel=INSTITUTION,
                kind=CAPTURE,
                amount_fen=amount_fen,
                description=wish.subject,
                token=self._desk.new_token(),
                is_split=wish.extend_params.get("royalty_freeze") == "true",
                terms={"transaction_id": trade_no, "auth_no": wish.auth_no},
            ),
            events.Charged(key=key, transaction_id=trade_no, amount_fen=amount_fen, payer=freeze.charges[0].payer),
        )
        if wish.auth_confirm_mode == "COMPLETE" and freeze.frozen_fen > 0:
            self._let_go(freeze, f"{wish.out_trade_no}-rest", freeze.frozen_fen)
        return self._desk.books.orders[key]


def _taken_back(order: OrderBook) -> str:
    """The number under which a whole freeze is let go of."""
    return f"cancel-{order.key.number}"
