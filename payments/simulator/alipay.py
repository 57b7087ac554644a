"""Alipay's one gateway: which method is which operation, pages that payers open, and what the merchant is told when."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from payments.simulator.alipay_account import INSTITUTION, Account, params_of
from payments.simulator.alipay_bills import BillDesk
from payments.simulator.alipay_frozen import Frozen, FrozenMoney
from payments.simulator.alipay_money import Money, RefundQuery, Settle, SettleQuery, Transfer, TransferQuery
from payments.simulator.alipay_notices import Notices
from payments.simulator.alipay_orders import PAGES, Orders, Subject
from payments.simulator.alipay_words import Denied, denied, page, parsed
from payments.simulator.events import AnyEvent, NoticeQueued
from payments.simulator.order_book import NoticeBook, OrderBook
from payments.simulator.protocol import Answer, Asked, Call, Letter, Room, Twist

MINUTE, HOUR = 60, 3600
#: Re-sending: eight times within 25 hours.
LADDER_S = (4 * MINUTE, 10 * MINUTE, 10 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, 15 * HOUR)
PATIENCE_S = 5.0

GATEWAY, CODES, BILLS = "/gateway.do", "/alipay/qr/", "/alipay/bill"

Params = Mapping[str, str]
Handler = Callable[[Params, Call], Asked]


class _Number(msgspec.Struct, frozen=True, kw_only=True):
    """What a page's order is named by."""

    out_trade_no: str = ""
    out_order_no: str = ""


