"""What the provider's books know of each order, transfer, contract and callback."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from payments.simulator import events
from payments.simulator.events import NoticeQueued, OrderKey, RefundStanding, TransferStanding


class ChargeBook(msgspec.Struct, kw_only=True):
    """One debit of the payer."""

    at: datetime
    transaction_id: str
    amount_fen: int
    payer: str


class RefundBook(msgspec.Struct, kw_only=True):
    """Money that goes back to the payer."""

    opened: events.RefundOpened
    opened_at: datetime
    standing: RefundStanding = "pending"
    ended_at: datetime | None = None


class SplitBook(msgspec.Struct, kw_only=True):
    """A split of an order's frozen money."""

    opened: events.SplitOpened
    opened_at: datetime
    ended_at: datetime | None = None
    #: What it unfroze for the merchant itself, beside its parts.
    unfrozen_fen: int = 0
    #: What was taken back of each receiver's part.
    taken_back: dict[str, int] = {}

    def received_fen(self, account: str) -> int:
        """What the account got and still has."""
        if self.ended_at is None:
            return 0
        got = sum(p.amount_fen for p in self.opened.parts if p.account == account and p.ends_as == "done")
        return got - self.taken_back.get(account, 0)


class ReturnBook(msgspec.Struct, kw_only=True):
    """What was taken back of a receiver's part."""

    taken: events.TakenBack
    at: datetime


class OrderBook(msgspec.Struct, kw_only=True):
    """One order. Of one that is split, always: paid = frozen + what left it by refunds and splits − taken back +
    unfrozen."""

    opened: events.Opened
    opened_at: datetime
    is_closed: bool = False
    closed_at: datetime | None = None
    charges: list[ChargeBook] = []
    refunds: dict[str, RefundBook] = {}
    splits: dict[str, SplitBook] = {}
    returns: dict[str, ReturnBook] = {}
    frozen_fen: int = 0
    is_unfrozen: bool = False
    unfrozen_fen: int = 0

    @property
    def key(self) -> OrderKey:
        return self.opened.key

    @property
    def paid_fen(self) -> int:
        """What the payer paid, whatever became of it since."""
        return sum(charge.amount_fen for charge in self.charges)

    @property
    def refunded_fen(self) -> int:
        """What is back with the payer."""
        return sum(r.opened.amount_fen for r in self.refunds.values() if r.standing == "done")

    @property
    def refunding_fen(self) -> int:
        """What is back with the payer or on its way, or stuck on it."""
        return sum(r.opened.amount_fen for r in self.refunds.values() if r.standing != "closed")

    @property
    def split_fen(self) -> int:
        """What receivers were paid, before anything was taken back."""
        parts = (p for s in self.splits.values() if s.ended_at is not None for p in s.opened.parts)
        return sum(p.amount_fen for p in parts if p.ends_as == "done")

    @property
    def splitting_fen(self) -> int:
        """The same, with what is on its way."""
        return sum(
            p.amount_fen
            for s in self.splits.values()
            for p in s.opened.parts
            if s.ended_at is None or p.ends_as == "done"
        )

    @property
    def taken_back_fen(self) -> int:
        """What was taken back from receivers."""
        return sum(r.taken.amount_fen for r in self.returns.values() if r.taken.is_done)

    def standing(self, now: datetime) -> Literal["open", "paid", "closed"]:
        """Whether it can be paid, is, or cannot be any more."""
        if self.charges:
            return "paid"
        is_late = self.opened.expires_at is not None and now >= self.opened.expires_at
        return "closed" if self.is_closed or is_late else "open"


class TransferBook(msgspec.Struct, kw_only=True):
    """Money of the merchant's own that goes to a person."""

    opened: events.TransferOpened
    opened_at: datetime
    standing: TransferStanding
    reason: str = ""
    moved_at: datetime | None = None
    #: When it ends, in seconds of the wall; None while the person has not said yes.
    ends_at_s: float | None = None


class ContractBook(msgspec.Struct, kw_only=True):
    """A payer's consent to be debited."""

    made: events.ContractMade
    made_at: datetime
    is_ended: bool = False
    spent_fen: int = 0


class TryBook(msgspec.Struct, kw_only=True):
    """One sending of a notice."""

    at: datetime
    #: 0 when nothing came back.
    status: int
    answer: str


class NoticeBook(msgspec.Struct, kw_only=True):
    """Something that the merchant is told until it is heard or the ladder ends."""

    queued: NoticeQueued
    queued_at: datetime
    tries: list[TryBook] = []
    is_heard: bool = False
    due_at_s: float | None = None


class ReceiverBook(msgspec.Struct, kw_only=True):
    """An account that a merchant may split to."""

    added: events.ReceiverAdded
    at: datetime
