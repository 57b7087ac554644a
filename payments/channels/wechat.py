"""WeChat Pay v3 as a way to pay: official account, native code, web page outside of WeChat, app."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from payments.channels import wechat_trades
from payments.channels.china import BEIJING
from payments.channels.exchange import Observe, unobserved
from payments.channels.http import CREATE_S
from payments.channels.wechat_api import Said, Unheard
from payments.channels.wechat_config import LIFE_S, NEEDS, WechatConfig, order_fields
from payments.channels.wechat_merchant import WechatMerchant
from payments.channels.wechat_money import FindAccount
from payments.channels.wechat_oauth import WechatOAuth
from payments.channels.wechat_signing import invoke_message, sign
from payments.channels.wechat_transfers import PAYEE
from payments.outcomes import (
    Capabilities,
    CloseAnswer,
    CreateAnswer,
    DebitAnswer,
    Declined,
    Issued,
    NotIssued,
    OrderToCreate,
    Refused,
)
from payments.port import Party

#: A verdict on the order, or a mistake of ours: no other channel may be tried.
VERDICTS = ("RULE_LIMIT", "RULELIMIT", "PARAM_ERROR", "INVALID_REQUEST")
#: Another channel may serve the order, and a person has to look at this one.
ALARMING = (
    "SIGN_ERROR",
    "NO_AUTH",
    "FREQUENCY_LIMITED",
    "APPID_MCHID_NOT_MATCH",
    "MCH_NOT_EXISTS",
    "OUT_TRADE_NO_USED",
    "ACCOUNT_ERROR",
)
#: Of an answer that is not proved: a wrong key here, a wrong clock, or somebody in between.
ALARMING_SILENCES = ("bad_signature", "not_fresh", "not_signed", "unknown_key", "wrong_algorithm", "bad_timestamp")

#: Real seconds after an order's expiry within which a payer who was typing the password may still pay.
EXPIRY_MARGIN_S = 120.0


class _Created(msgspec.Struct, frozen=True, kw_only=True):
    prepay_id: str = ""
    code_url: str = ""
    h5_url: str = ""


class WechatChannel(WechatMerchant):
    """One merchant account, one kind of credential."""

    def __init__(
        self,
        config: WechatConfig,
        *,
        find_account: FindAccount | None = None,
        observe: Observe = unobserved,
        wall_s: Callable[[], float] = time.time,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._config = config
        self._base = "/v3/pay/partner/transactions" if config.sub_mchid else "/v3/pay/transactions"
        self._oauth = WechatOAuth(config, observe=observe, tls=tls, wall_s=wall_s)
        is_left_to_team = config.runner_payout == "team"
        takes_back_from: tuple[Party, ...] = ("campus", "platform", *(("runner",) if is_left_to_team else ()))
        shape = Capabilities(
            code=config.code,
            name_zh=config.name_zh,
            name_en=config.name_en,
            is_demo=config.environment != "live",
            can_close=True,
            can_split=True,
            takes_back_from=takes_back_from,
            can_transfer=bool(config.transfer_scene_id),
            transfer_needs=PAYEE,
            transfers_withdrawals=config.runner_payout == "transfer",
            has_bills=True,
            billed_parts=config.billed_parts,
            bills_transfers=bool(config.transfer_scene_id),
            limit_fen=config.limit_fen,
            needs=NEEDS[config.trade_type],
            pays_to=() if is_left_to_team else ("openid",),
            binding="page" if config.app_secret and config.trade_type == "jsapi" else "",
            expiry_max_s=LIFE_S[config.trade_type],
            expiry_margin_s=EXPIRY_MARGIN_S,
        )
        super().__init__(
            config, shape, self._order_target, find_account=find_account, observe=observe, wall_s=wall_s, tls=tls
        )

    async def stop(self) -> None:
        await super().stop()
        await self._oauth.stop()

    def _order_target(self, attempt_id: str) -> str:
        query = "&".join(f"{name}={value}" for name, value in order_fields(self._config).items())
        return f"{self._base}/out-trade-no/{quote(attempt_id, safe='')}?{query}"

    # -- orders -------------------------------------------------------------------------------------------------------

    async def create_credential(self, order: OrderToCreate) -> CreateAnswer:
        for need in self._shape.needs:
            if not order.payer.get(need):
                return NotIssued(f"{need}_missing")
        answer = await self.api.call(
            "POST",
            f"{self._base}/{self._config.trade_type}",
            operation="create",
            subject=order.attempt_id,
            payload=self._order(order),
            total_s=CREATE_S,
        )
        if isinstance(answer, Unheard):
            return NotIssued(answer.reason, is_alarm=answer.reason in ALARMING_SILENCES)
        if not answer.is_accepted:
            return self._not_created(answer)
        try:
            return self._credential(msgspec.json.decode(answer.body, type=_Created))
        except msgspec.DecodeError:
            return NotIssued("bad_answer", is_alarm=True)

    @staticmethod
    def _not_created(answer: Said) -> CreateAnswer:
        if answer.code in VERDICTS:
            return Refused(answer.reason)
        return NotIssued(answer.reason, is_alarm=answer.code in ALARMING or answer.status in (401, 429))

    def _order(self, order: OrderToCreate) -> dict[str, Any]:
        config = self._config
        is_partner = bool(config.sub_mchid)
        fields: dict[str, Any] = {
            **order_fields(config),
            "sp_appid" if is_partner else "appid": config.appid,
            "description": wechat_trades.printable(order.description) or order.attempt_id,
            "out_trade_no": order.attempt_id,
            "time_expire": order.expires_at.astimezone(BEIJING).isoformat(timespec="seconds"),
            "notify_url": config.notify_url,
            "amount": {"total": order.amount_fen, "currency": "CNY"},
            # Frozen until it is split or released: this is what makes it an escrow.
            "settle_info": {"profit_sharing": True},
        }
        if is_partner and config.sub_appid:
            fields["sub_appid"] = config.sub_appid
        if config.trade_type == "jsapi":
            fields["payer"] = {"sp_openid" if is_partner else "openid": order.payer["openid"]}
        if config.trade_type == "h5":
            h5_info = {"type": "Wap", "app_name": config.h5_app_name, "app_url": config.h5_app_url}
            fields["scene_info"] = {
                "payer_client_ip": order.payer["client_ip"],
                "h5_info": {name: value for name, value in h5_info.items() if value},
            }
        return fields

    def _credential(self, created: _Created) -> CreateAnswer:
        kind = f"wechat_{self._config.trade_type}"
        match self._config.trade_type:
            case "native" if created.code_url:
                return Issued({"kind": kind, "code_url": created.code_url})
            case "h5" if created.h5_url:
                return Issued({"kind": kind, "h5_url": created.h5_url})
            case "jsapi" if created.prepay_id:
                return Issued({"kind": kind, "invoke": self._jsapi(created.prepay_id)})
            case "app" if created.prepay_id:
                return Issued({"kind": kind, "invoke": self._app(created.prepay_id)})
            case _:
                return NotIssued("bad_answer", is_alarm=True)

    def _jsapi(self, prepay_id: str) -> dict[str, str]:
        """What WeixinJSBridge and wx.requestPayment take, word for word."""
        timestamp, nonce, package = str(int(self.api.wall_s())), self.api.new_nonce(), f"prepay_id={prepay_id}"
        message = invoke_message(self._config.appid, timestamp, nonce, package)
        return {
            "appId": self._config.appid,
            "timeStamp": timestamp,
            "nonceStr": nonce,
            "package": package,
            "signType": "RSA",
            "paySign": sign(self.api.keys.private, message),
        }

    def _app(self, prepay_id: str) -> dict[str, str]:
        timestamp, nonce = str(int(self.api.wall_s())), self.api.new_nonce()
        message = invoke_message(self._config.appid, timestamp, nonce, prepay_id)
        return {
            "appid": self._config.appid,
            "partnerid": self._config.merchant,
            "prepayid": prepay_id,
            "package": "Sign=WXPay",
            "noncestr": nonce,
            "timestamp": timestamp,
            "sign": sign(self.api.keys.private, message),
        }

    async def debit(self, order: OrderToCreate) -> DebitAnswer:
        """The payer pays this one; nothing is debited."""
        return Declined("not_a_direct_debit")

    async def close(self, attempt_id: str) -> CloseAnswer:
        """204 even for an order that never was, and a payer at the password may pay after it: only a query proves."""
        answer = await self.api.call(
            "POST",
            f"{self._base}/out-trade-no/{quote(attempt_id, safe='')}/close",
            operation="close",
            subject=attempt_id,
            payload=order_fields(self._config),
        )
        if isinstance(answer, Unheard):
            return "no_answer"
        if answer.code in ("ORDERPAID", "ORDER_PAID"):
            return "paid"
        is_asked = answer.is_accepted or answer.code in ("ORDER_CLOSED", "ORDERCLOSED", "ORDER_NOT_EXIST")
        return "asked" if is_asked else "no_answer"

    # -- payers -------------------------------------------------------------------------------------------------------

    def bind_page(self, back_url: str, state: str) -> str | None:
        """WeChat's own page, which only a browser inside WeChat gets through."""
        return self._oauth.page(back_url, state)

    async def bound(self, given: Mapping[str, str]) -> Mapping[str, str] | str:
        """The openid that the page's code stands for."""
        return await self._oauth.openid_of(given.get("code", ""))
