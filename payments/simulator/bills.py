"""What belongs on a merchant's bill of a day, whatever the provider prints of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

import msgspec

from payments.simulator.books import OPENING_BALANCE_FEN, Books
from payments.simulator.order_book import OrderBook, RefundBook, SplitBook

FlowKind = Literal["paid", "refunded", "split", "taken_back", "transferred", "transfer_failed"]


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """One movement of a merchant's funds. ``amount_fen``: what came in, or, negative, went out."""

    at: datetime
    kind: FlowKind
    amount_fen: int
    #: The merchant's number: of the order, the refund, the split, the return or the transfer.
    number: str
    #: The provider's number for the same.
    provider_number: str
    transaction_id: str = ""
    balance_fen: int = 0


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a trade bill: an order that was paid, or a refund of one."""

    at: datetime
    order: OrderBook
    refund: RefundBook | None = None


def trades(books: Books, institution: str, merchants: set[str], since: datetime, until: datetime) -> list[Trade]:
    """What was paid and what was refunded in a time, in its order."""
    found: list[Trade] = []
    for order in _orders(books, institution, merchants):
        found += [Trade(at=c.at, order=order) for c in order.charges if since <= c.at < until]
        found += [
            Trade(at=r.opened_at, order=order, refund=r)
            for r in order.refunds.values()
            if since <= r.opened_at < until and r.standing != "closed"
        ]
    return sorted(found, key=lambda trade: trade.at)


def flows(books: Books, institution: str, merchants: set[str], since: datetime, until: datetime) -> list[Flow]:
    """What moved the merchants' funds in a time, with the balance after each."""
    moved = [flow for order in _orders(books, institution, merchants) for flow in _flows_of(order)]
    moved += _transfers(books, institution, merchants)
    moved.sort(key=lambda flow: flow.at)
    balance_fen = OPENING_BALANCE_FEN * len(merchants)
    found: list[Flow] = []
    for flow in moved:
        balance_fen += flow.amount_fen
        if since <= flow.at < until:
            found.append(msgspec.structs.replace(flow, balance_fen=balance_fen))
    return found


def _orders(books: Books, institution: str, merchants: set[str]) -> Iterator[OrderBook]:
    return (o for key, o in books.orders.items() if key.institution == institution and key.merchant in merchants)


def _flows_of(order: OrderBook) -> Iterator[Flow]:
    transaction_id = order.charges[0].transaction_id if order.charges else ""
    for charge in order.charges:
        yield Flow(
            at=charge.at,
            kind="paid",
            amount_fen=charge.amount_fen,
            number=order.key.number,
            provider_number=charge.transaction_id,
            transaction_id=charge.transaction_id,
        )
    for refund in order.refunds.values():
        # What was closed is the merchant's again; the provider shows neither its going nor its coming.
        if refund.standing != "closed":
            yield Flow(
                at=refund.opened_at,
                kind="refunded",
                amount_fen=-refund.opened.amount_fen,
                number=refund.opened.number,
                provider_number=refund.opened.refund_id,
                transaction_id=transaction_id,
            )
    for split in order.splits.values():
        yield from _split_flows(split, transaction_id)
    for book in order.returns.values():
        if book.taken.is_done:
            yield Flow(
                at=book.at,
                kind="taken_back",
                amount_fen=book.taken.amount_fen,
                number=book.taken.number,
                provider_number=book.taken.return_id,
                transaction_id=transaction_id,
            )


def _split_flows(split: SplitBook, transaction_id: str) -> Iterator[Flow]:
    if split.ended_at is None:
        return
    for part in split.opened.parts:
        if part.ends_as == "done":
            yield Flow(
                at=split.ended_at,
                kind="split",
                amount_fen=-part.amount_fen,
                number=split.opened.number,
                provider_number=part.detail_id,
                transaction_id=transaction_id,
            )


def _transfers(books: Books, institution: str, merchants: set[str]) -> Iterator[Flow]:
    for key, transfer in books.transfers.items():
        if key.institution != institution or key.merchant not in merchants:
            continue
        out = Flow(
            at=transfer.opened_at,
            kind="transferred",
            amount_fen=-transfer.opened.amount_fen,
            number=key.number,
            provider_number=transfer.opened.transfer_id,
        )
        yield out
        if transfer.standing in ("failed", "cancelled") and transfer.moved_at is not None:
            yield msgspec.structs.replace(out, at=transfer.moved_at, kind="transfer_failed", amount_fen=-out.amount_fen)
