"""What WeChat Pay tells a merchant of its own accord: of payments, refunds, splits and transfers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from payments.channels import wechat_signing as signing
from payments.simulator import events
from payments.simulator.desk import Desk
from payments.simulator.edupay import CHANNEL as EDUPAY
from payments.simulator.edupay import EduPay
from payments.simulator.events import AnyEvent, NoticeQueued, OrderKey
from payments.simulator.order_book import NoticeBook, OrderBook
from payments.simulator.protocol import Letter, Twist
from payments.simulator.wechat_account import INSTITUTION, Account
from payments.simulator.wechat_money import Refunds
from payments.simulator.wechat_orders import Orders
from payments.simulator.wechat_transfers import Transfers
from payments.simulator.wechat_words import at, refund_status

_ORIGINAL_TYPES = {"TRANSACTION": "transaction", "REFUND": "refund", "MCHTRANSFER": "mch_payment"}


class Notices:
    """Events in, letters out."""

    def __init__(
        self,
        desk: Desk,
        account: Account,
        orders: Orders,
        edupay: EduPay,
        refunds: Refunds,
        transfers: Transfers,
    ) -> None:
        self._desk = desk
        self._account = account
        self._orders = orders
        self._edupay = edupay
        self._refunds = refunds
        self._transfers = transfers

    def of(self, event: AnyEvent) -> Sequence[NoticeQueued]:
        """The notices of an event."""
        books = self._desk.books
        match event:
            case events.Charged():
                order = books.orders[event.key]
                words = (self._edupay.words if order.opened.channel == EDUPAY else self._orders.transaction)(order)
                # What happens later to the order does not change what is told of its payment.
                words |= {"trade_state": "SUCCESS", "trade_state_desc": "支付成功"}
                return [self._notice("TRANSACTION.SUCCESS", order, order.opened.notify_url, words)]
            case events.RefundEnded():
                return self._refund_notice(books.orders[event.key], event.number)
            case events.SplitEnded():
                return self._split_notices(books.orders[event.key], event.number)
            case events.TransferMoved() if event.standing in ("done", "failed", "cancelled"):
                transfer = books.transfers[event.key]
                if not transfer.opened.notify_url:
                    return []
                words = self._transfers.words(transfer)
                return [
                    self._queued("MCHTRANSFER.BILL.FINISHED", event.key, "wechat", transfer.opened.notify_url, words)
                ]
            case _:
                return []

    def _refund_notice(self, order: OrderBook, number: str) -> list[NoticeQueued]:
        refund = order.refunds[number]
        if not refund.opened.notify_url:
            return []
        words = self._refunds.words(order, refund)
        amount = {name: words["amount"][name] for name in ("total", "refund", "payer_total", "payer_refund")}
        plain = {
            "mchid": self._account.mchid,
            "out_trade_no": words["out_trade_no"],
            "transaction_id": words["transaction_id"],
            "out_refund_no": number,
            "refund_id": words["refund_id"],
            "refund_status": refund_status(refund),
            "success_time": words["success_time"],
            "user_received_account": words["user_received_account"],
            "amount": amount,
        }
        return [self._notice(f"REFUND.{refund_status(refund)}", order, refund.opened.notify_url, plain)]

    def _split_notices(self, order: OrderBook, number: str) -> list[NoticeQueued]:
        split = order.splits[number]
        if not split.opened.notify_url:
            return []
        plain = {
            "mchid": self._account.mchid,
            "transaction_id": order.charges[0].transaction_id,
            "order_id": split.opened.split_id,
            "out_order_no": number,
            "success_time": at(split.ended_at),
        }
        return [
            self._notice(
                "TRANSACTION.SUCCESS",
                order,
                split.opened.notify_url,
                {
                    **plain,
                    "receiver": {
                        "type": part.kind,
                        "account": part.account,
                        "amount": part.amount_fen,
                        "description": part.description,
                    },
                },
                original_type="profitsharing",
            )
            for part in split.opened.parts
            if part.ends_as == "done"
        ]

    def _notice(
        self, kind: str, order: OrderBook, url: str, plain: Mapping[str, Any], original_type: str = ""
    ) -> NoticeQueued:
        return self._queued(kind, order.key, order.opened.channel, url, plain, original_type)

    def _queued(
        self, kind: str, key: OrderKey, channel: str, url: str, plain: Mapping[str, Any], original_type: str = ""
    ) -> NoticeQueued:
        late = self._desk.faults.fires("notice_late", channel, "notify", key.number)
        wait_s = self._desk.clock.hastened_s(late.number) if late else 0.0
        told = {
            "original_type": original_type or _ORIGINAL_TYPES[kind.partition(".")[0]],
            "create_time": at(self._desk.clock.now()),
            "plain": {name: value for name, value in plain.items() if value is not None},
        }
        return NoticeQueued(
            notice_id=f"EV-{self._desk.new_number('', 24)}",
            institution=INSTITUTION,
            channel=channel,
            key=key,
            kind=kind,
            url=url,
            text=msgspec.json.encode(told).decode(),
            due_at_s=self._desk.clock.wall_s() + wait_s,
        )

    def letter(self, notice: NoticeBook, twist: Twist) -> Letter:
        """One of them, encrypted and signed."""
        told = msgspec.json.decode(notice.queued.text)
        kind = notice.queued.kind
        sealed = signing.seal_resource(
            self._account.api_v3_key,
            msgspec.json.encode(told["plain"]),
            nonce=self._desk.new_token()[:12],
            associated_data=told["original_type"],
            original_type=told["original_type"],
        )
        body = msgspec.json.encode(
            {
                "id": notice.queued.notice_id,
                "create_time": told["create_time"],
                "resource_type": "encrypt-resource",
                "event_type": kind,
                "summary": "simulator",
                "resource": sealed,
            }
        )
        return Letter(headers={"Content-Type": "application/json", **self._account.proof(body, twist)}, body=body)
