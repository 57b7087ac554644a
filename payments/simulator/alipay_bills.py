"""Alipay's bills of a day: the trades, and what moved the funds, as CSV in GBK inside a zip."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

import msgspec

from payments.channels.china import BEIJING, beijing_text
from payments.money import yuan
from payments.simulator import bills
from payments.simulator.alipay_account import INSTITUTION, Account
from payments.simulator.alipay_money import refund_number
from payments.simulator.alipay_orders import FREEZE
from payments.simulator.alipay_words import Denied, parsed, said
from payments.simulator.desk import Desk
from payments.simulator.protocol import Answer, Call

TRADE_HEADER = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,"
    "商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,"
    "商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)
FLOW_HEADER = (
    "账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,收入金额（+元）,支出金额（-元）,账户余额（元）,"
    "交易渠道,业务类型,备注"
)
_FLOW_NAMES = {
    "paid": "在线支付",
    "refunded": "交易退款",
    "split": "交易分账",
    "taken_back": "交易退分账",
    "transferred": "转账",
    "transfer_failed": "转账退回",
}
_TITLES = {"trade": "业务", "signcustomer": "账务"}


class BillWish(msgspec.Struct, frozen=True, kw_only=True):
    """Which bill."""

    bill_type: str
    bill_date: str


class BillDesk:
    """Where a bill is, and the file itself."""

    def __init__(self, desk: Desk, account: Account) -> None:
        self._desk = desk
        self._account = account

    def where(self, text: str, base_url: str) -> Answer:
        """The address of a day's bill."""
        wish = parsed(text, BillWish)
        if wish.bill_type not in _TITLES:
            raise Denied("isv.invalid-parameter", f"bill_type: {', '.join(_TITLES)}", "40002")
        day = _day(wish.bill_date)
        is_over = day < self._desk.clock.now().astimezone(BEIJING).date()
        if not (is_over or self._account.options.bills_at_once) or not self._rows(wish.bill_type, day):
            raise Denied("isp.bill_not_exist", "账单不存在")
        return said({"bill_download_url": f"{base_url}/alipay/bill?type={wish.bill_type}&date={day}"})

    def file(self, call: Call) -> Answer:
        """The archive: the lines in one file, their sums in another."""
        kind, day = call.query.get("type", ""), _day(call.query.get("date", ""))
        if kind not in _TITLES:
            raise Denied("isp.bill_not_exist", "账单不存在")
        name = f"{self._account.seller_id}0156_{day:%Y%m%d}_{_TITLES[kind]}明细.csv"
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, self._text(kind, day).encode("gbk", "replace"))
            archive.writestr(name.replace(".csv", "(汇总).csv"), f"#支付宝{_TITLES[kind]}汇总查询\r\n".encode("gbk"))
        return Answer(body=target.getvalue(), content_type="application/zip", is_signed=False)

    def _text(self, kind: str, day: date) -> str:
        title, rule = _TITLES[kind], "-" * 41
        lines = [
            f"#支付宝{title}明细查询",
            f"#账号：[{self._account.seller_id}0156]",
            f"#起始日期：[{day:%Y年%m月%d日} 00:00:00]   终止日期：[{day + timedelta(days=1):%Y年%m月%d日} 00:00:00]",
            f"#{rule}{title}明细列表{rule}",
            TRADE_HEADER if kind == "trade" else FLOW_HEADER,
            *self._rows(kind, day),
            f"#{rule}{title}明细列表结束{rule}",
            *self._sums(kind, day),
            f"#导出时间：[{self._desk.clock.now().astimezone(BEIJING):%Y年%m月%d日 %H:%M:%S}]",
        ]
        return "\r\n".join(lines) + "\r\n"

    def _rows(self, kind: str, day: date) -> list[str]:
        if kind == "trade":
            return [_trade_line(trade) for trade in self._trades(day)]
        return list(self._flow_lines(day))

    def _trades(self, day: date) -> list[bills.Trade]:
        since = datetime.combine(day, datetime.min.time(), BEIJING)
        mine = {self._account.seller_id}
        found = bills.trades(self._desk.books, INSTITUTION, mine, since, since + timedelta(days=1))
        return [trade for trade in found if trade.order.opened.kind != FREEZE]

    def _flow_lines(self, day: date) -> Iterator[str]:
        since = datetime.combine(day, datetime.min.time(), BEIJING)
        mine = {self._account.seller_id}
        for flow in bills.flows(self._desk.books, INSTITUTION, mine, since, since + timedelta(days=1)):
            order = self._desk.books.order_of_transaction(INSTITUTION, flow.transaction_id)
            if order is not None and order.opened.kind == FREEZE:
                continue
            yield _line(
                [
                    f"{flow.provider_number}\t",
                    f"{flow.transaction_id or flow.provider_number}\t",
                    f"{order.key.number if order else flow.number}\t",
                    order.opened.description if order else "",
                    beijing_text(flow.at),
                    "sim***@example.com",
                    yuan(max(flow.amount_fen, 0)),
                    yuan(min(flow.amount_fen, 0)),
                    yuan(flow.balance_fen),
                    "支付宝",
                    _FLOW_NAMES[flow.kind],
                    "",
                ]
            )

    def _sums(self, kind: str, day: date) -> Sequence[str]:
        if kind != "trade":
            return ()
        trades = self._trades(day)
        paid = [trade.order.charges[0].amount_fen for trade in trades if trade.refund is None]
        back = [-trade.refund.opened.amount_fen for trade in trades if trade.refund is not None]
        return (
            f"#交易合计：{len(paid)}笔，商家实收共{yuan(sum(paid))}元，商家优惠共0.00元",
            f"#退款合计：{len(back)}笔，商家实收退款共{yuan(sum(back))}元，商家优惠退款共0.00元",
        )


def _trade_line(trade: bills.Trade) -> str:
    order, refund = trade.order, trade.refund
    paid = order.charges[0]
    amount = yuan(-refund.opened.amount_fen if refund else paid.amount_fen)
    nothing = "0.00"
    return _line(
        [
            f"{paid.transaction_id}\t",
            f"{order.key.number}\t",
            "退款" if refund else "交易",
            order.opened.description,
            beijing_text(order.opened_at),
            beijing_text(trade.at),
            *("", "", "", ""),
            "sim***@example.com",
            amount,
            amount,
            *(nothing, nothing, nothing, nothing, nothing),
            "",
            *(nothing, nothing),
            f"{refund_number(refund)}\t" if refund else "",
            nothing,
            nothing,
            "",
        ]
    )


def _line(cells: Sequence[str]) -> str:
    return ",".join(_cell(cell) for cell in cells)


def _cell(cell: str) -> str:
    plain = cell.replace("\n", " ").replace("\r", " ")
    return '"' + plain.replace('"', '""') + '"' if "," in plain or '"' in plain else plain


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Denied("isv.invalid-parameter", "bill_date: yyyy-MM-dd", "40002") from None
