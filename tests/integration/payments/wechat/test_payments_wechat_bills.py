"""WeChat Pay's bills: read whole, in agreement with themselves, or not at all."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime

import pytest
from aiohttp import web

from payments.channels import wechat_bills as bills
from payments.outcomes import Bill, NoBill
from tests import wechat_counter as wx

TRADE_COLUMNS = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,"
    "手续费,费率,订单金额,申请退款金额,费率备注"
)
FLOW_COLUMNS = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额（元）,账户结余（元）,资金变更提交申请人,"
    "备注,业务凭证号"
)


def ticked(*values: str) -> str:
    return ",".join(f"`{value}" for value in values)


def trade_row(no: str, state: str, yuan: str, *, refund: str = "", back: str = "0.00", fee: str = "0.00000") -> str:
    return ticked(
        "2026-03-01 12:30:00", wx.APPID, wx.MCHID, "0", "", f"42{no}", no, "oUser", "JSAPI", state, "OTHERS", "CNY",
        yuan, "0.00", "50" if refund else "0", refund or "0", back, "0.00", "ORIGINAL" if refund else "",
        "SUCCESS" if refund else "", "代取, 奶茶`1", "", fee, "0.60%", yuan, back, "",
    )  # fmt: skip


def trade_bill(*rows: str, paid: str, back: str, count: int | None = None) -> bytes:
    totals = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
    last = ticked(str(len(rows) if count is None else count), paid, back, "0.00", "0.00", paid, back)
    return ("\ufeff" + "\r\n".join([TRADE_COLUMNS, *rows, totals, last]) + "\r\n").encode()


def flow_bill(*rows: tuple[str, str, str, str], income: str, spent: str) -> bytes:
    lines = [
        ticked("2026-03-01 12:30:00", "42x", "7", name, name, direction, yuan, "100.00", "system", "", number)
        for name, direction, yuan, number in rows
    ]
    totals = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"
    last = ticked(str(len(rows)), "1", income, "1", spent)
    return ("\ufeff" + "\n".join([FLOW_COLUMNS, *lines, totals, last]) + "\n").encode()


TRADES = trade_bill(
    trade_row("A1", "SUCCESS", "10.00", fee="0.06000"),
    trade_row("A2", "SUCCESS", "0.01"),
    trade_row("A1", "REFUND", "0.00", refund="R1", back="3.00", fee="-0.01800"),
    paid="10.01",
    back="3.00",
)
FLOWS = flow_bill(
    ("交易", "收入", "10.00", "A1"),
    ("扣除交易手续费", "支出", "0.06", "A1"),
    ("扣除交易手续费", "收入", "0.02", "A1"),
    ("退款", "支出", "3.00", "R1"),
    ("分账", "支出", "2.00", "S1"),
    ("分账回退", "收入", "1.00", "B1"),
    ("提现", "支出", "1.00", ""),
    income="11.02",
    spent="6.06",
)


def serve_bills(counter: wx.Counter, trades: bytes = TRADES, flows: bytes = FLOWS, digest: str = "") -> None:
    for name, file in (("tradebill", trades), ("fundflowbill", flows)):
        words = {
            "hash_type": "SHA1",
            "hash_value": digest or hashlib.sha1(file).hexdigest(),
            # The link names the provider's host; what is configured is what is called.
            "download_url": f"https://api.mch.weixin.qq.com/v3/billdownload/{name}?token=x%2By&tartype=",
        }
        counter.says("GET", f"/v3/bill/{name}", words)
        counter.says("GET", f"/v3/billdownload/{name}", script=lambda _, file=file: web.Response(body=file))  # type: ignore[misc]


DAY = date(2026, 3, 1)


async def test_both_bills_in_fen(counter: wx.Counter) -> None:
    serve_bills(counter)
    async with wx.channel_to(counter) as channel:
        bill = await channel.bill(DAY)
    assert isinstance(bill, Bill) and bill.day == DAY and bill.flows is not None
    assert [(each.kind, each.attempt_id, each.number, each.amount_fen) for each in bill.trades] == [
        ("paid", "A1", "A1", 1000),
        ("fee", "A1", "A1", 6),
        ("paid", "A2", "A2", 1),
        ("refunded", "A1", "R1", 300),
        ("fee", "A1", "R1", -2),
    ]
    assert bill.trades[0].transaction_id == "42A1"
    assert bill.trades[0].at == datetime(2026, 3, 1, 4, 30, tzinfo=UTC)
    assert [(each.kind, each.number, each.amount_fen) for each in bill.flows] == [
        ("paid", "A1", 1000),
        ("fee", "A1", 6),
        ("fee", "A1", -2),
        ("refunded", "R1", 300),
        ("split", "S1", 200),
        ("taken_back", "B1", 100),
    ]
    asked = [each for each in counter.asked if each.path == "/v3/bill/tradebill"]
    assert asked[0].query == {"bill_date": "2026-03-01", "bill_type": "ALL"}
    assert counter.asked[1].target == "/v3/billdownload/tradebill?token=x%2By&tartype="


async def test_a_bill_that_cannot_be_had_says_why(counter: wx.Counter) -> None:
    async with wx.channel_to(counter) as channel:
        counter.says("GET", "/v3/bill/tradebill", {"code": "NO_STATEMENT_EXIST"}, 400)
        assert await channel.bill(DAY) == NoBill(reason="no_statement_exist", is_final=True)
        counter.says("GET", "/v3/bill/tradebill", {"code": "STATEMENT_CREATING"}, 400)
        assert await channel.bill(DAY) == NoBill(reason="statement_creating")
        counter.says("GET", "/v3/bill/tradebill", {"hash_type": "SHA1"})
        assert await channel.bill(DAY) == NoBill(reason="bad_answer")
        md5 = {"hash_type": "MD5", "hash_value": "x", "download_url": "http://x/y"}
        counter.says("GET", "/v3/bill/tradebill", md5)
        assert await channel.bill(DAY) == NoBill(reason="unknown_digest MD5")
        serve_bills(counter, digest="0" * 40)
        assert await channel.bill(DAY) == NoBill(reason="wrong_digest")
        serve_bills(counter)
        counter.says("GET", "/v3/billdownload/tradebill", {"code": "SYSTEM_ERROR"}, 500)
        assert await channel.bill(DAY) == NoBill(reason="system_error")
        serve_bills(counter, trades=TRADES.replace(b"\xe6", b"\xff"))
        assert await channel.bill(DAY) == NoBill(reason="bad_bill: it is not UTF-8")
        counter.tamper = True
        assert await channel.bill(DAY) == NoBill(reason="bad_signature")


async def test_the_fund_flow_may_be_missing_for_good(counter: wx.Counter) -> None:
    serve_bills(counter)
    async with wx.channel_to(counter) as channel:
        counter.says("GET", "/v3/bill/fundflowbill", {"code": "NO_STATEMENT_EXIST"}, 400)
        bill = await channel.bill(DAY)
        assert isinstance(bill, Bill) and bill.flows == ()
        counter.says("GET", "/v3/bill/fundflowbill", {"code": "NO_AUTH"}, 403)
        bill = await channel.bill(DAY)
        assert isinstance(bill, Bill) and bill.flows is None
        counter.says("GET", "/v3/bill/fundflowbill", {"code": "SYSTEM_ERROR"}, 500)
        assert await channel.bill(DAY) == NoBill(reason="system_error")
    async with wx.channel_to(counter, sub_mchid="1900000999") as channel:
        bill = await channel.bill(DAY)
        assert isinstance(bill, Bill) and bill.flows is None
    assert counter.asked[-2].query["sub_mchid"] == "1900000999"


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (b"", "cut off"),
        (TRADES[: len(TRADES) // 2], "cut off"),
        (trade_bill(trade_row("A1", "SUCCESS", "10.00"), paid="10.01", back="0.00"), "paid: it says 1001"),
        (trade_bill(trade_row("A1", "SUCCESS", "10.00"), paid="10.00", back="1.00"), "refunded: it says 100"),
        (trade_bill(paid="0.00", back="0.00", count=1), "trades: it says 1"),
        (trade_bill(trade_row("A1", "SUCCESS", "10.001"), paid="0", back="0"), "whole number of fen"),
        (trade_bill(trade_row("A1", "SUCCESS", "ten"), paid="0", back="0"), "is not an amount"),
        (trade_bill(trade_row("A1", "SUCCESS", "1e99"), paid="0", back="0"), "is not an amount"),
        (trade_bill("`2026", paid="0", back="0"), "1 values for 27 columns"),
        (TRADES.replace(b"2026-03-01 12:30:00", b"yesterday"), "is not a time"),
        (TRADES.replace("手续费,费率".encode(), "费,费率".encode()), "no column 手续费"),
    ],
)  # fmt: skip
def test_a_bill_that_does_not_agree_with_itself_is_refused(file: bytes, why: str) -> None:
    with pytest.raises(bills.BadBill, match=why):
        bills.read_trades(file)


def test_a_fund_flow_that_does_not_agree_with_itself_is_refused() -> None:
    with pytest.raises(bills.BadBill, match="收入金额: it says 200, its rows make 100"):
        bills.read_flows(flow_bill(("交易", "收入", "1.00", "A1"), income="2.00", spent="0.00"))


def test_a_refund_that_failed_is_no_line() -> None:
    row = trade_row("A1", "REFUND", "0.00", refund="R1", back="3.00").replace("`SUCCESS", "`FAIL")
    assert bills.read_trades(trade_bill(row, paid="0.00", back="3.00")) == []
