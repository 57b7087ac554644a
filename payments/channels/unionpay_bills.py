"""UnionPay's bill of a settlement day: lines of fixed widths in a zip, that is deflated once more and written in
base64."""

from __future__ import annotations

import base64
import binascii
import io
import zipfile
import zlib
from collections.abc import Iterator
from datetime import date, datetime, timedelta

import msgspec

from payments.channels.china import beijing_moment
from payments.channels.unionpay_numbers import number_of
from payments.money import Fen
from payments.outcomes import BillKind, BillLine

#: A campus's day is a few megabytes; what unpacks to more is not one.
MOST_BYTES = 64 << 20

#: Widths of a line's fields up to the last one that is read; one blank stands between two.
_WIDTHS = (3, 11, 11, 6, 10, 19, 12, 4, 2, 21, 2, 32, 2, 6, 10, 13, 13, 4, 15, 2, 2, 6, 2, 4, 32, 1, 21, 15)
_AT, _AMOUNT, _QUERY_ID, _ORDER_ID, _FEE, _TYPE, _ORIGINAL = 4, 6, 9, 11, 15, 19, 26

_KINDS: dict[str, BillKind] = {"01": "paid", "04": "refunded", "31": "refunded"}


class BadBill(ValueError):
    """A file that is not such a bill; nothing of it may be used."""


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    kind: BillKind
    order_id: str
    query_id: str
    original: str
    amount_fen: int
    fee_fen: int
    at: datetime | None


def read_bill(content: str, day: date) -> tuple[BillLine, ...]:
    """The lines of ``fileContent``. BadBill."""
    rows = [row for text in _lists(content) for line in text.splitlines() if (row := _row(line, day)) is not None]
    # A refund names its payment by UnionPay's number alone.
    payments = {row.query_id: row.order_id for row in rows if row.kind == "paid"}
    return tuple(line for row in rows for line in _lines(row, payments))


def _lines(row: _Row, payments: dict[str, str]) -> Iterator[BillLine]:
    attempt_id = row.order_id if row.kind == "paid" else payments.get(row.original, "")
    line = BillLine(
        kind=row.kind,
        attempt_id=attempt_id,
        number=number_of(row.order_id),
        amount_fen=Fen(row.amount_fen),
        transaction_id=row.query_id,
        at=row.at,
    )
    yield line
    if row.fee_fen:
        yield msgspec.structs.replace(line, kind="fee", amount_fen=Fen(row.fee_fen))


def _row(line: str, day: date) -> _Row | None:
    if not line.strip():
        return None
    fields = []
    start = 0
    for width in _WIDTHS:
        fields.append(line[start : start + width].strip())
        start += width + 1
    if len(line) < start - 1:
        raise BadBill(f"a line of {len(line)} characters")
    kind = _KINDS.get(fields[_TYPE])
    if kind is None:
        raise BadBill(f"a line of the unknown type {fields[_TYPE]!r}")
    fee_sign, fee = fields[_FEE][:1], fields[_FEE][1:]
    if not (fields[_AMOUNT].isdecimal() and fields[_ORDER_ID] and fee_sign in ("C", "D") and fee.isdecimal()):
        raise BadBill("a line without an amount, a number or a fee")
    return _Row(
        kind=kind,
        order_id=fields[_ORDER_ID],
        query_id=fields[_QUERY_ID],
        original=fields[_ORIGINAL],
        amount_fen=int(fields[_AMOUNT]),
        fee_fen=int(fee) if fee_sign == "D" else -int(fee),
        at=_moment(fields[_AT], day),
    )


def _moment(text: str, day: date) -> datetime | None:
    """The moment of MMDDhhmmss; a settlement day begins the evening before, so at New Year the years differ."""
    for year in (day.year, day.year - 1):
        at = beijing_moment(f"{year}{text}", "%Y%m%d%H%M%S")
        if at is not None and abs(at.date() - day) < timedelta(days=7):
            return at
    return None


def _lists(content: str) -> Iterator[str]:
    """The lists of settled transactions (``…ZM_…``) in the archive."""
    try:
        # What is too large is cut off here, and then no archive any more.
        raw = zlib.decompressobj().decompress(base64.b64decode(content, validate=True), MOST_BYTES)
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            names = [entry for entry in archive.infolist() if "ZM_" in entry.filename]
            if not names:
                raise BadBill("no list of transactions in it")
            for entry in names:
                if entry.file_size > MOST_BYTES:
                    raise BadBill(f"more than {MOST_BYTES} bytes")
                with archive.open(entry) as file:
                    text = file.read(MOST_BYTES)
                yield text.decode("gb18030", "replace")
    except (binascii.Error, zlib.error, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadBill(f"not an archive: {error}") from None
