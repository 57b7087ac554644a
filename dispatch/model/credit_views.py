"""What runners and operators are answered about credit: the score, what it allows, what moves it, line by line."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from .requests import IdText, Request
from .views import View


class CreditAppealView(View, frozen=True, kw_only=True):
    """``status``: open | granted | refused."""

    id: str
    at_ms: int
    text: str
    status: str
    answer: str
    decided_at_ms: int | None


class CreditLineView(View, frozen=True, kw_only=True):
    """One line; ``balance`` is the score after it. ``actor`` is empty for what the rules did; a runner reads ``team``
    there, operators the name. ``facts`` are figures for the words: minutes, stars, metres, level."""

    id: str
    number: int
    at_ms: int
    delta: int
    balance: int
    reason: str
    order_id: str | None
    facts: dict[str, Any]
    note: str
    actor: str
    rule_version: str
    is_reversed: bool
    can_appeal: bool
    appeal: CreditAppealView | None


class CreditLevelView(View, frozen=True, kw_only=True):
    """From ``from_score`` on, this is what a runner may have; None: no limit of the level's own."""

    level: str
    from_score: int
    max_tasks: int
    most_value_fen: int | None
    hall_delay_s: int
    may_take: bool


class CreditRuleView(View, frozen=True, kw_only=True):
    """What an event is worth; ``daily``: all of its kind together, a day."""

    reason: str
    delta: int
    daily: int | None
    facts: dict[str, Any]


class CreditView(View, frozen=True, kw_only=True):
    account_id: str
    name: str
    credit: int
    level: str
    has_badge: bool
    acceptance_percent: int
    levels: list[CreditLevelView]
    rules: list[CreditRuleView]
    rule_version: str
    lines: list[CreditLineView]
    next_before: int | None  # pass as ``before`` for the next page


Why = Annotated[str, Meta(min_length=3, max_length=300)]


class RecordCredit(Request, frozen=True, kw_only=True):
    """Correct a runner's credit by ``delta`` points, or record what was lost or damaged with an order that they had;
    what that costs is a rule of the campus."""

    kind: Literal["corrected", "lost", "damaged"]
    reason: Why
    delta: Annotated[int, Meta(ge=-100, le=100)] | None = None
    order_id: IdText | None = None


class ReverseCredit(Request, frozen=True, kw_only=True):
    """Take a line back."""

    reason: Why


class AppealCredit(Request, frozen=True, kw_only=True):
    """Say why a line is wrong; a person of the campus team reads it."""

    text: Annotated[str, Meta(min_length=3, max_length=500)]


class DecideAppeal(Request, frozen=True, kw_only=True):
    """Grant an appeal, which takes its line back, or refuse it; the runner reads the answer."""

    is_granted: bool
    answer: Why
