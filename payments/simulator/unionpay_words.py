"""How UnionPay says things: codes of two characters, forms, times of fourteen digits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from html import escape

import msgspec

from payments.channels.china import BEIJING, beijing_moment, beijing_text
from payments.simulator.desk import Refusal
from payments.simulator.protocol import Answer

STAMP = "%Y%m%d%H%M%S"

_MESSAGES = {
    "00": "success",
    "02": "系统未开放或暂时关闭，请稍后再试",
    "05": "交易已受理，请稍后查询交易结果",
    "06": "系统繁忙，请稍后再试",
    "10": "报文格式错误",
    "11": "验证签名失败",
    "12": "重复交易",
    "13": "报文交易要素缺失",
    "31": "商户状态不正确",
    "32": "无此交易权限",
    "33": "交易金额超限",
    "34": "查无此交易",
    "35": "原交易不存在或状态不正确",
    "36": "与原交易信息不符",
    "98": "文件不存在",
}

#: What the desk refuses, as UnionPay says it.
_REFUSALS: dict[str, str] = {
    "absent": "34",
    "different": "12",
    "paid": "12",
    "closed": "39",
    "full": "06",
    "not_paid": "35",
    "too_many": "35",
    "too_old": "39",
    "too_much": "36",
    "not_enough": "33",
}


class Refused(Exception):
    """A no, with its code."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.message = message or _MESSAGES.get(code, "失败")


def refused(refusal: Refusal) -> Refused:
    """The desk's refusal."""
    return Refused(_REFUSALS.get(refusal.code, "35"))


def said(asked: Mapping[str, str], code: str = "00", **more: str) -> Answer:
    """An answer to what was asked, before it is signed."""
    names = ("encoding", "bizType", "txnType", "txnSubType", "accessType", "merId", "orderId", "txnTime", "reqReserved")
    echoed = {name: asked[name] for name in names if asked.get(name)}
    words = {**echoed, "respCode": code, "respMsg": _MESSAGES.get(code, "失败"), **more}
    return Answer(body=msgspec.json.encode(words), content_type="text/html; charset=utf-8")


def page(code: str, message: str, status: int = 200) -> Answer:
    """What a payer sees of a form that was refused."""
    text = f"<!doctype html><meta charset=utf-8><title>{escape(code)}</title><p>{escape(code)}: {escape(message)}"
    return Answer(status=status, body=text.encode(), content_type="text/html; charset=utf-8", is_signed=False)


def needed(params: Mapping[str, str], name: str) -> str:
    """A field that has to be there; Refused."""
    value = params.get(name, "")
    if not value:
        raise Refused("13", f"{_MESSAGES['13']}[{name}]")
    return value


def fen(params: Mapping[str, str], name: str = "txnAmt") -> int:
    """An amount in fen; Refused."""
    text = needed(params, name)
    if not (text.isascii() and text.isdecimal() and len(text) <= 12 and int(text) > 0):
        raise Refused("10", f"{_MESSAGES['10']}[{name}]")
    return int(text)


def moment(params: Mapping[str, str], name: str) -> datetime:
    """A time in Beijing; Refused."""
    at = beijing_moment(needed(params, name), STAMP)
    if at is None or len(params[name]) != 14:
        raise Refused("10", f"{_MESSAGES['10']}[{name}]")
    return at


def stamp(at: datetime) -> str:
    """The other way round."""
    return beijing_text(at, STAMP)


def settle_day(at: datetime) -> date:
    """The day on which something is settled: it begins at 23:00 the evening before."""
    return (at.astimezone(BEIJING) + timedelta(hours=1)).date()
