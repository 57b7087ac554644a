"""What WeChat Pay says of an order, asked or told: how it stands, and what its callbacks mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from payments.channels.wechat_api import Answer, Said, Unheard, WechatApi
from payments.channels.wechat_signing import Resource, open_resource
from payments.money import Fen
from payments.outcomes import BadNotice, MoneyNotice, OtherNotice, PaidNotice, QueryAnswer, Standing
from payments.port import CallbackReply

#: What is appended to a split's number to release what it left: a number of its own is asked for.
UNFREEZE_SUFFIX = "F"
#: Orders remembered once they are paid: what a split or a refund has to name of them.
MOST_REMEMBERED = 4096

DESCRIPTION_CHARS = 127

_STANDINGS: Mapping[str, Standing] = {
    "SUCCESS": "paid",
    "REFUND": "paid",
    "NOTPAY": "unpaid",
    "USERPAYING": "unpaid",
    "PAYERROR": "unpaid",
    "CLOSED": "closed",
    "REVOKED": "closed",
    "PAY_FAIL": "closed",
    # A debit that is accepted may still take the money: it is neither paid nor unpaid.
    "ACCEPT": "no_answer",
}
_ABSENT = ("ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS")


class Amount(msgspec.Struct, frozen=True):
    """In fen. ``total`` is the order's, whatever coupons the payer used."""

    total: int = 0
    currency: str = "CNY"


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """An order as WeChat Pay knows it."""

    out_trade_no: str
    trade_state: str
    transaction_id: str = ""
    amount: Amount = Amount()
    mchid: str = ""
    sp_mchid: str = ""
    sub_mchid: str = ""

    @property
    def standing(self) -> Standing:
        return _STANDINGS.get(self.trade_state, "no_answer")


class _Envelope(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    event_type: str
    resource: Resource


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the resources of all kinds of callbacks have in common by which they are told apart."""

    mchid: str = ""
    sp_mchid: str = ""
    mch_id: str = ""
    out_trade_no: str = ""
    trade_state: str = ""
    out_refund_no: str = ""
    out_order_no: str = ""
    out_return_no: str = ""
    out_bill_no: str = ""


_envelope = msgspec.json.Decoder(_Envelope)
_told = msgspec.json.Decoder(_Told)
_trade = msgspec.json.Decoder(Trade)


class WechatTrades:
    """The orders of one merchant. ``target``: where the order of this number is asked for."""

    def __init__(self, api: WechatApi, target: Callable[[str], str]) -> None:
        self._api = api
        self._target = target
        self._paid: dict[str, Trade] = {}

    async def ask(self, attempt_id: str) -> Trade | Said | Unheard:
        """The order, or why it is not known."""
        answer: Answer = await self._api.call("GET", self._target(attempt_id), operation="query", subject=attempt_id)
        if isinstance(answer, Unheard) or not answer.is_accepted:
            return answer
        return self.read(attempt_id, answer)

    def read(self, attempt_id: str, answer: Said) -> Trade | Unheard:
        """The order that an accepted answer speaks of, if it is the one that was meant."""
        try:
            trade = _trade.decode(answer.body)
        except msgspec.DecodeError:
            return Unheard(reason="bad_answer", was_sent=True)
        if trade.out_trade_no != attempt_id or not self._is_ours(trade.mchid, trade.sp_mchid):
            return Unheard(reason="not_ours", was_sent=True)
        is_whole = trade.transaction_id and trade.amount.total > 0 and trade.amount.currency == "CNY"
        if trade.standing == "paid" and not is_whole:
            return Unheard(reason="bad_answer", was_sent=True)
        return trade

    async def query(self, attempt_id: str) -> QueryAnswer:
        """How the order stands; only a proved answer says anything."""
        trade = await self.ask(attempt_id)
        if isinstance(trade, Said):
            return QueryAnswer(standing="absent" if trade.code in _ABSENT else "no_answer")
        if isinstance(trade, Unheard):
            return QueryAnswer(standing="no_answer")
        if trade.standing != "paid":
            return QueryAnswer(standing=trade.standing)
        self._remember(trade)
        return QueryAnswer(standing="paid", amount_fen=Fen(trade.amount.total), transaction_id=trade.transaction_id)

    async def paid(self, attempt_id: str) -> Trade | str:
        """The paid order, asked for once; or the reason why there is none."""
        known = self._paid.get(attempt_id)
        if known is not None:
            return known
        trade = await self.ask(attempt_id)
        if isinstance(trade, Said | Unheard):
            return trade.reason
        if trade.standing != "paid":
            return "not_paid"
        self._remember(trade)
        return trade

    def _remember(self, trade: Trade) -> None:
        self._paid[trade.out_trade_no] = trade
        if len(self._paid) > MOST_REMEMBERED:
            del self._paid[next(iter(self._paid))]

    def _is_ours(self, mchid: str, sp_mchid: str) -> bool:
        return self._api.config.mchid in (mchid, sp_mchid)

    # -- being called -------------------------------------------------------------------------------------------------

    def read_callback(
        self, headers: Mapping[str, str], body: bytes
    ) -> PaidNotice | MoneyNotice | OtherNotice | BadNotice:
        """Verify the raw bytes, open what is encrypted, and tell the kinds apart."""
        why = self._api.why_not_proved(headers, body)
        if why is not None:
            return BadNotice(why)
        try:
            envelope = _envelope.decode(body)
        except msgspec.DecodeError as error:
            return BadNotice(f"not_understood: {error}")
        plain = open_resource(self._api.keys.api_v3, envelope.resource)
        if plain is None:
            return BadNotice("cannot_be_opened: the APIv3 key is another one")
        try:
            told = _told.decode(plain)
            # A split's notice is called TRANSACTION.SUCCESS, too; only an order has a state.
            if told.trade_state:
                return self._paid_notice(envelope.id, _trade.decode(plain))
        except msgspec.DecodeError as error:
            return BadNotice(f"not_understood: {error}")
        if not self._is_ours(told.mchid or told.mch_id, told.sp_mchid):
            return BadNotice("not_ours")
        number = told.out_refund_no or told.out_return_no or told.out_bill_no
        number = number or told.out_order_no.removesuffix(UNFREEZE_SUFFIX)
        if number:
            return MoneyNotice(notice_id=envelope.id, number=number)
        return OtherNotice(notice_id=envelope.id, what=envelope.event_type[:64])

    def _paid_notice(self, notice_id: str, trade: Trade) -> PaidNotice | OtherNotice | BadNotice:
        if not self._is_ours(trade.mchid, trade.sp_mchid) or trade.amount.currency != "CNY":
            return BadNotice("not_ours")
        if trade.trade_state != "SUCCESS":
            return OtherNotice(notice_id=notice_id, what=f"trade {trade.trade_state[:32]}")
        if not trade.transaction_id or trade.amount.total <= 0:
            return BadNotice("not_understood: paid without an amount or a transaction")
        self._remember(trade)
        return PaidNotice(
            notice_id=notice_id,
            attempt_id=trade.out_trade_no,
            amount_fen=Fen(trade.amount.total),
            transaction_id=trade.transaction_id,
        )


def reply(*, is_accepted: bool) -> CallbackReply:
    """Within five seconds; anything but 2xx makes WeChat Pay send again, and is what its probes want to see."""
    if is_accepted:
        return CallbackReply(200, b'{"code":"SUCCESS","message":"OK"}')
    return CallbackReply(500, b'{"code":"FAIL","message":"not accepted"}')


def printable(text: str) -> str:
    """A description as the provider takes it: one line, of at most 127 characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()[:DESCRIPTION_CHARS]
