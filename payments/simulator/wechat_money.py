"""WeChat Pay's money that goes back or on: refunds, profit sharing with its receivers and returns."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from payments.simulator import events
from payments.simulator.desk import Desk, Refusal
from payments.simulator.events import OrderKey, Part
from payments.simulator.order_book import OrderBook, RefundBook, ReturnBook, SplitBook
from payments.simulator.protocol import Answer, Call
from payments.simulator.wechat_account import INSTITUTION, Account
from payments.simulator.wechat_orders import check_url
from payments.simulator.wechat_words import (
    BadParameter,
    at,
    error,
    parsed,
    refund_status,
    refused,
    said,
)

#: What ``merchant-configs`` speaks in: parts of ten thousand.
PER_MYRIAD = 10


class _RefundAmount(msgspec.Struct, frozen=True, kw_only=True):
    refund: int
    total: int
    currency: str = "CNY"


class _NewRefund(msgspec.Struct, frozen=True, kw_only=True):
    out_refund_no: str
    amount: _RefundAmount
    transaction_id: str = ""
    out_trade_no: str = ""
    sub_mchid: str = ""
    reason: str = ""
    notify_url: str = ""


ReceiverType = Literal["MERCHANT_ID", "PERSONAL_OPENID", "PERSONAL_SUB_OPENID"]


class _Receiver(msgspec.Struct, frozen=True, kw_only=True):
    type: ReceiverType
    account: str
    amount: int
    description: str
    name: str = ""


class _NewSplit(msgspec.Struct, frozen=True, kw_only=True):
    appid: str
    transaction_id: str
    out_order_no: str
    receivers: list[_Receiver]
    unfreeze_unsplit: bool
    sub_mchid: str = ""
    notify_url: str = ""


class _Unfreeze(msgspec.Struct, frozen=True, kw_only=True):
    transaction_id: str
    out_order_no: str
    description: str
    sub_mchid: str = ""
    notify_url: str = ""


class _Transaction(msgspec.Struct, frozen=True, kw_only=True):
    transaction_id: str


class _NewReturn(msgspec.Struct, frozen=True, kw_only=True):
    out_return_no: str
    return_mchid: str
    amount: int
    description: str
    out_order_no: str = ""
    order_id: str = ""
    sub_mchid: str = ""


class _NewReceiver(msgspec.Struct, frozen=True, kw_only=True):
    appid: str
    type: ReceiverType
    account: str
    relation_type: str = ""
    custom_relation: str = ""
    name: str = ""
    sub_mchid: str = ""


class Refunds:
    """Money back to the payer."""

    def __init__(self, desk: Desk, account: Account) -> None:
        self._desk = desk
        self._account = account

    def order_of(self, call: Call) -> OrderBook | None:
        """The order that a request for a refund is about."""
        asked = parsed(call.body, _NewRefund)
        if asked.transaction_id:
            return self._desk.books.order_of_transaction(INSTITUTION, asked.transaction_id)
        return self._desk.books.order(OrderKey(INSTITUTION, asked.sub_mchid or self._account.mchid, asked.out_trade_no))

    def create(self, call: Call, order: OrderBook | None) -> Answer:
        """A refund; the same number again is the same refund."""
        asked = parsed(call.body, _NewRefund)
        number = check_refund_number(asked.out_refund_no)
        if order is None:
            return error("RESOURCE_NOT_EXISTS", "订单不存在")
        if order.charges and asked.amount.total != order.paid_fen:
            raise BadParameter("amount.total: is not what the order came to")
        refund = self._desk.refund(
            order,
            number,
            asked.amount.refund,
            notify_url=check_url(asked.notify_url) if asked.notify_url else "",
            terms={"reason": asked.reason} if asked.reason else {},
        )
        if isinstance(refund, Refusal):
            return refused(refund, different="INVALID_REQUEST")
        return said(self.words(order, refund))

    def query(self, number: str, merchant: str) -> Answer:
        """How a refund stands."""
        order = self._desk.books.order_of("refund", INSTITUTION, merchant, number)
        if order is None:
            return error("RESOURCE_NOT_EXISTS", "退款单不存在")
        return said(self.words(order, order.refunds[number]))

    def words(self, order: OrderBook, refund: RefundBook) -> dict[str, Any]:
        """A refund as answers show it."""
        fen, total_fen = refund.opened.amount_fen, order.paid_fen
        return {
            "refund_id": refund.opened.refund_id,
            "out_refund_no": refund.opened.number,
            "transaction_id": order.charges[0].transaction_id,
            "out_trade_no": order.key.number,
            "channel": "ORIGINAL",
            "user_received_account": "支付用户零钱",
            "success_time": at(refund.ended_at) if refund.standing == "done" else None,
            "create_time": at(refund.opened_at),
            "status": refund_status(refund),
            "funds_account": "UNSETTLED" if refund.opened.frozen_fen else "AVAILABLE",
            "amount": {
                "total": total_fen,
                "refund": fen,
                "payer_total": total_fen,
                "payer_refund": fen,
                "settlement_refund": fen,
                "settlement_total": total_fen,
                "discount_refund": 0,
                "currency": "CNY",
            },
        }


def check_refund_number(number: str) -> str:
    """Up to 64 characters, and @ too; BadParameter."""
    if not 0 < len(number) <= 64 or not number.isascii() or any(c in number for c in ' /?#"\\'):
        raise BadParameter("out_refund_no: 1 to 64 of 0-9 A-Z a-z _ - | * @")
    return number


class ProfitSharing:
    """Splits, what is taken back of them, and who may be a receiver."""

    def __init__(self, desk: Desk, account: Account) -> None:
        self._desk = desk
        self._account = account

    def order_of(self, call: Call) -> OrderBook | None:
        """The order that a split or an unfreeze is about."""
        transaction_id = parsed(call.body, _Transaction).transaction_id
        return self._desk.books.order_of_transaction(INSTITUTION, transaction_id)

    def order_of_split(self, number: str, merchant: str) -> OrderBook | None:
        """The order that was split with this number."""
        return self._desk.books.order_of("split", INSTITUTION, merchant, number)

    def create(self, call: Call, order: OrderBook | None) -> Answer:
        """Pay receivers, and perhaps unfreeze the rest."""
        asked = parsed(call.body, _NewSplit)
        self._check_appid(asked.appid)
        if not asked.receivers:
            raise BadParameter("receivers: is empty")
        self._check_names(call, [r.name for r in asked.receivers])
        parts = [
            Part(
                kind=r.type,
                account=r.account,
                amount_fen=r.amount,
                detail_id=self._desk.new_number("3601", 24),
                description=r.description,
            )
            for r in asked.receivers
        ]
        return self._split(order, asked.out_order_no, parts, asked.unfreeze_unsplit, asked.notify_url, "")

    def unfreeze(self, call: Call, order: OrderBook | None) -> Answer:
        """The rest is the merchant's; a number of its own."""
        asked = parsed(call.body, _Unfreeze)
        return self._split(order, asked.out_order_no, [], True, asked.notify_url, asked.description)

    def _split(
        self, order: OrderBook | None, number: str, parts: list[Part], is_last: bool, url: str, description: str
    ) -> Answer:
        check_refund_number(number)
        if order is None:
            return error("RESOURCE_NOT_EXISTS", "订单不存在")
        split = self._desk.split(
            order,
            number,
            parts,
            is_last=is_last,
            cap_permille=self._account.options.split_permille,
            notify_url=check_url(url) if url else "",
            terms={"description": description} if description else {},
        )
        if isinstance(split, Refusal):
            return refused(split, different="INVALID_REQUEST")
        return said(self.words(order, split))

    def query(self, order: OrderBook | None, number: str) -> Answer:
        """How a split stands, receiver by receiver."""
        if order is None or number not in order.splits:
            return error("RESOURCE_NOT_EXISTS", "分账单不存在")
        return said(self.words(order, order.splits[number]))

    def words(self, order: OrderBook, split: SplitBook) -> dict[str, Any]:
        """A split as answers show it. FINISHED says nothing about a receiver."""
        receivers = [self._receiver(split, part) for part in split.opened.parts]
        if not split.opened.parts and split.ended_at is not None:
            rest = Part(
                kind="MERCHANT_ID",
                account=order.key.merchant,
                amount_fen=split.unfrozen_fen,
                detail_id=split.opened.split_id,
                description=split.opened.terms.get("description", ""),
            )
            receivers.append(self._receiver(split, rest))
        return {
            **self._sub(order),
            "transaction_id": order.charges[0].transaction_id,
            "out_order_no": split.opened.number,
            "order_id": split.opened.split_id,
            "state": "PROCESSING" if split.ended_at is None else "FINISHED",
            "receivers": receivers,
        }

    def _receiver(self, split: SplitBook, part: Part) -> dict[str, Any]:
        result = "PENDING" if split.ended_at is None else {"done": "SUCCESS", "closed": "CLOSED"}[part.ends_as]
        words = {
            "amount": part.amount_fen,
            "description": part.description,
            "type": part.kind,
            "account": part.account,
            "result": result,
            "fail_reason": part.reason if result == "CLOSED" else None,
            "create_time": at(split.opened_at),
            "finish_time": at(split.ended_at),
            "detail_id": part.detail_id,
        }
        return {name: value for name, value in words.items() if value is not None}

    def _sub(self, order: OrderBook) -> dict[str, str]:
        sub_mchid = order.opened.terms.get("sub_mchid")
        return {"sub_mchid": sub_mchid} if sub_mchid else {}

    def amounts(self, order: OrderBook | None, transaction_id: str) -> Answer:
        """What is left to split."""
        if order is None:
            return error("RESOURCE_NOT_EXISTS", "订单不存在")
        return said({"transaction_id": transaction_id, "unsplit_amount": order.frozen_fen})

    def config(self, sub_mchid: str) -> Answer:
        """The most that may be split."""
        return said({"sub_mchid": sub_mchid, "max_ratio": self._account.options.split_permille * PER_MYRIAD})

    # -- taking back --------------------------------------------------------------------------------------------------

    def order_of_return(self, call: Call) -> OrderBook | None:
        """The order whose split is to be taken back."""
        asked = parsed(call.body, _NewReturn)
        return self.order_of_split(asked.out_order_no, asked.sub_mchid or self._account.mchid)

    def take_back(self, call: Call, order: OrderBook | None) -> Answer:
        """A merchant's part back; a person's never."""
        asked = parsed(call.body, _NewReturn)
        check_refund_number(asked.out_return_no)
        if order is None:
            return error("RESOURCE_NOT_EXISTS", "分账单不存在")
        split = order.splits[asked.out_order_no]
        is_person = any(p.account == asked.return_mchid and p.kind != "MERCHANT_ID" for p in split.opened.parts)
        taken = self._desk.take_back(
            order,
            asked.out_return_no,
            asked.out_order_no,
            asked.return_mchid,
            asked.amount,
            is_returnable=not is_person,
            terms={"description": asked.description},
        )
        if isinstance(taken, Refusal):
            return refused(taken, different="INVALID_REQUEST")
        return said(self.return_words(order, taken))

    def return_query(self, number: str, merchant: str) -> Answer:
        """How taking back stands."""
        order = self._desk.books.order_of("return", INSTITUTION, merchant, number)
        if order is None:
            return error("RESOURCE_NOT_EXISTS", "回退单不存在")
        return said(self.return_words(order, order.returns[number]))

    def return_words(self, order: OrderBook, book: ReturnBook) -> dict[str, Any]:
        """A return as answers show it."""
        taken = book.taken
        return {
            **self._sub(order),
            "order_id": order.splits[taken.split_number].opened.split_id,
            "out_order_no": taken.split_number,
            "out_return_no": taken.number,
            "return_id": taken.return_id,
            "return_mchid": taken.account,
            "amount": taken.amount_fen,
            "description": taken.terms.get("description", ""),
            "result": "SUCCESS" if taken.is_done else "FAILED",
            "fail_reason": taken.reason or None,
            "create_time": at(book.at),
            "finish_time": at(book.at),
        }

    # -- receivers ----------------------------------------------------------------------------------------------------

    def add_receiver(self, call: Call) -> Answer:
        """Somebody may be split to from now on."""
        asked = parsed(call.body, _NewReceiver)
        self._check_appid(asked.appid)
        if not asked.relation_type or (asked.relation_type == "CUSTOM") != bool(asked.custom_relation):
            raise BadParameter("relation_type: is missing, or custom_relation is (or is too many)")
        if asked.type == "MERCHANT_ID" and not asked.name:
            raise BadParameter("name: a merchant's full name is needed")
        self._check_names(call, [asked.name])
        refusal = self._desk.add_receiver(
            events.ReceiverAdded(
                institution=INSTITUTION,
                merchant=asked.sub_mchid or self._account.mchid,
                kind=asked.type,
                account=asked.account,
                terms={"relation_type": asked.relation_type},
            )
        )
        return refused(refusal) if refusal else said(self._echo(asked))

    def remove_receiver(self, call: Call) -> Answer:
        """They may not any more."""
        asked = parsed(call.body, _NewReceiver)
        self._desk.remove_receiver(
            events.ReceiverRemoved(
                institution=INSTITUTION,
                merchant=asked.sub_mchid or self._account.mchid,
                kind=asked.type,
                account=asked.account,
            )
        )
        return said({"type": asked.type, "account": asked.account, "sub_mchid": asked.sub_mchid or None})

    def _echo(self, asked: _NewReceiver) -> dict[str, Any]:
        return {
            "sub_mchid": asked.sub_mchid or None,
            "type": asked.type,
            "account": asked.account,
            "name": asked.name or None,
            "relation_type": asked.relation_type,
            "custom_relation": asked.custom_relation or None,
        }

    def _check_appid(self, appid: str) -> None:
        if appid != self._account.appid:
            raise BadParameter("appid: does not belong to the merchant")

    def _check_names(self, call: Call, names: list[str]) -> None:
        check_sealed(self._account, call, names)


def check_sealed(account: Account, call: Call, names: list[str]) -> None:
    """People's names come encrypted for the key that ``Wechatpay-Serial`` says; BadParameter."""
    serial = call.headers.get("wechatpay-serial", "")
    if any(name and account.opened(serial, name) is None for name in names):
        raise BadParameter(f"name: not encrypted for the key {serial[:64]!r} of header Wechatpay-Serial")
