"""What Alipay calls us about: payments, refunds, splits, transfers; believed only when it is proved and about us."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import msgspec

from payments.channels import alipay_signing as signing
from payments.channels.alipay_config import AlipayConfig
from payments.channels.china import fen_of_yuan
from payments.channels.rsa_signing import PublicKey
from payments.outcomes import BadNotice, MoneyNotice, OtherNotice, PaidNotice
from payments.port import CallbackReply

#: A trade that is paid; the second one can no longer be refunded.
PAID = frozenset({"TRADE_SUCCESS", "TRADE_FINISHED"})
#: More fields than any notification has.
_MOST_FIELDS = 100

Notice = PaidNotice | MoneyNotice | OtherNotice | BadNotice

ACCEPTED = CallbackReply(200, b"success")
#: Anything else than the word makes it come again.
NOT_ACCEPTED = CallbackReply(200, b"fail")


def read_notice(config: AlipayConfig, key: PublicKey, body: bytes) -> Notice:
    """Understand the raw form that was posted."""
    params = _form(body)
    if params is None:
        return BadNotice("not a form in UTF-8, or a field comes twice")
    why = signing.why_notice_not_proved(params, key)
    if why is not None:
        return BadNotice(why)
    if params.get("app_id") != config.app_id:
        return BadNotice("app_id: not ours")
    if not params.get("notify_id"):
        return BadNotice("notify_id: missing")
    if "msg_method" in params:
        return _message(params)
    return _trade(config, params)


def _form(body: bytes) -> dict[str, str] | None:
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        return None
    params = dict(pairs)
    return params if len(params) == len(pairs) else None


def _trade(config: AlipayConfig, params: dict[str, str]) -> Notice:
    """A change of a trade. The same kind tells of a refund: then there are a refund's number and time."""
    notice_id, number = params["notify_id"], params.get("out_trade_no", "")
    if params.get("notify_type", "").startswith("fund_auth_"):
        return _freeze(config, params)
    if params.get("notify_type") != "trade_status_sync" or not number:
        return OtherNotice(notice_id=notice_id, what=params.get("notify_type", ""))
    if params.get("seller_id", config.seller_id) != config.seller_id:
        return BadNotice("seller_id: not ours")
    if params.get("gmt_refund") or params.get("refund_fee"):
        refund = params.get("out_biz_no", "")
        if refund and refund != number:
            return MoneyNotice(notice_id=notice_id, number=refund)
        return OtherNotice(notice_id=notice_id, what="refund")
    if params.get("trade_status") not in PAID:
        return OtherNotice(notice_id=notice_id, what=params.get("trade_status", ""))
    amount_fen, transaction_id = fen_of_yuan(params.get("total_amount", "")), params.get("trade_no", "")
    if amount_fen is None or not transaction_id:
        return BadNotice("total_amount or trade_no: missing")
    return PaidNotice(notice_id=notice_id, attempt_id=number, amount_fen=amount_fen, transaction_id=transaction_id)


def _freeze(config: AlipayConfig, params: dict[str, str]) -> Notice:
    """Money was frozen on a payer's account, or is free again there."""
    notice_id, what = params["notify_id"], params["notify_type"]
    if params.get("payee_user_id", config.seller_id) != config.seller_id:
        return BadNotice("payee_user_id: not ours")
    if what == "fund_auth_unfreeze" and params.get("out_request_no"):
        return MoneyNotice(notice_id=notice_id, number=params["out_request_no"])
    if what != "fund_auth_freeze" or params.get("status") != "SUCCESS":
        return OtherNotice(notice_id=notice_id, what=what)
    number, amount_fen = params.get("out_order_no", ""), fen_of_yuan(params.get("amount", ""))
    if not number or amount_fen is None or not params.get("auth_no"):
        return BadNotice("out_order_no, amount or auth_no: missing")
    return PaidNotice(notice_id=notice_id, attempt_id=number, amount_fen=amount_fen, transaction_id=params["auth_no"])


#: What the number of the end of splitting has behind the order's: it is part of a split, no instruction of its own.
FINISH = "F1"

#: Messages about our own instructions, and where they carry its number.
_NUMBER_IN = {
    "alipay.trade.order.settle.notify": "out_request_no",
    "alipay.fund.trans.order.changed": "out_biz_no",
}


def _message(params: dict[str, str]) -> Notice:
    """A message of the newer kind, with its content as JSON."""
    method = params["msg_method"]
    try:
        content = msgspec.json.decode(params.get("biz_content", ""), type=dict[str, Any])
    except msgspec.DecodeError:
        return BadNotice("biz_content: not JSON")
    number = content.get(_NUMBER_IN.get(method, ""))
    if isinstance(number, str) and number and not number.endswith(FINISH):
        return MoneyNotice(notice_id=params["notify_id"], number=number)
    return OtherNotice(notice_id=params["notify_id"], what=method)
