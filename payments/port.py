"""What the outside sees of payments: commands in, events out, views to look at; an order is an opaque reference.

Both sides keep their own database and no transaction spans them. A command has a deterministic id and is applied once;
an event stays on offer until it is acknowledged, so whoever applies it keeps its id and skips it the second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol

import msgspec

from payments.account import WITHDRAWAL_RULES, AccountCommand, AccountEvent, RefundView, Told, WithdrawalView
from payments.guard_port import GuardPort
from payments.guards.risk import Challenge, Decision
from payments.money import Fen, Party
from payments.port_views import (
    AttemptView,
    Balances,
    CallbackReply,
    CallbackTally,
    ChannelView,
    EntryView,
    HoldState,
    IntentState,
    IntentView,
    OrderBook,
    StatementLine,
    TimelineEntry,
    Totals,
)
from payments.upkeep_port import UpkeepPort

#: What is said here but defined beside it.
__all__ = [
    "AttemptView",
    "Balances",
    "CallbackReply",
    "CallbackTally",
    "ChannelView",
    "EntryView",
    "HoldState",
    "IntentState",
    "IntentView",
    "OrderBook",
    "Party",
    "StatementLine",
    "TimelineEntry",
    "Totals",
]

# -- commands -----------------------------------------------------------------------------------------------------


class Command(Told, frozen=True, kw_only=True):
    """Something payments is told to do with one intent."""

    intent_id: str


class Subsidy(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody else than the payer adds to an order: a coupon, a voucher. ``ref`` names it at the outside."""

    party: Party
    account_ref: str
    amount_fen: int
    ref: str


class OpenIntent(Command, frozen=True, kw_only=True, tag="OpenIntent"):
    """Take ``amount_fen`` into escrow from ``payer_ref``; ``channels`` in order of preference, tried one at a time.

    With subsidies the order is worth their sum more: a settlement may divide both. Beyond its discount the payer's
    money goes first; what is still missing, each subsidy's payer bears in turn: out of its own share, and beyond that
    it owes the receiver.
    """

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
    subsidies: tuple[Subsidy, ...] = ()


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """One receiver's part of a capture. ``account_ref`` names the runner or the campus; for the platform "platform"."""

    party: Party
    account_ref: str
    amount_fen: int


class Settle(Command, frozen=True, kw_only=True, tag="Settle"):
    """Capture the sum of the shares, give the rest of the hold back to the payer. Campus and platform are paid at once;
    a runner's part becomes available, and the institution keeps it until it is withdrawn. ``discount_fen``: so much of
    the shares the subsidies bear in any case, and that much more of the hold goes back to the payer."""

    shares: tuple[Share, ...]
    at: datetime
    discount_fen: int = 0


class Release(Command, frozen=True, kw_only=True, tag="Release"):
    """Give everything back. An unpaid intent is cancelled; money that arrives for it later is given back by rule."""

    reason: str


class Refund(Command, frozen=True, kw_only=True, tag="Refund"):
    """Give money back, whole or in part: out of the hold before it is divided, from whoever got it afterwards. The
    institution's numbers are made from the order's, so that it can never be paid twice."""

    refund_id: str
    amount_fen: int
    reason: str
    operator: str = ""  # who decided it, where a person did; that needs a one-time code of theirs
    code_id: str = ""


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
    """Every share is paid out or available, and the rest is back with the payer: the escrow of this intent is at zero.
    ``captured_fen`` counts the payer's money alone, no subsidy."""

    captured_fen: Fen
    released_fen: Fen


class Released(Event, frozen=True, kw_only=True, tag="Released"):
    """The hold is back with the payer; 0 fen when there never was one."""

    amount_fen: Fen


class Refunded(Event, frozen=True, kw_only=True, tag="Refunded"):
    """Money is back with the payer; ``is_from_hold``: it was given back before it was divided (the intent counts it as
    released), otherwise it had been captured."""

    refund_id: str
    amount_fen: Fen
    is_from_hold: bool = False


