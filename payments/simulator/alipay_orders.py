"""Alipay's trades: codes that are no trade until they are scanned, pages that payers open; asked, closed, undone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from payments.channels.china import BEIJING, beijing_text
from payments.money import yuan
from payments.simulator import events
from payments.simulator.alipay_account import INSTITUTION, Account
from payments.simulator.alipay_words import Denied, fen, moment, moved, parsed, refused, said, span
from payments.simulator.desk import HELD_BY_PAYER, Desk, Refusal
from payments.simulator.events import OrderKey
from payments.simulator.order_book import OrderBook
from payments.simulator.protocol import Answer

#: How long a code and a trade can be paid when the merchant does not say.
CODE_LIFE = timedelta(hours=2)
TRADE_LIFE = timedelta(days=15)
#: After that nothing can be refunded any more.
FINISHED_AFTER = timedelta(days=365)

#: Methods that the payer's browser or app brings, and the books' word for what comes of each.
PAGES = {
    "alipay.trade.wap.pay": "WAP",
    "alipay.trade.page.pay": "PAGE",
    "alipay.trade.app.pay": "APP",
    "alipay.fund.auth.order.app.freeze": "FREEZE",
}
CODE, FREEZE = "QR", "FREEZE"
#: The term of a code that was scanned: Alipay knows of its trade only from then on.
_SCANNED = "scanned"


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What names a trade."""

    out_trade_no: str = ""
    trade_no: str = ""


class _NewTrade(msgspec.Struct, frozen=True, kw_only=True):
    out_trade_no: str
    total_amount: str | float
    subject: str
    product_code: str = ""
    time_expire: str = ""
    timeout_express: str = ""
    qr_code_timeout_express: str = ""
    passback_params: str = ""
    extend_params: dict[str, str] = {}


class _NewFreeze(msgspec.Struct, frozen=True, kw_only=True):
    out_order_no: str
    out_request_no: str
    order_title: str
    amount: str | float
    product_code: str = ""
    pay_timeout: str = ""
    timeout_express: str = ""


