"""What operators are answered: the console, decisions, accounts, the audit and the money overview."""

from __future__ import annotations

from typing import Any

from msgspec import field

from .plan_views import ForeseenView, MoveView
from .views import AccountView, OrderView, StopView, View


class ConsoleRunner(View, frozen=True, kw_only=True):
    id: str
    name: str
    vehicle: str
    credit: int
    is_on_duty: bool
    load: int
    order_ids: list[str]
    position: list[float] | None  # [lat, lon, fixed_at_ms]
    is_late: bool = False
    credit_level: str = "normal"
    excluded: str | None = None  # why they get nothing new now


class KpiView(View, frozen=True, kw_only=True):
    """Today so far, and the same time yesterday where it says so."""

    active: int
    unassigned: int
    late: int
    online: int
    runners: int
    done_today: int
    done_yesterday: int
    turnover_today_fen: int
    students_today: int


class AlertView(View, frozen=True, kw_only=True):
    id: str
    kind: str
    at_ms: int
    order_id: str | None
    text_zh: str
    text_en: str
    is_acknowledged: bool = False
    account_id: str | None = None


class ConsoleView(View, frozen=True, kw_only=True):
    """The console's snapshot; from then on events and positions arrive over the hub."""

    orders: list[OrderView]
    runners: list[ConsoleRunner]
    kpis: KpiView
    alerts: list[AlertView]
    now_ms: int


class CandidateView(View, frozen=True, kw_only=True):
    """One runner in a decision: cost terms in seconds, or the rule that excluded them."""

    runner_id: str
    runner_name: str
    cost_s: float | None
    terms: dict[str, float]
    distance_m: int | None
    excluded: str | None
    is_chosen: bool = False
    done_at_ms: int | None = None


class DecisionView(View, frozen=True, kw_only=True):
    """Why this runner."""

    id: str
    at_ms: int
    mode: str  # optimizer | greedy | grab | forced
    runner_id: str | None
    regret_s: float | None
    candidates: list[CandidateView]
    note: str = ""


class WhyView(View, frozen=True, kw_only=True):
    """``waiting``: why nobody has it yet, by a plan of ``planned_at_ms``; ``foreseen``: the same with who is meant."""

    decisions: list[DecisionView]
    waiting: str | None
    foreseen: ForeseenView | None = None
    foreseen_name: str = ""
    planned_at_ms: int | None = None


class ReassignOption(View, frozen=True, kw_only=True):
    """What it would cost to give the order to this runner, shown before it is done. ``late_s``: so much after its
    promise; ``moves``: what the runner carries already and would deliver at another time."""

    runner_id: str
    runner_name: str
    cost_s: int
    arrive_at_ms: int
    load_before: int
    distance_m: int
    is_current: bool
    excluded: str | None = None
    late_s: int = 0
    moves: list[MoveView] = field(default_factory=list)


class ReassignOptionsView(View, frozen=True, kw_only=True):
    """``released``: what else its runner carries, once they have lost it; ``left_out``: runners too far away to be
    weighed, one of whom can be asked about by name."""

    version: int
    options: list[ReassignOption]
    released: list[MoveView] = field(default_factory=list)
    promised_at_ms: int = 0
    left_out: int = 0


class RunnerRow(View, frozen=True, kw_only=True):
    account: AccountView
    credit: int
    is_on_duty: bool
    done: int


class AccountPage(View, frozen=True, kw_only=True):
    accounts: list[AccountView]
    next_before: str | None


class AuditRow(View, frozen=True, kw_only=True):
    id: str
    at_ms: int
    actor: str
    action: str
    subject: str
    reason: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditPage(View, frozen=True, kw_only=True):
    rows: list[AuditRow]
    next_before: str | None


class RevealView(View, frozen=True, kw_only=True):
    name: str
    phone: str
    stops: list[StopView]


class MoneyView(View, frozen=True, kw_only=True):
    """Money-flow overview of a campus, from the payment module's books."""

    held_fen: int
    captured_fen: int
    released_fen: int
    refunded_fen: int
    runner_fen: int
    campus_fen: int
    platform_fen: int
    subsidies_fen: int = 0  # what coupons' payers made up for, on top of what students paid
