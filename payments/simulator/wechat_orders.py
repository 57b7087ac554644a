"""WeChat Pay's orders: jsapi, app, native and h5, as a merchant and as a provider of services; asked and closed."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from payments.simulator import events
from payments.simulator.desk import Desk, Refusal
from payments.simulator.events import OrderKey
from payments.simulator.order_book import OrderBook
from payments.simulator.protocol import Answer, Call
from payments.simulator.wechat_account import INSTITUTION, Account
from payments.simulator.wechat_words import BadParameter, at, error, moment, parsed, refused, said

Kind = Literal["jsapi", "app", "native", "h5"]

#: How long what was given out can be paid with.
LIFE = timedelta(hours=2)
H5_LIFE = timedelta(minutes=5)

_NUMBER = re.compile(r"[0-9A-Za-z_\-|*]{6,32}")

_STATES = {"SUCCESS": "支付成功", "REFUND": "转入退款", "NOTPAY": "订单未支付", "CLOSED": "订单已关闭"}


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """Fen."""

    total: int
    currency: str = "CNY"


class _Payer(msgspec.Struct, frozen=True, kw_only=True):
    openid: str = ""
    sp_openid: str = ""
    sub_openid: str = ""


class _Scene(msgspec.Struct, frozen=True, kw_only=True):
    payer_client_ip: str
    h5_info: dict[str, Any] | None = None


class _Settle(msgspec.Struct, frozen=True, kw_only=True):
    profit_sharing: bool = False


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an order, of either kind of merchant."""

    description: str
    out_trade_no: str
    notify_url: str
    amount: Amount
    appid: str = ""
    mchid: str = ""
    sp_appid: str = ""
    sp_mchid: str = ""
    sub_appid: str = ""
    sub_mchid: str = ""
    time_expire: str = ""
    attach: str = ""
    payer: _Payer = _Payer()
    scene_info: _Scene | None = None
    settle_info: _Settle = _Settle()


class _Merchant(msgspec.Struct, frozen=True, kw_only=True):
    mchid: str = ""
    sp_mchid: str = ""
    sub_mchid: str = ""


def check_number(number: str, field: str = "out_trade_no") -> str:
    """A number as WeChat Pay takes it; BadParameter."""
    if not _NUMBER.fullmatch(number):
        raise BadParameter(f"{field}: 6 to 32 of 0-9 A-Z a-z _ - | *")
    return number


def check_url(url: str) -> str:
    """Where callbacks go; BadParameter. The real one wants https and no address of its own network."""
    if not url.startswith(("http://", "https://")) or "?" in url or len(url) > 255:
        raise BadParameter("notify_url: an address without parameters, at most 255 characters")
    return url


