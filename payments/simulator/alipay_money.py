"""Money that leaves at the simulated Alipay: refunds, splits to receivers, and transfers."""

from __future__ import annotations

from typing import Any

import msgspec

from payments.channels.china import beijing_text
from payments.money import yuan
from payments.simulator import events
from payments.simulator.alipay_account import INSTITUTION, Account
from payments.simulator.alipay_orders import Orders, Subject, buyer_id
from payments.simulator.alipay_words import Denied, fen, parsed, refused, said
from payments.simulator.desk import Desk, Refusal
from payments.simulator.events import OrderKey, Part
from payments.simulator.order_book import OrderBook, RefundBook, SplitBook, TransferBook
from payments.simulator.protocol import Answer

_BINDINGS_AT_ONCE = 20


class _Royalty(msgspec.Struct, frozen=True, kw_only=True):
    amount: str | float
    trans_in: str = ""
    trans_in_type: str = "userId"
    trans_out: str = ""
    royalty_type: str = "transfer"
    desc: str = ""


class _Refund(Subject, frozen=True, kw_only=True):
    refund_amount: str | float
    out_request_no: str = ""
    refund_reason: str = ""
    refund_royalty_parameters: tuple[_Royalty, ...] = ()


class RefundQuery(Subject, frozen=True, kw_only=True):
    """A refund, by its own number and its trade's."""

    out_request_no: str


class Settle(msgspec.Struct, frozen=True, kw_only=True):
    """A split, or only the end of splitting."""

    out_request_no: str
    trade_no: str
    royalty_parameters: tuple[_Royalty, ...] = ()
    royalty_mode: str = "sync"
    extend_params: dict[str, str] = {}

    @property
    def is_last(self) -> bool:
        """Whether what is left is the merchant's then."""
        return self.extend_params.get("royalty_finish") == "true"


class SettleQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A split, by its own number and its trade's."""

    out_request_no: str = ""
    trade_no: str = ""
    settle_no: str = ""


