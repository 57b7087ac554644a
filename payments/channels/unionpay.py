"""UnionPay as a way to pay: pages that are signed here and orders for its app; queried, undone, refunded, billed.

UnionPay knows an order by the merchant, its number and the time at which it was sent: asked about later with another
time, it would be another order. The time is therefore the one at which the number was first written down here.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime
from urllib.parse import parse_qsl

from payments.channels.china import BEIJING, beijing_day, beijing_text, is_bill_overdue
from payments.channels.exchange import Observe, unobserved
from payments.channels.http import CREATE_S, ProviderHttp
from payments.channels.over_http import Undivided
from payments.channels.unionpay_bills import MOST_BYTES, BadBill, read_bill
from payments.channels.unionpay_config import UnionpayConfig
from payments.channels.unionpay_gateway import APP, BACK, DONE, FRONT, QUERY, Answer, UnionpayGateway
from payments.channels.unionpay_numbers import order_id, refund_instead
from payments.money import Fen
from payments.outcomes import (
    BadNotice,
    Bill,
    BillAnswer,
    Capabilities,
    CloseAnswer,
    CreateAnswer,
    DebitAnswer,
    Declined,
    Issued,
    MoneyAnswer,
    MoneyNotice,
    NoBill,
    NotIssued,
    OrderToCreate,
    OtherNotice,
    PaidNotice,
    QueryAnswer,
    Refused,
)
from payments.port import CallbackReply

#: Real seconds for a bill.
BILL_S = 60.0

#: When a number (an attempt's or an instruction's) was first written down; None: never.
FirstWritten = Callable[[str], Awaitable[datetime | None]]

_STAMP = "%Y%m%d%H%M%S"
#: Our key, our clock or a right is at fault, or we ask too often: another channel may serve, a person should look.
_ALARMS = frozenset({"11", "31", "32", "37"})
#: The order itself was judged (a limit, a risk), or is wrong: no other channel may be tried.
_JUDGED = frozenset({"10", "13", "33", "38"})
_REPEATED = "12"
_NO_FILE = "98"
#: UnionPay's day ends at 23:00 in Beijing; an hour before, a payment can no longer be undone with certainty.
_UNDO_BEFORE_HOUR = 22


class UnionpayChannel(Undivided):
    """One product of one merchant account."""

    def __init__(
        self,
        config: UnionpayConfig,
        first_written: FirstWritten,
        *,
        observe: Observe = unobserved,
        wall_s: Callable[[], float] = time.time,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._config = config
        self._first_written = first_written
        http = ProviderHttp(config.code, config.gateway_url, observe=observe, tls=tls, wall_s=wall_s)
        super().__init__(http, _shape(config))
        self._gateway = UnionpayGateway(config, http, wall_s)

    # -- money in -----------------------------------------------------------------------------------------------------

    async def create_credential(self, order: OrderToCreate) -> CreateAnswer:
        sent_at = await self._sent_at(order.attempt_id)
        if sent_at is None:
            return NotIssued("never_written")
        params = self._order(order, sent_at)
        if self._config.product != "app":
            fields = self._gateway.signed(params)
            return Issued({"kind": "form", "url": f"{self._config.gateway_url}{FRONT}", "fields": fields})
        answer = await self._gateway.call(APP, params, operation="create", subject=order.attempt_id, total_s=CREATE_S)
        number = answer.params.get("tn", "")
        if answer.verdict == "done" and number:
            return Issued({"kind": "unionpay_app", "tn": number})
        return _not_created(answer)

    def _order(self, order: OrderToCreate, sent_at: str) -> dict[str, str]:
        params = {
            "txnType": "01",
            "txnSubType": "01",
            "bizType": "000201",
            "channelType": "07" if self._config.product == "page" else "08",
            "orderId": order.attempt_id,
            "txnTime": sent_at,
            "txnAmt": str(order.amount_fen),
            "currencyCode": "156",
            "payTimeout": beijing_text(order.expires_at, _STAMP),
            "backUrl": self._config.notify_url,
            "riskRateInfo": f"{{commodityName={_plain(order.description) or self._config.name_zh}}}",
        }
        if self._config.return_url and self._config.product != "app":
            params["frontUrl"] = self._config.return_url
        return params

    async def debit(self, order: OrderToCreate) -> DebitAnswer:
        return Declined("not_a_debit")

    async def query(self, attempt_id: str) -> QueryAnswer:
        answer = await self._ask(attempt_id, attempt_id)
        match answer.original:
            case "done":
                amount, transaction_id = answer.params.get("txnAmt", ""), answer.params.get("queryId", "")
                if not amount.isdecimal() or not transaction_id:
                    return QueryAnswer(standing="no_answer")
                return QueryAnswer(standing="paid", amount_fen=Fen(int(amount)), transaction_id=transaction_id)
            case "absent":
                return QueryAnswer(standing="absent")
            case "denied":
                # This try has failed, and until the order's end the payer may try another card.
                return QueryAnswer(standing="unpaid")
            case _:
                return QueryAnswer(standing="no_answer")

    async def close(self, attempt_id: str) -> CloseAnswer:
        """There is no such thing: the end of the order has to be waited for."""
        return "no_answer"

    async def _ask(self, order_id: str, number: str) -> Answer:
        sent_at = await self._sent_at(number)
        if sent_at is None:
            return Answer(silence="never_written")
        params = {
            "txnType": "00", "txnSubType": "00", "bizType": "000201", "orderId": order_id, "txnTime": sent_at,
        }  # fmt: skip
        answer = await self._gateway.call(QUERY, params, operation="query", subject=number)
        if answer.original in ("done", "open", "denied") and answer.params.get("orderId") != order_id:
            return Answer(silence="other_order")
        return answer

    async def _sent_at(self, number: str) -> str | None:
        at = await self._first_written(number)
        return None if at is None else beijing_text(at, _STAMP)

    # -- money out ----------------------------------------------------------------------------------------------------

    async def give_back(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        """The whole of a payment of the same day is undone; anything else, and what cannot be undone, is refunded."""
        paid = await self.query(attempt_id)
        if paid.standing != "paid":
            return MoneyAnswer(standing="no_answer", reason="payment_not_found")
        if paid.amount_fen == amount_fen and await self._is_of_same_day(attempt_id, number):
            undone = await self._instruct("31", paid.transaction_id, order_id(number), number, amount_fen)
            if undone.standing != "failed" or undone.reason == "other_amount":
                return undone
            number_of_refund = refund_instead(number)
        else:
            number_of_refund = order_id(number)
        return await self._instruct("04", paid.transaction_id, number_of_refund, number, amount_fen)

    async def refund(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        paid = await self.query(attempt_id)
        if paid.standing != "paid":
            return MoneyAnswer(standing="no_answer", reason="payment_not_found")
        return await self._instruct("04", paid.transaction_id, order_id(number), number, amount_fen)

    async def _is_of_same_day(self, attempt_id: str, number: str) -> bool:
        """Judged by when both were written down, so that whoever asks again asks the same."""
        paid_at, given_at = await self._first_written(attempt_id), await self._first_written(number)
        if paid_at is None or given_at is None:
            return False
        is_early = given_at.astimezone(BEIJING).hour < _UNDO_BEFORE_HOUR
        return is_early and beijing_day(paid_at) == beijing_day(given_at)

    async def _instruct(self, kind: str, original: str, order_number: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        """Ask first: only what UnionPay has never heard of is sent, and always with the same number and time."""
        known = await self._ask(order_number, number)
        match known.original:
            case "done" if known.params.get("txnAmt") != str(amount_fen):
                return MoneyAnswer(standing="failed", reason="other_amount")
            case "done":
                return MoneyAnswer(standing="done")
            case "open":
                return MoneyAnswer(standing="pending", reason=f"orig_{known.params.get('origRespCode')}")
            case "denied":
                return MoneyAnswer(standing="failed", reason=f"orig_{known.params.get('origRespCode')}")
            case "unsure":
                return MoneyAnswer(standing="no_answer", reason=known.reason)
        sent_at = await self._sent_at(number)
        assert sent_at is not None, "it was asked about"
        params = {
            "txnType": kind,
            "txnSubType": "00",
            "bizType": "000201",
            "channelType": "07",
            "orderId": order_number,
            "txnTime": sent_at,
            "txnAmt": str(amount_fen),
            "origQryId": original,
            "backUrl": self._config.notify_url,
            "reqReserved": number,
        }
        told = await self._gateway.call(BACK, params, operation="undo" if kind == "31" else "refund", subject=number)
        if told.verdict == "denied" and told.code != _REPEATED:
            return MoneyAnswer(standing="failed", reason=told.reason)
        if told.verdict in ("done", "open", "denied"):
            # That it was taken says nothing of how it ends; the next question does.
            return MoneyAnswer(standing="pending", reason="accepted")
        return MoneyAnswer(standing="no_answer", reason=told.reason)

    # -- what UnionPay says -------------------------------------------------------------------------------------------

    def read_callback(
        self, headers: Mapping[str, str], body: bytes
    ) -> PaidNotice | MoneyNotice | OtherNotice | BadNotice:
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=100)
        except ValueError:
            return BadNotice("not a form in UTF-8")
        params = dict(pairs)
        if len(params) != len(pairs):
            return BadNotice("a field comes twice")
        why = self._gateway.why_not_proved(params)
        if why is not None:
            return BadNotice(why)
        return _understood(params)

    def reply(self, *, is_accepted: bool) -> CallbackReply:
        return CallbackReply(200, b"ok") if is_accepted else CallbackReply(500, b"fail")

    async def bill(self, day: date) -> BillAnswer:
        """The bill of a settlement day, which begins at 23:00 the evening before."""
        params = {
            "txnType": "76",
            "txnSubType": "01",
            "bizType": "000000",
            "txnTime": beijing_text(self._gateway.now(), _STAMP),
            "settleDate": day.strftime("%m%d"),
            "fileType": "00",
        }
        answer = await self._gateway.call(
            self._config.files_url, params, operation="bill", subject=day.isoformat(), total_s=BILL_S,
            most_bytes=MOST_BYTES,
        )  # fmt: skip
        content = answer.params.get("fileContent", "")
        if answer.verdict != "done" or not content:
            is_final = answer.code == _NO_FILE and is_bill_overdue(day, self._gateway.now())
            return NoBill(reason=answer.reason, is_final=is_final)
        try:
            return Bill(day=day, trades=await asyncio.to_thread(read_bill, content, day))
        except BadBill as error:
            return NoBill(reason=str(error))


def _understood(params: Mapping[str, str]) -> PaidNotice | MoneyNotice | OtherNotice | BadNotice:
    number, query_id, amount = (params.get(name, "") for name in ("orderId", "queryId", "txnAmt"))
    kind, code = params.get("txnType", ""), params.get("respCode", "")
    if not number or not query_id:
        return BadNotice("orderId or queryId: missing")
    notice_id = f"{query_id}-{code}"
    if kind in ("04", "31"):
        return MoneyNotice(notice_id=notice_id, number=params.get("reqReserved") or number)
    if kind != "01" or code not in DONE:
        return OtherNotice(notice_id=notice_id, what=f"{kind}-{code}")
    if not amount.isdecimal():
        return BadNotice("txnAmt: not an amount")
    return PaidNotice(notice_id=notice_id, attempt_id=number, amount_fen=Fen(int(amount)), transaction_id=query_id)


def _shape(config: UnionpayConfig) -> Capabilities:
    return Capabilities(
        code=config.code,
        name_zh=config.name_zh,
        name_en=config.name_en,
        is_demo=config.environment != "live",
        creates_locally=config.product != "app",
        can_close=False,
        expiry_max_s=float(config.life_s),
        expiry_margin_s=float(config.expiry_margin_s),
        can_split=config.parts_paid_by != "nobody",
        confirms_by_query=True,
        has_bills=True,
        limit_fen=config.limit_fen,
    )


def _not_created(answer: Answer) -> CreateAnswer:
    if answer.verdict == "denied" and answer.code in _JUDGED:
        return Refused(answer.reason)
    return NotIssued(answer.reason, is_alarm=answer.code in _ALARMS)


#: Characters that mean something inside a message, or that UnionPay does not take.
_ODD = str.maketrans(dict.fromkeys("{}=&|\r\n\t/", " "))


def _plain(description: str) -> str:
    return " ".join(description.translate(_ODD).split())[:32]
