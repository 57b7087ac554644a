"""What Alipay tells a merchant of its own accord: forms about trades, and messages about splits and transfers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec

from payments.channels.china import BEIJING, beijing_text
from payments.money import yuan
from payments.simulator import events
from payments.simulator.alipay_account import INSTITUTION, Account
from payments.simulator.alipay_frozen import FrozenMoney
from payments.simulator.alipay_money import Money, refund_number
from payments.simulator.alipay_orders import FREEZE, Orders, buyer_id
from payments.simulator.desk import Desk
from payments.simulator.events import AnyEvent, NoticeQueued, OrderKey
from payments.simulator.order_book import NoticeBook, OrderBook
from payments.simulator.protocol import Letter, Twist

#: Kinds of notices; those of the newer kind are named by the method that they are.
TRADE, FROZEN = "trade_status_sync", "fund_auth_freeze"
SPLIT, TRANSFER = "alipay.trade.order.settle.notify", "alipay.fund.trans.order.changed"


class Notices:
    """Events in, letters out."""

    def __init__(self, desk: Desk, account: Account, orders: Orders, money: Money, frozen: FrozenMoney) -> None:
        self._desk = desk
        self._account = account
        self._orders = orders
        self._money = money
        self._frozen = frozen

    def of(self, event: AnyEvent) -> Sequence[NoticeQueued]:
        """The notices of an event."""
        books = self._desk.books
        match event:
            case events.Charged():
                order = books.orders[event.key]
                if order.opened.kind == FREEZE:
                    return self._about(FROZEN, order, self._strings(self._frozen.words(order)))
                return self._about(TRADE, order, {**self._trade(order), "trade_status": "TRADE_SUCCESS"})
            case events.RefundEnded() if event.standing == "done":
                order = books.orders[event.key]
                refund = order.refunds[event.number]
                if order.opened.kind == FREEZE:
                    words = self._frozen.words(order, refund)
                    return self._about("fund_auth_unfreeze", order, self._strings(words))
                at = refund.ended_at or self._desk.clock.now()
                more = {
                    "out_biz_no": refund_number(refund),
                    "refund_fee": yuan(order.refunded_fen),
                    "gmt_refund": f"{beijing_text(at)}.{at.microsecond // 1000:03d}",
                }
                return self._about(TRADE, order, {**self._trade(order), **more})
            case events.SplitEnded():
                order = books.orders[event.key]
                split = order.splits[event.number]
                names = {"trade_no": order.opened.terms["transaction_id"], "out_trade_no": order.key.number}
                content = {**names, **self._money.split_words(split)}
                return self._message(SPLIT, event.key, split.opened.notify_url, content)
            case events.TransferMoved() if event.standing in ("done", "failed"):
                transfer = books.transfers[event.key]
                words = self._money.transfer_words(transfer)
                return self._message(TRANSFER, event.key, transfer.opened.notify_url, words)
            case _:
                return []

    def _trade(self, order: OrderBook) -> dict[str, str]:
        paid = order.charges[0]
        amount = yuan(paid.amount_fen)
        return {
            "out_trade_no": order.key.number,
            "trade_no": paid.transaction_id,
            "trade_status": self._orders.status(order),
            "subject": order.opened.description,
            "seller_id": self._account.seller_id,
            "buyer_id": buyer_id(paid.payer),
            "buyer_logon_id": "sim***@example.com",
            "total_amount": amount,
            "receipt_amount": amount,
            "buyer_pay_amount": amount,
            "invoice_amount": amount,
            "point_amount": "0.00",
            "gmt_create": beijing_text(order.opened_at),
            "gmt_payment": beijing_text(paid.at),
            "fund_bill_list": f'[{{"amount":"{amount}","fundChannel":"ALIPAYACCOUNT"}}]',
            "passback_params": order.opened.terms.get("passback_params", ""),
        }

    def _strings(self, words: Mapping[str, Any]) -> dict[str, str]:
        return {name: str(value) for name, value in words.items() if value is not None}

    def _about(self, kind: str, order: OrderBook, words: Mapping[str, str]) -> list[NoticeQueued]:
        told = {"notify_type": kind, **{name: value for name, value in words.items() if value}}
        return self._queued(kind, order.key, order.opened.notify_url, told)

    def _message(self, kind: str, key: OrderKey, url: str, content: Mapping[str, Any]) -> list[NoticeQueued]:
        plain = {name: value for name, value in content.items() if value is not None}
        told = {"msg_method": kind, "msg_app_id": self._account.app_id}
        return self._queued(kind, key, url, {**told, "biz_content": msgspec.json.encode(plain).decode()})

    def _queued(self, kind: str, key: OrderKey, url: str, told: Mapping[str, str]) -> list[NoticeQueued]:
        if not url:
            return []
        late = self._desk.faults.fires("notice_late", INSTITUTION, "notify", key.number)
        wait_s = self._desk.clock.hastened_s(late.number) if late else 0.0
        day = self._desk.clock.now().astimezone(BEIJING)
        return [
            NoticeQueued(
                notice_id=self._desk.new_number(f"{day:%Y%m%d}00222", 21),
                institution=INSTITUTION,
                channel=INSTITUTION,
                key=key,
                kind=kind,
                url=url,
                text=msgspec.json.encode(told).decode(),
                due_at_s=self._desk.clock.wall_s() + wait_s,
            )
        ]

    def letter(self, notice: NoticeBook, twist: Twist) -> Letter:
        """One of them, signed: its ``notify_id`` stays, the time is that of this sending."""
        told = msgspec.json.decode(notice.queued.text, type=dict[str, str])
        at = self._desk.clock.now() + timedelta(seconds=twist.skew_s)
        is_message = "msg_method" in told
        when = {"utc_timestamp": str(int(at.timestamp() * 1000))} if is_message else {"notify_time": beijing_text(at)}
        # The newer kind signs its sign_type as well.
        whole = self._account.notice(
            {**told, **when, "notify_id": notice.queued.notice_id}, twist, covers_sign_type=is_message
        )
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        return Letter(headers=headers, body=urlencode(whole).encode())