class _Receiver(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    account: str
    name: str = ""
    memo: str = ""


class _Binding(msgspec.Struct, frozen=True, kw_only=True):
    out_request_no: str
    receiver_list: tuple[_Receiver, ...]


class _Payee(msgspec.Struct, frozen=True, kw_only=True):
    identity: str
    identity_type: str
    name: str | None = None


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """Money to a person."""

    out_biz_no: str
    trans_amount: str | float
    payee_info: _Payee
    product_code: str
    biz_scene: str = ""
    order_title: str = ""


class TransferQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer by its number."""

    out_biz_no: str = ""
    order_id: str = ""


class Money:
    """Every instruction moves money once, however often it is sent."""

    def __init__(self, desk: Desk, account: Account, orders: Orders) -> None:
        self._desk = desk
        self._account = account
        self._orders = orders

    # -- back to the payer --------------------------------------------------------------------------------------------

    def refund(self, text: str, order: OrderBook | None) -> Answer:
        """Done when it is answered, unless the fault plan wants it to take its time. The same again moves nothing."""
        wish = parsed(text, _Refund)
        trade = self._orders.trade(order, "refund")
        amount_fen = fen(wish.refund_amount, "refund_amount")
        if not wish.out_request_no and amount_fen != trade.paid_fen:
            raise Denied("ACQ.INVALID_PARAMETER", "out_request_no: 部分退款时必传")
        asked = wish.out_request_no or trade.key.number
        number = self._refund_number(trade, asked)
        is_known = number in trade.refunds
        if not is_known:
            self._take_back(trade, number, wish.refund_royalty_parameters)
        refund = self._desk.refund(trade, number, amount_fen, takes_s=0.0, terms={"out_request_no": asked})
        if isinstance(refund, Refusal):
            raise refused(refund, different="ACQ.REFUND_REQUEST_INCONSISTENT")
        self._desk.work()
        if refund.standing in ("closed", "abnormal"):
            raise Denied("ACQ.REFUND_CHARGE_ERROR", "退款失败")
        return said(
            {
                **self._names(trade),
                "buyer_user_id": buyer_id(trade.charges[0].payer),
                "buyer_logon_id": "sim***@example.com",
                "fund_change": "Y" if refund.standing == "done" and not is_known else "N",
                "refund_fee": yuan(trade.refunded_fen),
                "send_back_fee": yuan(refund.opened.amount_fen if refund.standing == "done" else 0),
            }
        )

    def _refund_number(self, trade: OrderBook, asked: str) -> str:
        """By what number the books know a refund: the merchant's own is unique for a trade alone."""
        holder = self._desk.books.order_of("refund", INSTITUTION, self._account.seller_id, asked)
        return asked if holder is None or holder is trade else f"{asked}@{trade.key.number}"

    def _take_back(self, trade: OrderBook, number: str, parts: tuple[_Royalty, ...]) -> None:
        """Receivers give their parts back first, where the merchant says so."""
        for at, part in enumerate(parts):
            amount_fen = fen(part.amount, "refund_royalty_parameters.amount")
            has = (n for n, split in trade.splits.items() if split.received_fen(part.trans_out) >= amount_fen)
            split_number = next(has, None)
            if split_number is None:
                raise Denied("ACQ.REFUND_ROYALTY_PARAM_ERROR", f"{part.trans_out}: has not got so much")
            taken = self._desk.take_back(trade, f"{number}.{at + 1}", split_number, part.trans_out, amount_fen)
            if isinstance(taken, Refusal) or not taken.taken.is_done:
                raise Denied("ACQ.REFUND_ROYALTY_ERROR", f"{part.trans_out}: does not give it back")

    def refund_query(self, wish: RefundQuery, order: OrderBook | None) -> Answer:
        """A refund that is done; of any other one Alipay says nothing but that it was asked."""
        trade = self._orders.trade(order, "refund_query")
        refund = trade.refunds.get(self._refund_number(trade, wish.out_request_no))
        if refund is None or refund.standing != "done":
            return said({})
        return said(self._refund_words(trade, refund))

    def _refund_words(self, trade: OrderBook, refund: RefundBook) -> dict[str, Any]:
        return {
            **self._names(trade),
            "out_request_no": refund_number(refund),
            "refund_amount": yuan(refund.opened.amount_fen),
            "total_amount": yuan(trade.paid_fen),
            "refund_status": "REFUND_SUCCESS",
            "gmt_refund_pay": beijing_text(refund.ended_at) if refund.ended_at else None,
        }

    def _names(self, order: OrderBook) -> dict[str, Any]:
        return {"out_trade_no": order.key.number, "trade_no": order.opened.terms["transaction_id"]}

    # -- to receivers -------------------------------------------------------------------------------------------------

    def bind(self, text: str) -> Answer:
        """The merchant may split to these; binding one again is binding it."""
        for receiver in self._receivers(text):
            added = events.ReceiverAdded(
                institution=INSTITUTION,
                merchant=self._account.seller_id,
                kind=receiver.type,
                account=receiver.account,
                terms={"memo": receiver.memo} if receiver.memo else {},
            )
            refusal = self._desk.add_receiver(added)
            if refusal is not None:
                raise refused(refusal)
        return said({"result_code": "SUCCESS"})

    def unbind(self, text: str) -> Answer:
        """It may not any more."""
        for receiver in self._receivers(text):
            removed = events.ReceiverRemoved(
                institution=INSTITUTION,
                merchant=self._account.seller_id,
                kind=receiver.type,
                account=receiver.account,
            )
            self._desk.remove_receiver(removed)
        return said({"result_code": "SUCCESS"})

    def _receivers(self, text: str) -> tuple[_Receiver, ...]:
        wish = parsed(text, _Binding)
        if not 0 < len(wish.receiver_list) <= _BINDINGS_AT_ONCE:
            raise Denied("ACQ.INVALID_PARAMETER", f"receiver_list: 1 to {_BINDINGS_AT_ONCE}")
        return wish.receiver_list

    def bindings(self) -> Answer:
        """To whom the merchant may split."""
        mine = [book.added for key, book in self._desk.books.receivers.items() if key[0] == INSTITUTION]
        listed = [{"type": each.kind, "account": each.account} for each in mine[:100]]
        return said({"result_code": "SUCCESS", "receiver_list": listed, "total_record_num": str(len(mine))})

    def settle(self, wish: Settle, order: OrderBook | None) -> Answer:
        """Taken; what became of each part is asked for."""
        trade = self._orders.trade(order, "split")
        parts = [
            Part(
                kind=part.trans_in_type,
                account=part.trans_in,
                amount_fen=fen(part.amount, "royalty_parameters.amount"),
                detail_id=self._desk.new_number("2026", 24),
                description=part.desc,
            )
            for part in wish.royalty_parameters
        ]
        if not parts and not wish.is_last:
            raise Denied("ACQ.INVALID_PARAMETER", "royalty_parameters: missing")
        split = self._desk.split(
            trade,
            wish.out_request_no,
            parts,
            is_last=wish.is_last,
            cap_permille=self._account.options.split_permille,
            notify_url=self._account.options.app_gateway or trade.opened.notify_url,
        )
        if isinstance(split, Refusal):
            raise refused(split, too_much="ACQ.ALLOC_AMOUNT_VALIDATE_ERROR")
        return said({"trade_no": wish.trade_no, "settle_no": split.opened.split_id})

    def settle_query(self, wish: SettleQuery, order: OrderBook | None) -> Answer:
        """Each part of a split."""
        splits = order.splits.values() if order is not None else ()
        names = (wish.out_request_no, wish.settle_no)
        split = next((s for s in splits if s.opened.number == names[0] or s.opened.split_id == names[1]), None)
        if split is None:
            raise Denied("ACQ.TRADE_SETTLE_NOT_EXIST", "分账单不存在")
        return said(self.split_words(split))

    def split_words(self, split: SplitBook) -> dict[str, Any]:
        """A split as a query and a message show it."""
        is_over = split.ended_at is not None
        states = {"done": "SUCCESS", "closed": "FAIL", "pending": "PROCESSING"}
        return {
            "out_request_no": split.opened.number,
            "settle_no": split.opened.split_id,
            "operation_dt": beijing_text(split.opened_at),
            "royalty_detail_list": [
                {
                    "operation_type": "transfer",
                    "detail_id": part.detail_id,
                    "trans_out": self._account.seller_id,
                    "trans_out_type": "userId",
                    "trans_in": part.account,
                    "trans_in_type": part.kind,
                    "amount": yuan(part.amount_fen),
                    "state": states[part.ends_as] if is_over else "PROCESSING",
                    **({"execute_dt": beijing_text(split.ended_at)} if split.ended_at else {}),
                    **({"error_code": part.reason} if is_over and part.reason else {}),
                }
                for part in split.opened.parts
            ],
        }

    # -- to persons ---------------------------------------------------------------------------------------------------

    def transfer(self, text: str) -> Answer:
        """Done when it is answered."""
        wish = parsed(text, Transfer)
        if wish.payee_info.identity_type not in ("ALIPAY_USER_ID", "ALIPAY_LOGON_ID"):
            raise Denied("PAYEE_NOT_EXIST", "identity_type: ALIPAY_USER_ID or ALIPAY_LOGON_ID")
        if wish.payee_info.identity_type == "ALIPAY_LOGON_ID" and not wish.payee_info.name:
            raise Denied("INVALID_PARAMETER", "payee_info.name: 收款方为登录号时必传")
        key = OrderKey(INSTITUTION, self._account.seller_id, wish.out_biz_no)
        transfer = self._desk.transfer(
            key,
            wish.payee_info.identity,
            fen(wish.trans_amount, "trans_amount"),
            has_to_agree=False,
            notify_url=self._account.options.app_gateway,
            takes_s=0.0,
        )
        if isinstance(transfer, Refusal):
            raise refused(transfer, different="REQUEST_PROCESSING_DIFFERENT", not_enough="PAYER_BALANCE_NOT_ENOUGH")
        self._desk.work()
        if transfer.standing == "failed":
            raise Denied("PAYEE_ACCOUNT_STATUS_ERROR", "收款账号状态异常")
        return said(self.transfer_words(transfer))

    def find_transfer(self, wish: TransferQuery) -> TransferBook | None:
        """The transfer of that number."""
        if wish.out_biz_no:
            return self._desk.books.transfers.get(OrderKey(INSTITUTION, self._account.seller_id, wish.out_biz_no))
        transfers = self._desk.books.transfers.values()
        return next((t for t in transfers if wish.order_id and t.opened.transfer_id == wish.order_id), None)

    def transfer_query(self, transfer: TransferBook | None) -> Answer:
        """How it stands."""
        if transfer is None:
            raise Denied("ORDER_NOT_EXIST", "转账订单不存在")
        return said(self.transfer_words(transfer))

    def transfer_words(self, transfer: TransferBook) -> dict[str, Any]:
        """A transfer as answers show it."""
        states = {
            "accepted": "DEALING",
            "waiting": "DEALING",
            "done": "SUCCESS",
            "failed": "FAIL",
            "cancelled": "CLOSED",
        }
        return {
            "out_biz_no": transfer.opened.key.number,
            "order_id": transfer.opened.transfer_id,
            "pay_fund_order_id": transfer.opened.transfer_id,
            "trans_amount": yuan(transfer.opened.amount_fen),
            "status": states[transfer.standing],
            "error_code": transfer.reason or None,
            "trans_date": beijing_text(transfer.moved_at or transfer.opened_at),
        }


def refund_number(refund: RefundBook) -> str:
    """The merchant's own number of a refund."""
    return refund.opened.terms.get("out_request_no", refund.opened.number)
