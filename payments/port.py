"""What the outside sees of payments: commands in, events out, views to look at; an order is an opaque reference.

Both sides keep their own database and no transaction spans them. A command has a deterministic id and is applied once;
an event stays on offer until it is acknowledged, so whoever applies it keeps its id and skips it the second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

from payments.guard_port import GuardPort
from payments.money import Fen
from payments.risk import Challenge, Decision, RiskStanding
from payments.upkeep_port import UpkeepPort

Party = Literal["runner", "campus", "platform"]

#: pending: nothing in flight, or an unpaid credential is out · processing: a call is under way · success: paid, for
#: good · failed: every attempt is proved dead · suspicious: no proof after 24 h, or proof that contradicts the books.
IntentState = Literal["pending", "processing", "success", "failed", "suspicious"]

#: none: no money is held · held: all of it is · capturing: the split is under way · captured: split, nothing left to
#: give back · releasing: what is not captured is on its way back · released: it is back · release_failed: the
#: institution would not; it is tried again and an operator sees it.
HoldState = Literal["none", "held", "capturing", "captured", "releasing", "released", "release_failed"]


# -- commands -----------------------------------------------------------------------------------------------------


class Command(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=True, omit_defaults=True):
    """Something payments is told to do. Same ``id`` and same body: done once; same ``id``, other body: ValueError.

    What a command does not say is not part of its body, so that one of an earlier version is still the same one.
    """

    id: str
    intent_id: str

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id})"


class OpenIntent(Command, frozen=True, kw_only=True, tag="OpenIntent"):
    """Take ``amount_fen`` into escrow from ``payer_ref``; ``channels`` in order of preference, tried one at a time."""

    campus_id: str
    order_ref: str
    payer_ref: str
    amount_fen: int
    description: str
    channels: tuple[str, ...]
    expires_at: datetime
    #: For risk, where they are known: the payer's device and address, and proof that a challenge was met already.
    device_id: str | None = None
    ip: str | None = None
    challenge_token: str | None = None


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """One receiver's part of a capture. ``account_ref`` names the runner or the campus; for the platform "platform"."""

    party: Party
    account_ref: str
    amount_fen: int


class Settle(Command, frozen=True, kw_only=True, tag="Settle"):
    """Capture the sum of the shares, pay each receiver, give the rest of the hold back to the payer."""

    shares: tuple[Share, ...]
    at: datetime


class Release(Command, frozen=True, kw_only=True, tag="Release"):
    """Give everything back. An unpaid intent is cancelled; money that arrives for it later is given back by rule."""

    reason: str


class Refund(Command, frozen=True, kw_only=True, tag="Refund"):
    """Give captured money back; ``refund_id`` is the institution's reference too, so it can never be paid twice."""

    refund_id: str
    amount_fen: int
    reason: str


AnyCommand = OpenIntent | Settle | Release | Refund


# -- events -------------------------------------------------------------------------------------------------------


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=True):
    """Something that became true. ``seq`` rises with the order in which one intent's events happened."""

    seq: int
    id: str
    intent_id: str
    campus_id: str
    order_ref: str
    at: datetime


class IntentReady(Event, frozen=True, kw_only=True, tag="IntentReady"):
    """The payer can pay now, with this credential. Sent again with another one when the channel was switched, and for
    each part of an amount that is over the channel's limit: ``part`` of ``parts`` is to be paid next."""

    channel: str
    credential: dict[str, Any]
    part: int = 1
    parts: int = 1


class IntentFailed(Event, frozen=True, kw_only=True, tag="IntentFailed"):
    """Every way to pay this intent is dead and nobody has paid: declined everywhere, refused, or expired unpaid. Before
    ``expires_at`` the payer may still choose a channel, which opens it again."""

    reason: str


class Paid(Event, frozen=True, kw_only=True, tag="Paid"):
    """The whole amount is held by the institution. Happens at most once per intent. It may come after
    ``IntentFailed`` or after ``Release``: money that the provider has cannot be made undone. In the second case it is
    given back by rule, and ``Released`` follows."""

    amount_fen: Fen
    channel: str
    attempt_id: str


class Settled(Event, frozen=True, kw_only=True, tag="Settled"):
    """Every share is paid out and the rest is back with the payer: the escrow of this intent is at zero."""

    captured_fen: Fen
    released_fen: Fen


class Released(Event, frozen=True, kw_only=True, tag="Released"):
    """The hold is back with the payer; 0 fen when there never was one."""

    amount_fen: Fen


class Refunded(Event, frozen=True, kw_only=True, tag="Refunded"):
    """Captured money is back with the payer."""

    refund_id: str
    amount_fen: Fen


class PayoutFailed(Event, frozen=True, kw_only=True, tag="PayoutFailed"):
    """The institution would not pay this receiver now. It is tried again; an operator should look."""

    party: Party
    account_ref: str
    reason: str


class ReleaseFailed(Event, frozen=True, kw_only=True, tag="ReleaseFailed"):
    """The institution would not give the rest back now. It is tried again; an operator should look."""

    reason: str


class Suspicious(Event, frozen=True, kw_only=True, tag="Suspicious"):
    """The books and the evidence disagree, or there is no proof after 24 h. An operator must look."""

    reason: str


