"""UnionPay's transactions: pages that payers open, orders for its app, undoing and refunding; known by number and time.

A merchant that asks with another time than it sent asks about another order, and is told that there is none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from payments.simulator import events
from payments.simulator.desk import Desk, Refusal
from payments.simulator.events import OrderKey
from payments.simulator.order_book import OrderBook, RefundBook
from payments.simulator.protocol import Answer
from payments.simulator.unionpay_account import INSTITUTION, Account
from payments.simulator.unionpay_words import Refused, fen, moment, needed, refused, said, settle_day, stamp

FRONT, APP = "FRONT", "APP"
PAY, REFUND, UNDO = "01", "04", "31"
#: Money that was taken after the end of its order.
TOO_LATE = "42"
FAILED = "01"

_NUMBER = re.compile(r"[0-9A-Za-z]{8,40}")
Params = Mapping[str, str]


class Orders:
    """What merchants ask of UnionPay."""

    def __init__(self, desk: Desk, account: Account) -> None:
        self._desk = desk
        self._account = account

    # -- making one ---------------------------------------------------------------------------------------------------

    def open(self, params: Params, kind: str) -> OrderBook:
        """A new order, or the one of that number and time."""
        if params.get("txnType") != PAY or params.get("bizType") != "000201":
            raise Refused("32")
        if params.get("currencyCode") != "156":
            raise Refused("10", "currencyCode: 156")
        sent_at = stamp(moment(params, "txnTime"))
        number = self.number(params)
        known = self._desk.books.order(self._key(number))
        ends_at = moment(params, "payTimeout") if params.get("payTimeout") else None
        if known is None and ends_at is not None and ends_at <= self._desk.clock.now():
            raise Refused("39", "payTimeout: is over already")
        # UnionPay's own number for it, which does not change when the payer opens the page again.
        query_id = known.opened.terms["transaction_id"] if known else self._desk.new_number("", 21)
        terms = {"order_id": params["orderId"], "txn_time": sent_at, "transaction_id": query_id}
        order = self._desk.open(
            events.Opened(
                key=self._key(number),
                channel=INSTITUTION,
                kind=kind,
                amount_fen=fen(params),
                description=params.get("riskRateInfo", "")[:100],
                token=self._desk.new_number("20", 19),
                notify_url=needed(params, "backUrl"),
                expires_at=ends_at,
                terms=terms | ({"req_reserved": params["reqReserved"]} if params.get("reqReserved") else {}),
            )
        )
        if isinstance(order, Refusal):
            raise refused(order)
        return order

    def app(self, params: Params) -> Answer:
        """A number that UnionPay's app takes."""
        return said(params, tn=self.open(params, APP).opened.token)

    def number(self, params: Params) -> str:
        """By what number the books know this order, refund or undoing: the same one with another time is another."""
        number, sent_at = needed(params, "orderId"), needed(params, "txnTime")
        if not _NUMBER.fullmatch(number):
            raise Refused("10", "orderId: 8 to 40 letters and digits")
        order = self._desk.books.order(self._key(number))
        refund = self.refund_of(number)
        times = [order.opened.terms["txn_time"]] if order else []
        times += [refund.opened.terms["txn_time"]] if refund else []
        return f"{number}.{sent_at}" if times and sent_at not in times else number

    def _key(self, number: str) -> OrderKey:
        return OrderKey(INSTITUTION, self._account.mer_id, number)

    def order_of(self, number: str) -> OrderBook | None:
        """The payment of that number, or the one that the refund of that number is of."""
        books = self._desk.books
        return books.order(self._key(number)) or books.order_of("refund", INSTITUTION, self._account.mer_id, number)

    def refund_of(self, number: str) -> RefundBook | None:
        """The refund or undoing of that number."""
        order = self._desk.books.order_of("refund", INSTITUTION, self._account.mer_id, number)
        return None if order is None else order.refunds[number]

    # -- asking -------------------------------------------------------------------------------------------------------

    def query(self, params: Params, number: str) -> Answer:
        """What became of it. Whatever it is, the question itself was answered: ``respCode`` 00."""
        order = self._desk.books.order(self._key(number))
        if order is not None:
            return self._about_order(params, order)
        refund, of = self.refund_of(number), self.order_of(number)
        if refund is None or of is None or self._desk.is_hidden(of, "query"):
            raise Refused("34")
        code = {"pending": self._account.options.open_code, "done": "00"}.get(refund.standing, FAILED)
        return said(
            params,
            origRespCode=code,
            txnType=refund.opened.terms["txn_type"],
            txnAmt=str(refund.opened.amount_fen),
            queryId=refund_query_id(refund),
        )

    def _about_order(self, params: Params, order: OrderBook) -> Answer:
        if self._desk.is_hidden(order, "query"):
            raise Refused("34")
        amount_fen = order.paid_fen or order.opened.amount_fen
        words = {"txnType": PAY, "txnSubType": "01", "txnAmt": str(amount_fen), "currencyCode": "156"}
        if not order.charges:
            is_open = order.standing(self._desk.clock.now()) == "open"
            return said(params, origRespCode=self._account.options.open_code if is_open else FAILED, **words)
        words |= {"queryId": order.opened.terms["transaction_id"], "settleAmt": str(amount_fen)}
        if self.is_late(order):
            self._return_late(order)
            return said(params, origRespCode=TOO_LATE, **words)
        return said(params, origRespCode="00", **words)

    def is_late(self, order: OrderBook) -> bool:
        """Whether it was paid after its end."""
        return order.opened.expires_at is not None and order.charges[0].at >= order.opened.expires_at

    def _return_late(self, order: OrderBook) -> None:
        """UnionPay gives back by itself what it took too late."""
        terms = {"txn_type": REFUND, "txn_time": stamp(self._desk.clock.now()), "order_id": f"LATE{order.key.number}"}
        left_fen = order.paid_fen - order.refunding_fen
        if left_fen > 0:
            self._desk.refund(order, f"LATE{order.key.number}", left_fen, takes_s=0.0, terms=terms)
            self._desk.work()

    # -- giving back --------------------------------------------------------------------------------------------------

    def give_back(self, params: Params, number: str) -> Answer:
        """A refund, or the undoing of the whole payment on the same settlement day. Taken; asked for later."""
        kind = params["txnType"]
        order = self.original(params)
        if order is None:
            raise Refused("35")
        if self.refund_of(number) is not None:
            raise Refused("12")
        amount_fen = fen(params)
        if kind == UNDO:
            self._check_undo(order, amount_fen)
        terms = {"txn_type": kind, "txn_time": params["txnTime"], "order_id": params["orderId"]}
        terms |= {"req_reserved": params["reqReserved"]} if params.get("reqReserved") else {}
        refund = self._desk.refund(order, number, amount_fen, notify_url=params.get("backUrl", ""), terms=terms)
        if isinstance(refund, Refusal):
            raise refused(refund)
        return said(params, origQryId=params["origQryId"], queryId=refund_query_id(refund), txnAmt=str(amount_fen))

    def original(self, params: Params) -> OrderBook | None:
        """The payment that is to be given back."""
        return self._desk.books.order_of_transaction(INSTITUTION, needed(params, "origQryId"))

    def _check_undo(self, order: OrderBook, amount_fen: int) -> None:
        if amount_fen != order.paid_fen:
            raise Refused("36")
        is_same_day = settle_day(order.charges[0].at) == settle_day(self._desk.clock.now())
        if order.refunding_fen or not is_same_day:
            raise Refused("35")


def refund_query_id(refund: RefundBook) -> str:
    """UnionPay's own number for a refund: as long as all of its numbers."""
    return refund.opened.refund_id[-21:]