class RefundOverdue(Event, frozen=True, kw_only=True, tag="RefundOverdue"):
    """A refund is not with the payer by its deadline. It goes on; an operator should look. Told once."""

    refund_id: str
    amount_fen: Fen


class HoldExpiring(Event, frozen=True, kw_only=True, tag="HoldExpiring"):
    """The institution has held this much of the order for 25 days and lets go of it at ``expires_at``. What runners
    have not withdrawn is paid to them now; what is not settled (``is_settled`` False) needs an operator."""

    held_fen: Fen
    expires_at: datetime
    is_settled: bool


class SubsidyOwed(Event, frozen=True, kw_only=True, tag="SubsidyOwed"):
    """The payer of a subsidy (``party``, ``account_ref``) owes the receiver this much beyond its own share, and the
    order's channel cannot transfer it: somebody has to pay it another way."""

    party: Party
    account_ref: str
    receiver_ref: str
    amount_fen: Fen
    ref: str


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
    """Risk objects to an intent: nobody can pay it until the challenge is met, somebody reviewed it, or at all."""

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
    | RefundOverdue
    | HoldExpiring
    | SubsidyOwed
    | PayoutFailed
    | ReleaseFailed
    | Suspicious
    | Alarm
    | AlarmOver
    | RiskJudged
)


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


class WithdrawalRefused(CommandRefused):
    """The account may not withdraw this now: "field: why limit" names the field of the command that is beyond a limit
    (in fen, or a count)."""

    code = "withdrawal_refused"

    @property
    def field(self) -> str:
        return str(self).partition(":")[0]

    @property
    def limit(self) -> int:
        return int(str(self).rpartition(" ")[2])

    @property
    def rule(self) -> str:
        """The limit's name, as in ``WITHDRAWAL_RULES``; "" for one that this version does not know."""
        why = str(self).partition(": ")[2].rpartition(" ")[0]
        return next((rule for rule, said in WITHDRAWAL_RULES.items() if said == why), "")


class UnknownWithdrawal(PaymentsError):
    """No withdrawal has this id."""

    code = "unknown_withdrawal"


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

    async def submit(self, command: AnyCommand | AccountCommand) -> None:
        """Durable before it returns, applied once. ValueError: not a valid command, or its id has another body;
        UnknownIntent, UnknownWithdrawal, CommandRefused, WithdrawalRefused: it does not fit. Nothing is stored then."""

    async def events(self, limit: int = 100) -> list[AnyEvent]:
        """What happened to intents and is not acknowledged yet, in order of ``seq``."""

    async def account_events(self, limit: int = 100) -> list[AccountEvent]:
        """What happened to withdrawals and is not acknowledged yet, in order of ``seq``."""

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

    async def withdrawals(
        self,
        *,
        account_ref: str | None = None,
        campus_id: str | None = None,
        state: str | None = None,
        withdrawal_id: str | None = None,
        limit: int = 50,
    ) -> list[WithdrawalView]:
        """Withdrawals, newest first: of one account, of one campus, in one state, the one of an id, or any."""

    async def refunds(
        self,
        *,
        order_ref: str | None = None,
        campus_id: str | None = None,
        is_open: bool | None = None,
        limit: int = 50,
    ) -> list[RefundView]:
        """Refunds, newest first: of one order, of one campus, open or done ones, or any."""

    async def totals(self, campus_id: str) -> Totals:
        """A campus's money so far."""

    def channels(self) -> list[ChannelView]:
        """The ways to pay that are set up, in order of preference."""

    async def timeline(self, order_ref: str, limit: int = 500) -> list[TimelineEntry]:
        """Every attempt, decision, request, reply and callback of an order, oldest first; the newest ``limit`` rows."""

    async def book(self, order_ref: str) -> OrderBook:
        """The ledger of one order; all zero for an order without money."""
