"""UnionPay's bills: read whole or not at all."""

from __future__ import annotations

import base64
import io
import zipfile
import zlib
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from payments.channels.unionpay import UnionpayChannel
from payments.channels.unionpay_bills import MOST_BYTES
from payments.outcomes import Bill, NoBill
from tests.payments_providers import Unionpay
from tests.payments_unionpay import FILE, MERCHANT, NO, Books, config

DAY = date(2026, 1, 1)
WIDTHS = (3, 11, 11, 6, 10, 19, 12, 4, 2, 21, 2, 32, 2, 6, 10, 13, 13, 4, 15, 2, 2, 6, 2, 4, 32, 1, 21, 15, 1, 15, 32,
          13, 13, 8, 32, 13, 13, 12, 2, 1, 131)  # fmt: skip


def line(order_id: str, kind: str, amount_fen: int, query_id: str, original: str = "", **more: str) -> str:
    given = {0: "S22", 4: more.get("at", "1231230500"), 6: f"{amount_fen:012d}", 9: query_id, 11: order_id,
             15: more.get("fee", "D00000000007"), 19: kind, 26: original, 27: MERCHANT, 30: "校园"}  # fmt: skip
    return " ".join(given.get(at, "").ljust(width) for at, width in enumerate(WIDTHS))


def packed(*lines: str, name: str = f"INN26010188ZM_{MERCHANT}", bytes_more: bool = False) -> dict[str, str]:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(name, "\r\n".join([*lines, "  "]).encode("gbk") + b" " * (bytes_more * MOST_BYTES))
        made.writestr(f"INN26010188ZME_{MERCHANT}", b"other")
    return {
        "respCode": "00",
        "fileName": "x.zip",
        "fileContent": base64.b64encode(zlib.compress(target.getvalue())).decode(),
    }


async def test_a_bill(unionpay: Unionpay, channel: UnionpayChannel) -> None:
    unionpay.answers[FILE] = packed(
        line("AAAAAAAA01", "01", 1205, "Q1"),
        line("REFUND01", "04", 205, "Q2", "Q1", at="0101100000", fee="C00000000001"),
        line("UNDONE01", "31", 300, "Q3", "Q0", fee="D00000000000", at="0715100000"),
        line(f"{NO}U1R", "04", 5, "Q4", fee="D00000000000"),
    )
    bill = await channel.bill(DAY)
    assert isinstance(bill, Bill)
    assert [(each.kind, each.attempt_id, each.number, each.amount_fen) for each in bill.trades] == [
        ("paid", "AAAAAAAA01", "AAAAAAAA01", 1205),
        ("fee", "AAAAAAAA01", "AAAAAAAA01", 7),
        ("refunded", "AAAAAAAA01", "REFUND01", 205),
        ("fee", "AAAAAAAA01", "REFUND01", -1),
        ("refunded", "", "UNDONE01", 300),
        ("refunded", "", f"{NO}U1", 5),
    ]
    assert bill.trades[4].at is None, "nobody knows of which year"
    assert bill.trades[0].at == datetime(2025, 12, 31, 15, 5, tzinfo=UTC)
    assert bill.trades[2].at == datetime(2026, 1, 1, 2, 0, tzinfo=UTC)
    assert bill.flows is None
    asked = unionpay.of(FILE)[0]
    assert (asked["settleDate"], asked["fileType"], asked["_"]) == ("0101", "00", "/files")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (packed(line("A", "01", 1, "Q1")[:100]), "characters"),
        (packed(line("A", "99", 1, "Q1")), "unknown type"),
        (packed(line("A", "01", 1, "Q1", fee="X1")), "without an amount"),
        (packed(name="readme.txt"), "no list"),
        (packed(bytes_more=True), "more than"),
        ({"respCode": "00", "fileContent": "%%%"}, "not an archive"),
        ({"respCode": "00", "fileContent": base64.b64encode(zlib.compress(b"x")).decode()}, "not an archive"),
        (500, "http_500"),
        ({"respCode": "00"}, "resp_00"),
    ],
)
async def test_a_bill_that_is_none(unionpay: Unionpay, channel: UnionpayChannel, answer: Any, why: str) -> None:
    unionpay.answers[FILE] = answer
    bill = await channel.bill(DAY)
    assert isinstance(bill, NoBill)
    assert why in bill.reason
    assert not bill.is_final


async def test_no_file_is_final_only_when_the_morning_is_over(unionpay: Unionpay, books: Books, key_file: str) -> None:
    unionpay.answers[FILE] = {"respCode": "98"}
    day = datetime.now(UTC).date() + timedelta(days=1)
    for hour, is_final in ((27, False), (28, True)):
        now = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hour)
        channel = UnionpayChannel(config(unionpay.base_url, key_file), books.first_written, wall_s=now.timestamp)
        assert await channel.bill(day) == NoBill(reason="resp_98", is_final=is_final)
        await channel.stop()
