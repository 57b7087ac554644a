"""How WeChat Pay v3 says things: its error codes, its times, its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

import msgspec

from payments.simulator.desk import Refusal
from payments.simulator.order_book import RefundBook, TransferBook
from payments.simulator.protocol import Answer

T = TypeVar("T")

#: The provider's days and times.
BEIJING = timezone(timedelta(hours=8))

#: What the desk refuses, as WeChat Pay says it: status, code, message.
_REFUSALS: dict[str, tuple[int, str, str]] = {
    "absent": (404, "ORDER_NOT_EXIST", "订单不存在"),
    "different": (403, "OUT_TRADE_NO_USED", "商户订单号重复,且与原请求参数不一致"),
    "paid": (400, "ORDERPAID", "订单已支付"),
    "not_paid": (400, "INVALID_REQUEST", "订单未支付"),
    "closed": (400, "ORDER_CLOSED", "订单已关闭"),
    "full": (429, "FREQUENCY_LIMITED", "the simulator's books are full: start it with a new state file"),
    "too_much": (400, "INVALID_REQUEST", "金额超过可用的金额"),
    "too_many": (403, "RULE_LIMIT", "次数超过上限"),
    "too_old": (403, "RULE_LIMIT", "订单已超过可退款的期限"),
    "not_enough": (403, "NOT_ENOUGH", "账户余额不足,请充值后重新发起"),
    "not_split": (400, "INVALID_REQUEST", "该订单不支持分账"),
    "unfrozen": (400, "INVALID_REQUEST", "该订单已分账完结"),
    "no_receiver": (400, "INVALID_REQUEST", "分账接收方关系不存在"),
    "over_cap": (403, "RULE_LIMIT", "分账金额超出最大分账比例"),
    "not_returnable": (400, "INVALID_REQUEST", "个人接收方不支持分账回退"),
    "no_contract": (404, "CONTRACT_NOT_EXIST", "签约协议不存在或已解约"),
    "insufficient": (403, "NOT_ENOUGH", "用户余额不足"),
    "not_cancellable": (400, "INVALID_REQUEST", "当前状态不允许撤销"),
}

_STATUS_OF_CODE = {
    "PARAM_ERROR": 400,
    "INVALID_REQUEST": 400,
    "APPID_MCHID_NOT_MATCH": 400,
    "NO_STATEMENT_EXIST": 400,
    "STATEMENT_CREATING": 400,
    "ORDERPAID": 400,
    "ORDER_CLOSED": 400,
    "SIGN_ERROR": 401,
    "USER_PAYING": 202,
    "FREQUENCY_LIMITED": 429,
    "RATELIMIT_EXCEEDED": 429,
    "SYSTEM_ERROR": 500,
    "BANK_ERROR": 500,
    "ORDER_NOT_EXIST": 404,
    "RESOURCE_NOT_EXISTS": 404,
    "NOT_FOUND": 404,
}


class BadParameter(Exception):
    """A field that is missing or wrong; the text says which."""


def said(words: Mapping[str, Any], status: int = 200) -> Answer:
    """A JSON answer; what is None is left out."""
    return Answer(status=status, body=msgspec.json.encode({k: v for k, v in words.items() if v is not None}))


def error(code: str, message: str, status: int | None = None, detail: Mapping[str, Any] | None = None) -> Answer:
    """An error as WeChat Pay words it."""
    return said({"code": code, "message": message, "detail": detail}, status or _STATUS_OF_CODE.get(code, 403))


def refused(refusal: Refusal, **other: str) -> Answer:
    """The desk's refusal. ``different="INVALID_REQUEST"`` says it with another code here."""
    status, code, message = _REFUSALS[refusal.code]
    if refusal.code in other:
        code = other[refusal.code]
        status = _STATUS_OF_CODE.get(code, 403)
    return error(code, message, status)


def parsed(body: bytes, shape: type[T]) -> T:
    """The body as this type; BadParameter."""
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.DecodeError as problem:
        raise BadParameter(str(problem)) from problem


def at(moment: datetime | None) -> str | None:
    """``2018-06-08T10:34:56+08:00``."""
    return None if moment is None else moment.astimezone(BEIJING).isoformat(timespec="seconds")


def moment(text: str, field: str) -> datetime:
    """The other way round; BadParameter."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError as problem:
        raise BadParameter(f"{field}: {problem}") from problem
    if read.tzinfo is None:
        raise BadParameter(f"{field}: a time needs its zone, as in 2018-06-08T10:34:56+08:00")
    return read


def refund_status(refund: RefundBook) -> str:
    """The state of a refund."""
    return {"pending": "PROCESSING", "done": "SUCCESS", "closed": "CLOSED", "abnormal": "ABNORMAL"}[refund.standing]


def transfer_state(transfer: TransferBook) -> str:
    """The state of a transfer."""
    return {
        "waiting": "WAIT_USER_CONFIRM",
        "accepted": "TRANSFERING" if transfer.opened.token else "PROCESSING",
        "done": "SUCCESS",
        "failed": "FAIL",
        "cancelled": "CANCELLED",
    }[transfer.standing]
