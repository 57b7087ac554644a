"""Alipay's bills: read whole or not at all."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, date, datetime
from typing import Any

import pytest

from payments.channels.alipay import AlipayChannel
from payments.channels.alipay_bills import MOST_BYTES
from payments.outcomes import Bill, NoBill
from tests.payments_alipay import config
from tests.payments_providers import Alipay, denied

BILL = "alipay.data.dataservice.bill.downloadurl.query"
DAY = date(2026, 10, 3)
TRADE_COLUMNS = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,"
    "商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,"
    "商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)
TRADE = "2026100322001400000000000001\t,AAAAAAAA01\t"
NOTHING = "0.00,0.00,0.00,0.00,0.00,,0.00,0.00"
TRADES = f"""#支付宝业务明细查询
#账号：[20881234123412340156]
#起始日期：[2026年10月03日 00:00:00]   终止日期：[2026年10月04日 00:00:00]
#-----------------------------------------业务明细列表----------------------------------------
{TRADE_COLUMNS}
{TRADE},交易,"奶茶, 两杯",2026-10-03 10:00:00,2026-10-03 10:00:30,,,,,b***,12.05,12.05,{NOTHING},,-0.07,0.00,
{TRADE},退款,奶茶,2026-10-03 10:00:00,2026-10-03 11:00:00,,,,,b***,-2.05,-2.05,{NOTHING},R0000001\t,0.00,0.00,
#-----------------------------------------业务明细列表结束------------------------------------
#交易合计：1笔，商家实收共12.05元，商家优惠共0.00元
#退款合计：1笔，商家实收退款共-2.05元，商家优惠退款共0.00元
#导出时间：[2026年10月04日 09:00:00]
"""
FLOWS = """#支付宝账务明细查询
#-----------------------------------------账务明细列表----------------------------------------
账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,收入金额（+元）,支出金额（-元）,账户余额（元）,交易渠道,业务类型,备注
1\t,2026\t,AAAAAAAA01\t,奶茶,2026-10-03 10:00:30,buyer,12.05,0.00,100.00,支付宝,在线支付,
2\t,2026\t,AAAAAAAA01\t,奶茶,2026-10-03 10:00:30,alipay,0.00,-0.07,99.93,支付宝,收费,服务费
3\t,2026\t,AAAAAAAA01\t,奶茶,2026-10-03 11:00:00,buyer,0.00,-2.05,97.88,支付宝,交易退款,
4\t,2026\t,AAAAAAAA01\t,奶茶,2026-10-03 12:00:00,runner,0.00,-5.00,92.88,支付宝,分账,
5\t,2026\t,,提现,2026-10-03 13:00:00,bank,0.00,-90.00,2.88,支付宝,提现,
#-----------------------------------------账务明细列表结束------------------------------------
"""
SUMMARY = "#支付宝业务汇总查询\n门店编号,门店名称,交易订单总笔数\n,,1\n"


def archive(*texts: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for at, text in enumerate(texts):
            made.writestr(f"20881234123412340156_20261003_{at}.csv", text.encode("gbk"))
    return target.getvalue()


def serve_bills(alipay: Alipay, trades: bytes, flows: bytes | None = None) -> None:
    answers: list[Any] = [{"bill_download_url": f"{alipay.base_url}/trade.zip?token=x"}]
    answers.append(denied("isv.no-rights") if flows is None else {"bill_download_url": f"{alipay.base_url}/flow.zip"})
    alipay.answers.update({BILL: answers, "/trade.zip": trades, "/flow.zip": flows})


async def test_a_bill_of_trades_and_flows(alipay: Alipay, channel: AlipayChannel) -> None:
    serve_bills(alipay, archive(SUMMARY, TRADES), archive(FLOWS))
    bill = await channel.bill(DAY)
    assert isinstance(bill, Bill)
    assert [(line.kind, line.attempt_id, line.number, line.amount_fen) for line in bill.trades] == [
        ("paid", "AAAAAAAA01", "AAAAAAAA01", 1205),
        ("fee", "AAAAAAAA01", "AAAAAAAA01", 7),
        ("refunded", "AAAAAAAA01", "R0000001", 205),
    ]
    assert bill.trades[0].at == datetime(2026, 10, 3, 2, 0, 30, tzinfo=UTC)
    assert bill.flows is not None
    assert [(line.kind, line.amount_fen) for line in bill.flows] == [
        ("paid", 1205), ("fee", 7), ("refunded", 205), ("split", 500),
    ]  # fmt: skip
    assert [each["bill_type"] for each in alipay.of(BILL)] == ["trade", "signcustomer"]


async def test_trades_alone_are_a_bill(alipay: Alipay, channel: AlipayChannel) -> None:
    serve_bills(alipay, archive(TRADES[: TRADES.index("#交易合计")]))
    bill = await channel.bill(DAY)
    assert isinstance(bill, Bill)
    assert bill.flows is None


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (b"PK", "not a zip"),
        (archive(TRADES, "x" * (MOST_BYTES + 1)), "more than"),
        (archive(SUMMARY), "no file has the columns"),
        (
            archive(TRADES[: TRADES.index("#-----------------------------------------业务明细列表结束")]),
            "end of the list",
        ),
        (archive(TRADES.replace("交易合计：1笔", "交易合计：2笔")), "its end says 2"),
        (archive(TRADES.replace(",退款,", ",赠送,")), "unknown kind"),
        (archive(TRADES.replace("-2.05,-2.05", "abc,-2.05")), "is not an amount"),
        (archive(TRADES.replace(",,-0.07,0.00,\n", "\n")), "cells under"),
    ],
)
async def test_a_bill_that_is_not_whole_is_none(alipay: Alipay, channel: AlipayChannel, file: bytes, why: str) -> None:
    serve_bills(alipay, file)
    answer = await channel.bill(DAY)
    assert isinstance(answer, NoBill)
    assert why in answer.reason
    assert not answer.is_final


async def test_no_bill_is_final_only_when_the_morning_is_over(alipay: Alipay) -> None:
    alipay.answers[BILL] = denied("isp.bill_not_exist")
    for hour, is_final in ((3, False), (4, True)):
        now = datetime(2026, 10, 4, hour, tzinfo=UTC)
        channel = AlipayChannel(config(alipay.base_url), wall_s=now.timestamp)
        assert await channel.bill(DAY) == NoBill(reason="isp.bill_not_exist", is_final=is_final)
        await channel.stop()


async def test_a_file_that_cannot_be_had(alipay: Alipay, channel: AlipayChannel) -> None:
    alipay.answers[BILL] = {"bill_download_url": "http://127.0.0.1:1/trade.zip"}
    assert await channel.bill(DAY) == NoBill(reason="connect")
    alipay.answers.update({BILL: {"bill_download_url": f"{alipay.base_url}/gone.zip"}, "/gone.zip": 404})
    assert await channel.bill(DAY) == NoBill(reason="http_404")
    alipay.answers[BILL] = {"bill_download_url": "file:///etc/hosts"}
    assert isinstance(await channel.bill(DAY), NoBill)
