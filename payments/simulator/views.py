"""The books as an outside checker reads them: plain JSON, order by order."""

from __future__ import annotations

from typing import Any

from payments.simulator.clock import Clock
from payments.simulator.order_book import NoticeBook, OrderBook, RefundBook, ReturnBook, SplitBook, TransferBook


def ms(at: Any) -> int | None:
    """An instant as milliseconds since 1970."""
    return None if at is None else round(at.timestamp() * 1000)


def order_line(order: OrderBook, clock: Clock) -> dict[str, Any]:
    """Everything that can be counted of an order. ``times_charged`` above 1 is a double charge."""
    opened = order.opened
    return {
        "institution": order.key.institution,
        "merchant": order.key.merchant,
        "number": order.key.number,
        "channel": opened.channel,
        "kind": opened.kind,
        "description": opened.description,
        "standing": order.standing(clock.now()),
        "is_split": opened.is_split,
        "amount_fen": opened.amount_fen,
        "paid_fen": order.paid_fen,
        "times_charged": len(order.charges),
        "refunded_fen": order.refunded_fen,
        "refunding_fen": order.refunding_fen,
        "split_fen": order.split_fen,
        "taken_back_fen": order.taken_back_fen,
        "frozen_fen": order.frozen_fen,
        "unfrozen_fen": order.unfrozen_fen,
        "transaction_ids": [charge.transaction_id for charge in order.charges],
        "opened_ms": ms(order.opened_at),
        "paid_ms": ms(order.charges[0].at) if order.charges else None,
        "expires_ms": ms(opened.expires_at),
    }


def order_whole(order: OrderBook, clock: Clock) -> dict[str, Any]:
    """The same with each refund, split and return."""
    return {
        **order_line(order, clock),
        "token": order.opened.token,
        "notify_url": order.opened.notify_url,
        "charges": [
            {"transaction_id": c.transaction_id, "amount_fen": c.amount_fen, "payer": c.payer, "at_ms": ms(c.at)}
            for c in order.charges
        ],
        "refunds": [_refund(refund) for refund in order.refunds.values()],
        "splits": [_split(split) for split in order.splits.values()],
        "returns": [_return(book) for book in order.returns.values()],
    }


def _refund(refund: RefundBook) -> dict[str, Any]:
    return {
        "number": refund.opened.number,
        "amount_fen": refund.opened.amount_fen,
        "standing": refund.standing,
        "opened_ms": ms(refund.opened_at),
        "ended_ms": ms(refund.ended_at),
    }


def _split(split: SplitBook) -> dict[str, Any]:
    is_over = split.ended_at is not None
    return {
        "number": split.opened.number,
        "is_last": split.opened.is_last,
        "unfrozen_fen": split.unfrozen_fen,
        "opened_ms": ms(split.opened_at),
        "ended_ms": ms(split.ended_at),
        "parts": [
            {
                "kind": part.kind,
                "account": part.account,
                "amount_fen": part.amount_fen,
                "standing": part.ends_as if is_over else "pending",
                "reason": part.reason if is_over else "",
            }
            for part in split.opened.parts
        ],
    }


def _return(book: ReturnBook) -> dict[str, Any]:
    taken = book.taken
    return {
        "number": taken.number,
        "split_number": taken.split_number,
        "account": taken.account,
        "amount_fen": taken.amount_fen,
        "is_done": taken.is_done,
    }


def transfer_line(transfer: TransferBook) -> dict[str, Any]:
    """A transfer."""
    opened = transfer.opened
    return {
        "institution": opened.key.institution,
        "merchant": opened.key.merchant,
        "number": opened.key.number,
        "to": opened.to,
        "amount_fen": opened.amount_fen,
        "standing": transfer.standing,
        "reason": transfer.reason,
        "opened_ms": ms(transfer.opened_at),
    }


def notice_line(notice: NoticeBook) -> dict[str, Any]:
    """A callback and what came of each sending."""
    queued = notice.queued
    return {
        "notice_id": queued.notice_id,
        "channel": queued.channel,
        "number": queued.key.number,
        "kind": queued.kind,
        "url": queued.url,
        "is_heard": notice.is_heard,
        "queued_ms": ms(notice.queued_at),
        "due_ms": None if notice.due_at_s is None else round(notice.due_at_s * 1000),
        "tries": [{"at_ms": ms(t.at), "status": t.status, "answer": t.answer} for t in notice.tries],
    }
