"""校园轻松付 as a way to pay: a direct debit under a contract that the student signed with WeChat Pay once.

The call itself takes the money, so silence is unknown and never a no. What the provider calls accepted is undecided: it
may still become money, and only its own word ends it.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec

from payments.channels import wechat_trades
from payments.channels.china import BEIJING
from payments.channels.exchange import Observe, unobserved
from payments.channels.signing_keys import BadSetting
from payments.channels.wechat_api import Said, Unheard
from payments.channels.wechat_config import WechatConfig
from payments.channels.wechat_merchant import WechatMerchant
from payments.channels.wechat_money import FindAccount
from payments.channels.wechat_trades import Trade
from payments.money import Fen
from payments.outcomes import (
    Capabilities,
    CloseAnswer,
    CreateAnswer,
    DebitAnswer,
    Declined,
    NotIssued,
    OrderToCreate,
    Succeeded,
    Unknown,
)

DEBITS = "/v3/eduschoolpay/transactions"
#: Real seconds for the debit; the driver's own limit comes after it.
DEBIT_S = 4.5
#: How long after a debit was asked for the provider may still take it up.
DEBIT_MARGIN_S = 300.0

#: The order was judged: no other channel may be tried.
VERDICTS = ("RULE_LIMIT", "RULELIMIT", "PARAM_ERROR")
#: A no that speaks of this number, and may speak of money that was taken under it.
UNCERTAIN = ("ORDERPAID", "OUT_TRADE_NO_USED", "ORDER_CLOSED", "ORDER_NOT_EXIST", "USER_PAYING", "INVALID_REQUEST")


class EduPayConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The merchant as for WeChat Pay, and what WeChat Pay wants to know of the place."""

    merchant: WechatConfig
    school_id: str
    scene_type: str
    device_ip: str
    device_id: str = ""

    def __post_init__(self) -> None:
        """BadSetting names the first field that cannot work."""
        for field in ("school_id", "scene_type"):
            if not re.fullmatch(r"[0-9A-Za-z_]{1,32}", getattr(self, field)):
                raise BadSetting(field, "is 1 to 32 letters and digits, as agreed with WeChat Pay")
        if not re.fullmatch(r"[0-9a-fA-F.:]{3,45}", self.device_ip):
            raise BadSetting("device_ip", "is the public address from which this server calls")


class EduPayChannel(WechatMerchant):
    """Debits of one merchant at one school."""

    def __init__(
        self,
        config: EduPayConfig,
        *,
        find_account: FindAccount | None = None,
        observe: Observe = unobserved,
        wall_s: Callable[[], float] = time.time,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        merchant = config.merchant
        self._config = config
        self._merchant = merchant
        shape = Capabilities(
            code=merchant.code,
            name_zh=merchant.name_zh,
            name_en=merchant.name_en,
            is_demo=merchant.environment != "live",
            is_direct_debit=True,
            can_close=False,
            can_split=True,
            takes_back_from=("campus", "platform"),
            has_bills=True,
            billed_parts=merchant.billed_parts,
            limit_fen=merchant.limit_fen,
            needs=("contract_id",),
            pays_to=() if merchant.runner_payout == "team" else ("openid",),
            expiry_margin_s=DEBIT_MARGIN_S,
        )
        super().__init__(
            merchant, shape, self._order_target, find_account=find_account, observe=observe, wall_s=wall_s, tls=tls
        )

    def _order_target(self, attempt_id: str) -> str:
        sub = f"?sub_mchid={self._merchant.sub_mchid}" if self._merchant.sub_mchid else ""
        return f"{DEBITS}/out-trade-no/{quote(attempt_id, safe='')}{sub}"

    # -- orders -------------------------------------------------------------------------------------------------------

    async def create_credential(self, order: OrderToCreate) -> CreateAnswer:
        """There is none: the debit is the payment."""
        return NotIssued("direct_debit_only")

    async def debit(self, order: OrderToCreate) -> DebitAnswer:
        if not order.payer.get("contract_id"):
            return Declined("contract_missing")
        answer = await self.api.call(
            "POST",
            DEBITS,
            operation="debit",
            subject=order.attempt_id,
            payload=self._order(order),
            total_s=DEBIT_S,
            may_repeat=False,
        )
        if isinstance(answer, Unheard):
            # Only what never left this machine has certainly taken nothing.
            return Unknown(answer.reason) if answer.was_sent else Declined(answer.reason)
        if not answer.is_accepted:
            return _refused(answer)
        trade = self._trades.read(order.attempt_id, answer)
        if isinstance(trade, Unheard):
            return Unknown(trade.reason)
        return _debited(trade)

    def _order(self, order: OrderToCreate) -> dict[str, Any]:
        merchant = self._merchant
        started_at = datetime.fromtimestamp(self.api.wall_s(), UTC).astimezone(BEIJING)
        device = {"device_id": self._config.device_id, "device_ip": self._config.device_ip}
        fields: dict[str, Any] = {
            "appid": merchant.appid,
            "sub_mchid": merchant.sub_mchid,
            "sub_appid": merchant.sub_appid,
            "description": wechat_trades.printable(order.description) or order.attempt_id,
            "out_trade_no": order.attempt_id,
            "notify_url": merchant.notify_url,
            "contract_id": order.payer["contract_id"],
            "user_id": order.payer.get("user_id") or order.payer_ref[:32],
            "amount": {"total": order.amount_fen, "currency": "CNY"},
            "scene_info": {
                "start_time": started_at.isoformat(timespec="seconds"),
                "school_id": self._config.school_id,
                "scene_type": self._config.scene_type,
            },
            "device_info": {name: value for name, value in device.items() if value},
            # Frozen until it is split or released: this is what makes it an escrow.
            "settle_info": {"profit_sharing": True},
            "payment_mode": "SYNC",
        }
        return {name: value for name, value in fields.items() if value}

    async def close(self, attempt_id: str) -> CloseAnswer:
        """No call of the provider's takes a debit back before it is decided; afterwards it is refunded."""
        return "no_answer"


def _refused(answer: Said) -> DebitAnswer:
    if not answer.is_final or answer.code in UNCERTAIN or answer.code.startswith("HTTP_"):
        # Our key not being accepted is a no before anything else is looked at.
        return Declined(answer.reason) if answer.code == "SIGN_ERROR" else Unknown(answer.reason)
    return Declined(answer.reason, may_switch=answer.code not in VERDICTS)


def _debited(trade: Trade) -> DebitAnswer:
    match trade.standing:
        case "paid":
            return Succeeded(Fen(trade.amount.total), trade.transaction_id)
        case "closed":
            return Declined("debit_failed")
        case _:
            return Unknown(trade.trade_state.lower()[:32])
