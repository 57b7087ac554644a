"""The limits that every simulated provider keeps, and the reasons for which its desk says no."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from payments.simulator.events import Opened, Part
from payments.simulator.order_book import OrderBook

#: How long a provider works on a refund, a split or a transfer, in its own seconds.
WORK_S = 2.0
#: Refunds of one order, and parts of one split.
MAX_REFUNDS = 50
MAX_PARTS = 50
#: Splits of one order, returns of one order.
MAX_SPLITS = 50
#: Longer than this nothing stays frozen.
FROZEN_AT_MOST = timedelta(days=30)
REFUND_WITHIN = timedelta(days=365)

RefusalCode = Literal[
    "absent",
    "different",
    "paid",
    "not_paid",
    "closed",
    "full",
    "too_much",
    "too_many",
    "too_old",
    "not_enough",
    "not_split",
    "unfrozen",
    "no_receiver",
    "over_cap",
    "not_returnable",
    "no_contract",
    "insufficient",
    "not_cancellable",
]


class Refusal(msgspec.Struct, frozen=True):
    """Why not; a protocol module has its own word for each code."""

    code: RefusalCode


PayResult = Literal["paid", "already_paid", "closed", "insufficient"]


def why_no_refund(order: OrderBook, amount_fen: int, now: datetime, balance_fen: int) -> RefusalCode | None:
    """Why so much of an order cannot go back to its payer; None: it can."""
    if not order.charges:
        return "not_paid"
    if now - order.charges[0].at > REFUND_WITHIN:
        return "too_old"
    if len(order.refunds) >= MAX_REFUNDS:
        return "too_many"
    if not 0 < amount_fen <= order.paid_fen - order.refunding_fen:
        return "too_much"
    return "not_enough" if amount_fen - order.frozen_fen > balance_fen else None


def why_no_split(order: OrderBook, parts: Sequence[Part], cap_permille: int, *, is_known: bool) -> RefusalCode | None:
    """Why an order cannot be split so; None: it can. ``is_known``: every receiver was added before."""
    if not order.charges:
        return "not_paid"
    if not order.opened.is_split:
        return "not_split"
    if order.is_unfrozen:
        return "unfrozen"
    if len(parts) > MAX_PARTS or len(order.splits) >= MAX_SPLITS:
        return "too_many"
    total_fen = sum(part.amount_fen for part in parts)
    if total_fen > order.frozen_fen or any(part.amount_fen <= 0 for part in parts):
        return "too_much"
    if (order.splitting_fen - order.taken_back_fen + total_fen) * 1000 > order.paid_fen * cap_permille:
        return "over_cap"
    return None if is_known else "no_receiver"


def essence(opened: Opened) -> tuple[object, ...]:
    """What must not change when a merchant asks for the same order again."""
    return (opened.channel, opened.kind, opened.amount_fen, opened.description, opened.is_split, opened.terms)


def receivers_of(parts: Sequence[Part]) -> list[tuple[str, str, int]]:
    """Who gets how much."""
    return [(part.kind, part.account, part.amount_fen) for part in parts]
