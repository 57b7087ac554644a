"""The messages of the campus-card contract, as both sides write and read them; docs/CAMPUS_CARD.md explains them."""

from __future__ import annotations

from datetime import date
from typing import Literal

import msgspec

#: paid · declined: certainly not taken · processing: not decided yet · reversed: not taken, and never will be.
DebitState = Literal["paid", "declined", "processing", "reversed"]
RefundState = Literal["done", "processing", "failed"]


class DebitWanted(msgspec.Struct, frozen=True, kw_only=True):
    """Take this from that card, once, whoever asks how often; not after ``good_until`` (seconds since 1970)."""

    number: str
    amount_fen: int
    card_token: str
    description: str
    good_until: int
    notify_url: str
    currency: Literal["CNY"] = "CNY"


class Debit(msgspec.Struct, frozen=True, kw_only=True):
    """How a debit stands."""

    number: str
    state: DebitState
    amount_fen: int = 0
    transaction_id: str = ""
    #: Why it was declined; a short code.
    reason: str = ""


class RefundWanted(msgspec.Struct, frozen=True, kw_only=True):
    """Give this much back, once, whoever asks how often."""

    number: str
    amount_fen: int


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """How a refund stands."""

    number: str
    state: RefundState
    amount_fen: int = 0
    reason: str = ""


class BillEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a day's bill. ``debit_number``: of the debit that it belongs to; ``number``: its own."""

    kind: Literal["paid", "refunded", "fee"]
    debit_number: str
    number: str
    amount_fen: int
    transaction_id: str = ""
    at_ms: int | None = None


class DayBill(msgspec.Struct, frozen=True, kw_only=True):
    """A day of Beijing's calendar; ``paid_fen`` and ``refunded_fen`` are the sums of its lines."""

    day: date
    lines: tuple[BillEntry, ...]
    paid_fen: int
    refunded_fen: int


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """The card centre tells of something; ``id`` is the same when it tells it again."""

    id: str
    event: str
    number: str
    amount_fen: int = 0
    transaction_id: str = ""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was not done."""

    code: str
    message: str = ""