class RiskJudged(Event, frozen=True, kw_only=True, tag="RiskJudged"):
    """Risk objects to an intent, so nobody can pay it: until the challenge is met, until somebody reviewed it (and
    called the payer), or at all. Comes again with "allow" when it may go on."""

    verdict_id: str
    decision: Decision
    code: str
    challenge: Challenge | None = None
    parameters: dict[str, int | str] = {}


class Alarm(Event, frozen=True, kw_only=True, tag="Alarm"):
    """Something is wrong with the payments of a campus, or of all ("" as ``campus_id``), not with one order: intent
    and order are "". ``kind`` with ``parameters`` says what, ``subject`` where; ``times`` counts up while it lasts."""

    alarm_id: str
    kind: str
    subject: str
    step: int
    parameters: dict[str, str | int]
    times: int
    opened_at: datetime


class AlarmOver(Event, frozen=True, kw_only=True, tag="AlarmOver"):
    """An alarm's cause is gone."""

    alarm_id: str
    kind: str
    subject: str
    parameters: dict[str, str | int]


AnyEvent = (
    IntentReady
    | IntentFailed
    | Paid
    | Settled
    | Released
    | Refunded
    | PayoutFailed
    | ReleaseFailed
    | Suspicious
    | Alarm
    | AlarmOver
    | RiskJudged
)


# -- views --------------------------------------------------------------------------------------------------------


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
    """A receiver's money. Pending: instructed but not confirmed by the institution. Available: confirmed."""

    pending_fen: Fen
    available_fen: Fen
    withdrawn_fen: Fen


class StatementLine(msgspec.Struct, frozen=True, kw_only=True):
    """One movement of an account, newest first in a statement; ``amount_fen`` is negative when money left it."""

    seq: int
    at: datetime
    kind: str
    order_ref: str
    amount_fen: Fen
    balance_after_fen: Fen


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """A campus's money so far. held = captured + released + what is in escrow still; refunds come out of captured."""

    held_fen: Fen
    captured_fen: Fen
    released_fen: Fen
    refunded_fen: Fen
    campus_fen: Fen
    platform_fen: Fen
    runner_fen: Fen


class ChannelView(msgspec.Struct, frozen=True, kw_only=True):
    """A way to pay. ``is_demo``: no real money moves."""

    code: str
    name_zh: str
    name_en: str
    is_available: bool
    is_demo: bool


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


# -- refusals -----------------------------------------------------------------------------------------------------


class PaymentsError(Exception):
    """A refusal with a stable ``code``."""

    code = "payments_error"


class UnknownIntent(PaymentsError):
    """No intent has this id."""

    code = "unknown_intent"


class UnknownChannel(PaymentsError):
    """No such channel, or it takes no orders now."""

    code = "unknown_channel"


class CommandRefused(PaymentsError):
    """The intent's state does not allow the command: nothing was stored, and repeating it changes nothing."""

    code = "command_refused"


class SwitchRefused(PaymentsError):
    """The channel cannot be switched now: paid, over, or no proof yet that the old one is dead."""

    code = "switch_refused"


class UnknownItem(PaymentsError):
    """No item of work has this id."""

    code = "unknown_item"


class ItemRefused(PaymentsError):
    """Somebody else has the item of work, or it is closed."""

    code = "item_refused"


class NoSuchRun(PaymentsError):
    """No such channel, it makes no bills, or the day is not over."""

    code = "no_such_run"


class PaymentsPort(GuardPort, UpkeepPort, Protocol):
    """Two bodies: embedded in the caller's process, or remote."""

    async def submit(self, command: AnyCommand) -> None:
        """Durable before it returns, applied once. ValueError: not a valid command, or its id has another body;
        UnknownIntent, CommandRefused: it does not fit the intent. Nothing is stored then."""

    async def events(self, limit: int = 100) -> list[AnyEvent]:
        """What is not acknowledged yet, in order of ``seq``."""

    async def acknowledge(self, event_ids: Iterable[str]) -> None:
        """These events are applied; they are not offered again."""

    async def view(self, intent_id: str) -> IntentView | None:
        """The intent as it stands."""

    async def switch_channel(self, intent_id: str, channel: str) -> None:
        """The payer asks for this channel: the old attempt is proved dead first, then ``IntentReady`` comes. Also after
        ``IntentFailed``, unless a provider judged the order. UnknownIntent, UnknownChannel, SwitchRefused."""

    async def callback(self, channel: str, headers: Mapping[str, str], body: bytes) -> CallbackReply:
        """A provider called back; ``body`` is the raw bytes it signed."""

    async def balances(self, account_ref: str) -> Balances:
        """A receiver's money; zero for a receiver nobody has paid yet."""

    async def statement(self, account_ref: str, limit: int = 50, before_seq: int | None = None) -> list[StatementLine]:
        """A receiver's movements, newest first; ``before_seq`` pages back."""

    async def totals(self, campus_id: str) -> Totals:
        """A campus's money so far."""

    def channels(self) -> list[ChannelView]:
        """The ways to pay that are set up, in order of preference."""

    async def timeline(self, order_ref: str, limit: int = 500) -> list[TimelineEntry]:
        """Every attempt, decision, request, reply and callback of an order, oldest first; the newest ``limit`` rows."""

    async def book(self, order_ref: str) -> OrderBook:
        """The ledger of one order; all zero for an order without money."""
