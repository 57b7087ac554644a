"""WeChat Pay's bills of a day: trades and fund flow, proved by their digest, yuan turned into fen."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from urllib.parse import urlsplit

import msgspec

from payments.channels.china import BEIJING
from payments.channels.wechat_api import Unheard, WechatApi
from payments.money import Fen
from payments.outcomes import Bill, BillAnswer, BillKind, BillLine, NoBill

TRADES = "/v3/bill/tradebill"
FLOWS = "/v3/bill/fundflowbill"

#: A day of a large campus is a few megabytes.
BILL_BYTES = 64 << 20
#: Real seconds for the file.
DOWNLOAD_S = 60.0


class BadBill(ValueError):
    """The file is not what its digest, its columns or its own totals say."""


class _Where(msgspec.Struct, frozen=True, kw_only=True):
    hash_type: str
    hash_value: str
    download_url: str


class WechatBills:
    """The bills of one merchant."""

    def __init__(self, api: WechatApi) -> None:
        self._api = api

    async def bill(self, day: date) -> BillAnswer:
        """Both bills of a day, in the provider's zone. They are ready from about ten o'clock the next morning."""
        sub_mchid = self._api.config.sub_mchid
        sub = f"&sub_mchid={sub_mchid}" if sub_mchid else ""
        trades = await self._file(f"{TRADES}?bill_date={day.isoformat()}&bill_type=ALL{sub}", day)
        if isinstance(trades, NoBill):
            return trades
        # A sub-merchant's funds are its own: its service provider gets no bill of them by this way.
        flows: bytes | NoBill | None = None
        if not sub_mchid:
            flows = await self._file(f"{FLOWS}?bill_date={day.isoformat()}&account_type=BASIC", day)
        if isinstance(flows, NoBill):
            if not flows.is_final and flows.reason != "no_auth":
                return flows
            flows = b"" if flows.is_final else None
        try:
            return await asyncio.to_thread(_read_both, day, trades, flows)
        except BadBill as error:
            return NoBill(reason=f"bad_bill: {error}")

    async def _file(self, target: str, day: date) -> bytes | NoBill:
        subject = day.isoformat()
        answer = await self._api.call("GET", target, operation="bill", subject=subject)
        if isinstance(answer, Unheard):
            return NoBill(reason=answer.reason)
        if not answer.is_accepted:
            return NoBill(reason=answer.reason, is_final=answer.code in ("NO_STATEMENT_EXIST", "NO_BILL_EXIST"))
        try:
            where = msgspec.json.decode(answer.body, type=_Where)
        except msgspec.DecodeError:
            return NoBill(reason="bad_answer")
        if where.hash_type.upper() != "SHA1":
            return NoBill(reason=f"unknown_digest {where.hash_type[:16]}")
        # The file is had from the host that is configured, whatever host the link names.
        url = urlsplit(where.download_url)
        file = await self._api.download(
            f"{url.path}?{url.query}" if url.query else url.path,
            operation="bill_download",
            subject=subject,
            total_s=DOWNLOAD_S,
            most_bytes=BILL_BYTES,
        )
        if isinstance(file, Unheard) or not file.is_accepted:
            return NoBill(reason=file.reason)
        # No matter of secrecy: the digest itself came signed.
        if hashlib.sha1(file.body, usedforsecurity=False).hexdigest() != where.hash_value.lower():
            return NoBill(reason="wrong_digest")
        return file.body


def _read_both(day: date, trades: bytes, flows: bytes | None) -> Bill:
    return Bill(
        day=day,
        trades=tuple(read_trades(trades)),
        flows=None if flows is None else tuple(read_flows(flows)) if flows else (),
    )


def fen_of(yuan: str) -> Fen:
    """``0.01`` is one fen. BadBill: not a number, or a part of a fen.

    >>> fen_of("-12.30")
    -1230
    """
    fen = _decimal(yuan) * 100
    if fen != fen.to_integral_value():
        raise BadBill(f"{yuan!r} is not a whole number of fen")
    return Fen(int(fen))


def _fee_fen(yuan: str) -> Fen:
    """Fees are printed with five places; what is charged is rounded."""
    return Fen(int((_decimal(yuan) * 100).to_integral_value(ROUND_HALF_UP)))


def _decimal(yuan: str) -> Decimal:
    try:
        number = Decimal(yuan.strip() or "0")
    except InvalidOperation:
        raise BadBill(f"{yuan[:32]!r} is not an amount") from None
    if not number.is_finite() or abs(number) > Decimal(10) ** 12:
        raise BadBill(f"{yuan[:32]!r} is not an amount")
    return number


def _at(text: str) -> datetime:
    try:
        return datetime.strptime(text.strip(), "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING)
    except ValueError:
        raise BadBill(f"{text[:32]!r} is not a time") from None


class _Table:
    """Rows under their column names, then the totals under theirs. Every value begins with a backtick, so that a comma
    in somebody's goods is no end of a value."""

    def __init__(self, file: bytes, *needed: str) -> None:
        try:
            lines = [line for line in file.decode("utf-8-sig").splitlines() if line.strip()]
        except UnicodeDecodeError:
            raise BadBill("it is not UTF-8") from None
        heads = [index for index, line in enumerate(lines) if not line.startswith("`")]
        if len(heads) != 2 or heads[0] != 0 or heads[1] != len(lines) - 2:
            raise BadBill("it is cut off: rows, then one line of totals")
        self._columns = _names(lines[0])
        missing = [name for name in needed if name not in self._columns]
        if missing:
            raise BadBill(f"there is no column {missing[0]}")
        self._rows = lines[1 : heads[1]]
        self.totals = self._row(_names(lines[-2]), lines[-1])

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Mapping[str, str]]:
        for line in self._rows:
            yield self._row(self._columns, line)

    @staticmethod
    def _row(columns: list[str], line: str) -> Mapping[str, str]:
        values = line.removeprefix("`").split(",`")
        if len(values) != len(columns):
            raise BadBill(f"a row has {len(values)} values for {len(columns)} columns")
        return dict(zip(columns, (value.strip() for value in values), strict=True))


