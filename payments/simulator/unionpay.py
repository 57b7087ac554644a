"""UnionPay's gateway: forms in, forms out, each with a signature over a digest; told five times at most."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from urllib.parse import urlencode

import msgspec

from payments.simulator import events
from payments.simulator.alipay_account import params_of
from payments.simulator.events import AnyEvent, NoticeQueued
from payments.simulator.order_book import NoticeBook, OrderBook
from payments.simulator.protocol import Answer, Asked, Call, Letter, Room, Twist
from payments.simulator.unionpay_account import FILES, INSTITUTION, Account
from payments.simulator.unionpay_bills import BillDesk
from payments.simulator.unionpay_orders import FRONT, PAY, REFUND, UNDO, Orders, refund_query_id
from payments.simulator.unionpay_words import Refused, page, said, stamp

#: Re-sending: five times in all.
LADDER_S = (60, 120, 240, 300)
PATIENCE_S = 10.0

_API = "/gateway/api/"
FRONT_PATH = f"{_API}frontTransReq.do"
APP_PATH, BACK_PATH, QUERY_PATH = (f"{_API}{name}.do" for name in ("appTransReq", "backTransReq", "queryTrans"))

Params = Mapping[str, str]


class UnionpayProtocol:
    """One merchant's account."""

    institution = INSTITUTION
    prefixes = (_API, FILES)
    ladder_s = LADDER_S
    patience_s = PATIENCE_S

    def __init__(self, room: Room) -> None:
        self._desk = room.desk
        self._account = Account(room)
        self._orders = Orders(room.desk, self._account)
        self._bills = BillDesk(room.desk, self._account)

    def settings(self, base_url: str, backup_url: str) -> Mapping[str, str]:
        return self._account.settings(base_url)

    # -- paths --------------------------------------------------------------------------------------------------------

    def understand(self, call: Call) -> Asked | Answer:
        params = params_of(call)
        if call.method != "POST":
            return page("10", "POST", 405)
        code = self._account.why_not(params)
        if code is not None:
            no = Refused(code)
            return page(no.code, no.message) if call.path == FRONT_PATH else said(params, code)
        try:
            return self._guarded(self._asked(call, params), params, is_page=call.path == FRONT_PATH)
        except Refused as no:
            return said(params, no.code, respMsg=no.message)

    def _asked(self, call: Call, params: Params) -> Asked:
        number = params.get("orderId", "")
        match call.path, params.get("txnType"):
            case (path, "01") if path == FRONT_PATH:
                return _ask("open", lambda: self._front(params, call.base_url), number)
            case (path, "01") if path == APP_PATH:
                return _ask("create", lambda: self._orders.app(params), number)
            case (path, "00") if path == QUERY_PATH:
                known = self._orders.number(params)
                return _about("query", self._orders.order_of(known), lambda: self._orders.query(params, known), number)
            case (path, "04" | "31") if path == BACK_PATH:
                known = self._orders.number(params)
                order = self._orders.original(params)
                return _about("refund", order, lambda: self._orders.give_back(params, known), number)
            case (path, "76") if path.startswith(FILES):
                return _ask("bill", lambda: self._bills.file(params))
            case _:
                raise Refused("32")

    def _front(self, params: Params, base_url: str) -> Answer:
        """The payer's browser brings the merchant's form: now there is an order, and a till to pay it at."""
        order = self._orders.open(params, FRONT)
        return Answer(status=303, headers={"Location": f"{base_url}/pay/{order.opened.token}"}, is_signed=False)

    def _guarded(self, asked: Asked, params: Params, *, is_page: bool) -> Asked:
        def act() -> Answer:
            try:
                return asked.act()
            except Refused as no:
                return page(no.code, no.message) if is_page else said(params, no.code, respMsg=no.message)

        return msgspec.structs.replace(asked, act=act)

    # -- answers ------------------------------------------------------------------------------------------------------

    def refusal(self, code: str) -> Answer:
        """The fault plan's word without a code of UnionPay's is "busy"."""
        return said({"merId": self._account.mer_id}, code if len(code) == 2 else "06")

    def broken(self, status: int) -> Answer:
        return page(str(status), "error", status)

    def seal(self, call: Call, answer: Answer, twist: Twist) -> Answer:
        if not answer.is_signed:
            return answer
        words = msgspec.json.decode(answer.body, type=dict[str, str])
        signed = self._account.signed({**words, "merId": self._account.mer_id}, twist)
        # Nothing is encoded in an answer.
        text = "&".join(f"{name}={value}" for name, value in signed.items())
        return msgspec.structs.replace(answer, body=text.encode())

    def rotate(self) -> str:
        return self._account.rotate()

    # -- telling the merchant -----------------------------------------------------------------------------------------

    def notices(self, event: AnyEvent) -> Sequence[NoticeQueued]:
        """Of what went well alone: nobody is told that a payment or a refund has failed."""
        match event:
            case events.Charged():
                order = self._desk.books.orders[event.key]
                if self._orders.is_late(order):
                    return []
                words = {
                    "txnType": PAY,
                    "txnSubType": "01",
                    "orderId": order.opened.terms["order_id"],
                    "txnTime": order.opened.terms["txn_time"],
                    "txnAmt": str(event.amount_fen),
                    "queryId": order.opened.terms["transaction_id"],
                    "reqReserved": order.opened.terms.get("req_reserved", ""),
                }
                return self._queued(PAY, order, order.opened.notify_url, words)
            case events.RefundEnded() if event.standing == "done":
                order = self._desk.books.orders[event.key]
                refund = order.refunds[event.number]
                words = {
                    "txnType": refund.opened.terms["txn_type"],
                    "txnSubType": "00",
                    "orderId": refund.opened.terms["order_id"],
                    "txnTime": refund.opened.terms["txn_time"],
                    "txnAmt": str(refund.opened.amount_fen),
                    "queryId": refund_query_id(refund),
                    "origQryId": order.opened.terms["transaction_id"],
                    "reqReserved": refund.opened.terms.get("req_reserved", ""),
                }
                kind = UNDO if words["txnType"] == UNDO else REFUND
                return self._queued(kind, order, refund.opened.notify_url, words)
            case _:
                return []

    def _queued(self, kind: str, order: OrderBook, url: str, words: Params) -> list[NoticeQueued]:
        if not url:
            return []
        late = self._desk.faults.fires("notice_late", INSTITUTION, "notify", order.key.number)
        wait_s = self._desk.clock.hastened_s(late.number) if late else 0.0
        common = {
            "encoding": "UTF-8",
            "bizType": "000201",
            "accessType": "0",
            "merId": self._account.mer_id,
            "currencyCode": "156",
            "respCode": "00",
            "respMsg": "Success!",
        }
        return [
            NoticeQueued(
                notice_id=f"UP-{self._desk.new_number('', 24)}",
                institution=INSTITUTION,
                channel=INSTITUTION,
                key=order.key,
                kind=kind,
                url=url,
                text=msgspec.json.encode({**common, **{n: v for n, v in words.items() if v}}).decode(),
                due_at_s=self._desk.clock.wall_s() + wait_s,
            )
        ]

    def letter(self, notice: NoticeBook, twist: Twist) -> Letter:
        told = msgspec.json.decode(notice.queued.text, type=dict[str, str])
        sent_at = self._desk.clock.now() + timedelta(seconds=twist.skew_s)
        signed = self._account.signed({**told, "traceTime": stamp(sent_at)[4:]}, twist)
        headers = {"Content-Type": "application/x-www-form-urlencoded;charset=UTF-8"}
        return Letter(headers=headers, body=urlencode(signed).encode())

    def is_heard(self, status: int, body: bytes) -> bool:
        return status == 200


def _ask(operation: str, act: Callable[[], Answer], number: str = "") -> Asked:
    return Asked(channel=INSTITUTION, operation=operation, act=act, number=number)


def _about(operation: str, order: OrderBook | None, act: Callable[[], Answer], number: str) -> Asked:
    """Faults are set by the number of the payment, whatever was asked about it."""
    return _ask(operation, act, order.key.number if order else number)
