"""How Alipay says things: its codes, its amounts and times, its JSON with slashes escaped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from html import escape
from typing import Any, TypeVar

import msgspec

from payments.channels.china import beijing_moment, fen_of_yuan
from payments.simulator.desk import Refusal
from payments.simulator.protocol import Answer

T = TypeVar("T")

#: What the desk refuses, as Alipay says it.
_REFUSALS: dict[str, tuple[str, str]] = {
    "absent": ("ACQ.TRADE_NOT_EXIST", "交易不存在"),
    "different": ("ACQ.CONTEXT_INCONSISTENT", "交易信息被篡改"),
    "paid": ("ACQ.TRADE_HAS_SUCCESS", "交易已被支付"),
    "not_paid": ("ACQ.TRADE_STATUS_ERROR", "交易状态不合法"),
    "closed": ("ACQ.TRADE_HAS_CLOSE", "交易已经关闭"),
    "full": ("ACQ.SYSTEM_ERROR", "the simulator's books are full: start it with a new state file"),
    "too_much": ("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "金额超过可用的金额"),
    "too_many": ("ACQ.INVALID_PARAMETER", "次数超过上限"),
    "too_old": ("ACQ.TRADE_HAS_FINISHED", "交易已完结"),
    "not_enough": ("ACQ.SELLER_BALANCE_NOT_ENOUGH", "商户账户余额不足"),
    "not_split": ("ACQ.TRADE_SETTLE_ERROR", "该交易没有冻结待分账的资金"),
    "unfrozen": ("ACQ.ROYALTY_FINISHED", "该交易已分账完结"),
    "no_receiver": ("ACQ.ROYALTY_RELATION_NOT_BIND", "分账关系未绑定"),
    "over_cap": ("ACQ.ALLOC_AMOUNT_VALIDATE_ERROR", "分账金额超过最大可分账金额"),
}

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


class Denied(Exception):
    """A no: code, sub-code and a sentence."""

    def __init__(self, sub_code: str, message: str = "", code: str = "40004") -> None:
        super().__init__(sub_code)
        self.sub_code = sub_code
        self.message = message
        self.code = code


def said(words: Mapping[str, Any]) -> Answer:
    """The content of a reply that went well; what is None is left out."""
    return _content({"code": "10000", "msg": "Success", **words})


def denied(no: Denied) -> Answer:
    """The content of a reply that says no."""
    messages = {"20000": "Service Currently Unavailable", "40001": "Missing Required Arguments"}
    messages |= {"40002": "Invalid Arguments", "40004": "Business Failed", "40006": "Insufficient Permissions"}
    words = {"code": no.code, "msg": messages.get(no.code, "Business Failed")}
    return _content({**words, "sub_code": no.sub_code, "sub_msg": no.message})


def _content(words: Mapping[str, Any]) -> Answer:
    text = msgspec.json.encode({name: value for name, value in words.items() if value is not None})
    # As the real one writes it; whoever verifies the JSON that he has parsed and written again finds out here.
    return Answer(body=text.replace(b"/", b"\\/"))


def refused(refusal: Refusal, **other: str) -> Denied:
    """The desk's refusal. ``too_much="ACQ.…"`` says it with another code here."""
    sub_code, message = _REFUSALS.get(refusal.code, ("ACQ.SYSTEM_ERROR", refusal.code))
    return Denied(other.get(refusal.code, sub_code), message)


def parsed(text: str, shape: type[T]) -> T:
    """``biz_content`` as this type; Denied."""
    try:
        return msgspec.json.decode(text or "{}", type=shape)
    except msgspec.ValidationError as problem:
        code = "40001" if "missing required" in str(problem) else "40002"
        raise Denied("isv.missing-param" if code == "40001" else "isv.invalid-parameter", str(problem), code) from None
    except msgspec.DecodeError as problem:
        raise Denied("isv.invalid-parameter", f"biz_content: {problem}", "40002") from None


def fen(value: str | float, field: str) -> int:
    """An amount in yuan, at least a fen; Denied."""
    found = fen_of_yuan(str(value))
    if found is None or found <= 0:
        raise Denied("ACQ.INVALID_PARAMETER", f"{field}: yuan with at most two places, at least 0.01")
    return found


def moment(text: str, field: str) -> datetime:
    """A time in Beijing; Denied."""
    read = beijing_moment(text)
    if read is None:
        raise Denied("ACQ.INVALID_PARAMETER", f"{field}: a time as in 2026-10-03 11:00:00")
    return read


def span(text: str, field: str) -> timedelta:
    """``90m``, ``2h``, ``1d``; Denied."""
    number, unit = text[:-1], text[-1:]
    if not number.isdecimal() or not number.isascii() or unit not in _UNITS or not 0 < int(number) <= 100_000:
        raise Denied("ACQ.INVALID_PARAMETER", f"{field}: 1m to 15d")
    return int(number) * _UNITS[unit]


def moved(url: str) -> Answer:
    """The payer's browser is sent on."""
    return Answer(status=302, headers={"Location": url}, is_signed=False)


def page(no: Denied) -> Answer:
    """What a payer sees of a request that was refused."""
    text = f"<!doctype html><meta charset=utf-8><title>{escape(no.sub_code)}</title><p>{escape(no.sub_code)}"
    body = f"{text}<p>{escape(no.message)}".encode()
    return Answer(status=200, body=body, content_type="text/html; charset=utf-8", is_signed=False)
