"""What the outside may look at: intents, accounts, campuses, channels and books, as they are shown."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from payments.guards.risk import RiskStanding
from payments.money import Fen

#: pending: nothing in flight, or an unpaid credential is out · processing: a call is under way · success: paid, for
#: good · failed: every attempt is proved dead · suspicious: no proof after 24 h, or proof that contradicts the books.
IntentState = Literal["pending", "processing", "success", "failed", "suspicious"]

#: none: no money is held · held: all of it is · capturing: the split is under way · captured: split, nothing left to
#: give back · releasing: what is not captured is on its way back · released: it is back · release_failed: the
#: institution would not; it is tried again and an operator sees it.
HoldState = Literal["none", "held", "capturing", "captured", "releasing", "released", "release_failed"]


class AttemptView(msgspec.Struct, frozen=True, kw_only=True):
    """One try on one channel, without secrets."""

    attempt_id: str
    channel: str
    state: str
    created_at: datetime
    changed_at: datetime
    reason: str


class IntentView(msgspec.Struct, frozen=True, kw_only=True):
    """An intent as a payer or an operator may see it; ``credential`` only while it can be paid with."""

    intent_id: str
    campus_id: str
    order_ref: str
    amount_fen: Fen
    state: IntentState
    hold_state: HoldState
    channel: str | None
    credential: dict[str, Any] | None
    captured_fen: Fen
    released_fen: Fen
    refunded_fen: Fen
    expires_at: datetime
    reason: str
    attempts: tuple[AttemptView, ...]
    #: The way to pay that was asked for; another one is tried when it does not work.
    wanted: str | None = None
    #: Why ``wanted`` brought no way to pay; "" when it did, or was never asked.
    wanted_reason: str = ""
    #: What risk says of it, when it objected.
    risk: RiskStanding | None = None
    #: The part that is to be paid now, of how many; 1 of 1 when the amount is within the channel's limit.
    part: int = 1
    parts: int = 1


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to an order's money, without secrets. ``kind`` and ``code`` are stable; the titles say
    the same to people. ``subject``: the attempt's or the instruction's number, or "" for the intent itself."""

    seq: int
    at: datetime
    intent_id: str
    subject: str
    kind: str
    code: str
    channel: str
    title_zh: str
    title_en: str
    facts: dict[str, Any]


class CallbackTally(msgspec.Struct, frozen=True, kw_only=True):
    """How many callbacks of a channel fared so since an hour began: accepted, repeated, or why they were refused."""

    channel: str
    outcome: str
    count: int
    since: datetime
    newest_at: datetime


class CallbackReply(msgspec.Struct, frozen=True):
    """What the provider that called back must be answered."""

    status: int
    body: bytes


class Balances(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver's money. Pending: on its way, or owed by the payer of a subsidy. Available: a runner's to withdraw;
    what a campus or the platform was paid. Withdrawing: asked for, held for review or instructed. Withdrawn: paid to
    the person. At ``earliest_pay_by`` the oldest part of what is available is paid without being asked for."""

    pending_fen: Fen
    available_fen: Fen
    withdrawn_fen: Fen
    withdrawing_fen: Fen = Fen(0)
    earliest_pay_by: datetime | None = None


class StatementLine(msgspec.Struct, frozen=True, kw_only=True):
    """One movement of an account, newest first in a statement; ``amount_fen`` is negative when money left it."""

    seq: int
    at: datetime
    kind: str
    order_ref: str
    amount_fen: Fen
    balance_after_fen: Fen


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """A campus's money so far. held = captured + released + what is in escrow still; refunds come out of captured.
    The receivers' sums are net of what they gave back or bore; subsidies come on top of what payers paid."""

    held_fen: Fen
    captured_fen: Fen
    released_fen: Fen
    refunded_fen: Fen
    campus_fen: Fen
    platform_fen: Fen
    runner_fen: Fen
    subsidies_fen: Fen = Fen(0)


class ChannelView(msgspec.Struct, frozen=True, kw_only=True):
    """A way to pay. ``is_demo``: no real money moves."""

    code: str
    name_zh: str
    name_en: str
    is_available: bool
    is_demo: bool
    #: What it must know of a payer, as it is entrusted; ``client_ip`` is the host's to give.
    needs: tuple[str, ...] = ()
    #: How a payer gives it: at a page of the provider's (``page``), by hand (``token``), or not here ("").
    binding: str = ""
    #: What it must know of a runner to pay their part to themselves.
    pays_to: tuple[str, ...] = ()


class EntryView(msgspec.Struct, frozen=True, kw_only=True):
    """One ledger entry: ``amount_fen`` moved from account ``debit`` to account ``credit``."""

    seq: int
    at: datetime
    debit: str
    credit: str
    amount_fen: Fen
    kind: str
    ref: str


class OrderBook(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the ledger knows about one order. Once closed: held = captured + released, escrow balance 0."""

    order_ref: str
    held_fen: Fen
    captured_fen: Fen
    released_fen: Fen
    refunded_fen: Fen
    escrow_balance_fen: Fen
    entries: tuple[EntryView, ...]