class Orders:
    """Translates; every decision is the desk's."""

    def __init__(self, desk: Desk, account: Account) -> None:
        self._desk = desk
        self._account = account

    # -- making one ---------------------------------------------------------------------------------------------------

    def create(self, call: Call, kind: Kind, *, is_partner: bool) -> Answer:
        """A credential to pay with."""
        order = parsed(call.body, NewOrder)
        merchant = self._merchant_of(order, is_partner=is_partner)
        opened = self._opened(order, kind, merchant)
        book = self._desk.open(opened)
        if isinstance(book, Refusal):
            return refused(book)
        return said(self._credential(book, kind, call.base_url))

    def _merchant_of(self, order: NewOrder, *, is_partner: bool) -> str:
        mchid, appid = (order.sp_mchid, order.sp_appid) if is_partner else (order.mchid, order.appid)
        if mchid != self._account.mchid:
            raise BadParameter(f"{'sp_mchid' if is_partner else 'mchid'}: not the merchant who signed")
        if appid != self._account.appid:
            raise BadParameter(f"{'sp_appid' if is_partner else 'appid'}: does not belong to the merchant")
        if is_partner and order.sub_mchid != self._account.sub_mchid:
            raise BadParameter("sub_mchid: not a merchant of this provider of services")
        return order.sub_mchid if is_partner else mchid

    def _opened(self, order: NewOrder, kind: Kind, merchant: str) -> events.Opened:
        openid = order.payer.openid or order.payer.sp_openid or order.payer.sub_openid
        if kind == "jsapi" and not openid:
            raise BadParameter("payer.openid: is missing")
        if kind == "h5" and (order.scene_info is None or order.scene_info.h5_info is None):
            raise BadParameter("scene_info.h5_info: is missing")
        if order.amount.total <= 0 or order.amount.currency != "CNY":
            raise BadParameter("amount: fen of CNY, at least 1")
        if not 0 < len(order.description) <= 127:
            raise BadParameter("description: 1 to 127 characters")
        if len(order.attach) > 128:
            raise BadParameter("attach: at most 128 characters")
        terms = {"openid": openid, "attach": order.attach, "sub_mchid": order.sub_mchid, "sub_appid": order.sub_appid}
        return events.Opened(
            key=OrderKey(INSTITUTION, merchant, check_number(order.out_trade_no)),
            channel="wechat",
            kind=kind.upper() if kind != "h5" else "MWEB",
            amount_fen=order.amount.total,
            description=order.description,
            token=self._desk.new_token(),
            notify_url=check_url(order.notify_url),
            expires_at=self._expiry(order, kind),
            is_split=order.settle_info.profit_sharing,
            terms={name: value for name, value in terms.items() if value},
        )

    def _expiry(self, order: NewOrder, kind: Kind) -> datetime:
        now = self._desk.clock.now()
        latest = now + (H5_LIFE if kind == "h5" else LIFE)
        if not order.time_expire:
            return latest
        wished = moment(order.time_expire, "time_expire")
        if wished <= now:
            raise BadParameter("time_expire: is over already")
        return min(wished, latest)

    def _credential(self, order: OrderBook, kind: Kind, base_url: str) -> dict[str, str]:
        token = order.opened.token
        if kind == "native":
            return {"code_url": f"weixin://wxpay/bizpayurl?pr={token}"}
        if kind == "h5":
            return {"h5_url": f"{base_url}/pay/{token}"}
        return {"prepay_id": f"wx{token}"}

    # -- asking and closing -------------------------------------------------------------------------------------------

    def key(self, number: str, sub_mchid: str = "") -> OrderKey:
        """The order of the merchant's number; of the sub-merchant's when one is named."""
        return OrderKey(INSTITUTION, sub_mchid or self._account.mchid, number)

    def query(self, order: OrderBook | None) -> Answer:
        """How it stands."""
        if order is None or self._desk.is_hidden(order, "query"):
            return refused(Refusal("absent"))
        return said(self.transaction(order))

    def close(self, call: Call, number: str) -> Answer:
        """204, also for a number that nobody ever used: the real one does so too."""
        merchant = parsed(call.body, _Merchant)
        if (merchant.sp_mchid or merchant.mchid) != self._account.mchid:
            raise BadParameter("mchid: not the merchant who signed")
        key = self.key(number, merchant.sub_mchid)
        order = self._desk.books.order(key)
        if order is not None and self._desk.is_hidden(order, "close"):
            return refused(Refusal("absent"))
        return refused(Refusal("paid")) if self._desk.close(key) == "paid" else Answer(status=204)

    def transaction(self, order: OrderBook) -> dict[str, Any]:
        """An order as answers and callbacks show it."""
        opened = order.opened
        state = self.state(order)
        paid = order.charges[0] if order.charges else None
        total_fen = paid.amount_fen if paid else opened.amount_fen
        sub_mchid = opened.terms.get("sub_mchid")
        openid = paid.payer if paid else opened.terms.get("openid")
        own = {"appid": self._account.appid, "mchid": self._account.mchid}
        if sub_mchid:
            own = {"sp_appid": self._account.appid, "sp_mchid": self._account.mchid, "sub_mchid": sub_mchid}
            own |= {"sub_appid": opened.terms["sub_appid"]} if "sub_appid" in opened.terms else {}
        amount: dict[str, Any] = {"total": total_fen, "currency": "CNY"}
        if paid:
            amount |= {"payer_total": total_fen, "payer_currency": "CNY"}
        words: dict[str, Any] = {
            **own,
            "out_trade_no": opened.key.number,
            "transaction_id": paid.transaction_id if paid else None,
            "trade_type": opened.kind if paid else None,
            "trade_state": state,
            "trade_state_desc": _STATES.get(state, state),
            "bank_type": "OTHERS" if paid else None,
            "attach": opened.terms.get("attach"),
            "success_time": at(paid.at) if paid else None,
            "payer": {"sp_openid" if sub_mchid else "openid": openid} if openid else None,
            "amount": amount,
        }
        return {name: value for name, value in words.items() if value is not None}

    def state(self, order: OrderBook) -> str:
        """WeChat Pay's word for how it stands."""
        if any(refund.standing != "closed" for refund in order.refunds.values()):
            return "REFUND"
        return {"paid": "SUCCESS", "open": "NOTPAY", "closed": "CLOSED"}[order.standing(self._desk.clock.now())]

    def check_appid(self, appid: str) -> None:
        """BadParameter for another's app."""
        if appid != self._account.appid:
            raise BadParameter("appid: does not belong to the merchant")

    def not_found(self, what: str) -> Answer:
        """A path that names nothing."""
        return error("RESOURCE_NOT_EXISTS", f"{what}不存在")