class AlipayProtocol:
    """One merchant's application."""

    institution = INSTITUTION
    prefixes = (GATEWAY, "/alipay/")
    ladder_s = LADDER_S
    patience_s = PATIENCE_S

    def __init__(self, room: Room) -> None:
        self._desk = room.desk
        self._account = Account(room)
        self._orders = Orders(room.desk, self._account)
        self._money = Money(room.desk, self._account, self._orders)
        self._bills = BillDesk(room.desk, self._account)
        self._frozen = FrozenMoney(room.desk, self._account)
        self._notices = Notices(room.desk, self._account, self._orders, self._money, self._frozen)
        self._methods = self._table()

    def settings(self, base_url: str, backup_url: str) -> Mapping[str, str]:
        return self._account.settings(base_url)

    # -- methods ------------------------------------------------------------------------------------------------------

    def _table(self) -> dict[str, Handler]:
        return {
            "alipay.trade.precreate": self._precreate,
            "alipay.trade.query": self._query,
            "alipay.trade.close": self._close,
            "alipay.trade.cancel": self._cancel,
            "alipay.trade.refund": self._refund,
            "alipay.trade.fastpay.refund.query": self._refund_query,
            "alipay.trade.order.settle": self._settle,
            "alipay.trade.order.settle.query": self._settle_query,
            "alipay.trade.royalty.relation.bind": self._bind,
            "alipay.trade.royalty.relation.unbind": self._unbind,
            "alipay.trade.royalty.relation.batchquery": self._bindings,
            "alipay.fund.trans.uni.transfer": self._transfer,
            "alipay.fund.trans.common.query": self._transfer_query,
            "alipay.fund.auth.operation.detail.query": self._frozen_query,
            "alipay.fund.auth.order.unfreeze": self._unfreeze,
            "alipay.fund.auth.operation.cancel": self._cancel_freeze,
            "alipay.trade.pay": self._pay,
            "alipay.data.dataservice.bill.downloadurl.query": self._bill,
        }

    def understand(self, call: Call) -> Asked | Answer:
        if call.path.startswith(CODES):
            return self._page(
                "open", lambda: self._orders.scan(call.path[len(CODES) :], call.base_url), self._scanned(call)
            )
        if call.path == BILLS:
            return self._page("bill_file", lambda: self._bills.file(call))
        params = params_of(call)
        method = params.get("method", "")
        is_page = method in PAGES
        try:
            self._account.proved(params, is_page=is_page)
            if is_page:
                named = parsed(params.get("biz_content", ""), _Number)
                number = named.out_trade_no or named.out_order_no
                return self._page("open", lambda: self._orders.open_page(params, call.base_url), number)
            handler = self._methods.get(method)
            if handler is None:
                raise Denied("isv.invalid-method", f"不存在的方法名 {method}", "40002")
            return self._guarded(handler(params, call))
        except Denied as no:
            if is_page:
                return page(no)
            # It cannot sign for an application that it does not know.
            return _unsigned(denied(no)) if no.sub_code == "isv.invalid-app-id" else denied(no)

    def _scanned(self, call: Call) -> str:
        order = self._desk.books.order_of_token(call.path[len(CODES) :])
        return order.key.number if order is not None and order.key.institution == INSTITUTION else ""

    def _page(self, operation: str, act: Callable[[], Answer], number: str = "") -> Asked:
        """What a browser asks for: a no is a page, too."""

        def shown() -> Answer:
            try:
                return act()
            except Denied as no:
                return page(no)

        return Asked(channel=INSTITUTION, operation=operation, act=shown, number=number)

    def _guarded(self, asked: Asked) -> Asked:
        def act() -> Answer:
            try:
                return asked.act()
            except Denied as no:
                return denied(no)

        return msgspec.structs.replace(asked, act=act)

    def _asked(self, operation: str, act: Callable[[], Answer], number: str = "") -> Asked:
        return Asked(channel=INSTITUTION, operation=operation, act=act, number=number)

    def _about(self, operation: str, order: OrderBook | None, act: Callable[[], Answer], number: str = "") -> Asked:
        return self._asked(operation, act, order.key.number if order else number)

    def _order(self, params: Params) -> tuple[OrderBook | None, str]:
        """The trade that the content names, and the number by which it does."""
        subject = parsed(params.get("biz_content", ""), Subject)
        if not subject.out_trade_no and not subject.trade_no:
            raise Denied("isv.missing-param", "out_trade_no or trade_no", "40001")
        return self._orders.find(subject), subject.out_trade_no

    # -- trades -------------------------------------------------------------------------------------------------------

    def _precreate(self, params: Params, call: Call) -> Asked:
        number = parsed(params.get("biz_content", ""), Subject).out_trade_no
        return self._asked("create", lambda: self._orders.precreate(params, call.base_url), number)

    def _query(self, params: Params, _: Call) -> Asked:
        order, number = self._order(params)
        return self._about("query", order, lambda: self._orders.query(order), number)

    def _close(self, params: Params, _: Call) -> Asked:
        order, number = self._order(params)
        return self._about("close", order, lambda: self._orders.close(order), number)

    def _cancel(self, params: Params, _: Call) -> Asked:
        order, number = self._order(params)
        return self._about("close", order, lambda: self._orders.cancel(order), number)

    # -- money --------------------------------------------------------------------------------------------------------

    def _refund(self, params: Params, _: Call) -> Asked:
        order, number = self._order(params)
        return self._about("refund", order, lambda: self._money.refund(params["biz_content"], order), number)

    def _refund_query(self, params: Params, _: Call) -> Asked:
        order, number = self._order(params)
        wish = parsed(params["biz_content"], RefundQuery)
        return self._about("refund_query", order, lambda: self._money.refund_query(wish, order), number)

    def _settle(self, params: Params, _: Call) -> Asked:
        wish = parsed(params.get("biz_content", ""), Settle)
        order = self._orders.find(Subject(trade_no=wish.trade_no))
        operation = "split" if wish.royalty_parameters else "unfreeze"
        return self._about(operation, order, lambda: self._money.settle(wish, order))

    def _settle_query(self, params: Params, _: Call) -> Asked:
        wish = parsed(params.get("biz_content", ""), SettleQuery)
        order = self._orders.find(Subject(trade_no=wish.trade_no))
        return self._about("split_query", order, lambda: self._money.settle_query(wish, order))

    def _bind(self, params: Params, _: Call) -> Asked:
        return self._asked("receiver", lambda: self._money.bind(params.get("biz_content", "")))

    def _unbind(self, params: Params, _: Call) -> Asked:
        return self._asked("receiver", lambda: self._money.unbind(params.get("biz_content", "")))

    def _bindings(self, _: Params, __: Call) -> Asked:
        return self._asked("receiver", self._money.bindings)

    def _transfer(self, params: Params, _: Call) -> Asked:
        number = parsed(params.get("biz_content", ""), Transfer).out_biz_no
        return self._asked("transfer", lambda: self._money.transfer(params["biz_content"]), number)

    def _transfer_query(self, params: Params, _: Call) -> Asked:
        transfer = self._money.find_transfer(parsed(params.get("biz_content", ""), TransferQuery))
        number = transfer.opened.key.number if transfer else ""
        return self._asked("transfer_query", lambda: self._money.transfer_query(transfer), number)

    def _frozen_order(self, params: Params) -> tuple[Frozen, OrderBook | None]:
        wish = parsed(params.get("biz_content", ""), Frozen)
        return wish, self._frozen.find(wish)

    def _frozen_query(self, params: Params, _: Call) -> Asked:
        wish, order = self._frozen_order(params)
        return self._about("query", order, lambda: self._frozen.query(wish, order), wish.out_order_no)

    def _unfreeze(self, params: Params, _: Call) -> Asked:
        _wish, order = self._frozen_order(params)
        return self._about("refund", order, lambda: self._frozen.unfreeze(params["biz_content"], order))

    def _cancel_freeze(self, params: Params, _: Call) -> Asked:
        wish, order = self._frozen_order(params)
        return self._about("close", order, lambda: self._frozen.cancel(order), wish.out_order_no)

    def _pay(self, params: Params, _: Call) -> Asked:
        trade, number = self._order(params)
        return self._asked("debit", lambda: self._frozen.capture(params["biz_content"], trade), number)

    def _bill(self, params: Params, call: Call) -> Asked:
        return self._asked("bill", lambda: self._bills.where(params.get("biz_content", ""), call.base_url))

    # -- answers ------------------------------------------------------------------------------------------------------

    def refusal(self, code: str) -> Answer:
        """Codes without a family of their own are acquiring's; those without a verdict are unknown."""
        if code == "20000" or code.endswith("unknow-error"):
            return denied(Denied("isp.unknow-error" if code == "20000" else code, "系统繁忙", "20000"))
        whole = code if "." in code else f"ACQ.{code}"
        return denied(
            Denied(whole, "the fault plan of the simulator says so", "40002" if whole[:3] == "isv" else "40004")
        )

    def broken(self, status: int) -> Answer:
        return Answer(status=status, body=b"<html>error</html>", content_type="text/html", is_signed=False)

    def seal(self, call: Call, answer: Answer, twist: Twist) -> Answer:
        if not answer.is_signed:
            return answer
        method = params_of(call).get("method", "")
        return msgspec.structs.replace(answer, body=self._account.reply(method, answer.body, twist))

    def rotate(self) -> str:
        """Alipay has one key for good, where no certificates are used."""
        return ""

    # -- telling the merchant -----------------------------------------------------------------------------------------

    def notices(self, event: AnyEvent) -> Sequence[NoticeQueued]:
        return self._notices.of(event)

    def letter(self, notice: NoticeBook, twist: Twist) -> Letter:
        return self._notices.letter(notice, twist)

    def is_heard(self, status: int, body: bytes) -> bool:
        return status == 200 and body == b"success"


def _unsigned(answer: Answer) -> Answer:
    return msgspec.structs.replace(answer, body=b'{"error_response":%s}' % answer.body, is_signed=False)
