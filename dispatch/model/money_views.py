"""What the campus team is answered about money: the day, an order's trace, reconciliation, alarms, risk."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from msgspec import Meta

from .operator_views import MoneyView
from .requests import IdText, Request
from .views import View

Reason = Annotated[str, Meta(min_length=1, max_length=500)]
#: Of a one-time code, as payments made it.
CodeId = Annotated[str, Meta(pattern=r"^code_[0-9A-HJKMNP-TV-Z]{26}$")]


# --- requests ---------------------------------------------------------------------------------------------------------


class AskRun(Request, frozen=True, kw_only=True):
    """Reconcile this channel's day, by the provider's calendar."""

    channel: Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,40}$")]
    day: date


class TakeItem(Request, frozen=True, kw_only=True):
    """Look into it oneself, ``instead_of`` whoever has it now."""

    instead_of: IdText | None = None


class CloseItem(Request, frozen=True, kw_only=True):
    """It is settled, and why."""

    reason: Reason


class ReviewRisk(Request, frozen=True, kw_only=True):
    """Let it go on, or refuse it, and why."""

    is_released: bool
    reason: Reason


class MoneyAct(Request, frozen=True, kw_only=True):
    """A sensitive act of one's own, as a one-time code is bound to it: exactly this one."""

    kind: Literal["withdraw", "change_payout_account", "operator_refund"]
    amount_fen: Annotated[int, Meta(ge=0, le=100_000_000)] = 0
    #: The order whose money an operator gives back.
    order_id: IdText | None = None


class AskMoneyCode(MoneyAct, frozen=True, kw_only=True):
    """Have a code sent to one's own phone that allows this act."""


class ConfirmMoneyCode(MoneyAct, frozen=True, kw_only=True):
    """Give the code back, with the very same act."""

    code: Annotated[str, Meta(pattern=r"^[0-9]{6}$")]

    def __repr__(self) -> str:
        return f"ConfirmMoneyCode({self.kind})"


class RefundOrder(Request, frozen=True, kw_only=True):
    """Give this much of an order's money back to its student, and why. ``code_id``: a confirmed code for this act."""

    amount_fen: Annotated[int, Meta(ge=1, le=100_000_000)]
    reason: Reason
    code_id: CodeId | None = None


# --- answers ----------------------------------------------------------------------------------------------------------


class MoneyToday(View, frozen=True, kw_only=True):
    """The orders that were paid since the campus's day began, and what became of their money until now."""

    day_start_ms: int
    orders: int
    held_fen: int
    captured_fen: int
    released_fen: int
    refunded_fen: int


class ChannelHealth(View, frozen=True, kw_only=True):
    """A way to pay, which all campuses of a server share. ``ghosts_24h``: payments that no callback told of;
    ``refused_24h``: callbacks that were not proved to be the provider's;
    ``passed_over``: its operations that are passed over now; ``problems``: kinds of its open alarms."""

    code: str
    name_zh: str
    name_en: str
    is_available: bool
    is_demo: bool
    payments_24h: int
    ghosts_24h: int
    refused_24h: int
    passed_over: list[str]
    problems: list[str]


class MoneyOverview(View, frozen=True, kw_only=True):
    """Today at a glance. ``quiet_min``: since the last payment; None outside service hours or before the first one;
    ``is_quiet``: it is an alarm."""

    today: MoneyToday
    totals: MoneyView
    channels: list[ChannelHealth]
    last_paid_at_ms: int | None
    quiet_min: int | None
    is_quiet: bool
    now_ms: int


class MoneyAlarmView(View, frozen=True, kw_only=True):
    """An open alarm in words, and what to do about it. ``is_everywhere``: it is about no campus in particular."""

    id: str
    kind: str
    subject: str
    step: int
    times: int
    opened_at_ms: int
    told_at_ms: int
    is_everywhere: bool
    parameters: dict[str, str | int]
    text_zh: str
    text_en: str
    advice_zh: str
    advice_en: str


class MoneyAlarms(View, frozen=True, kw_only=True):
    """Newest first."""

    alarms: list[MoneyAlarmView]