def _names(line: str) -> list[str]:
    # Both kinds of brackets are seen in print.
    return [name.strip().replace("（", "(").replace("）", ")") for name in line.split(",")]


def _check(what: str, told: str, counted: int | Fen, *, is_money: bool) -> None:
    told_number = fen_of(told) if is_money else int(_decimal(told))
    if told_number != counted:
        raise BadBill(f"{what}: it says {told_number}, its rows make {counted}")


def read_trades(file: bytes) -> list[BillLine]:
    """The lines of a trade bill of type ALL, checked against its own totals. A fee that was given back is negative."""
    table = _Table(file, "交易时间", "微信订单号", "商户订单号", "交易状态", "商户退款单号", "手续费")
    paid_fen = refunded_fen = 0
    lines: list[BillLine] = []
    for row in table:
        is_paid = row["交易状态"] == "SUCCESS"
        if is_paid:
            amount_fen = fen_of(row.get("订单金额") or row["应结订单金额"])
            paid_fen += amount_fen
        else:
            amount_fen = fen_of(row.get("申请退款金额") or row["退款金额"])
            refunded_fen += amount_fen
        order, number = row["商户订单号"], row["商户订单号"] if is_paid else row["商户退款单号"]
        at = _at(row["交易时间"])
        if is_paid or row.get("退款状态") not in ("FAIL", "CLOSED"):
            kind: BillKind = "paid" if is_paid else "refunded"
            lines.append(_line(kind, order, number or order, amount_fen, row["微信订单号"], at))
        fee_fen = _fee_fen(row["手续费"])
        if fee_fen:
            lines.append(_line("fee", order, number or order, fee_fen, row["微信订单号"], at))
    _check("trades", table.totals.get("总交易单数", "-1"), len(table), is_money=False)
    if "订单总金额" in table.totals:
        _check("paid", table.totals["订单总金额"], paid_fen, is_money=True)
    if "申请退款总金额" in table.totals:
        _check("refunded", table.totals["申请退款总金额"], refunded_fen, is_money=True)
    return lines


def read_flows(file: bytes) -> list[BillLine]:
    """The lines of a fund-flow bill that are movements of orders; what the merchant itself withdrew is none."""
    table = _Table(
        file, "记账时间", "微信支付业务单号", "业务名称", "业务类型", "收支类型", "收支金额(元)", "业务凭证号"
    )
    sums = {"收入": 0, "支出": 0}
    lines: list[BillLine] = []
    for row in table:
        amount_fen = fen_of(row["收支金额(元)"])
        direction = "收入" if row["收支类型"] == "收入" else "支出"
        sums[direction] += amount_fen
        kind = _kind_of(row["业务名称"] + " " + row["业务类型"])
        if kind is None:
            continue
        # What the provider gave back of its fee, or what could not be paid to somebody.
        if kind in ("fee", "transferred") and direction == "收入":
            amount_fen = Fen(-amount_fen)
        number = row["业务凭证号"]
        order = number if kind == "paid" else ""
        lines.append(_line(kind, order, number, amount_fen, row["微信支付业务单号"], _at(row["记账时间"])))
    _check("flows", table.totals.get("资金流水总笔数", "-1"), len(table), is_money=False)
    for name, direction in (("收入金额", "收入"), ("支出金额", "支出")):
        if name in table.totals:
            _check(name, table.totals[name], sums[direction], is_money=True)
    return lines


def _kind_of(name: str) -> BillKind | None:
    for word, kind in _KINDS:
        if word in name:
            return kind
    return None


#: The first word that a movement's name contains says what it is.
_KINDS: tuple[tuple[str, BillKind], ...] = (
    ("回退", "taken_back"),
    ("分账", "split"),
    ("手续费", "fee"),
    ("转账", "transferred"),
    ("退款", "refunded"),
    ("交易", "paid"),
)


def _line(kind: BillKind, attempt_id: str, number: str, amount_fen: int, transaction_id: str, at: datetime) -> BillLine:
    return BillLine(
        kind=kind,
        attempt_id=attempt_id,
        number=number,
        amount_fen=Fen(amount_fen),
        transaction_id=transaction_id,
        at=at,
    )
