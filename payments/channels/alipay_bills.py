"""Alipay's bills of a day: CSV in GBK inside a zip, the trades in one file and the movements of funds in another."""

from __future__ import annotations

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from datetime import datetime

from payments.channels.china import beijing_moment, fen_of_yuan
from payments.money import Fen
from payments.outcomes import BillKind, BillLine

#: A campus's day is a few megabytes; what unpacks to more is not one.
MOST_BYTES = 64 << 20

_TRADE_COLUMNS = (
    "支付宝交易号",
    "商户订单号",
    "业务类型",
    "完成时间",
    "订单金额(元)",
    "退款批次号/请求号",
    "服务费(元)",
)
_FLOW_COLUMNS = ("账务流水号", "商户订单号", "业务类型", "发生时间", "收入金额(+元)", "支出金额(-元)")
_END = "明细列表结束"
_COUNT = re.compile(r"交易合计：(\d+)笔.*?退款合计：(\d+)笔", re.DOTALL)

#: What the kinds of movements are called; whatever else there is (payouts to the bank, deposits) is no business of an
#: order's.
_FLOW_KINDS: tuple[tuple[str, BillKind], ...] = (
    ("退费", "fee"),
    ("服务费", "fee"),
    ("收费", "fee"),
    ("分账退", "taken_back"),
    ("退分账", "taken_back"),
    ("分账", "split"),
    ("转账", "transferred"),
    ("退款", "refunded"),
    ("在线支付", "paid"),
    ("交易付款", "paid"),
)

Row = dict[str, str]


class BadBill(ValueError):
    """A file that is not such a bill, or not whole; nothing of it may be used."""


def read_trades(archive: bytes) -> tuple[BillLine, ...]:
    """The trades of the bill ``trade``. BadBill."""
    text, rows = _table(archive, _TRADE_COLUMNS)
    lines = [line for row in rows for line in _trade_lines(row)]
    count = _COUNT.search(text)
    if count is not None:
        counted = tuple(sum(row["业务类型"] == kind for row in rows) for kind in ("交易", "退款"))
        if counted != tuple(int(each) for each in count.groups()):
            raise BadBill(f"{counted[0]} trades and {counted[1]} refunds, its end says {count[1]} and {count[2]}")
    return tuple(lines)


def read_flows(archive: bytes) -> tuple[BillLine, ...]:
    """The movements of funds of the bill ``signcustomer``. BadBill."""
    _, rows = _table(archive, _FLOW_COLUMNS)
    return tuple(line for row in rows for line in _flow_lines(row))


def _trade_lines(row: Row) -> Iterator[BillLine]:
    attempt_id, amount_fen = row["商户订单号"], abs(_fen(row, "订单金额(元)"))
    kind: BillKind
    match row["业务类型"]:
        case "交易":
            kind, number = "paid", attempt_id
        case "退款":
            kind, number = "refunded", row["退款批次号/请求号"]
        case other:
            raise BadBill(f"a line of the unknown kind {other!r}")

    def line(kind: BillKind, amount_fen: int) -> BillLine:
        return BillLine(
            kind=kind,
            attempt_id=attempt_id,
            number=number,
            amount_fen=Fen(amount_fen),
            transaction_id=row["支付宝交易号"],
            at=_moment(row, "完成时间"),
        )

    yield line(kind, amount_fen)
    fee_fen = _fen(row, "服务费(元)")
    if fee_fen:
        # The bill shows what the fee does to the merchant; a fee that is kept is positive for us.
        yield line("fee", -fee_fen)


def _flow_lines(row: Row) -> Iterator[BillLine]:
    kind = next((kind for word, kind in _FLOW_KINDS if word in row["业务类型"]), None)
    if kind is None:
        return
    amount_fen = _fen(row, "收入金额(+元)") + _fen(row, "支出金额(-元)")
    if kind in ("split", "refunded"):
        amount_fen = abs(amount_fen)
    elif kind in ("fee", "transferred"):
        amount_fen = -amount_fen
    yield BillLine(
        kind=kind,
        # What is paid to a person is no order's.
        attempt_id="" if kind == "transferred" else row["商户订单号"],
        number=row["商户订单号"],
        amount_fen=Fen(amount_fen),
        transaction_id=row["账务流水号"],
        at=_moment(row, "发生时间"),
    )


def _fen(row: Row, column: str) -> int:
    text = row[column] or "0"
    fen = fen_of_yuan(text)
    if fen is None:
        raise BadBill(f"{column}: {text!r} is not an amount")
    return fen


def _moment(row: Row, column: str) -> datetime | None:
    return beijing_moment(row[column])


# -- files --------------------------------------------------------------------------------------------------------


def _table(archive: bytes, columns: tuple[str, ...]) -> tuple[str, list[Row]]:
    """The one table in the archive that has these columns, with the text around it."""
    for text in _texts(archive):
        lines = text.splitlines()
        head = next((at for at, line in enumerate(lines) if set(columns) <= set(_cells(line))), None)
        if head is None:
            continue
        end = next((at for at in range(head, len(lines)) if lines[at].startswith("#") and _END in lines[at]), None)
        if end is None:
            raise BadBill("the end of the list is missing")
        names = _cells(lines[head])
        return text, [_row(names, cells) for cells in csv.reader(lines[head + 1 : end]) if any(cells)]
    raise BadBill("no file has the columns " + ", ".join(columns))


def _row(names: list[str], cells: list[str]) -> Row:
    if len(cells) < len(names):
        raise BadBill(f"a line of {len(cells)} cells under {len(names)} columns")
    return {name: _clean(cell) for name, cell in zip(names, cells, strict=False)}


def _cells(line: str) -> list[str]:
    return [_clean(cell) for cell in next(csv.reader([line]), [])]


def _clean(cell: str) -> str:
    # Numbers are followed by a tab so that spreadsheets do not round them.
    return cell.strip().strip("\t`").replace("（", "(").replace("）", ")")


def _texts(archive: bytes) -> Iterator[str]:
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            if sum(entry.file_size for entry in opened.infolist()) > MOST_BYTES:
                raise BadBill(f"more than {MOST_BYTES} bytes")
            for entry in opened.infolist():
                # Never more than the archive said that it is.
                with opened.open(entry) as file:
                    yield file.read(entry.file_size).decode("gb18030", "replace")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadBill(f"not a zip archive: {error}") from None
