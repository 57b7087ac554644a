"""UnionPay's file of a settlement day: lines of fixed widths, zipped, deflated and written in base64."""

from __future__ import annotations

import base64
import io
import zipfile
import zlib
from collections.abc import Mapping
from datetime import date, datetime, timedelta

from payments.channels.china import BEIJING, beijing_text
from payments.simulator import bills
from payments.simulator.desk import Desk
from payments.simulator.protocol import Answer
from payments.simulator.unionpay_account import INSTITUTION, Account
from payments.simulator.unionpay_orders import refund_query_id
from payments.simulator.unionpay_words import Refused, needed, said, settle_day

#: Widths of a line's fields; one blank stands between two.
WIDTHS = (3, 11, 11, 6, 10, 19, 12, 4, 2, 21, 2, 32, 2, 6, 10, 13, 13, 4, 15, 2, 2, 6, 2, 4, 32, 1, 21, 15)


class BillDesk:
    """What was settled on a day."""

    def __init__(self, desk: Desk, account: Account) -> None:
        self._desk = desk
        self._account = account

    def file(self, params: Mapping[str, str]) -> Answer:
        """The archive of a day, named by its month and day alone: the latest such day."""
        day = self._day(needed(params, "settleDate"))
        is_over = day < settle_day(self._desk.clock.now())
        trades = self._trades(day)
        if not trades or not (is_over or self._account.options.bills_at_once):
            raise Refused("98")
        name = f"INN{day:%y%m%d}88ZM_{self._account.mer_id}"
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            text = "".join(f"{self._line(trade)}\r\n" for trade in trades)
            archive.writestr(name, text.encode("gb18030"))
            # Transactions that somebody has objected to; nobody does here.
            archive.writestr(name.replace("ZM_", "ZME_"), b"")
        content = base64.b64encode(zlib.compress(target.getvalue())).decode()
        zipped = f"{self._account.mer_id}_{day:%Y%m%d}.zip"
        return said(params, fileName=zipped, fileContent=content, settleDate=params["settleDate"])

    def _day(self, text: str) -> date:
        today = settle_day(self._desk.clock.now())
        for year in (today.year, today.year - 1):
            try:
                day = datetime.strptime(f"{year}{text}", "%Y%m%d").replace(tzinfo=BEIJING).date()
            except ValueError:
                continue
            if day <= today:
                return day
        raise Refused("10", "settleDate: MMDD")

    def _trades(self, day: date) -> list[bills.Trade]:
        until = datetime(day.year, day.month, day.day, 23, tzinfo=BEIJING)
        since = until - timedelta(days=1)
        return bills.trades(self._desk.books, INSTITUTION, {self._account.mer_id}, since, until)

    def _line(self, trade: bills.Trade) -> str:
        order, refund = trade.order, trade.refund
        paid_by = order.opened.terms["transaction_id"]
        amount_fen = refund.opened.amount_fen if refund else order.charges[0].amount_fen
        given = {
            0: "S22",
            1: "01043320",
            2: "00049992",
            3: paid_by[-6:],
            4: beijing_text(trade.at, "%m%d%H%M%S"),
            5: "6216261*******0018",
            6: f"{amount_fen:012d}",
            7: "5411",
            8: "07",
            9: refund_query_id(refund) if refund else paid_by,
            11: (refund.opened.terms if refund else order.opened.terms)["order_id"],
            12: "01",
            15: "D" + "0" * 12,
            16: f"{'D' if refund else 'C'}{amount_fen:012d}",
            17: "0001",
            19: refund.opened.terms["txn_type"] if refund else "01",
            20: "00" if refund else "01",
            21: "000201",
            25: "0",
            26: paid_by if refund else "",
            27: self._account.mer_id,
        }
        return " ".join(given.get(at, "").ljust(width)[:width] for at, width in enumerate(WIDTHS))
