"""The sandbox bank's bill of a day, from its own books: what came in and went back, what was split, who was paid."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

from payments.money import Fen
from payments.outcomes import Bill, BillAnswer, BillKind, BillLine, NoBill
from payments.reconcile.business_day import CHINA, at_clock, bounds
from payments.store.database import Sql
from payments.store.instant import from_us, to_us

#: The next day's hour at which the bill is there.
READY_AT = time(10, 0)

#: What a movement in the books is called on the bill; one that is not named here is no movement of a bill.
KINDS: dict[str, BillKind] = {
    "return": "refunded",
    "refund": "refunded",
    "split": "split",
    "take_back": "taken_back",
}


def is_ready(day: date, now: datetime) -> bool:
    """Whether the bill of that day is made by now."""
    return now >= at_clock(day + timedelta(days=1), READY_AT, CHINA)


def bill_of(sql: Sql, channel: str, day: date, now: datetime) -> BillAnswer:
    """The channel's trades of that day, and every movement of the merchant's funds."""
    if not is_ready(day, now):
        return NoBill(reason="not_ready")
    begin, end = bounds(day, CHINA)
    span = {"channel": channel, "begin": to_us(begin), "end": to_us(end)}
    paid = sql.rows(
        "SELECT out_no, out_no AS number, 'paid' AS kind, paid_fen AS amount_fen, transaction_id, paid_at AS at"
        " FROM orders WHERE channel = :channel AND paid_at >= :begin AND paid_at < :end ORDER BY paid_at, out_no",
        **span,
    )
    moves = sql.rows(
        "SELECT m.out_no, m.number, m.kind, m.amount_fen, o.transaction_id, m.at FROM moves m"
        " JOIN orders o ON o.out_no = m.out_no WHERE o.channel = :channel AND m.state = 'paid'"
        " AND m.at >= :begin AND m.at < :end ORDER BY m.at, m.id",
        **span,
    )
    transfers = sql.rows(
        "SELECT '' AS out_no, number, amount_fen, number AS transaction_id, at FROM transfers"
        " WHERE channel = :channel AND at >= :begin AND at < :end ORDER BY at, number",
        **span,
    )
    lines = [_line(row, "paid") for row in paid] + [_line(row, "transferred") for row in transfers]
    lines += [_line(row, KINDS[row["kind"]]) for row in moves if row["kind"] in KINDS]
    lines.sort(key=lambda line: line.at or begin)
    trades = tuple(line for line in lines if line.kind in ("paid", "refunded"))
    return Bill(day=day, trades=trades, flows=tuple(lines))


def _line(row: dict[str, Any], kind: BillKind) -> BillLine:
    return BillLine(
        kind=kind,
        attempt_id=row["out_no"],
        number=row["number"],
        amount_fen=Fen(row["amount_fen"]),
        transaction_id=row["transaction_id"],
        at=from_us(row["at"]),
    )