class Orders:
    """Codes, pages and the trades that come of them."""

    def __init__(self, desk: Desk, account: Account) -> None:
        self._desk = desk
        self._account = account

    # -- making one ---------------------------------------------------------------------------------------------------

    def precreate(self, params: Mapping[str, str], base_url: str) -> Answer:
        """A code. There is no trade before somebody scans it."""
        wish = parsed(params["biz_content"], _NewTrade)
        order = self._open(self._opened(wish, CODE, params))
        url = f"{base_url}/alipay/qr/{order.opened.token}"
        return said({"out_trade_no": order.key.number, "qr_code": url})

    def open_page(self, params: Mapping[str, str], base_url: str) -> Answer:
        """The payer comes with a request that the merchant signed, and is shown the till."""
        kind = PAGES[params["method"]]
        if kind == FREEZE:
            opened = self._frozen(parsed(params["biz_content"], _NewFreeze), params)
        else:
            opened = self._opened(parsed(params["biz_content"], _NewTrade), kind, params)
        order = self._open(opened)
        return moved(f"{base_url}/pay/{order.opened.token}")

    def scan(self, token: str, base_url: str) -> Answer:
        """The payer scans a code: now there is a trade that waits for money."""
        order = self._desk.books.order_of_token(token)
        if order is None or order.key.institution != INSTITUTION:
            raise Denied("ACQ.TRADE_NOT_EXIST", "二维码已失效")
        if not self._is_trade(order) and order.standing(self._desk.clock.now()) == "open":
            # Nothing has become of the order so far, so it may simply be opened once more, as a trade.
            terms = {**order.opened.terms, _SCANNED: "1"}
            self._desk.books.book(msgspec.structs.replace(order.opened, terms=terms))
        return moved(f"{base_url}/pay/{token}")

    def _opened(self, wish: _NewTrade, kind: str, params: Mapping[str, str]) -> events.Opened:
        if not 0 < len(wish.subject) <= 256 or any(sign in wish.subject for sign in "/=&"):
            raise Denied("ACQ.INVALID_PARAMETER", "subject: 1 to 256 characters, without / = &")
        return self._order(
            number=wish.out_trade_no,
            kind=kind,
            amount_fen=fen(wish.total_amount, "total_amount"),
            description=wish.subject,
            expires_at=self._expiry(wish, kind),
            is_split=wish.extend_params.get("royalty_freeze") == "true",
            params=params,
            terms={"passback_params": wish.passback_params},
        )

    def _frozen(self, wish: _NewFreeze, params: Mapping[str, str]) -> events.Opened:
        life = span(wish.timeout_express or wish.pay_timeout or "2h", "timeout_express")
        return self._order(
            number=wish.out_order_no,
            kind=FREEZE,
            amount_fen=fen(wish.amount, "amount"),
            description=wish.order_title,
            expires_at=self._desk.clock.now() + life,
            is_split=True,
            params=params,
            terms={"out_request_no": wish.out_request_no, HELD_BY_PAYER: "1"},
        )

    def _order(
        self,
        *,
        number: str,
        kind: str,
        amount_fen: int,
        description: str,
        expires_at: datetime,
        is_split: bool,
        params: Mapping[str, str],
        terms: dict[str, str],
    ) -> events.Opened:
        if not 0 < len(number) <= 64:
            raise Denied("ACQ.INVALID_PARAMETER", "out_trade_no: 1 to 64 characters")
        if amount_fen > 10_000_000_000:
            raise Denied("ACQ.TOTAL_FEE_EXCEED", "订单总金额超过限额")
        day = self._desk.clock.now().astimezone(BEIJING)
        return events.Opened(
            key=OrderKey(INSTITUTION, self._account.seller_id, number),
            channel=INSTITUTION,
            kind=kind,
            amount_fen=amount_fen,
            description=description,
            token=self._desk.new_token(),
            notify_url=params.get("notify_url", ""),
            expires_at=expires_at,
            is_split=is_split,
            terms={
                "transaction_id": self._desk.new_number(f"{day:%Y%m%d}22", 18),
                **{name: value for name, value in terms.items() if value},
            },
        )

    def _open(self, opened: events.Opened) -> OrderBook:
        known = self._desk.books.order(opened.key)
        if known is not None:
            # What Alipay itself added the first time is no difference.
            own = {
                name: known.opened.terms[name] for name in ("transaction_id", _SCANNED) if name in known.opened.terms
            }
            opened = msgspec.structs.replace(opened, terms={**opened.terms, **own})
        order = self._desk.open(opened)
        if isinstance(order, Refusal):
            raise refused(order)
        return order

    def _expiry(self, wish: _NewTrade, kind: str) -> datetime:
        now = self._desk.clock.now()
        latest = [now + (CODE_LIFE if kind == CODE else TRADE_LIFE)]
        if wish.time_expire:
            latest.append(moment(wish.time_expire, "time_expire"))
        if wish.timeout_express:
            latest.append(now + span(wish.timeout_express, "timeout_express"))
        if wish.qr_code_timeout_express and kind == CODE:
            latest.append(now + span(wish.qr_code_timeout_express, "qr_code_timeout_express"))
        if min(latest) <= now:
            raise Denied("ACQ.INVALID_PARAMETER", "time_expire: is over already")
        return min(latest)

    # -- finding ------------------------------------------------------------------------------------------------------

    def find(self, subject: Subject) -> OrderBook | None:
        """The trade of that number, and a code that nobody scanned as well."""
        if subject.trade_no:
            order = self._of_trade_no(subject.trade_no)
        else:
            order = self._desk.books.order(OrderKey(INSTITUTION, self._account.seller_id, subject.out_trade_no))
        return None if order is None or order.opened.kind == FREEZE else order

    def _of_trade_no(self, trade_no: str) -> OrderBook | None:
        paid = self._desk.books.order_of_transaction(INSTITUTION, trade_no)
        if paid is not None:
            return paid
        # A trade has its number before it is paid; the books find only what is paid by it.
        orders = self._desk.books.orders.values()
        return next((order for order in orders if order.opened.terms.get("transaction_id") == trade_no), None)

    def trade(self, order: OrderBook | None, operation: str) -> OrderBook:
        """The order, where Alipay knows a trade of it; Denied."""
        if order is None or not self._is_trade(order) or self._desk.is_hidden(order, operation):
            raise refused(Refusal("absent"))
        return order

    def _is_trade(self, order: OrderBook) -> bool:
        return order.opened.kind != CODE or bool(order.charges) or _SCANNED in order.opened.terms

    # -- asking and closing -------------------------------------------------------------------------------------------

    def query(self, order: OrderBook | None) -> Answer:
        """How it stands."""
        return said(self.words(self.trade(order, "query")))

    def close(self, order: OrderBook | None) -> Answer:
        """Only a trade that waits for its payer is closed; a code that nobody scanned is none, and stays payable."""
        found = self.trade(order, "close")
        if found.is_closed:
            raise Denied("ACQ.TRADE_STATUS_ERROR", "交易状态不合法")
        if self._desk.close(found.key) == "paid":
            raise Denied("ACQ.REASON_TRADE_STATUS_INVALID", "非待支付状态下不支持关单操作")
        return said(self._names(found))

    def cancel(self, order: OrderBook | None) -> Answer:
        """Close what waits, refund what is paid; for a code that nobody scanned it says yes, and changes nothing."""
        if order is None or not self._is_trade(order):
            return said({"retry_flag": "N"})
        if self._desk.close(order.key) != "paid":
            return said({**self._names(order), "retry_flag": "N", "action": "close"})
        left_fen = order.paid_fen - order.refunding_fen
        if left_fen > 0:
            refund = self._desk.refund(order, f"cancel-{order.key.number}", left_fen, takes_s=0.0)
            if isinstance(refund, Refusal):
                raise refused(refund)
            self._desk.work()
        return said({**self._names(order), "retry_flag": "N", "action": "refund"})

    def status(self, order: OrderBook) -> str:
        """Alipay's word for how a trade stands. One that was refunded whole is closed."""
        now = self._desk.clock.now()
        if not order.charges:
            return "WAIT_BUYER_PAY" if order.standing(now) == "open" else "TRADE_CLOSED"
        if order.refunded_fen >= order.paid_fen:
            return "TRADE_CLOSED"
        return "TRADE_FINISHED" if now - order.charges[0].at > FINISHED_AFTER else "TRADE_SUCCESS"

    def words(self, order: OrderBook) -> dict[str, Any]:
        """A trade as a query shows it."""
        paid = order.charges[0] if order.charges else None
        amount = yuan(paid.amount_fen if paid else order.opened.amount_fen)
        return {
            **self._names(order),
            "trade_status": self.status(order),
            "total_amount": amount,
            "receipt_amount": amount if paid else "0.00",
            "buyer_pay_amount": amount if paid else "0.00",
            "invoice_amount": amount if paid else "0.00",
            "point_amount": "0.00",
            "buyer_user_id": buyer_id(paid.payer) if paid else None,
            "buyer_logon_id": "sim***@example.com" if paid else None,
            "send_pay_date": beijing_text(paid.at) if paid else None,
            "fund_bill_list": [{"fund_channel": "ALIPAYACCOUNT", "amount": amount}] if paid else None,
        }

    def _names(self, order: OrderBook) -> dict[str, Any]:
        return {"out_trade_no": order.key.number, "trade_no": order.opened.terms["transaction_id"]}


def buyer_id(payer: str) -> str:
    """A payer's account number, always the same one."""
    if payer.startswith("2088") and payer.isdecimal() and len(payer) == 16:
        return payer
    return f"2088{int(hashlib.sha256(payer.encode()).hexdigest(), 16) % 10**12:012d}"
