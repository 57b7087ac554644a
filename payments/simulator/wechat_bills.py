"""WeChat Pay's bills of a day: trades and fund flow, in yuan, each cell behind a backtick, proved by a SHA1."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from payments.money import yuan
from payments.simulator import bills
from payments.simulator.desk import Desk
from payments.simulator.protocol import Answer, Call
from payments.simulator.wechat_account import INSTITUTION, Account
from payments.simulator.wechat_words import BEIJING, BadParameter, error, refund_status, said

TRADE_HEADER = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,"
    "手续费,费率,订单金额,申请退款金额,费率备注"
)
TRADE_SUMMARY = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
FLOW_HEADER = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),"
    "资金变更提交申请人,备注,业务凭证号"
)
FLOW_SUMMARY = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"

_FLOW_NAMES = {
    "paid": "交易",
    "refunded": "退款",
    "split": "分账",
    "taken_back": "分账回退",
    "transferred": "商家转账",
    "transfer_failed": "商家转账退回",
}
_KINDS = {"tradebill": ("ALL", "SUCCESS", "REFUND"), "fundflowbill": ("BASIC", "OPERATION", "FEES")}


class BillDesk:
    """Where a bill is, what its SHA1 is, and the file itself."""

    def __init__(self, desk: Desk, account: Account) -> None:
        self._desk = desk
        self._account = account

    def where(self, call: Call, bill: str) -> Answer:
        """The address and the hash of a day's bill."""
        day = _day(call.query.get("bill_date", ""))
        kind = call.query.get("bill_type" if bill == "tradebill" else "account_type", _KINDS[bill][0])
        tar = call.query.get("tar_type", "")
        if kind not in _KINDS[bill] or tar not in ("", "GZIP"):
            raise BadParameter(f"bill_type, account_type or tar_type: one of {_KINDS[bill]}, GZIP or nothing")
        if day >= self._desk.clock.now().astimezone(BEIJING).date() and not self._account.options.bills_at_once:
            return error("STATEMENT_CREATING", "账单生成中,请于次日10点后获取")
        sub_mchid = call.query.get("sub_mchid", "")
        text = self._text(bill, day, kind, sub_mchid)
        if text is None:
            return error("NO_STATEMENT_EXIST", "账单文件不存在")
        token = f"{bill}.{day}.{kind}.{tar}.{sub_mchid}"
        return said(
            {
                "hash_type": "SHA1",
                "hash_value": hashlib.sha1(text, usedforsecurity=False).hexdigest(),
                "download_url": f"{call.base_url}/v3/billdownload/file?token={token}",
            }
        )

    def file(self, call: Call) -> Answer:
        """The bill; packed when it was asked for so, while the hash is of the text."""
        parts = call.query.get("token", "").split(".")
        if len(parts) != 5 or parts[0] not in _KINDS or parts[2] not in _KINDS[parts[0]]:
            raise BadParameter("token: not one of ours")
        text = self._text(parts[0], _day(parts[1]), parts[2], parts[4])
        if text is None:
            return error("NO_STATEMENT_EXIST", "账单文件不存在")
        body = gzip.compress(text, mtime=0) if parts[3] == "GZIP" else text
        return Answer(body=body, content_type="application/octet-stream", is_signed=False)

    def _text(self, bill: str, day: date, kind: str, sub_mchid: str) -> bytes | None:
        since = datetime.combine(day, datetime.min.time(), BEIJING)
        until = since + timedelta(days=1)
        # A sub-merchant's trades are on its provider's bill; its funds are its own.
        mine = {sub_mchid} if sub_mchid else {self._account.mchid, self._account.sub_mchid}
        if bill == "tradebill":
            trades = [
                trade
                for trade in bills.trades(self._desk.books, INSTITUTION, mine, since, until)
                if kind == "ALL" or (kind == "REFUND") == (trade.refund is not None)
            ]
            lines = [self._trade_line(trade) for trade in trades]
            tail = [TRADE_SUMMARY, _trade_summary(trades)]
            head = TRADE_HEADER
        else:
            # One account holds everything here; the others exist, and nothing ever moves on them.
            flows = (
                bills.flows(self._desk.books, INSTITUTION, {self._account.mchid}, since, until)
                if kind == "BASIC"
                else []
            )
            lines = [_flow_line(flow) for flow in flows]
            tail = [FLOW_SUMMARY, _flow_summary(flows)]
            head = FLOW_HEADER
        if not lines:
            return None
        return ("\ufeff" + "\r\n".join([head, *lines, *tail]) + "\r\n").encode()

    def _trade_line(self, trade: bills.Trade) -> str:
        order, refund = trade.order, trade.refund
        paid = order.charges[0]
        paid_fen = 0 if refund else paid.amount_fen
        refund_fen = refund.opened.amount_fen if refund else 0
        return _line(
            [
                _time(trade.at),
                self._account.appid,
                self._account.mchid,
                order.opened.terms.get("sub_mchid", "0"),
                "",
                paid.transaction_id,
                order.key.number,
                paid.payer,
                order.opened.kind,
                "REFUND" if refund else "SUCCESS",
                "OTHERS",
                "CNY",
                yuan(paid_fen),
                "0.00",
                refund.opened.refund_id if refund else "0",
                refund.opened.number if refund else "0",
                yuan(refund_fen),
                "0.00",
                "ORIGINAL" if refund else "",
                _bill_status(refund_status(refund)) if refund else "",
                order.opened.description,
                order.opened.terms.get("attach", ""),
                "0.00000",
                "0.00%",
                yuan(paid_fen),
                yuan(refund_fen),
                "",
            ]
        )


def _bill_status(status: str) -> str:
    return "CHANGE" if status == "ABNORMAL" else status


def _trade_summary(trades: Sequence[bills.Trade]) -> str:
    paid_fen = sum(trade.order.charges[0].amount_fen for trade in trades if trade.refund is None)
    refund_fen = sum(trade.refund.opened.amount_fen for trade in trades if trade.refund is not None)
    cells = [str(len(trades)), yuan(paid_fen), yuan(refund_fen), "0.00", "0.00000", yuan(paid_fen), yuan(refund_fen)]
    return _line(cells)


def _flow_line(flow: bills.Flow) -> str:
    name = _FLOW_NAMES[flow.kind]
    return _line(
        [
            _time(flow.at),
            flow.provider_number,
            flow.transaction_id or flow.provider_number,
            name,
            name,
            "收入" if flow.amount_fen > 0 else "支出",
            yuan(abs(flow.amount_fen)),
            yuan(flow.balance_fen),
            "system",
            "",
            flow.number,
        ]
    )


def _flow_summary(flows: Sequence[bills.Flow]) -> str:
    came = [flow.amount_fen for flow in flows if flow.amount_fen > 0]
    went = [-flow.amount_fen for flow in flows if flow.amount_fen <= 0]
    return _line([str(len(flows)), str(len(came)), yuan(sum(came)), str(len(went)), yuan(sum(went))])


def _line(cells: Sequence[str]) -> str:
    # The provider quotes nothing: a comma in a description would move the cells, so it takes it out, and so do we.
    return ",".join("`" + cell.replace(",", " ").replace("\n", " ").replace("\r", " ") for cell in cells)


def _time(at: datetime) -> str:
    return at.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as problem:
        raise BadParameter(f"bill_date: {problem}") from problem
