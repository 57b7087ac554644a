"""校园轻松付 on WeChat Pay: a payer's contract, and debits under it without the payer being asked again."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from payments.simulator import events
from payments.simulator.desk import Desk, Refusal
from payments.simulator.events import OrderKey
from payments.simulator.order_book import ContractBook, OrderBook
from payments.simulator.protocol import Answer, Call
from payments.simulator.wechat_account import INSTITUTION, Account
from payments.simulator.wechat_orders import Amount, Orders, check_number, check_url
from payments.simulator.wechat_words import BadParameter, at, error, parsed, refused, said

CHANNEL = "edupay"

_STATES = {"SUCCESS": "支付成功", "REFUND": "转入退款", "ACCEPT": "已接收，等待扣款", "PAY_FAIL": "扣款失败"}


class _DebitScene(msgspec.Struct, frozen=True, kw_only=True):
    start_time: str
    school_id: str
    scene_type: str


class _Device(msgspec.Struct, frozen=True, kw_only=True):
    device_ip: str
    device_id: str = ""


class _Settle(msgspec.Struct, frozen=True, kw_only=True):
    profit_sharing: bool = False


class _NewDebit(msgspec.Struct, frozen=True, kw_only=True):
    appid: str
    description: str
    out_trade_no: str
    notify_url: str
    contract_id: str
    user_id: str
    amount: Amount
    scene_info: _DebitScene
    device_info: _Device
    sub_mchid: str = ""
    sub_appid: str = ""
    attach: str = ""
    settle_info: _Settle = _Settle()
    payment_mode: Literal["SYNC", "ASYNC"] = "ASYNC"


class _Presign(msgspec.Struct, frozen=True, kw_only=True):
    appid: str
    openid: str
    plan_id: str
    contract_code: str = ""
    school_id: str = ""
    user_id: str = ""


class _Terminate(msgspec.Struct, frozen=True, kw_only=True):
    contract_terminate_remark: str = ""


class EduPay:
    """Contracts and debits; refunds, splits and bills are WeChat Pay's own."""

    def __init__(self, desk: Desk, account: Account, orders: Orders) -> None:
        self._desk = desk
        self._account = account
        self._orders = orders

    # -- contracts ----------------------------------------------------------------------------------------------------

    def presign(self, call: Call) -> Answer:
        """The payer signs at once here: the token is the contract's id."""
        asked = parsed(call.body, _Presign)
        self._orders.check_appid(asked.appid)
        contract_id = self._desk.new_number("2045", 24)
        made = self._desk.make_contract(INSTITUTION, contract_id, asked.openid, self._account.options.contract_fen)
        return refused(made) if isinstance(made, Refusal) else said({"presign_token": contract_id})

    def contract(self, contract_id: str) -> Answer:
        """How a contract stands."""
        book = self._desk.books.contracts.get((INSTITUTION, contract_id))
        return refused(Refusal("no_contract")) if book is None else said(self._contract_words(book))

    def contracts_of(self, openid: str) -> Answer:
        """A payer's contracts."""
        books = [b for b in self._desk.books.contracts.values() if b.made.payer == openid]
        return said({"data": [self._contract_words(b) for b in books[:100]]})

    def terminate(self, call: Call, contract_id: str) -> Answer:
        """The end of a contract."""
        if call.body:
            parsed(call.body, _Terminate)
        book = self._desk.books.contracts.get((INSTITUTION, contract_id))
        if book is None:
            return refused(Refusal("no_contract"))
        if not book.is_ended:
            self._desk.books.book(events.ContractEnded(institution=INSTITUTION, contract_id=contract_id))
        return Answer(status=204)

    def debts(self, openid: str) -> Answer:
        """Nobody owes anything here."""
        return said({"debt_state": "NO_DEBT", "openid": openid})

    def _contract_words(self, book: ContractBook) -> dict[str, Any]:
        return {
            "contract_id": book.made.contract_id,
            "mchid": self._account.mchid,
            "appid": self._account.appid,
            "openid": book.made.payer,
            "contract_status": "TERMINATED" if book.is_ended else "ADVANCED",
            "create_time": at(book.made_at),
        }

    # -- debits -------------------------------------------------------------------------------------------------------

    def debit(self, call: Call) -> Answer:
        """Take the money. The same number again is the same debit, and takes nothing."""
        asked = parsed(call.body, _NewDebit)
        self._orders.check_appid(asked.appid)
        if asked.amount.total <= 0:
            raise BadParameter("amount.total: at least 1")
        payer = self._payer_of(asked.contract_id)
        if payer is None:
            return refused(Refusal("no_contract"))
        opened = self._opened(asked, payer)
        known = self._desk.books.order(opened.key)
        order = self._desk.open(opened)
        if isinstance(order, Refusal):
            # Asked again: a debit that was decided is told again, whatever it was.
            is_same = known is not None and order.code in ("paid", "closed")
            return said(self.words(known)) if is_same and known is not None else refused(order)
        if self._desk.pay(order, payer, "debit") == "insufficient":
            self._desk.books.book(events.Closed(key=order.key))
        if asked.payment_mode == "ASYNC":
            return said({**self.words(order), "trade_state": "ACCEPT", "trade_state_desc": _STATES["ACCEPT"]})
        return said(self.words(order))

    def _payer_of(self, contract_id: str) -> str | None:
        book = self._desk.books.contracts.get((INSTITUTION, contract_id))
        if book is None and self._account.options.any_contract:
            payer = f"o{contract_id}"
            made = self._desk.make_contract(INSTITUTION, contract_id, payer, self._account.options.contract_fen)
            book = None if isinstance(made, Refusal) else made
        return None if book is None or book.is_ended else book.made.payer

    def _opened(self, asked: _NewDebit, payer: str) -> events.Opened:
        terms = {
            "contract_id": asked.contract_id,
            "openid": payer,
            "attach": asked.attach,
            "sub_mchid": asked.sub_mchid,
            "device_ip": asked.device_info.device_ip,
        }
        return events.Opened(
            key=OrderKey(INSTITUTION, asked.sub_mchid or self._account.mchid, check_number(asked.out_trade_no)),
            channel=CHANNEL,
            kind="EDUSCHOOL",
            amount_fen=asked.amount.total,
            description=asked.description,
            token=self._desk.new_token(),
            notify_url=check_url(asked.notify_url),
            is_split=asked.settle_info.profit_sharing,
            terms={name: value for name, value in terms.items() if value},
        )

    def query(self, order: OrderBook | None) -> Answer:
        """How a debit stands."""
        if order is None or order.opened.channel != CHANNEL or self._desk.is_hidden(order, "query"):
            return error("ORDER_NOT_EXIST", "订单不存在")
        return said(self.words(order))

    def words(self, order: OrderBook) -> dict[str, Any]:
        """A debit as answers and callbacks show it."""
        state = {"NOTPAY": "ACCEPT", "CLOSED": "PAY_FAIL"}.get(self._orders.state(order), self._orders.state(order))
        words = self._orders.transaction(order)
        device = {"device_ip": order.opened.terms.get("device_ip", "")}
        return {**words, "trade_state": state, "trade_state_desc": _STATES[state], "device_info": device}