class CallbackHour(View, frozen=True, kw_only=True):
    """A channel's payments of an hour; ``ghosts`` were proved by asking or by a bill alone."""

    channel: str
    begins_at_ms: int
    payments: int
    ghosts: int


class CallbackTallies(View, frozen=True, kw_only=True):
    """Newest hour first."""

    hours: list[CallbackHour]


class TraceEntry(View, frozen=True, kw_only=True):
    """One thing that happened to an order's money, without secrets. ``subject``: the attempt's or the instruction's
    number, or "" for the payment as a whole."""

    seq: int
    at_ms: int
    kind: str
    code: str
    channel: str
    subject: str
    title_zh: str
    title_en: str
    facts: dict[str, Any]


class TraceView(View, frozen=True, kw_only=True):
    """Oldest first. ``is_cut``: older entries were left out."""

    order_id: str
    entries: list[TraceEntry]
    is_cut: bool


class DaySums(View, frozen=True, kw_only=True):
    paid_fen: int
    refunded_fen: int
    split_fen: int
    taken_back_fen: int
    transferred_fen: int


class RunView(View, frozen=True, kw_only=True):
    """One channel's day. The sums and counts are of the channel, so only a server with one campus shows them.
    ``is_under_way``: its bill is being fetched and compared, or is about to be."""

    id: str
    channel: str
    day: str
    state: str
    reason: str
    tries: int
    lines: int | None
    mismatches: int | None
    theirs: DaySums | None
    ours: DaySums | None
    ran_at_ms: int | None
    due_at_ms: int | None
    is_under_way: bool


class RunList(View, frozen=True, kw_only=True):
    """The newest day first."""

    runs: list[RunView]


class WorkItem(View, frozen=True, kw_only=True):
    """One difference between a bill and the books, and what was done about it. ``campus_id`` "": nobody knows whose."""

    id: str
    run_id: str
    channel: str
    day: str
    kind: str
    cause: str
    what: str
    number: str
    transaction_id: str
    campus_id: str
    order_id: str
    ours_fen: int
    theirs_fen: int
    repair: str
    state: str
    reason: str
    handler: str
    handler_name: str
    is_mine: bool
    tries: int
    found_at_ms: int
    changed_at_ms: int


class RunWithItems(View, frozen=True, kw_only=True):
    """A run and this campus's differences, repaired or not, oldest first."""

    run: RunView
    items: list[WorkItem]


class WorkItems(View, frozen=True, kw_only=True):
    """What needs a person, oldest first."""

    items: list[WorkItem]


class RefundPartView(View, frozen=True, kw_only=True):
    """A part of a refund and the path that it takes; ``account_ref`` is whose money it is."""

    path: str
    party: str
    account_ref: str
    amount_fen: int


class RefundRow(View, frozen=True, kw_only=True):
    """A refund, its deadline and how far it is."""

    id: str
    order_id: str
    amount_fen: int
    state: str
    reason: str
    parts: list[RefundPartView]
    asked_at_ms: int
    due_by_ms: int
    done_at_ms: int | None
    is_overdue: bool


class Refunds(View, frozen=True, kw_only=True):
    """Newest first."""

    refunds: list[RefundRow]


class RiskObjection(View, frozen=True, kw_only=True):
    code: str
    decision: str
    parameters: dict[str, int | str]


class RiskCaseView(View, frozen=True, kw_only=True):
    """A request that was objected to. ``needs_review``: it is held until somebody decides."""

    seq: int
    id: str
    at_ms: int
    kind: str
    ref: str
    order_id: str
    account_id: str
    account_name: str
    amount_fen: int
    decision: str
    code: str
    challenge: str
    objections: list[RiskObjection]
    standing: str
    needs_review: bool
    decided_at_ms: int | None
    decided_by_name: str
    decided_because: str


class RiskCases(View, frozen=True, kw_only=True):
    """Newest first; ``next_before`` pages back."""

    cases: list[RiskCaseView]
    next_before: int | None
