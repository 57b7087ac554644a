"""What the outside sees of payments: commands in, events out, views to look at; an order is an opaque reference.

Both sides keep their own database and no transaction spans them. A command has a deterministic id and is applied once;
an event stays on offer until it is acknowledged, so whoever applies it keeps its id and skips it the second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from payments.account import AccountCommand, AccountEvent, ConfirmationView, RefundView, WithdrawalView
from payments.guard_port import GuardPort
from payments.money import Party
from payments.port_commands import AnyCommand, Command, OpenIntent, Refund, Release, Settle, Share, Subsidy
from payments.port_events import (
    Alarm,
    AlarmOver,
    AnyEvent,
    Event,
    HoldExpiring,
    IntentFailed,
    IntentReady,
    Paid,
    PayoutFailed,
    Refunded,
    RefundOverdue,
    Released,
    ReleaseFailed,
    RiskJudged,
    Settled,
    SubsidyOwed,
    Suspicious,
)
from payments.port_refusals import (
    CommandRefused,
    ItemRefused,
    NoSuchRun,
    PaymentsError,
    SwitchRefused,
    UnknownChannel,
    UnknownIntent,
    UnknownItem,
    UnknownWithdrawal,
    WithdrawalRefused,
)
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
    "Alarm",
    "AlarmOver",
    "AnyCommand",
    "AnyEvent",
    "AttemptView",
    "Balances",
    "CallbackReply",
    "CallbackTally",
    "ChannelView",
    "Command",
    "CommandRefused",
    "EntryView",
    "Event",
    "HoldExpiring",
    "HoldState",
    "IntentFailed",
    "IntentReady",
    "IntentState",
    "IntentView",
    "ItemRefused",
    "NoSuchRun",
    "OpenIntent",
    "OrderBook",
    "Paid",
    "Party",
    "PaymentsError",
    "PaymentsPort",
    "PayoutFailed",
    "Refund",
    "RefundOverdue",
    "Refunded",
    "Release",
    "ReleaseFailed",
    "Released",
    "RiskJudged",
    "Settle",
    "Settled",
    "Share",
    "StatementLine",
    "Subsidy",
    "SubsidyOwed",
    "Suspicious",
    "SwitchRefused",
    "TimelineEntry",
    "Totals",
    "UnknownChannel",
    "UnknownIntent",
    "UnknownItem",
    "UnknownWithdrawal",
    "WithdrawalRefused",
]


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
        """Withdrawals, newest first, but those in the state "held" oldest first: of one account, of one campus, in one
        state, the one of an id, or any."""

    async def confirmations(self, account_ref: str, limit: int = 500) -> list[ConfirmationView]:
        """Transfers to this person that wait for their yes, oldest first; to be shown to nobody else."""

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
